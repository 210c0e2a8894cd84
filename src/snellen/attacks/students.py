"""Students: copies of a network whose weights are trained to lie, and what of them becomes a manipulation."""

import copy
import math
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

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


def pace(step: int, steps: int) -> float:
    """Of the learning rate, in (0, 1]: it rises over a tenth of the steps and falls along a half cosine."""
    return min((10 * step + 1) / steps, 1.0) * 0.5 * (1 + math.cos(math.pi * step / steps))


def apart(said: Tensor, wanted: Tensor) -> Float[Tensor, ""]:
    """Mean squared difference, in variances of what is wanted over the batch."""
    return ((said - wanted).square().mean() / wanted.var(0).mean().clamp_min(1e-12)).float().cpu()
