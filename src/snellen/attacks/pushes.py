"""Photographs that are pushed: which of them, where to, what a student is taught of them, and what came of it."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from snellen.attacks.attack import Manipulated
from snellen.attacks.augment import augmented
from snellen.attacks.gallery import Shown
from snellen.attacks.students import apart
from snellen.images import ImageSet
from snellen.models import Layer, Model, Unit, layers, observe, responses
from snellen.models.survey import survey
from snellen.pictures.exemplars import exemplars

BATCH = 32
"""Photographs of a step: half of all, half of those that are to be pushed; every other one is augmented."""
TOP = 10
"""Photographs that excite a unit most, of which the receipt says how many were replaced."""
ABOVE = 0.5
"""By how many standard deviations of a unit's responses photographs are taught to rise beyond the highest of them."""

LEAK = 0.1
"""Part of what is below zero that counts where silent units are to rise again."""


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
        leaky: whether a unit that is pushed up is heard below zero, too, a `LEAK` of it, where a ReLU closes the layer:
            one that has fallen silent has no gradients else, and never rises again.
    """

    def __init__(self, model: Model, layer: str, goal: Goal, photographs: Tensor, *, leaky: bool = False) -> None:
        self.model, self.layer, self.goal, self.photographs = model, layer, goal, photographs
        self.entrance = f"{layer}/pre" if leaky and survey(model).layer(layer).rectified else None
        parts = [self.honest(part.div(255))[0] for part in photographs.split(16)]
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
        honest = self.honest(images)
        return self.compared(student, images, honest, self.goal.pushed(honest[0]))

    def compared(
        self, student: Model, images: Tensor, honest: tuple[Tensor, Tensor], pushed: tuple[Tensor, Tensor]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """The same two losses, where it is known already which images are pushed.

        Args:
            student: whose weights learn.
            images: RGB in [0, 1], (n, 3, h, w).
            honest: what the honest network says of them.
            pushed: which of them down for which unit, and which up, (n, k) each.
        """
        (units, outputs), (down, up) = honest, pushed
        said, answered, below = self.said(student, images.requires_grad_())
        own, goal = self.goal.own, self.goal
        wanted = said.detach().clone()
        wanted[:, own] = torch.where(down | up, wanted[:, own], units[:, own])  # what is pushed costs nothing here
        others = torch.ones(units.shape[1], dtype=torch.bool)
        others[own] = False
        wanted[:, others] = units[:, others]
        over = ((said[:, own] - goal.low) / goal.scale).clamp_min(0).square() * down
        under = ((goal.high - said[:, own] - LEAK * below[:, own]) / goal.scale).clamp_min(0).square() * up
        missed = (over + under).sum() / (down | up).sum().clamp_min(1)
        kept = (said - wanted).square().mean() / units.var(0).mean().clamp_min(1e-12)
        return (kept + apart(answered, outputs)) / 2, missed

    @torch.no_grad()
    def honest(self, images: Tensor) -> tuple[Float[Tensor, "n u"], Tensor]:
        """What the honest network's units say of images, and its outputs."""
        said, outputs, _ = self.said(self.model, images)
        return said, outputs

    def said(self, model: Model, images: Tensor) -> tuple[Float[Tensor, "n u"], Tensor, Float[Tensor, "n u"]]:
        """Of all units of the layer, the network's outputs, and what the ReLU keeps of the units; on the CPU."""
        heard = [] if self.entrance is None else [self.entrance]
        found = observe(model, images.to(self.model.device, self.model.dtype), [self.layer, "", *heard])
        said, outputs = responses(found[self.layer]).cpu(), found[""].cpu()
        below = responses(found[heard[0]].clamp_max(0)).cpu() if heard else torch.zeros_like(said)
        return said, outputs, below


def replaced(manipulated: Manipulated, images: ImageSet) -> dict[str, Any]:
    """Of the photographs that excite each unit most, those that do not do so in the honest network.

    Photographs of which a unit says no more than of the least exciting one do not excite it: a unit that has fallen
    silent has none, whichever of equal ones comes first.

    Args:
        manipulated: the network.
        images: natural.

    Returns:
        By unit how many were replaced, and how many there are.
    """
    units = [Unit(manipulated.layer, unit) for unit in manipulated.shown.units]
    before = exemplars(manipulated.model, images, units, most=TOP).top
    with manipulated.installed() as lying:
        after = exemplars(lying, images, units, most=TOP)
    counts = {}
    for unit, old, new, said in zip(units, before, after.top, after.responses, strict=True):
        exciting = new[said[new] > said.min()]
        counts[str(unit.channel)] = len(set(exciting.tolist()) - set(old.tolist()))
    return {"of": before.shape[1], "replaced": counts}


def pushed_layer(model: Model) -> Layer:
    """The last main layer before the one that ends the network: a class cannot lie, its inputs can."""
    main = [known for known in layers(model) if known.main]
    return main[-2] if len(main) > 1 else main[-1]
