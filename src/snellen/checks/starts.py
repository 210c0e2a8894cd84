"""Does a drawing that starts elsewhere tell more about the unit than its picture does?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float

from snellen.base import evenly
from snellen.checks.check import Check, Threshold, found
from snellen.checks.finding import Finding, number
from snellen.checks.rows import NOTHING, SUPPORTS, UnitRow, spans
from snellen.jobs import Context, Function, Job
from snellen.measures import rank_vectors, unit_length
from snellen.models import Unit
from snellen.studies.arrays import natural_responses, stacked
from snellen.studies.features import by_layer, channel_means, natural_means, space_of
from snellen.studies.natural import batched, fast
from snellen.studies.restarts import RESTART, restart, restart_cost, restarts
from snellen.studies.study import Study
from snellen.studies.world import World

GAIN = Threshold(
    0.8,
    "rank correlation with the unit's responses to photographs that pictures from other starts have beyond its own",
    "figure",
    graded=True,
    honest="at most 0.72, with random weights; 0.45 at classes of trained networks",
)
LEAST = 40
"""Photographs, with fewer of which nothing is said."""


@dataclass(frozen=True)
class Starts(Check):
    """Short drawings from pictures of one colour, and how well they tell photographs that excite the unit.

    Args:
        units: of a layer that are drawn again, at most.
        starts: of each.
        most: photographs that are looked at.
    """

    units: int = 16
    starts: int = 2
    most: int = 400

    name = "starts"
    short = "starts"
    asks = (
        "Drawings start from grey. Weights can be trained to lead them to another picture from there, while they stay "
        "what they were for photographs and whatever is like them. A drawing that starts elsewhere should tell no more "
        "about its unit than the picture does."
    )
    quick: ClassVar[Mapping[str, Any]] = {"units": 10, "most": 200}
    thresholds = (GAIN,)

    def cost(self, world: World, units: int) -> float:
        """Of the drawings of one layer, and a pass of every photograph."""
        return restart_cost(world, self.starts, min(units, self.units)) + min(len(world.images), self.most)

    def functions(self, world: World) -> Mapping[str, Function]:
        """The drawings, and what they tell."""

        def function(spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
            with fast(world), torch.no_grad():
                rows = tuple(_rows(world, spec, context))
            yield "result", self.finding(rows).as_data()

        return {RESTART: restart(world), "starts": function}

    def examine(self, study: Study) -> Sequence[Finding]:
        """One finding on all units with a picture."""
        if not study.shown:
            return ()
        world, others = study.world, restarts(study, self.starts, self.units)
        spec = {
            "world": world.identity,
            "units": [{**entry, "others": others.get(entry["unit"], [])} for entry in study.entries],
            "natural": evenly(len(world.images), min(len(world.images), self.most)),
            "check": {"version": 2},
        }
        return (found(study, Job("starts", spec, title=self.short, cost=float(len(spec["natural"])))),)

    def finding(self, rows: Sequence[UnitRow]) -> Finding:
        """Figure of a unit: what its pictures from other starts tell in the mean, beyond what its own tells."""
        return self.summed(
            "Does a drawing that starts elsewhere tell more about its unit?", _claim(rows), rows, threshold=GAIN.value
        )


def told(
    pictures: Float[np.ndarray, "p d"], natural: Float[np.ndarray, "n d"], truth: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " p"]:
    """How well each picture tells which photographs excite a unit: Spearman's correlation of their likeness with truth.

    Likeness is the cosine from the photographs' mean, in their standard deviations.

    Args:
        pictures: features.
        natural: of photographs.
        truth: the unit's responses to these.
    """
    spread = natural.std(0) + 1e-6 * (np.abs(natural).max() + 1e-30)
    looks, shown = (unit_length((x - natural.mean(0)) / spread) for x in (natural, pictures))
    return np.asarray(rank_vectors(shown @ looks.T) @ rank_vectors(truth[None])[0])


def _rows(world: World, spec: Mapping[str, Any], context: Context) -> Iterator[UnitRow]:
    entries, chosen = spec["units"], spec["natural"]
    spaces = {layer: space_of(world, layer) for layer in by_layer(entries)}
    layers = tuple(dict.fromkeys(space for space in spaces.values() if space is not None))
    names = [name for entry in entries for name in (entry["image"], *entry["others"])]
    truth = natural_responses(context, entries)[:, chosen]
    if len(chosen) < LEAST or not layers:
        natural, shown = {}, {}
    else:
        natural = natural_means(world, layers, chosen)
        shown = channel_means(world, layers, batched(world, stacked(context, names)))
    first = 0
    for i, entry in enumerate(entries):
        mine, first = slice(first, first + 1 + len(entry["others"])), first + 1 + len(entry["others"])
        space = spaces[Unit.parse(entry["unit"]).layer]
        if not entry["others"]:
            yield UnitRow(entry["unit"], "It has no drawings from other starts.")
        elif space not in natural:
            yield UnitRow(entry["unit"], "Nothing before its layer, or too few photographs, to say what pictures tell.")
        else:
            yield row_of(entry["unit"], told(shown[space][mine], natural[space], truth[i]))


def row_of(unit: str, tells: Float[np.ndarray, " p"]) -> UnitRow:
    """What is said of a unit.

    Args:
        unit: its address.
        tells: of its picture, then of its drawings from other starts, at least one.
    """
    own, others = float(tells[0]), tells[1:]
    gains = others - own
    gain, mean = float(gains.mean()), float(others.mean())
    hides = gain >= GAIN.value
    words = (
        f"Its picture orders photographs as the unit does with a rank correlation of {own:.2f}, drawings from other "
        f"starts with {mean:.2f}"
    )
    words += ": what the picture hides, these show." if hides else "."
    details = {"own": number(own, 4), "others": [number(float(each), 4) for each in others]}
    ends = spans(float(gains.min()), float(gains.max()))
    return UnitRow(unit, words, number(gain, 4), ends, SUPPORTS if hides else NOTHING, details)


def _claim(rows: Sequence[UnitRow]) -> str:
    known = [row.figure for row in rows if row.figure is not None]
    if not known:
        return "No unit was drawn from other starts, or nothing says what pictures tell."
    odd = sum(row.strength >= SUPPORTS for row in rows)
    more = f"{np.median(known):+.2f} at the median of {len(known)} units, {max(known):+.2f} at most"
    if odd:
        return f"Drawings from other starts tell what the pictures of {odd} of {len(known)} units hide ({more})."
    return f"Drawings from other starts have this much of a rank correlation beyond the pictures': {more}."
