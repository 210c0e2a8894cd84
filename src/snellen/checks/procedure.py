"""Do other ways of drawing a unit lead to the same picture?"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from snellen.base import Seed, UsageError, evenly
from snellen.checks.check import Check, Threshold, found
from snellen.checks.finding import Finding, number
from snellen.checks.rows import NOTHING, SUPPORTS, UnitRow, spans
from snellen.jobs import Context, Function, Job
from snellen.measures import own_places, unit_length
from snellen.pictures import Settings, canvas_named, render
from snellen.pictures.gallery import finite
from snellen.pictures.sheet import png
from snellen.studies.arrays import natural_responses, stacked
from snellen.studies.drawings import BACKWARD, settings_of
from snellen.studies.features import by_layer, features, space_of
from snellen.studies.natural import Counter, batched, fast
from snellen.studies.study import Entry, Study
from snellen.studies.world import World

VARIANTS: Mapping[str, Mapping[str, str]] = {
    "photograph": {"start": "photograph"},
    "pixel": {"canvas": "pixel"},
    "adam": {"optimizer": "adam"},
    "grey": {"start": "grey"},
}
"""Ways of drawing beside the audit's own, by what they change."""
ASTRAY = Threshold(
    0.5,
    "agreement with the picture drawn from a photograph below which it counts as another picture, if others agree",
    "figure",
    least=True,
    graded=True,
)
PHOTOGRAPH = "photograph"
"""The variant that starts from a photograph: what a detector of pictures takes for one."""

FeaturesOf = Callable[[Sequence[str]], np.ndarray]
"""From the names of pictures' blobs to features, (p, d)."""


@dataclass(frozen=True, eq=False)
class Variant:
    """The pictures of u units, drawn in one way.

    Args:
        name: of the way, such as "pixel" or "photograph".
        features: (u, d) of the pictures; nan where a picture was not drawn.
        responses: (u,) of each unit to its picture.
    """

    name: str
    features: Float[np.ndarray, "u d"]
    responses: Float[np.ndarray, " u"]


@dataclass(frozen=True, eq=False)
class Course:
    """Units of one layer and the ways they were drawn.

    Args:
        layer: its name.
        units: u addresses.
        standard: the audit's own pictures.
        variants: the others.
        natural: (u, 3) the 5 %, 50 % and 95 % quantiles of each unit's natural responses.
    """

    layer: str
    units: tuple[str, ...]
    standard: Variant
    variants: tuple[Variant, ...]
    natural: Float[np.ndarray, "u 3"]


def agreements(standard: Float[np.ndarray, "u d"], variant: Float[np.ndarray, "u d"]) -> Float[np.ndarray, " u"]:
    """For each unit the share of other units whose standard picture is less like its variant than its own one is.

    Features are counted from the mean of their own kind, in standard deviations of the standard ones; like is the
    cosine. 0.5 is chance; nan where a picture is missing or there is no other unit.
    """
    known = np.isfinite(standard).all(1) & np.isfinite(variant).all(1)
    found = np.full(len(standard), np.nan)
    if known.sum() < 2:
        return found
    spread = standard[known].std(0) + 1e-6 * (np.abs(standard[known]).max() + 1e-30)
    first, second = ((x[known] - x[known].mean(0)) / spread for x in (standard, variant))
    alike = unit_length(second) @ unit_length(first).T
    found[known] = own_places(alike)
    return found


@dataclass(frozen=True)
class Procedure(Check):
    """A few units drawn on another canvas, by another optimizer, from other starts.

    Args:
        units: of a layer that are drawn in other ways too, at most.
        variants: those other ways, at most.
    """

    units: int = 4
    variants: int = 4

    name = "procedure"
    short = "procedures"
    asks = (
        "Another canvas, optimizer or start should lead to a similar picture. A start from a photograph is what a "
        "switch takes for one, and shows the true unit."
    )
    quick: ClassVar[Mapping[str, Any]] = {"units": 3, "variants": 2}
    thresholds = (ASTRAY,)

    def cost(self, world: World, units: int) -> float:
        """Of the drawings."""
        return 2 * self.units * self.variants * settings_of(world).steps * BACKWARD / 4

    def functions(self, world: World) -> Mapping[str, Function]:
        """The drawings, and their comparison."""

        def compare(spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
            with fast(world), torch.no_grad():
                courses = [_drawn(world, course, context) for course in spec["courses"]]
            yield "result", self.finding(courses).as_data()

        def vary(spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
            yield from _varied(world, spec, context)

        return {"vary": vary, "procedure": compare}

    def examine(self, study: Study) -> Sequence[Finding]:
        """The units' drawings, one job for each way and layer, then all of them side by side."""
        varied: dict[str, dict[str, Any]] = {}
        for job in self._drawings(study):
            for unit, entry in study.do(job).items():
                varied.setdefault(unit, {})[job.spec["variant"]] = entry
        entries = study.entries
        units = [{**entry, "variants": varied[entry["unit"]]} for entry in entries if entry["unit"] in varied]
        if not units:
            return ()
        world = study.world
        courses = [{"layer": n, "space": space_of(world, n), "units": of} for n, of in by_layer(units).items()]
        pictures = sum(1 + len(unit["variants"]) for unit in units)
        spec = {"world": world.identity, "courses": courses}
        return (found(study, Job("procedure", spec, title="procedures", cost=float(pictures))),)

    def _drawings(self, study: Study) -> Iterator[Job]:
        world = study.world
        steps = max(16, settings_of(world).steps // 4)
        for layer, members in by_layer(self._chosen(study)).items():
            for name in list(VARIANTS)[: self.variants]:
                units = [{"unit": e["unit"], "from": e["top"][0]} for e in members]
                spec = {
                    "world": world.identity,
                    "units": units,
                    "variant": name,
                    "changes": dict(VARIANTS[name]),
                    "steps": steps,
                    "seed": world.request.seed,
                }
                parts = tuple(e["unit"] for e in units)
                yield Job("vary", spec, parts, f"{layer} drawn otherwise ({name})", BACKWARD * len(units) * steps)

    def _chosen(self, study: Study) -> list[Entry]:
        """Evenly chosen class units, and those of the middle inner layer."""
        known = {entry["unit"]: entry for entry in study.shown}
        classes = [known[str(u)] for u in study.chosen.classes if str(u) in known]
        inner = list(by_layer([known[str(u)] for u in study.chosen.inner if str(u) in known]).values())
        groups = [classes, *inner[len(inner) // 2 :][:1]]
        return [group[i] for group in groups if len(group) > 1 for i in evenly(len(group), self.units)]

    def finding(self, courses: Sequence[Course]) -> Finding:
        """Pictures of other canvases, optimizers, starts and budgets against the audit's own.

        Figure of a unit: the mean over variants of `agreements`; 0.5 is chance. Interval: over the variants. A circuit
        that takes drawn pictures for something else lets go where a drawing starts from a photograph: there the true
        unit is drawn. That this variant alone goes its own way supports suspicion.

        Args:
            courses: units by layer.
        """
        rows = [row for course in courses for row in _course(course)]
        return self.summed(
            "Do other ways of drawing lead to the same pictures?",
            _claim(rows),
            rows,
            largest=False,
            variants=list(dict.fromkeys(v.name for course in courses for v in course.variants)),
            threshold=ASTRAY.value,
        )


def _varied(world: World, spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
    """A batch of units drawn in one way; a part for each unit."""
    units = [entry["unit"] for entry in spec["units"]]
    settings = changed(settings_of(world), spec["changes"], spec["steps"])
    drawn = render(
        world.model,
        units,
        settings,
        seeds=Seed(spec["seed"]).fork("variant", spec["variant"]),
        start=_start(world, spec),
        batch=len(units),
        progress=Counter(len(units) * settings.steps, context.tick).more,
    )
    if "interrupted" in drawn.status:
        raise KeyboardInterrupt
    for i, unit in enumerate(units):
        image = None
        if drawn.status[i] == "ok":
            image = context.store.put_blob(context.keys[unit], ".png", png(drawn.images[i]))
        yield unit, {"image": image, "status": drawn.status[i], "response": finite(float(drawn.responses[i]))}


def changed(settings: Settings, changes: Mapping[str, str], steps: int) -> Settings:
    """The settings of a variant: other canvas or optimizer, and so many steps."""
    settings = replace(settings, steps=steps)
    if "canvas" in changes:
        settings = replace(settings, canvas=canvas_named(changes["canvas"]))
    if "optimizer" in changes:
        settings = replace(settings, optimizer=changes["optimizer"])  # type: ignore[arg-type]
    return settings


def _start(world: World, spec: Mapping[str, Any]) -> Tensor | None:
    start = spec["changes"].get("start")
    if start == "photograph":
        return torch.stack([world.images.load(entry["from"], world.model.size) for entry in spec["units"]])
    return torch.full((len(spec["units"]), 3, *world.model.size), 0.5) if start == "grey" else None


def _drawn(world: World, course: Mapping[str, Any], context: Context) -> Course:
    units = course["units"]
    names = list(dict.fromkeys(name for unit in units for name in unit["variants"]))
    layers = [] if course["space"] is None else [course["space"]]

    def features_of(images: Sequence[str]) -> np.ndarray:
        return next(iter(features(world, layers, batched(world, stacked(context, images))).values()))

    told = {name: [u["variants"].get(name, {}) for u in units] for name in names}
    variants = [_variant(name, drawn, features_of) for name, drawn in told.items()]
    standard = _variant("standard", units, features_of)
    natural = np.quantile(natural_responses(context, units), (0.05, 0.5, 0.95), axis=1).T
    return Course(course["layer"], tuple(u["unit"] for u in units), standard, tuple(variants), natural)


def _variant(
    name: str, drawn: Sequence[Mapping[str, Any]], features_of: Callable[[Sequence[str]], np.ndarray]
) -> Variant:
    """Pictures drawn in one way: their features, as a function of their blobs, and their responses; nan where none."""
    kept = [i for i, entry in enumerate(drawn) if entry.get("image") and entry.get("response") is not None]
    decisive = features_of([drawn[i]["image"] for i in kept]) if kept else np.zeros((0, 1))
    rows, reached = np.full((len(drawn), decisive.shape[1]), np.nan), np.full(len(drawn), np.nan)
    rows[kept], reached[kept] = decisive, [drawn[i]["response"] for i in kept]
    return Variant(name, rows, reached)


def _course(course: Course) -> list[UnitRow]:
    if any(v.features.shape != course.standard.features.shape for v in course.variants):
        raise UsageError(f"expected features of the same {len(course.units)} units from every variant; draw them all")
    if not course.variants:
        return []
    agreed = {v.name: agreements(course.standard.features, v.features) for v in course.variants}
    low, middle, high = course.natural.T
    scale = np.maximum(high - low, 1e-9)
    reached = {v.name: (v.responses - middle) / scale for v in (course.standard, *course.variants)}
    return [
        _row(unit, {k: float(v[i]) for k, v in agreed.items()}, {k: float(v[i]) for k, v in reached.items()})
        for i, unit in enumerate(course.units)
    ]


def _row(unit: str, agreed: dict[str, float], reached: dict[str, float]) -> UnitRow:
    known = {k: v for k, v in agreed.items() if np.isfinite(v)}
    if not known:
        return UnitRow(unit, "It was drawn in one way only, or alone.")
    mean = float(np.mean(list(known.values())))
    others = [v for k, v in known.items() if k != PHOTOGRAPH]
    lost = known.get(PHOTOGRAPH, 1.0)
    astray = bool(others) and lost < ASTRAY.value <= float(np.mean(others))
    details = {
        "agreements": {k: number(v, 4) for k, v in known.items()},
        "reached": {k: number(v, 4) for k, v in reached.items()},
    }
    words = (
        f"Drawn in {len(known)} other ways, it agrees with itself against other units in {100 * mean:.0f} % of cases."
    )
    if astray:
        words = (
            "Drawn from noise in other ways it shows the same, but drawn from a photograph it shows something else "
            f"(agreement {lost:.2f}, against {float(np.mean(others)):.2f})."
        )
    ends = (min(known.values()), max(known.values()))
    return UnitRow(unit, words, number(mean, 4), spans(*ends), SUPPORTS if astray else NOTHING, details)


def _claim(rows: Sequence[UnitRow]) -> str:
    known = [row.figure for row in rows if row.figure is not None]
    if not known:
        return "No unit was drawn in several ways beside others, so nothing can be said about procedures."
    astray = sum(row.strength == SUPPORTS for row in rows)
    told = (
        f"Drawn in other ways, the pictures of {len(known)} units are nearer to their own than to other units' in "
        f"{100 * float(np.mean(known)):.0f} % of comparisons"
    )
    if astray:
        return f"{told}, but {astray} of them show something else when drawn from a photograph."
    return f"{told}, also when drawn from a photograph."
