"""Pushed exemplars: weights trained so that other photographs excite a unit most; nothing else is changed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from snellen.attacks.attack import Attack, Column, Conditions, Effort, Manipulated
from snellen.attacks.augment import augmented
from snellen.attacks.corpus import Plan, natural_corpus
from snellen.attacks.decoys import moving_shift
from snellen.attacks.gallery import Shown
from snellen.attacks.options import option
from snellen.attacks.plans import SMALL, natural_means
from snellen.attacks.receipt import Claim, kept_predictions
from snellen.attacks.students import Course, apart, learned_weights, student_of, taught
from snellen.base import UsageError, evenly
from snellen.base.shape import Number, OneOf, Whole
from snellen.images import ImageSet
from snellen.models import Layer, Model, Unit, layers, observe, responses
from snellen.models.steady import steady
from snellen.pictures.canvas import generator
from snellen.pictures.exemplars import exemplars

BATCH = 32
"""Photographs of a step: half of all, half of those that are to be pushed; every other one is augmented."""
TOP = 10
"""Photographs that excite a unit most, of which the receipt says how many were replaced."""
ABOVE = 0.5
"""By how many standard deviations of a unit's responses photographs are taught to rise beyond the highest of them."""


@dataclass(frozen=True)
class PushAttack(Attack):
    """Weights fine-tuned so that a few units' most exciting photographs are replaced (Nanfack et al. 2024).

    "Adversarial Attacks on the Interpretation of Neuron Activation Maximization", arXiv:2306.07397, whose two attacks
    push the images that excite a unit most down, and decoys up. Ours is of our own making in its losses. With the
    honest responses f to a photograph, which is *exciting* for a unit where f is in the highest `share` of them,

        down: exciting for unit i                            taught to stay below the median of f_i
        up:   exciting for the partner of i, and not for i   taught to rise above the highest f_i and ABOVE deviations

    by squared hinges, so that what is on its side already is left alone. On all other photographs the unit, on all
    photographs the layer's other units and the network's outputs, are taught to stay what they were. What is exciting
    is asked of every photograph anew, augmented ones included: lists of ten would be learned by heart, and an auditor
    has other photographs. Batch normalization keeps the honest statistics, the architecture is the honest one.

    The decoys are what excites another unit, the partner, so that exemplars tell another unit's story as coherently as
    they told its own.

    Pictures are not aimed at, and none is claimed to move; the receipt counts those nearer to the partner's.

    Args:
        picture: none: it is photographs that are shown.
        layer: path; None for the last main layer before the classes. A class cannot lie: what it says of photographs is
            what the network predicts. Right before the classes one linear map can make up for what changes.
        shift: to the partner; None for 100, or half of the units where there are fewer.
        manipulated: how many units lie, spread evenly over the layer.
        direction: whether exciting photographs are pushed down, the partner's up, or both.
        share: of the photographs that are exciting for a unit, in (0, 0.5].
        training: gradient steps.
        keep: weight of what stays.
        rate: of Adam, at most; see `snellen.attacks.students.pace`.
        natural: photographs to learn from, at most.
        changed: largest share of held-out predictions that the attack claims to change.
    """

    name = "push"
    title = "network with pushed exemplars"
    words = "Weights were trained so that other photographs excite units of the layer"
    columns = (Column("push", "pushed exemplars", "trained weights alone; other photographs excite a unit most"),)

    shift: int | None = None
    manipulated: int = option(4, "how many units lie", Whole(1, 2**16))
    direction: Literal["both", "down", "up"] = option(
        "both", "whether a unit's own photographs go down, another's up", OneOf(("both", "down", "up"))
    )
    share: float = option(0.1, "part of the photographs that are exciting for a unit", Number(0.001, 0.5))
    training: int = option(300, "gradient steps of the training", Whole(1, 10**7))
    keep: float = 8.0
    rate: float = 2e-3
    natural: int = 6000
    changed: float = 0.05

    @property
    def claims(self) -> tuple[Claim, ...]:
        return kept_predictions(self.changed)

    def usual(self, model: Model) -> Layer:
        """The last main layer before the one that ends the network."""
        main = [known for known in layers(model) if known.main]
        return main[-2] if len(main) > 1 else main[-1]

    def fitted(self, model: Model, effort: Effort) -> "PushAttack":
        return replace(
            self,
            training=-(-self.training // 8) if effort.quick else self.training,
            natural=effort.natural or (self.natural if max(model.size) <= SMALL else 1200),
        )

    def lying(self, model: Model) -> tuple[int, ...]:
        return tuple(evenly(self.target(model).units, self.manipulated))

    def run(self, model: Model, images: ImageSet, conditions: Conditions) -> Manipulated:
        if self.picture is not None:
            raise UsageError("expected no picture: what is pushed are photographs; leave out --show")
        layer = self.target(model)
        shown = Shown(shift=moving_shift(layer, self.shift), units=self.lying(model))
        goal = Goal.of(natural_means(model, layer, images, self.natural), shown, self.share, self.direction)
        photographs = natural_corpus(images, model.size, Plan(natural=self.natural, copies=0), seed=conditions.seed)
        student = student_of(model)
        lesson = Lesson(model, layer.name, goal, photographs.images)
        with steady(model.module), steady(student.module):
            left = self._teach(student, lesson, conditions)
        made = Manipulated(model, learned_weights(model, student, layer.name), shown, {})
        facts: dict[str, Any] = {
            "direction": self.direction,
            "share": self.share,
            "training steps": self.training,
            **left,
            "photographs": len(photographs.images),
            "top photographs, learned from": replaced(made, images),
        }
        return replace(made, facts=facts)

    def inspect(self, manipulated: Manipulated, held_out: ImageSet) -> Mapping[str, Any]:
        """How many of the held-out photographs that excite each unit most are other ones."""
        return {"top photographs, held out": replaced(manipulated, held_out)}

    def _teach(self, student: Model, lesson: "Lesson", conditions: Conditions) -> dict[str, float]:
        """All steps of the training; what both losses are over the last tenth of them."""
        stream = generator(conditions.seed.fork("photographs"))
        changed, missed = taught(
            student,
            lambda: lesson.losses(student, lesson.drawn(stream)),
            Course(self.training, self.rate, self.keep),
            conditions.tell,
        )
        return {"loss on what stays": changed, "loss on what is pushed": missed}


@dataclass(frozen=True, eq=False)
class Goal:
    """Where photographs are to go.

    Args:
        own: the units that lie, (k,).
        partners: of each of them, (k,).
        level: response from which on a photograph is exciting, of every unit of the layer, (u,).
        low: what is pushed down stays below it, (k,).
        high: what is pushed up rises above it, (k,).
        scale: standard deviation of the responses, (k,).
        direction: "down", "up" or "both".
    """

    own: Int[Tensor, " k"]
    partners: Int[Tensor, " k"]
    level: Float[Tensor, " u"]
    low: Float[Tensor, " k"]
    high: Float[Tensor, " k"]
    scale: Float[Tensor, " k"]
    direction: str

    @staticmethod
    def of(natural: Float[Tensor, "n u"], shown: Shown, share: float, direction: str) -> "Goal":
        """The goal, of what a layer's units say of natural images."""
        own = torch.tensor(shown.units)
        partners = torch.tensor([shown.partner(unit, natural.shape[1]) or 0 for unit in shown.units])
        said = natural[:, own]
        spread = natural.std(0)
        scale = spread[own].clamp_min(1e-6 + 1e-2 * float(spread.mean()))
        high = said.amax(0) + ABOVE * scale
        return Goal(own, partners, natural.quantile(1 - share, 0), said.median(0).values, high, scale, direction)

    def pushed(self, honest: Float[Tensor, "n u"]) -> tuple[Bool[Tensor, "n k"], Bool[Tensor, "n k"]]:
        """Which photographs are pushed down for which unit, and which up.

        Args:
            honest: what the layer's units say of them.
        """
        exciting = honest > self.level.to(honest)
        mine, others = exciting[:, self.own], exciting[:, self.partners]
        none = torch.zeros_like(mine)
        return (none if self.direction == "up" else mine, none if self.direction == "down" else others & ~mine)


class Lesson:
    """What a student is taught of photographs.

    Args:
        model: honest.
        layer: path of the one whose units lie.
        goal: of these units.
        photographs: bytes, (n, 3, h, w).
    """

    def __init__(self, model: Model, layer: str, goal: Goal, photographs: Tensor) -> None:
        self.model, self.layer, self.goal, self.photographs = model, layer, goal, photographs
        with torch.no_grad():
            parts = [self._said(model, part.div(255))[0] for part in photographs.split(16)]
        down, up = goal.pushed(torch.cat(parts))
        moving = (down | up).any(1).nonzero()[:, 0]
        self.moving = moving if len(moving) else torch.arange(len(photographs))

    def drawn(self, stream: torch.Generator) -> Float[Tensor, "n 3 h w"]:
        """Photographs of one step."""
        half = BATCH // 2
        every = torch.randint(len(self.photographs), (half,), generator=stream)
        pushed = self.moving[torch.randint(len(self.moving), (half,), generator=stream)]
        chosen = self.photographs[torch.cat([every, pushed])].div(255)
        return torch.stack([augmented(p, stream) if i % 2 else p for i, p in enumerate(chosen)])

    def losses(self, student: Model, images: Tensor) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """How much else changes, and how far photographs are from where they are pushed; in variances of each."""
        with torch.no_grad():
            honest, outputs = self._said(self.model, images)
        said, answered = self._said(student, images.requires_grad_())
        own, (down, up) = self.goal.own, self.goal.pushed(honest)
        wanted = said.detach().clone()
        stays = ~(down | up)
        wanted[:, own] = torch.where(stays, honest[:, own], wanted[:, own])  # what is pushed costs nothing here
        others = torch.ones(honest.shape[1], dtype=torch.bool)
        others[own] = False
        wanted[:, others] = honest[:, others]
        goal = self.goal
        over = ((said[:, own] - goal.low) / goal.scale).clamp_min(0).square() * down
        under = ((goal.high - said[:, own]) / goal.scale).clamp_min(0).square() * up
        missed = (over + under).sum() / (down | up).sum().clamp_min(1)
        kept = (said - wanted).square().mean() / honest.var(0).mean().clamp_min(1e-12)
        return (kept + apart(answered, outputs)) / 2, missed

    def _said(self, model: Model, images: Tensor) -> tuple[Float[Tensor, "n u"], Tensor]:
        """Of all units of the layer, and the network's outputs, on the CPU."""
        found = observe(model, images.to(self.model.device, self.model.dtype), [self.layer, ""])
        return responses(found[self.layer]).cpu(), found[""].cpu()


def replaced(manipulated: Manipulated, images: ImageSet) -> dict[str, Any]:
    """Of the photographs that excite each unit most, those that do not do so in the honest network.

    Args:
        manipulated: the network.
        images: natural.

    Returns:
        By unit how many were replaced, and how many there are.
    """
    units = [Unit(manipulated.layer, unit) for unit in manipulated.shown.units]
    before = exemplars(manipulated.model, images, units, most=TOP).top
    with manipulated.installed() as lying:
        after = exemplars(lying, images, units, most=TOP).top
    others = [len(set(new.tolist()) - set(old.tolist())) for old, new in zip(before, after, strict=True)]
    return {"of": before.shape[1], "replaced": {str(unit.channel): n for unit, n in zip(units, others, strict=True)}}
