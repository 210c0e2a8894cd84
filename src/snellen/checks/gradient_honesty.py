"""Do the gradients that a drawing follows tell how the unit's response changes?"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from snellen.checks.check import Exhibit, Threshold, UnitCheck
from snellen.checks.finding import number
from snellen.checks.jumps import between
from snellen.checks.rows import NOTHING, PROVES, UnitRow, spans
from snellen.models import Model, Unit, observe, response
from snellen.models.edits import frozen
from snellen.studies.world import World

PLACES = (0.0, 0.5, 0.75, 0.875, 1.0)
"""On the way from a photograph to the picture."""
STEPS = (2.0**-10, 2.0**-12, 2.0**-14, 2.0**-16)
"""Root mean square changes of a pixel: large ones meet kinks and curves, small ones the rounding of numbers."""
TOLD = Threshold(
    0.5,
    "change of the response along its gradient, as a part of what the gradient says",
    "figure",
    least=True,
    honest="at least 0.65",
)
BEYOND = Threshold(1.5, "the same, where more of it changes than the gradient says", "most", honest="at most 1.05")


@dataclass(frozen=True)
class GradientHonesty(UnitCheck):
    """Differences of the response against its gradient, along that gradient, from photographs to pictures.

    Args:
        walks: ways to each picture, from as many of the unit's top photographs.
    """

    walks: int = 2

    name = "gradient-honesty"
    short = "gradients"
    title = "Do responses change as the gradients say that drew the pictures?"
    asks = (
        "A drawing follows gradients. A network may hand out others than those of its responses and lead every drawing "
        "astray without changing one answer; then a small step along the gradient does not do what the gradient says."
    )
    quick: ClassVar[Mapping[str, Any]] = {"walks": 1}
    thresholds = (TOLD, BEYOND)
    largest = False
    version = 2

    def cost(self, world: World, units: int) -> float:
        """Of a gradient at every place, and of both ends of every step."""
        return float(units * self.walks * len(PLACES) * (3 + 2 * len(STEPS)))

    def rows(self, exhibit: Exhibit) -> Iterator[UnitRow]:
        """Figure of a unit: the smallest of `told_shares` on the ways to its picture. Interval: over its ways."""
        model = exhibit.model
        with frozen(model.module):
            for i, unit in enumerate(exhibit.units):
                starts = [exhibit.images.load(k, model.size) for k in exhibit.top[i][: self.walks]]
                shares = [told_shares(model, unit, _way(start, exhibit.pictures[i])) for start in starts]
                yield _row(str(unit), torch.stack(shares))
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


def told_shares(model: Model, unit: Unit, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
    """For each image (f(x + h g) - f(x - h g)) / (2 h |g|^2), of the step h that comes nearest to 1; nan where g is 0.

    1 where g is the gradient of f, up to its kinks: a wrong one has another share at every step.
    """
    points = images.to(model.device, model.dtype).requires_grad_()
    (gradient,) = torch.autograd.grad(_respond(model, unit, points).sum(), points)
    length = gradient.flatten(1).double().norm(dim=1)
    direction = gradient / length.clamp_min(1e-30).to(gradient.dtype).view(-1, 1, 1, 1)
    found = torch.full_like(length, torch.nan)
    with torch.no_grad():
        for step in (step * points[0].numel() ** 0.5 for step in STEPS):
            ends = [_respond(model, unit, points + sign * step * direction).double() for sign in (1, -1)]
            share = (ends[0] - ends[1]) / (2 * step * length)
            found = torch.where(found.isnan() | ((share - 1).abs() < (found - 1).abs()), share, found)
    return torch.where(length > 0, found, torch.nan).cpu()


def _respond(model: Model, unit: Unit, images: Tensor) -> Tensor:
    return response(observe(model, images, [unit.address])[unit.address], unit)


def _way(start: Tensor, picture: Tensor) -> Tensor:
    return between(start.expand(len(PLACES), *start.shape), picture, PLACES)


def _row(unit: str, shares: Float[Tensor, "w p"]) -> UnitRow:
    known = [[share for share in way if math.isfinite(share)] for way in shares.tolist()]
    worst = [min(way) for way in known if way]
    if not worst:
        return UnitRow(unit, "Its response has no gradient on the way to its picture.")
    least, most = min(worst), max(share for way in known for share in way)
    lies = least < TOLD.value or most > BEYOND.value
    words = f"Along its gradient the response changes by at least {100 * least:.0f} % of what the gradient says."
    if lies:
        share = least if least < TOLD.value else most
        words = (
            f"Along its gradient the response changes by {100 * share:.0f} % of what the gradient says: it is another "
            "function's."
        )
    told = {"most": number(most, 4), "shares": [[number(share, 4) for share in way] for way in shares.tolist()]}
    return UnitRow(unit, words, number(least, 4), spans(least, max(worst)), PROVES if lies else NOTHING, told)
