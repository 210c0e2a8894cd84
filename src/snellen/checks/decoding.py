"""How much does a picture tell about its unit? A viewer who knows only pictures predicts responses to photographs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float

from snellen.base import Seed, evenly
from snellen.checks.check import Check, found
from snellen.checks.finding import Finding, number
from snellen.checks.rows import UnitRow, spans
from snellen.jobs import Context, Function, Job
from snellen.measures import (
    average_precision,
    conformal_radius,
    forced_choice,
    interval,
    rank_vectors,
    resampled_correlations,
    ridge_readout,
    unit_length,
)
from snellen.models import Model, Unit
from snellen.studies.arrays import natural_responses, stacked
from snellen.studies.features import by_layer, space_of
from snellen.studies.natural import fast
from snellen.studies.study import Study
from snellen.studies.viewers import PIXELS, TEXTURES, View, views
from snellen.studies.world import World

MUCH, SOMETHING, NOTHING = "tells much", "tells something", "tells nothing"
SHARE = 0.75
"""Of what as many photographs tell, from which on a picture tells much."""
LEVEL = 0.9
"""Of the responses that a certified interval holds."""
LEAST = 40
"""Photographs, half of which are held out; with fewer nothing is said."""
HALVES, SPLITS = 16, 20
"""Random halves of the reference that photographs are chosen from; splits of the others, to calibrate and to test."""


@dataclass(frozen=True, eq=False)
class Family:
    """Units of one layer and what viewers see of them.

    Args:
        layer: that they are of.
        units: u addresses.
        truth: (u, n) responses to photographs.
        views: each with n photographs and 2 u pictures: the largest of every unit, then the smallest.
        least: (u,) whether a unit has a smallest picture.
        classes: whether the units are the network's classes.
    """

    layer: str
    units: tuple[str, ...]
    truth: Float[np.ndarray, "u n"]
    views: tuple[View, ...]
    least: np.ndarray
    classes: bool


@dataclass(frozen=True, eq=False)
class Parts:
    """Photographs that a viewer may learn from, and those that it is asked about.

    Args:
        reference: indices.
        held: indices.
    """

    reference: np.ndarray
    held: np.ndarray


@dataclass(frozen=True, eq=False)
class Sight:
    """One viewer's look at one family, in standard deviations of the reference photographs.

    Args:
        photographs: (n, d).
        directions: (u, d), what the pictures say that excites a unit.
        largest: (u, d), the largest pictures less their mean, at unit length.
    """

    photographs: Float[np.ndarray, "n d"]
    directions: Float[np.ndarray, "u d"]
    largest: Float[np.ndarray, "u d"]


@dataclass(frozen=True)
class Decoding(Check):
    """Similarity to the largest picture less similarity to the smallest, against responses to unseen photographs.

    Args:
        most: photographs that are looked at.
        resamples: of the bootstrap.
    """

    most: int = 1500
    resamples: int = 500

    name = "decoding"
    short = "decoding"
    asks = (
        "A picture is worth what it tells. A viewer with eyes of its own, who knows nothing of a unit but its "
        "pictures, says of photographs that it has not seen which of them excite the unit more."
    )
    quick: ClassVar[Mapping[str, Any]] = {"most": 400, "resamples": 200}
    directions = ("max", "min")

    def cost(self, world: World, units: int) -> float:
        """Two forward passes of every photograph that is looked at."""
        return 2.0 * min(len(world.images), self.most)

    def functions(self, world: World) -> Mapping[str, Function]:
        """The one job."""

        def function(spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
            with fast(world), torch.no_grad():
                families = _families(world, spec, context)
            yield "result", self.finding(families, seed=Seed(spec["seed"])).as_data()

        return {"decode": function}

    def examine(self, study: Study) -> Sequence[Finding]:
        """One finding on all units with a picture."""
        if not study.shown:
            return ()
        world = study.world
        least = {
            unit: picture["image"]
            for unit, pictures in study.pictures.items()
            for picture in pictures
            if picture["direction"] == "min" and picture["status"] == "ok" and picture["image"] is not None
        }
        natural = evenly(len(world.images), min(len(world.images), self.most))
        spec = {
            "world": world.identity,
            "natural": natural,
            "units": [{**entry, "least": least.get(entry["unit"])} for entry in study.entries],
            "classes": [str(unit) for unit in study.chosen.classes],
            "viewer": None if (other := world.viewer) is None else other.fingerprint(),
            "seed": world.request.seed,
            "check": {"version": 1, "resamples": self.resamples},
        }
        return (found(study, Job("decode", spec, title=self.short, cost=self.cost(world, len(study.shown)))),)

    def finding(self, families: Sequence[Family], *, seed: Seed) -> Finding:
        """The scores of all units, and for classes how well their pictures sort photographs.

        Figure of a unit: Spearman's correlation, over held-out photographs, of the prediction from its pictures with
        its response. Interval: bootstrap over these photographs. The viewer that is shown is, for each layer, the one
        that predicts most from as many photographs in the pictures' place, on the reference alone.

        Args:
            families: units by layer.
            seed: of the parts and the bootstrap.
        """
        rows: list[UnitRow] = []
        draws: list[np.ndarray] = []
        shown, sorting = {}, None
        count = families[0].truth.shape[1] if families else 0
        if count < LEAST:
            words = f"Only {count} photographs: too few to hold some out and ask about them."
            rows = [UnitRow(unit, words) for family in families for unit in family.units]
        else:
            parts = _parted(count, seed)
            for family in families:
                look = _Look(family, parts, seed.fork(family.layer), self.resamples)
                rows += look.rows()
                draws.append(look.draws)
                shown[family.layer] = look.shown
                if family.classes and len(family.units) > 1:
                    sorting = look.sorting()
        figures = [row.figure for row in rows if row.figure is not None]
        middle = float(np.median(figures)) if figures else None
        ends = interval(np.median(np.concatenate(draws, 1), 1)) if draws else (np.nan, np.nan)
        return Finding(
            self.name,
            "How much do the pictures tell about their units?",
            _claim(rows, sorting),
            "consistent" if figures else "unknown",
            None if middle is None else number(middle, 4),
            spans(float(ends[0]), float(ends[1])),
            {
                "units": [row.as_data() for row in rows],
                "viewers": [view.name for view in families[0].views] if families else [],
                "shown": shown,
                "sorting": sorting,
                "photographs": {"reference": count - count // 2, "held out": count // 2},
                "level": LEVEL,
                "share": SHARE,
            },
        )


class _Look:
    """All viewers at one family."""

    def __init__(self, family: Family, parts: Parts, seed: Seed, resamples: int) -> None:
        self.family, self.parts, self.seed = family, parts, seed
        self.sights = {view.name: _sight(view, family, parts) for view in family.views}
        stream = np.random.default_rng(seed.fork("halves").value)
        size = len(parts.reference) // 2
        self.halves = [np.split(stream.permutation(parts.reference), [size]) for _ in range(HALVES)]
        self.held = rank_vectors(family.truth[:, parts.held])
        self.by_photographs = {name: self._from_photographs(sight) for name, sight in self.sights.items()}
        chosen = {name: float(np.mean(inner)) for name, (inner, _) in self.by_photographs.items()}
        self.shown = max(chosen, key=lambda name: chosen[name])
        sight = self.sights[self.shown]
        self.predicted = _scores(sight, sight.directions, parts.held)
        self.draws = resampled_correlations(
            self.predicted, family.truth[:, parts.held], resamples, seed.fork("bootstrap")
        )

    def rows(self) -> list[UnitRow]:
        told = {name: self._scores_of(sight) for name, sight in self.sights.items()}
        certified = self._certified()
        low, high = interval(self.draws)
        return [
            _row(unit, self.shown, {name: scores[i] for name, scores in told.items()}, certified[i], low[i], high[i])
            for i, unit in enumerate(self.family.units)
        ]

    def _from_photographs(self, sight: Sight) -> tuple[np.ndarray, np.ndarray]:
        """Spearman of predictions from as many photographs, (halves, u): on the reference's rest, on those held out."""
        inner: list[np.ndarray] = []
        outer: list[np.ndarray] = []
        for half, rest in self.halves:
            directions = _photographed(sight, self.family, half)
            truth = rank_vectors(self.family.truth[:, rest])
            inner.append((rank_vectors(_scores(sight, directions, rest)) * truth).sum(1))
            outer.append((rank_vectors(_scores(sight, directions, self.parts.held)) * self.held).sum(1))
        return np.array(inner), np.array(outer)

    def _scores_of(self, sight: Sight) -> list[dict[str, Any]]:
        """For each unit what its pictures, photographs, other units' pictures and a read-out predict."""
        family, held = self.family, self.parts.held
        truth = family.truth[:, held]
        predicted = _scores(sight, sight.directions, held)
        cross = self.held @ rank_vectors(predicted).T
        reference = self.parts.reference
        ceiling = ridge_readout(sight.photographs[reference], family.truth[:, reference].T, sight.photographs[held]).T
        best = (rank_vectors(ceiling) * self.held).sum(1)
        photographs = self.by_photographs[next(n for n, s in self.sights.items() if s is sight)][1]
        low, high = np.quantile(photographs, (0.025, 0.975), axis=0)
        example = _scores(sight, _photographed(sight, family, self.halves[0][0]), held)
        return [
            {
                "pictures": _measured(cross[i, i], predicted[i], truth[i]),
                "photographs": _measured(photographs[:, i].mean(), example[i], truth[i])
                | {"lo": number(low[i], 4), "hi": number(high[i], 4)},
                "others": _null(cross[i], i),
                "ceiling": _measured(best[i], ceiling[i], truth[i]),
            }
            for i in range(len(family.units))
        ]

    def _certified(self) -> list[dict[str, Any]]:
        """Split conformal intervals around an affine function of the viewer's score, and around a constant."""
        sight, reference, held = self.sights[self.shown], self.parts.reference, self.parts.held
        known = _scores(sight, sight.directions, reference)
        truth, answers = self.family.truth[:, held], self.family.truth[:, reference]
        slope = ((known - known.mean(1, keepdims=True)) * answers).sum(1) / np.maximum(
            known.var(1) * len(reference), 1e-30
        )
        guess = answers.mean(1)[:, None] + slope[:, None] * (self.predicted - known.mean(1, keepdims=True))
        missed, idle = (truth - guess).T, (truth - np.median(answers, 1, keepdims=True)).T
        stream = np.random.default_rng(self.seed.fork("conformal").value)
        radii, idle_radii, inside = [], [], []
        for _ in range(SPLITS):
            first, second = np.split(stream.permutation(len(held)), [len(held) // 2])
            radii.append(conformal_radius(missed[first], LEVEL))
            idle_radii.append(conformal_radius(idle[first], LEVEL))
            inside.append((np.abs(missed[second]) <= radii[-1]).mean(0))
        natural = np.maximum(np.ptp(answers, 1), 1e-30)
        return [
            {
                "radius": number(float(np.mean(radii, 0)[i]), 4),
                "constant": number(float(np.mean(idle_radii, 0)[i]), 4),
                "width": number(float(2 * np.mean(radii, 0)[i] / natural[i]), 4),
                "constant_width": number(float(2 * np.mean(idle_radii, 0)[i] / natural[i]), 4),
                "coverage": number(float(np.mean(inside, 0)[i]), 4),
            }
            for i in range(len(self.family.units))
        ]

    def sorting(self) -> dict[str, Any]:
        """How often the viewer puts a held-out photograph into the class that the network does, of the audited ones."""
        sight, held = self.sights[self.shown], self.parts.held
        network = self.family.truth[:, held].argmax(0)
        looks = unit_length(sight.photographs[held])
        sorted_ = (looks @ sight.largest.T).argmax(1)
        right = sorted_ == network
        by_photographs = []
        for half, _ in self.halves:
            tops = sight.photographs[half[self.family.truth[:, half].argmax(1)]]
            by_photographs.append(float(((looks @ unit_length(tops - tops.mean(0)).T).argmax(1) == network).mean()))
        count = len(self.family.units)
        shares = [np.bincount(v, minlength=count) / len(held) for v in (network, sorted_)]
        stream = np.random.default_rng(self.seed.fork("sorting").value)
        draws = right[stream.integers(len(right), size=(1000, len(right)))].mean(1)
        low, high = np.quantile(draws, (0.025, 0.975))
        return {
            "viewer": self.shown,
            "classes": count,
            "photographs": len(held),
            "pictures": number(float(right.mean()), 4),
            "lo": number(float(low), 4),
            "hi": number(float(high), 4),
            "by_photographs": number(float(np.mean(by_photographs)), 4),
            "chance": number(float(shares[0] @ shares[1]), 4),
        }


def _families(world: World, spec: Mapping[str, Any], context: Context) -> list[Family]:
    entries, natural = spec["units"], spec["natural"]
    spaces = {layer: space_of(world, layer) for layer in by_layer(entries)}
    own = tuple(dict.fromkeys(space for space in spaces.values() if space is not None))
    names = [entry["image"] for entry in entries]
    least = [entry["least"] for entry in entries]
    pictures = stacked(context, [*names, *(name for name in least if name is not None)])
    other: Model | None = world.viewer if spec["viewer"] is not None else None
    seen = views(world, other, natural, pictures, own=own, tick=context.tick)
    truth = natural_responses(context, entries)[:, natural]
    place = {id_: k for k, id_ in enumerate(i for i, name in enumerate(least) if name is not None)}
    found = []
    for layer, members in by_layer(entries).items():
        rows = [i for i, entry in enumerate(entries) if Unit.parse(entry["unit"]).layer == layer]
        has = np.array([least[i] is not None for i in rows])
        lower = [len(names) + place[i] if least[i] is not None else i for i in rows]
        kept = [v for v in seen if v.name not in own or v.name == spaces[layer]]
        shown = tuple(View(v.name, v.natural, v.pictures[[*rows, *lower]]) for v in kept)
        units = tuple(entry["unit"] for entry in members)
        found.append(Family(layer, units, truth[rows], shown, has, all(u in spec["classes"] for u in units)))
    return found


def _parted(count: int, seed: Seed) -> Parts:
    """Photographs at random into two halves."""
    order = np.random.default_rng(seed.fork("held out").value).permutation(count)
    return Parts(np.sort(order[count // 2 :]), np.sort(order[: count // 2]))


def _sight(view: View, family: Family, parts: Parts) -> Sight:
    known = view.natural[parts.reference]
    spread = known.std(0) + 1e-6 * (np.abs(known).max() + 1e-30)
    photographs, pictures = (view.natural - known.mean(0)) / spread, (view.pictures - known.mean(0)) / spread
    up, down = np.split(pictures, 2)
    has = family.least
    middle = (up.mean(0) + down[has].mean(0)) / 2 if has.any() else up.mean(0) if len(up) > 1 else np.zeros(up.shape[1])
    directions = unit_length(up - middle)
    directions[has] -= unit_length(down[has] - middle)
    return Sight(photographs, directions, unit_length(up - up.mean(0)))


def _scores(sight: Sight, directions: Float[np.ndarray, "u d"], indices: np.ndarray) -> Float[np.ndarray, "u m"]:
    return np.asarray(directions @ unit_length(sight.photographs[indices]).T)


def _photographed(sight: Sight, family: Family, indices: np.ndarray) -> Float[np.ndarray, "u d"]:
    """Directions from as many photographs: the strongest and, where there is a smallest picture, the weakest."""
    truth = family.truth[:, indices]
    directions = unit_length(sight.photographs[indices[truth.argmax(1)]])
    weakest = unit_length(sight.photographs[indices[truth.argmin(1)]])
    return np.asarray(directions - np.where(family.least[:, None], weakest, 0.0))


def _measured(spearman: float, predicted: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    choice, top = forced_choice(predicted, truth)
    return {
        "spearman": number(float(spearman), 4),
        "auprc": number(average_precision(predicted, top), 4),
        "choice": number(choice, 4),
    }


def _null(row: np.ndarray, i: int) -> dict[str, Any] | None:
    """What other units' pictures predict; and how many of them do as well, as a p-value."""
    others = np.delete(row, i)
    if not len(others):
        return None
    return {
        "spearman": number(float(others.mean()), 4),
        "p": number((1 + (others >= row[i]).sum()) / (1 + len(others)), 4),
    }


def _row(  # noqa: PLR0917 - one unit's numbers
    unit: str, shown: str, scores: Mapping[str, Any], certified: Mapping[str, Any], low: float, high: float
) -> UnitRow:
    mine = scores[shown]
    picture, photograph = mine["pictures"]["spearman"] or 0.0, mine["photographs"]["spearman"] or 0.0
    told = picture / photograph if (mine["photographs"]["lo"] or 0.0) > 0 else None
    tells = NOTHING if low <= 0 else MUCH if told is None or told >= SHARE else SOMETHING
    words = (
        f"To eyes that know only its pictures ({_eyes(shown)}) it {tells}: they order unseen photographs as the unit "
        f"does, with a rank correlation of {picture:.2f} ({low:.2f} to {high:.2f}); as many photographs "
        f"give {photograph:.2f}"
    )
    words += f", other units' pictures {mine['others']['spearman']:.2f}." if mine["others"] else "."
    details = {
        "viewer": shown,
        "tells": tells,
        "told": None if told is None else number(told, 4),
        "scores": scores,
        "certified": certified,
    }
    return UnitRow(unit, words, number(picture, 4), spans(float(low), float(high)), details=details)


def _eyes(name: str) -> str:
    return {PIXELS: "which see pixels", TEXTURES: "which see textures"}.get(name, f"those of {name}")


def _claim(rows: Sequence[UnitRow], sorting: Mapping[str, Any] | None) -> str:
    known = [row for row in rows if row.figure is not None]
    if not known:
        return "Too few photographs to say how much the pictures tell."
    counts = {what: sum(row.details["tells"] == what for row in known) for what in (MUCH, SOMETHING, NOTHING)}
    middle = float(np.median([row.figure for row in known if row.figure is not None]))
    words = (
        f"Of {len(known)} units' pictures {counts[MUCH]} tell much, {counts[SOMETHING]} something and "
        f"{counts[NOTHING]} nothing; at the median they order unseen photographs with a rank correlation of "
        f"{middle:.2f}."
    )
    if sorting is None:
        return words
    return (
        f"A viewer who knows only these {sorting['classes']} pictures sorts {100 * sorting['pictures']:.0f} % of "
        f"unseen photographs as the network does ({100 * sorting['lo']:.0f} to {100 * sorting['hi']:.0f} %; chance "
        f"{100 * sorting['chance']:.0f} %, with as many photographs {100 * sorting['by_photographs']:.0f} %). {words}"
    )
