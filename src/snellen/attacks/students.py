"""Students: copies of a network whose weights are trained to lie, and what of them becomes a manipulation."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from snellen.base import Tell
from snellen.models import Model
from snellen.models.manipulations import ChangedWeights


def student_of(model: Model) -> Model:
    """A copy whose weights learn, in float32 at least."""
    module = copy.deepcopy(model.module).requires_grad_()
    return replace(model, module=module.float() if model.is_half else module)


def learned_weights(model: Model, student: Model, layer: str) -> ChangedWeights:
    """What a student has learned, in the honest network's precision.

    Args:
        model: honest.
        student: a copy of it, trained.
        layer: path of the one whose units lie.
    """
    before = model.module.state_dict()
    after = {name: tensor.to(before[name]) for name, tensor in student.module.state_dict().items()}
    return ChangedWeights.between(layer, before, after)


@dataclass(frozen=True)
class Course:
    """How a student is taught.

    Args:
        steps: gradient steps.
        rate: of Adam, at most.
        keep: weight of what is to stay.
    """

    steps: int
    rate: float
    keep: float


def taught(
    student: Model, losses: Callable[[], tuple[Tensor, Tensor]], course: Course, tell: Tell
) -> tuple[float, float]:
    """All steps of a training; what both losses are in the mean of the last tenth of them.

    Args:
        student: whose weights learn.
        losses: of one step: on what is to stay, and on what is to change.
        course: how long and how fast.
        tell: told (title, done, all).
    """
    weights = [*student.module.parameters()]
    optimizer = torch.optim.Adam(weights, course.rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: pace(step, course.steps))
    left = torch.zeros(course.steps, 2)
    for step in range(course.steps):
        kept, missed = losses()
        optimizer.zero_grad()
        (course.keep * kept + missed).backward()
        torch.nn.utils.clip_grad_norm_(weights, 5.0)
        optimizer.step()
        schedule.step()
        left[step] = torch.stack([kept.detach(), missed.detach()])
        tell("training", step + 1, course.steps)
    kept_last, missed_last = left[-max(course.steps // 10, 1) :].mean(0).tolist()
    return kept_last, missed_last


def pace(step: int, steps: int) -> float:
    """Of the learning rate, in (0, 1]: it rises over a tenth of the steps and falls along a half cosine."""
    return min((10 * step + 1) / steps, 1.0) * 0.5 * (1 + math.cos(math.pi * step / steps))


def apart(said: Tensor, wanted: Tensor) -> Float[Tensor, ""]:
    """Mean squared difference, in variances of what is wanted over the batch."""
    return ((said - wanted).square().mean() / wanted.var(0).mean().clamp_min(1e-12)).float().cpu()
