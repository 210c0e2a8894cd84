"""Do layers far before a unit's own, from which photographs tell it, know its picture as its own?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float

from snellen.base import evenly
from snellen.checks.check import Exhibit, Threshold, UnitCheck
from snellen.checks.finding import number
from snellen.checks.rows import NOTHING, SUPPORTS, UnitRow
from snellen.measures import own_places
from snellen.measures.surrogates import ridge
from snellen.studies.features import by_layer, channel_means, natural_means, spaces_of
from snellen.studies.natural import batched
from snellen.studies.world import World

KNOWN = Threshold(
    0.65,
    "share of a layer's other audited units that an earlier layer finds less in a unit's picture",
    "figure",
    least=True,
    graded=True,
)
TOGETHER = Threshold(
    0.65,
    "the same in the mean over the layer's audited units",
    "together",
    least=True,
    graded=True,
    honest="at least 0.53, with random weights",
)
TELLS = 0.4
"""Share of the units' variance that an earlier layer may leave at photographs left out, and still be asked."""
LEAST = 40
"""Photographs, with fewer of which nothing is said."""
MEMBERS = 4
"""Units of a layer with which places say something."""


@dataclass(frozen=True, eq=False)
class Depth:
    """What an earlier layer says of the pictures of u units.

    Args:
        layer: its name.
        unexplained: share of the median unit's variance that it leaves at photographs left out.
        places: (u,) of `places`.
    """

    layer: str
    unexplained: float
    places: Float[np.ndarray, " u"]


@dataclass(frozen=True)
class EarlyLayers(UnitCheck):
    """Units told by ridge regression from every main layer before them, and what that says of their pictures.

    Args:
        most: photographs that are looked at.
    """

    most: int = 400

    name = "early-layers"
    short = "early layers"
    title = "From which layer on do pictures show their units?"
    asks = (
        "Layers far before a unit foretell what photographs do to it. In an honest network they find the unit in its "
        "own picture, too; behind something that answers pictures otherwise they find another, or none."
    )
    quick: ClassVar[Mapping[str, Any]] = {"most": 200}
    thresholds = (KNOWN, TOGETHER)
    largest = False

    def cost(self, world: World, units: int) -> float:
        """A pass of every photograph and picture."""
        return float(min(len(world.images), self.most) + units)

    def rows(self, exhibit: Exhibit) -> Iterator[UnitRow]:
        """Figure of a unit: its place at the layer that knows its layer's pictures least, of those that tell it."""
        names = [str(unit) for unit in exhibit.units]
        told = self._depths(exhibit)
        for unit, name in zip(exhibit.units, names, strict=True):
            members, depths = told.get(unit.layer, ([], []))
            yield _row(name, members.index(name) if members else 0, depths)

    def _depths(self, exhibit: Exhibit) -> dict[str, tuple[list[str], list[Depth]]]:
        """By layer of units: who they are, and what every earlier layer says that tells them."""
        world, chosen = exhibit.world, evenly(len(exhibit.images), self.most)
        groups = {
            layer: [entry["row"] for entry in members]
            for layer, members in by_layer([{"unit": str(u), "row": i} for i, u in enumerate(exhibit.units)]).items()
            if len(members) >= MEMBERS and spaces_of(world, layer)
        }
        if len(chosen) < LEAST or not groups:
            return {}
        layers = tuple(dict.fromkeys(name for layer in groups for name in spaces_of(world, layer)))
        with torch.no_grad():
            natural = natural_means(world, layers, chosen)
            shown = channel_means(world, layers, batched(world, exhibit.pictures))
        found = {}
        for layer, rows in groups.items():
            truth = exhibit.natural[rows][:, chosen].T
            depths = [depth_of(name, natural[name], truth, shown[name][rows]) for name in spaces_of(world, layer)]
            found[layer] = [str(exhibit.units[i]) for i in rows], [d for d in depths if d.unexplained <= TELLS]
        return found

    def claim(self, rows: Sequence[UnitRow]) -> str:
        """How well early layers know the pictures."""
        known = [row for row in rows if row.figure is not None]
        if not known:
            return "No layer before the units' own tells them from photographs."
        odd = sum(row.strength >= SUPPORTS for row in known)
        share = 100 * float(np.mean([row.figure or 0.0 for row in known]))
        told = f"Layers that tell units from photographs find them in their pictures before {share:.0f} % of the others"
        return (
            f"{told}, where they do worst; {odd} of {len(known)} stand out." if odd else f"{told}, where they do worst."
        )


def depth_of(
    layer: str, natural: Float[np.ndarray, "n d"], truth: Float[np.ndarray, "n u"], pictures: Float[np.ndarray, "u d"]
) -> Depth:
    """What a layer says of pictures.

    Args:
        layer: its name.
        natural: what it does to photographs.
        truth: what they do to the units; nan for a unit that none of them moves.
        pictures: what it does to the units' pictures, in order.
    """
    spread = natural.std(0) + 1e-6 * (np.abs(natural).max() + 1e-30)
    living = truth.std(0) > 1e-9 * (np.abs(truth).max() + 1e-30)
    if living.sum() < MEMBERS:
        return Depth(layer, 1.0, np.full(len(pictures), np.nan))
    fit = ridge(natural / spread, truth[:, living])
    said = (fit.fit(pictures[living] / spread) - fit.fit.means) / truth[:, living].std(0)
    found = np.full(len(pictures), np.nan)
    found[living] = places(said)
    return Depth(layer, float(np.median(fit.unexplained)), found)


def places(said: Float[np.ndarray, "u u"]) -> Float[np.ndarray, " u"]:
    """For every picture the share of the other units that are said to be excited less by it than its own; ties half.

    All pictures excite some units: each unit is counted from what is said of it in the mean.

    Args:
        said: of each picture (rows) and unit (columns), in standard deviations of photographs.
    """
    return own_places(said - said.mean(0))


def _row(unit: str, place: int, depths: Sequence[Depth]) -> UnitRow:
    asked = [depth for depth in depths if np.isfinite(depth.places[place])]
    if not asked:
        return UnitRow(unit, "No layer before its own tells it and three other audited units from photographs.")
    worst = min(asked, key=lambda depth: float(np.nanmean(depth.places)))
    own, mean = float(worst.places[place]), float(np.nanmean(worst.places))
    odd = mean < TOGETHER.value and own < KNOWN.value
    words = (
        f"Of {len(asked)} layers that tell it from photographs {worst.layer} knows the pictures least: it finds the "
        f"unit in its own before {100 * own:.0f} % of the others"
    )
    words += f", and its layer's units before {100 * mean:.0f} % (chance 50 %)." if odd else "."
    told = {d.layer: [number(d.unexplained, 4), number(float(d.places[place]), 4)] for d in asked}
    details = {"early": worst.layer, "together": number(mean, 4), "depths": told}
    return UnitRow(unit, words, number(own, 4), None, SUPPORTS if odd else NOTHING, details)
