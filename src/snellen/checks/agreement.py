"""Is a unit's picture like the photographs that excite the unit, in features that the unit's layer cannot influence?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from snellen.base import Seed, UsageError, evenly
from snellen.checks.check import Check, Threshold, found
from snellen.checks.finding import Finding, number
from snellen.checks.rows import NOTHING, PROVES, SUPPORTS, UnitRow, spans
from snellen.jobs import Context, Function, Job
from snellen.measures import auc, interval, layouts, rank_vectors, unit_length
from snellen.models import Unit
from snellen.studies.arrays import stacked
from snellen.studies.features import by_layer, features, space_of
from snellen.studies.natural import batched, batches, fast
from snellen.studies.study import Study
from snellen.studies.world import World

NEARER = Threshold(
    0.5,
    "AUC that the whole interval must lie below: nearer to other units' photographs than to its own",
    "figure",
    least=True,
    graded=True,
)
SAME = Threshold(
    0.7,
    "median correlation of layouts with pictures of units that other photographs excite",
    "same",
    honest="at most 0.25",
)
PLACED = Threshold(
    0.65,
    "share of a layer's other units of which pictures foretell photographs less well than of their own, in the mean",
    "placed",
    least=True,
    graded=True,
    honest="at least 0.78 in 52 layers that it was set on; 0.64 in one of 36 held back",
)
LEAST = 40
"""Photographs from which on places say something."""
MEMBERS = 5
"""Units of a layer whose places together say something of it."""


@dataclass(frozen=True, eq=False)
class Space:
    """Features of the units of one layer.

    Args:
        name: of the space, such as "block3" or "textures".
        natural: (n, d) of photographs.
        pictures: (u, d) of the units' pictures.
    """

    name: str
    natural: Float[np.ndarray, "n d"]
    pictures: Float[np.ndarray, "u d"]


@dataclass(frozen=True, eq=False)
class Family:
    """Units of one layer, what excites them, and how all that looks.

    Args:
        layer: its name.
        units: u addresses.
        tops: for each unit its top photographs, as rows of the spaces' `natural`.
        spaces: the first one decides; the others are told beside it.
        layouts: (u, l) of unit length: what is where in the pictures.
        even: photographs that were not chosen for any unit, as rows of the spaces' `natural`.
        responses: (n, a) of all a units of the layer to the photographs.
        channels: (u,) which of these the units are.
    """

    layer: str
    units: tuple[str, ...]
    tops: tuple[tuple[int, ...], ...]
    spaces: tuple[Space, ...]
    layouts: Float[np.ndarray, "u l"]
    even: tuple[int, ...] = ()
    responses: Float[np.ndarray, "n a"] | None = None
    channels: tuple[int, ...] = ()


def likeness(space: Space, tops: Sequence[Sequence[int]]) -> Float[np.ndarray, "u n"]:
    """Cosine of every picture and every photograph, each centred among its own kind.

    All pictures differ from all photographs in the same way, so pictures are counted from the mean picture and
    photographs from the mean top photograph, both in standard deviations of the top photographs.
    """
    chosen = sorted({i for top in tops for i in top})
    shown = space.natural[chosen]
    spread = shown.std(0) + 1e-6 * (np.abs(shown).max() + 1e-30)
    photographs, pictures = (space.natural - shown.mean(0)) / spread, (space.pictures - space.pictures.mean(0)) / spread
    return np.asarray(unit_length(pictures) @ unit_length(photographs).T)


def places(family: Family) -> Float[np.ndarray, " u"]:
    """Of every unit the share of the layer's other units of which its picture foretells photographs less well.

    What the picture excites in the first space, counted from the mean picture, is a direction there; how photographs
    lie along it is correlated, by ranks, with the responses of every unit of the layer. An honest picture foretells its
    own unit best (1), one of something else a random one (0.5 in the mean). nan where that cannot be said.
    """
    told, rows = family.responses, list(family.even)
    if told is None or len(rows) < LEAST or told.shape[1] < 2 or len(family.units) < 2:
        return np.full(len(family.units), np.nan)
    space = family.spaces[0]
    natural, responses = space.natural[rows], told[rows]
    spread = natural.std(0) + 1e-6 * (np.abs(natural).max() + 1e-30)
    directions = unit_length((space.pictures - space.pictures.mean(0)) / spread)
    foretold = directions @ unit_length((natural - natural.mean(0)) / spread).T
    living = responses.std(0) > 0
    table = np.asarray(rank_vectors(foretold) @ rank_vectors(responses.T).T)
    found = np.full(len(family.units), np.nan)
    for i, channel in enumerate(family.channels):
        others = living.copy()
        others[channel] = False
        if living[channel] and others.any():
            own = table[i, channel]
            found[i] = (table[i, others] < own).mean() + 0.5 * (table[i, others] == own).mean()
    return found


@dataclass(frozen=True)
class Agreement(Check):
    """Pictures and top photographs in features of the layer before."""

    name = "agreement"
    short = "agreement"
    asks = (
        "Before the unit’s own layer can interfere, its picture should resemble the photographs that excite it more "
        "than those that excite other units."
    )
    thresholds = (NEARER, SAME, PLACED)

    def functions(self, world: World) -> Mapping[str, Function]:
        """The comparison."""

        def function(spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
            families = []
            with fast(world), torch.no_grad():
                for number_, family in enumerate(spec["families"], start=1):
                    families.append(_seen(world, family, spec["even"], context))
                    context.tick(number_ / len(spec["families"]))
            yield "result", self.finding(families, seed=Seed(spec["seed"])).as_data()

        return {"agree": function}

    def examine(self, study: Study) -> Sequence[Finding]:
        """Families: the units of a layer with a picture."""
        if not study.shown:
            return ()
        world, own = study.world, study.world.request.scale.own
        entries = [{**entry, "top": entry["top"][:own]} for entry in study.entries]
        families = [
            {"layer": layer, "space": space_of(world, layer), "units": members}
            for layer, members in by_layer(entries).items()
        ]
        even = evenly(len(world.images), world.request.scale.compared)
        spec = {
            "world": world.identity,
            "families": families,
            "even": even,
            "seed": world.request.seed,
            "check": {"version": 2},
        }
        return (found(study, Job("agree", spec, title="agreement", cost=2.0 * own * len(study.shown))),)

    def finding(self, families: Sequence[Family], *, seed: Seed, resamples: int = 200) -> Finding:
        """Pictures against their own unit's top photographs and those of other units.

        Figure of a unit: the probability (AUC) that its picture is more like one of its own top photographs than like a
        top photograph of another unit of the layer; 0.5 is chance. Interval: bootstrap over the photographs.

        A picture that is nearer to the photographs of another unit supports suspicion (a permutation of units).
        Pictures of different units that show the same thing at the same place, while their photographs differ, prove
        it.

        Args:
            families: units by layer; of fewer than two units nothing can be said.
            seed: of the bootstrap.
        """
        rows = [row for family in families for row in _family(family, seed.fork(family.layer), resamples)]
        same = [row for row in rows if row.strength == PROVES]
        return self.summed(
            "Do pictures agree with the photographs that excite their unit?",
            _claim(rows, same),
            rows,
            largest=False,
            spaces={family.layer: [space.name for space in family.spaces] for family in families},
            threshold=NEARER.value,
            same=SAME.value,
        )


def _seen(world: World, family: Mapping[str, Any], even: Sequence[int], context: Context) -> Family:
    units = family["units"]
    named = [Unit.parse(unit["unit"]) for unit in units]
    natural = sorted({*even, *(i for unit in units for i in unit["top"])})
    row = {index: i for i, index in enumerate(natural)}
    pictures = stacked(context, [unit["image"] for unit in units])
    space, own = [name for name in (family["space"],) if name is not None], named[0].address
    seen = features(world, [*space, own], (images for _, images in batches(world, natural)))
    responses = seen.pop(own)
    drawn = features(world, space, batched(world, pictures))
    return Family(
        family["layer"],
        tuple(unit["unit"] for unit in units),
        tuple(tuple(row[i] for i in unit["top"]) for unit in units),
        tuple(Space(name, seen[name], drawn[name]) for name in seen),
        layouts(pictures).double().numpy(),
        tuple(row[i] for i in even),
        responses if space else None,
        tuple(unit.channel for unit in named),
    )


def _family(family: Family, seed: Seed, resamples: int) -> list[UnitRow]:
    if len(family.units) != len(family.tops) or not family.spaces:
        raise UsageError(f"expected top photographs of {len(family.units)} units and a space, got {len(family.tops)}")
    if len(family.units) < 2:
        return [UnitRow(unit, "No other unit of its layer was drawn to compare it with.") for unit in family.units]
    alike = [likeness(space, family.tops) for space in family.spaces]
    placed = places(family)
    found = [
        _row(family, alike, i, placed=placed[i], seed=seed.fork(unit), resamples=resamples)
        for i, unit in enumerate(family.units)
    ]
    if sum(row.strength == PROVES for row in found) == 1:  # alike are at least two
        found = [replace(row, strength=min(row.strength, SUPPORTS)) for row in found]
    return _misplaced(found, placed)


def _misplaced(rows: list[UnitRow], placed: Float[np.ndarray, " u"]) -> list[UnitRow]:
    """Where the pictures of a layer hardly tell its units apart, what those say that are placed no better."""
    known = placed[np.isfinite(placed)]
    if len(known) < MEMBERS or known.mean() >= PLACED.value:
        return rows
    return [
        replace(
            row,
            strength=SUPPORTS,
            words=f"Its picture foretells photographs better of {100 * (1 - share):.0f} % of the other units, and its "
            f"layer's pictures together place their units at {100 * known.mean():.0f} % (chance 50 %).",
        )
        if share < PLACED.value and row.strength == NOTHING
        else row
        for row, share in zip(rows, placed, strict=True)
    ]


def _row(family: Family, alike: Sequence[np.ndarray], i: int, *, placed: float, seed: Seed, resamples: int) -> UnitRow:
    own = list(family.tops[i])
    others = sorted({k for j, top in enumerate(family.tops) if j != i for k in top} - set(own))
    if not own or not others:
        return UnitRow(family.units[i], "Its top photographs are those of the other units too.")
    values = [float(auc(a[i, own], a[i, others])) for a in alike]
    low, high = _ends(alike[0][i, own], alike[0][i, others], seed=seed, resamples=resamples)
    nearest = _nearest(family, alike[0][i])
    same = _same(family, i)
    strength = PROVES if same >= SAME.value else SUPPORTS if high < NEARER.value else NOTHING
    details = {
        "others": {space.name: number(v, 4) for space, v in zip(family.spaces[1:], values[1:], strict=True)},
        "space": family.spaces[0].name,
        "nearest": family.units[nearest],
        "same": number(same, 4),
        "placed": number(placed, 4),
    }
    words = _words(family, i, strength, value=values[0], nearest=nearest, same=same)
    return UnitRow(family.units[i], words, number(values[0], 4), spans(low, high), strength, details)


def _ends(own: np.ndarray, others: np.ndarray, *, seed: Seed, resamples: int) -> tuple[float, float]:
    """The 95 % bootstrap interval of an AUC over both kinds of photographs."""
    stream = np.random.default_rng(seed.fork("agreement").value)
    mine, theirs = (v[stream.integers(len(v), size=(resamples, len(v)))] for v in (own, others))
    low, high = interval(auc(mine, theirs))
    return float(low), float(high)


def _words(family: Family, i: int, strength: int, *, value: float, nearest: int, same: float) -> str:
    if same >= SAME.value:
        return (
            f"Its picture is nearly the same as those of the layer's other units (correlation {same:.2f}), though "
            "other photographs excite them."
        )
    space = family.spaces[0].name
    if strength == SUPPORTS:
        other = "" if nearest == i else f"; it is nearest to those of {family.units[nearest]}"
        figure = f"(AUC {value:.2f}{other})"
        return f"Seen by {space}, its picture is less like its own top photographs than like others {figure}."
    return f"Seen by {space}, its picture is more like its own top photographs in {100 * value:.0f} % of comparisons."


def _nearest(family: Family, alike: Float[np.ndarray, " n"]) -> int:
    return int(np.argmax([alike[list(top)].mean() if top else -np.inf for top in family.tops]))


def _same(family: Family, i: int) -> float:
    """Median correlation of the picture with those of units that other photographs excite; nan without any."""
    mine = set(family.tops[i])
    apart = [
        j
        for j, top in enumerate(family.tops)
        if j != i and 2 * len(mine & set(top)) <= max(min(len(mine), len(top)), 1)
    ]
    return float(np.median(family.layouts[apart] @ family.layouts[i])) if len(apart) > 1 else float("nan")


def _claim(rows: Sequence[UnitRow], same: Sequence[UnitRow]) -> str:
    known = [row.figure for row in rows if row.figure is not None]
    if not known:
        return "Too few units were drawn to compare their pictures with each other's photographs."
    if same:
        return f"The pictures of {len(same)} of {len(known)} units show the same, though other photographs excite them."
    odd = sum(row.strength == SUPPORTS for row in rows)
    share = 100 * float(np.mean(known))
    told = f"On average a picture is more like its unit's own top photographs in {share:.0f} % of comparisons"
    if odd:
        return f"{told}; the pictures of {odd} of {len(known)} units are less like their own than like others."
    return f"{told}; no picture is surely nearer to other units' photographs."
