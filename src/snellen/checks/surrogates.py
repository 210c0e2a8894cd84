"""Do pictures obey what photographs alone tell of the network: linear maps from the pixels, and to the classes?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch

from snellen.base import Seed, evenly
from snellen.checks.check import Check, Threshold
from snellen.checks.finding import Finding, number
from snellen.checks.fits.heads import Head, chain_of, head_of
from snellen.checks.fits.pixels import held
from snellen.checks.procedure import agreements
from snellen.checks.rows import NOTHING, PROVES, SUPPORTS, UnitRow
from snellen.jobs import Context, Function, Job
from snellen.measures import unit_length
from snellen.models import Unit, observe, responses
from snellen.pictures import render
from snellen.pictures.gallery import finite
from snellen.pictures.objectives import Objective
from snellen.pictures.sheet import png
from snellen.studies.arrays import natural_responses, stacked
from snellen.studies.drawings import BACKWARD, settings_of
from snellen.studies.features import channel_means, natural_means
from snellen.studies.natural import Counter, batched, fast
from snellen.studies.study import Study
from snellen.studies.world import World

LEFT = Threshold(
    0.02,
    "share of the first layer's output on a picture that is not the affine map which photographs obey exactly",
    "pixels",
    honest="at most 1e-9",
)
BROKEN = Threshold(0.1, "share of photographs that may break that map, where a picture that breaks it is proof")
MISSED = Threshold(
    0.5,
    "part of a class's response to its picture that is not what photographs say, where they say the class exactly",
    "missed",
    honest="at most 0.001",
)
REACHED = Threshold(
    0.2,
    "what photographs say of the class at its picture, in parts of what they say at the picture drawn from them",
    "reached",
    least=True,
    graded=True,
    honest="at least 1.0",
)
OTHER = Threshold(
    0.2,
    "cosine of a class's picture and the one drawn from photographs' words, if other classes' are nearer as well",
    "alike",
    least=True,
    graded=True,
    honest="at least 0.46 where they are trained",
)
TOLD = 0.05
"""Share of a class's variance that photographs may leave open, and a picture still be drawn from what they say."""
LEAST = 40
"""Photographs, with fewer of which nothing is said of classes and depths."""
FURTHER = 100
"""Times that a picture must break a map more than photographs do."""


def breaks(picture: float, photographs: float) -> bool:
    """Whether a picture breaks the map that photographs obey.

    Args:
        picture: what the map leaves of the layer's output there, in parts of its variance.
        photographs: the same of the median photograph.
    """
    return picture >= max(LEFT.value, FURTHER * photographs)


@dataclass(frozen=True)
class Surrogates(Check):
    """Affine maps from pixels and ridge regressions between layers, fitted on photographs, tried on pictures.

    Args:
        most: photographs that the later layers are fitted on.
        first: photographs that the first layer is fitted and tried on.
        units: classes that are drawn from the fit, at most.
    """

    most: int = 400
    first: int = 64
    units: int = 4

    name = "surrogates"
    short = "surrogates"
    asks = (
        "What a layer does to photographs foretells what it does to pictures, if it is the same network that sees "
        "both. Where a relation that photographs obey exactly is broken by a picture, something stands between."
    )
    quick: ClassVar[Mapping[str, Any]] = {"most": 200, "first": 32, "units": 3}
    thresholds = (LEFT, BROKEN, MISSED, REACHED, OTHER)

    def cost(self, world: World, units: int) -> float:
        """A forward pass of every photograph that is looked at, and the drawings."""
        drawings = self.units * _steps(world) * BACKWARD if world.class_layer is not None else 0.0
        return min(len(world.images), self.most) + drawings

    def functions(self, world: World) -> Mapping[str, Function]:
        """The fits, and the drawings from them."""

        def fit(spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
            yield "result", _fitted(world, spec, context)

        def drawing(spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
            yield from _drawn(world, spec, context)

        return {"surrogates": fit, "surrogate-draw": drawing}

    def examine(self, study: Study) -> Sequence[Finding]:
        """One finding on all units with a picture."""
        if not study.shown:
            return ()
        world, count = study.world, len(study.world.images)
        classes = {str(unit) for unit in study.chosen.classes}
        natural, first = evenly(count, self.most), evenly(count, self.first)
        spec = {
            "world": world.identity,
            "natural": natural,
            "first": first,
            "units": study.entries,
            "classes": [entry["unit"] for entry in study.entries if entry["unit"] in classes],
            "seed": world.request.seed,
            "check": {"version": 2},
        }
        passes = float(len(natural) + len(first) + len(study.entries))
        told = study.do(Job("surrogates", spec, title=self.short, cost=passes))["result"]
        return (self.finding(told, self._drawings(study, told)),)

    def _drawings(self, study: Study, told: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
        """By class what was drawn from the fit; nothing where the fit says too little."""
        head, world = told["head"], study.world
        if head is None or not world.layer(head["layer"]).drawable:
            return {}
        clear = [name for name, one in head["units"].items() if one["unexplained"] <= TOLD and any(one["vector"])]
        chosen = [clear[i] for i in evenly(len(clear), self.units)]
        if not chosen:
            return {}
        spec = {
            "world": world.identity,
            "layer": head["layer"],
            "units": [{"unit": name, "vector": head["units"][name]["vector"]} for name in chosen],
            "pictures": {e["unit"]: e["image"] for e in study.entries if e["unit"] in head["units"]},
            "natural": head["middle"],
            "steps": _steps(world),
            "seed": world.request.seed,
        }
        cost = BACKWARD * len(chosen) * _steps(world)
        return study.do(Job("surrogate-draw", spec, tuple(chosen), "classes drawn from photographs' words", cost))

    def finding(self, told: Mapping[str, Any], drawn: Mapping[str, Mapping[str, Any]]) -> Finding:
        """What is broken, unit by unit.

        Figure of a unit: the larger of `pixels`, the mean square that the affine map of the first layer leaves of its
        output on the picture, in parts of the variance there, and `missed`, the part of the response to the picture
        that the ridge fit of its class leaves, where that is exact on photographs.

        Args:
            told: what the fits came to.
            drawn: by class, what was drawn from them.
        """
        rows = [_row(name, told, drawn.get(name)) for name in told["units"]]
        return self.summed(
            "Do pictures obey what photographs tell of the network?",
            _claim(rows, told),
            rows,
            first=told["first"],
            classes=None if told["head"] is None else {k: told["head"][k] for k in ("layer", "exact", "photographs")},
            threshold=LEFT.value,
        )


def _steps(world: World) -> int:
    return max(16, settings_of(world).steps // 4)


def _fitted(world: World, spec: Mapping[str, Any], context: Context) -> dict[str, Any]:
    entries, natural = spec["units"], spec["natural"]
    pictures = stacked(context, [entry["image"] for entry in entries])
    count = Counter(len(spec["first"]) + len(natural) + len(entries), context.tick)
    first = held(world, spec["first"], pictures, seed=Seed(spec["seed"]).fork("surrogates"))
    count.more(len(spec["first"]))
    told = {
        "units": [entry["unit"] for entry in entries],
        "first": [
            {
                "layer": one.layer,
                "photographs": one.photographs,
                "broken": one.broken,
                "pictures": [float(v) for v in one.pictures],
            }
            for one in first
        ],
    }
    if len(natural) < LEAST:
        return {**told, "head": None}
    chain = chain_of(world)
    with fast(world), torch.no_grad():
        seen = natural_means(world, chain.layers, natural, more=count.more)
        shown = channel_means(world, chain.layers, count.through(batched(world, pictures)))
    rows = [i for i, entry in enumerate(entries) if entry["unit"] in spec["classes"]]
    head = None
    if rows:
        own = {name: values[rows] for name, values in shown.items()}
        truth = natural_responses(context, [entries[i] for i in rows])[:, natural].T
        channels = [Unit.parse(entries[i]["unit"]).channel for i in rows]
        head = head_of(chain, seen, own, channels=channels, truth=truth)
    return {**told, "head": None if head is None else _headed(head, spec["classes"], seen)}


def _headed(head: Head, units: Sequence[str], natural: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """A head as plain data."""
    known = natural[head.layer]
    each = {
        unit: {
            "unexplained": float(head.unexplained[i]),
            "missed": float(head.missed[i]),
            "said": float(head.said[i] - head.natural[i]),
            "vector": [float(v) for v in head.vectors[i]],
            "base": float(head.natural[i] - head.offsets[i]),
        }
        for i, unit in enumerate(units)
    }
    middle = [float(v) for v in known.mean(0)]
    return {"layer": head.layer, "exact": head.exact, "photographs": len(known), "middle": middle, "units": each}


def _drawn(world: World, spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
    """Pictures of directions; a part for each class."""
    layer, names = spec["layer"], [entry["unit"] for entry in spec["units"]]
    settings = replace(settings_of(world), steps=spec["steps"])
    found = render(
        world.model,
        [Objective.direction(layer, entry["vector"]) for entry in spec["units"]],
        settings,
        seeds=[Seed(spec["seed"]).fork("surrogate", name) for name in names],
        batch=len(names),
        progress=Counter(len(names) * settings.steps, context.tick).more,
    )
    if "interrupted" in found.status:
        raise KeyboardInterrupt
    with fast(world), torch.no_grad():
        own, drawn = (
            np.concatenate([responses(observe(world.model, b, [layer])[layer]).double().cpu().numpy() for b in parts])
            for parts in (
                list(batched(world, stacked(context, list(spec["pictures"].values())))),
                list(batched(world, found.images)),
            )
        )
    where = [list(spec["pictures"]).index(name) for name in names]
    beside = np.full_like(own, np.nan)
    beside[where] = drawn
    agreed = agreements(own, beside)[where]
    middle = np.array(spec["natural"])
    cosines = (unit_length(own[where] - middle) * unit_length(drawn - middle)).sum(1)
    for i, name in enumerate(names):
        fine = found.status[i] == "ok"
        yield (
            name,
            {
                "image": context.store.put_blob(context.keys[name], ".png", png(found.images[i])) if fine else None,
                "status": found.status[i],
                "response": finite(float(found.responses[i])),
                "agreement": number(agreed[i], 4),
                "alike": number(cosines[i], 4),
            },
        )


def _row(unit: str, told: Mapping[str, Any], drawn: Mapping[str, Any] | None) -> UnitRow:
    place = told["units"].index(unit)
    layers = [(one, one["pictures"][place]) for one in told["first"]]
    worst = max(layers, key=lambda pair: pair[1], default=None)
    pixels = None if worst is None else worst[1]
    class_ = None if told["head"] is None else told["head"]["units"].get(unit)
    exact = class_ is not None and told["head"]["exact"]
    missed = class_["missed"] if class_ is not None and exact else None
    details = {
        "pixels": None if pixels is None else number(pixels, 4),
        "missed": None if missed is None else number(missed, 4),
        "unexplained": None if class_ is None else number(class_["unexplained"], 4),
        **_against(class_, drawn),
    }
    signs = [_first_sign(worst), *_class_signs(details, exact=exact)]
    strength, words = max(signs, key=lambda sign: sign[0])
    known = [value for value in (pixels, missed) if value is not None]
    if strength == NOTHING:
        words = _calm(pixels, details)
    return UnitRow(unit, words, number(max(known), 4) if known else None, None, strength, details)


def _against(class_: Mapping[str, Any] | None, drawn: Mapping[str, Any] | None) -> dict[str, Any]:
    """The class's picture against the one drawn from the fit."""
    if class_ is None or drawn is None or drawn["image"] is None or drawn["response"] is None:
        return {"reached": None, "agreement": None, "alike": None, "drawn": None}
    most = drawn["response"] - class_["base"]
    reached = class_["said"] / most if most > 0 else float("nan")
    told = {name: drawn[name] for name in ("agreement", "alike")}
    return {"reached": number(reached, 4), **told, "drawn": drawn["image"]}


def _first_sign(worst: tuple[Mapping[str, Any], float] | None) -> tuple[int, str]:
    if worst is None or not breaks(worst[1], worst[0]["photographs"]):
        return NOTHING, ""
    one, share = worst
    words = (
        f"On photographs {one['layer']} is an affine map of the pixels; on its picture {100 * min(share, 1):.0f} % of "
        "the output is something else: it does not see the picture that is shown."
    )
    return (PROVES if one["broken"] <= BROKEN.value else SUPPORTS), words


def _class_signs(details: Mapping[str, Any], *, exact: bool) -> Iterator[tuple[int, str]]:
    missed, reached = details["missed"], details["reached"]
    if missed is not None and missed >= MISSED.value:
        yield (
            SUPPORTS,
            f"Photographs tell the class exactly from the layer before; at its picture {100 * min(missed, 1):.0f} % of "
            "the response is something else.",
        )
    if reached is not None and reached < REACHED.value:
        yield (
            SUPPORTS,
            f"A picture drawn from what photographs say of the class has all of that, its own {100 * reached:.0f} %.",
        )
    apart = details["agreement"] is not None and details["agreement"] < 0.5 and details["alike"] < OTHER.value
    if exact and apart and reached is not None and reached * REACHED.value <= 1:  # else the drawing went astray
        yield (
            SUPPORTS,
            "A picture drawn from what photographs say of the class shows something else, and is more like the "
            "pictures of other classes.",
        )


def _calm(pixels: float | None, details: Mapping[str, Any]) -> str:
    said = []
    if pixels is not None:
        said.append("the first layer does to its picture what it does to photographs")
    if details["missed"] is not None:
        said.append("its class is told from the layer before as on photographs")
    if details["agreement"] is not None:
        said.append(
            f"drawn from photographs' words it is nearer to its own picture than {100 * details['agreement']:.0f} % of "
            "other classes' are"
        )
    if not said:
        return "Photographs obey no relation that its picture could break."
    words = "; ".join(said)
    return f"{words[0].upper()}{words[1:]}."


def _claim(rows: Sequence[UnitRow], told: Mapping[str, Any]) -> str:
    first = told["first"]
    broken = sum(row.strength >= SUPPORTS for row in rows)
    seen = [row.details["pixels"] for row in rows if row.details["pixels"] is not None]
    if first:
        start = (
            f"On photographs {first[0]['layer']} is an affine map of the pixels, up to {first[0]['photographs']:.1g} "
            f"of its variance; the pictures leave up to {max(seen):.1g}"
        )
    else:
        start = "No first layer is an affine map of the photographs' pixels"
    head = told["head"]
    if head is not None and head["exact"]:
        start += f", and {head['layer']} tells the classes exactly"
    return f"{start}; {broken} of {len(rows)} units break what photographs obey." if broken else f"{start}."
