"""How much does a picture tell about its unit? A viewer who knows only pictures predicts responses to photographs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from snellen.base import Seed, evenly
from snellen.checks.check import Check, found
from snellen.checks.finding import Finding, number
from snellen.checks.look import LEVEL, Family, Look, parted
from snellen.checks.rows import UnitRow, spans
from snellen.jobs import Context, Function, Job
from snellen.measures import interval
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
LEAST = 40
"""Photographs, half of which are held out; with fewer nothing is said."""


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
            "known": _known(study, natural),
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
            parts = parted(count, seed)
            for family in families:
                look = Look(family, parts, seed.fork(family.layer), self.resamples)
                rows += _rows(look)
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
    found, known = [], np.array(spec["known"], bool)
    for layer, members in by_layer(entries).items():
        rows = [i for i, entry in enumerate(entries) if Unit.parse(entry["unit"]).layer == layer]
        has = np.array([least[i] is not None for i in rows])
        lower = [len(names) + place[i] if least[i] is not None else i for i in rows]
        kept = [v for v in seen if v.name not in own or v.name == spaces[layer]]
        shown = tuple(View(v.name, v.natural, v.pictures[[*rows, *lower]]) for v in kept)
        units = tuple(entry["unit"] for entry in members)
        classes = all(unit in spec["classes"] for unit in units)
        found.append(Family(layer, units, truth[rows], shown, has, classes, known))
    return found


def _known(study: Study, natural: Sequence[int]) -> list[bool]:
    """Which photographs are of a class that is audited."""
    audited = {unit.channel for unit in study.chosen.classes}
    return [study.classes.unit_of(i) in audited for i in natural]


def _rows(look: Look) -> list[UnitRow]:
    low, high = look.interval
    certified, scores = look.certified(), look.scores()
    return [
        _row(unit, look.shown, scores[i], certified[i], low[i], high[i]) for i, unit in enumerate(look.family.units)
    ]


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
    shares = {name: f"{100 * sorting[name]:.0f}" for name in ("pictures", "lo", "hi", "chance", "by_photographs")}
    return (
        f"A viewer who knows only these {sorting['classes']} pictures sorts {shares['pictures']} % of unseen "
        f"photographs of these classes as the network does ({shares['lo']} to {shares['hi']} %; chance "
        f"{shares['chance']} %, with as many photographs {shares['by_photographs']} %). {words}"
    )
