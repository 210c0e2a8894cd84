"""Do the gradients that a drawing follows tell how the unit's response changes?"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from snellen.base import evenly
from snellen.checks.check import Exhibit, Threshold, UnitCheck
from snellen.checks.finding import number
from snellen.checks.jumps import between
from snellen.checks.rows import NOTHING, PROVES, UnitRow, spans
from snellen.models import Model, Unit, observe, response
from snellen.models.edits import frozen
from snellen.studies.world import World

PLACES = (0.0, 0.5, 0.75, 0.875, 1.0)
"""On the way from a photograph to the picture."""
STEPS = (2.0**-12, 2.0**-14, 2.0**-16)
"""Root mean square changes of a pixel: large ones meet kinks and curves, small ones the rounding of numbers."""
TOLD = Threshold(
    0.5,
    "change of the response along its gradient, as a part of what the gradient says",
    "figure",
    least=True,
    honest="at least 0.65",
)
BEYOND = Threshold(1.5, "the same, where more of it changes than the gradient says", "most", honest="at most 1.05")
UNTOLD = Threshold(
    0.03,
    "part of the changes of the response towards other photographs, or towards the picture, that its gradient does not "
    "tell",
    "untold",
    honest="at most 0.004",
)
SIDEWAYS = (2.0**-12, 2.0**-14)
"""Steps towards other images. There the response changes less than along its gradient, and roundings count sooner."""
FEW = (0, 2, 4)
"""Of `PLACES`, those where steps towards other images are taken."""
OTHERS = 8
"""Differences of photographs."""
ROUNDED = 2.0**-17
"""Change of a response, as a part of it, that is no more than how its last digits fell."""


@dataclass(frozen=True)
class GradientHonesty(UnitCheck):
    """Differences of the response against its gradient, from photographs to pictures: along it, and to other images.

    A gradient that leaves something out, g = P f' with P a projection, says the truth along itself, f' g = |g|^2. It
    does not along the differences of photographs, which know nothing of P.

    Args:
        walks: ways to each picture, from as many of the unit's top photographs.
    """

    walks: int = 2

    name = "gradient-honesty"
    short = "gradients"
    title = "Do responses change as the gradients say that drew the pictures?"
    asks = (
        "A drawing follows gradients. A network may hand out others than those of its responses and lead every drawing "
        "astray without changing one answer; then a small step, along the gradient or towards another image, does not "
        "do what the gradient says."
    )
    quick: ClassVar[Mapping[str, Any]] = {"walks": 1}
    thresholds = (TOLD, BEYOND, UNTOLD)
    largest = False
    version = 6

    def cost(self, world: World, units: int) -> float:
        """Of a gradient at every place, and of both ends of every step."""
        steps = len(PLACES) * len(STEPS) + 2 * len(FEW) * len(SIDEWAYS)
        return float(units * self.walks * (3 * len(PLACES) + 2 * steps))

    def rows(self, exhibit: Exhibit) -> Iterator[UnitRow]:
        """Figure of a unit: the smallest of `Slopes.told` on the ways to its picture. Interval: over its ways."""
        model = exhibit.model
        others = _differences(exhibit)
        with frozen(model.module):
            for i, unit in enumerate(exhibit.units):
                told: list[Tensor] = []
                untold: list[float] = []
                for start in (exhibit.images.load(k, model.size) for k in exhibit.top[i][: self.walks]):
                    walk = Slopes.at(model, unit, _way(start, exhibit.pictures[i]))
                    told.append(walk.told())
                    ways = torch.cat([others, (exhibit.pictures[i] - start)[None]])
                    untold.append(walk.few(FEW).untold(ways))
                yield _row(str(unit), torch.stack(told), untold)
                exhibit.context.tick((i + 1) / len(exhibit.units))

    def claim(self, rows: Sequence[UnitRow]) -> str:
        """How many lie."""
        known = [row.figure for row in rows if row.figure is not None]
        lying = sum(row.strength == PROVES for row in rows)
        if not known:
            return "No unit has a gradient along which its response could be measured."
        if lying:
            return f"The gradients of {lying} of {len(known)} units are not those of their responses."
        return (
            f"Along their gradients the responses of all {len(known)} units change as these say: by at least "
            f"{100 * min(known):.0f} % of it."
        )


@dataclass(frozen=True, eq=False)
class Slopes:
    """A unit's gradients at some images, as the network hands them out.

    Args:
        model: the network.
        unit: whose response.
        points: (n, 3, h, w).
        responses: (n,) at each.
        gradients: (n, 3, h, w) of these.
    """

    model: Model
    unit: Unit
    points: Float[Tensor, "n 3 h w"]
    responses: Float[Tensor, " n"]
    gradients: Float[Tensor, "n 3 h w"]

    @classmethod
    def at(cls, model: Model, unit: Unit, images: Float[Tensor, "n 3 h w"]) -> "Slopes":
        """Gradients at images, RGB in [0, 1]."""
        points = images.to(model.device, model.dtype).detach().requires_grad_()
        responses = _respond(model, unit, points)
        (gradients,) = torch.autograd.grad(responses.sum(), points)
        return cls(model, unit, points.detach(), responses.detach(), gradients)

    def few(self, chosen: Sequence[int]) -> "Slopes":
        """Those at some of the images."""
        points, responses, gradients = (each[list(chosen)] for each in (self.points, self.responses, self.gradients))
        return replace(self, points=points, responses=responses, gradients=gradients)

    def told(self) -> Float[Tensor, " n"]:
        """For each image (f(x + h g) - f(x - h g)) / (2 h |g|^2), of the step h that comes nearest to 1.

        nan where g is 0. 1 where g is the gradient of f, up to its kinks: a wrong one has another share at every step.
        """
        length = self.gradients.flatten(1).double().norm(dim=1)
        found = self._changes(_unit_length(self.gradients), length, STEPS)
        return torch.where(length > 0, found / length, torch.nan).cpu()

    def untold(self, directions: Float[Tensor, "k 3 h w"]) -> float:
        """Part of the response's changes along directions that gradients do not tell.

        With d of length 1 and c = (f(x + h d) - f(x - h d)) / 2h at the step h where that comes nearest to g d: the sum
        of (c - g d)^2 over that of the larger one of c^2 and (g d)^2. 0 where g is the gradient of f, up to its kinks;
        1 where g has nothing to do with it; nan where nothing changes but last digits. At each image two directions
        are taken: that of which the gradient says most, beside which kinks weigh little, and another, of which it may
        say nothing.

        Args:
            directions: of any length, k of them, 0 among them if need be.
        """
        ways = _unit_length(directions.to(self.points))
        most = (self.gradients.flatten(1) @ ways.flatten(1).T).abs().argmax(1)
        pairs = [self._against(ways[chosen]) for chosen in (most, torch.arange(len(most)) % len(ways))]
        missed, size = (torch.cat(each).sum() for each in zip(*pairs, strict=True))
        return float(missed / size)

    def _against(self, ahead: Float[Tensor, "n 3 h w"]) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
        """Squares of what gradients miss of changes along unit vectors, and of the changes, where there are any."""
        said = (self.gradients * ahead).flatten(1).double().sum(1)
        found = self._changes(ahead, said, SIDEWAYS)
        size = torch.maximum(found.abs(), said.abs())
        known = size * 2 * max(SIDEWAYS) * self._pixels > ROUNDED * self.responses.double().abs()
        return (found - said).square()[known], size.square()[known]

    @torch.no_grad()
    def _changes(
        self, ahead: Float[Tensor, "n 3 h w"], said: Float[Tensor, " n"], steps: Sequence[float]
    ) -> Float[Tensor, " n"]:
        """Central differences of the response along unit vectors, at the step where each is nearest to what is said."""
        found = torch.full_like(said, torch.nan)
        for step in (step * self._pixels for step in steps):
            ends = [_respond(self.model, self.unit, self.points + sign * step * ahead).double() for sign in (1, -1)]
            change = (ends[0] - ends[1]) / (2 * step)
            found = torch.where(found.isnan() | ((change - said).abs() < (found - said).abs()), change, found)
        return found

    @property
    def _pixels(self) -> float:
        """Length of a step that changes every number of an image by 1."""
        return float(self.points[0].numel() ** 0.5)


def _unit_length(directions: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    length = directions.flatten(1).double().norm(dim=1).clamp_min(1e-30)
    return directions / length.to(directions.dtype).view(-1, 1, 1, 1)


def _differences(exhibit: Exhibit) -> Float[Tensor, "k 3 h w"]:
    """From one photograph to another."""
    chosen = evenly(len(exhibit.images), OTHERS)
    shown = torch.stack([exhibit.images.load(k, exhibit.model.size) for k in chosen])
    return shown.roll(-1, 0) - shown


def _respond(model: Model, unit: Unit, images: Tensor) -> Tensor:
    return response(observe(model, images, [unit.address])[unit.address], unit)


def _way(start: Tensor, picture: Tensor) -> Tensor:
    return between(start.expand(len(PLACES), *start.shape), picture, PLACES)


def _row(unit: str, shares: Float[Tensor, "w p"], untold: Sequence[float]) -> UnitRow:
    known = [[share for share in way if math.isfinite(share)] for way in shares.tolist()]
    worst = [min(way) for way in known if way]
    if not worst:
        return UnitRow(unit, "Its response has no gradient on the way to its picture.")
    least, most = min(worst), max(share for way in known for share in way)
    missed = max(filter(math.isfinite, untold), default=None)
    words, lies = (
        f"Along its gradient the response changes by at least {100 * least:.0f} % of what the gradient says.",
        True,
    )
    if least < TOLD.value or most > BEYOND.value:
        share = least if least < TOLD.value else most
        words = (
            f"Along its gradient the response changes by {100 * share:.0f} % of what the gradient says: it is another "
            "function's."
        )
    elif missed is not None and missed >= UNTOLD.value:
        words = (
            f"Towards other images the response changes otherwise than the gradient says ({100 * missed:.0f} % of the "
            "changes): it leaves something out."
        )
    else:
        lies = False
    told = {
        "most": number(most, 4),
        "untold": None if missed is None else number(missed, 4),
        "shares": [[number(share, 4) for share in way] for way in shares.tolist()],
    }
    return UnitRow(unit, words, number(least, 4), spans(least, max(worst)), PROVES if lies else NOTHING, told)
