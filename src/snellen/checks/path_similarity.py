"""Are pictures processed like the natural images that they stand for? Layer by layer, between two natural baselines."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from snellen.base import Seed, UsageError
from snellen.checks.check import Check, Threshold
from snellen.checks.finding import Finding, number
from snellen.checks.paths.activations import Activations
from snellen.checks.paths.baselines import Means, Pairs, once, resampled
from snellen.checks.paths.claim import Curve, read
from snellen.checks.paths.groups import Group, Grouping
from snellen.checks.paths.measurement import Matrices, stream
from snellen.checks.paths.source import ActivationSource
from snellen.jobs import Context, Function, Job
from snellen.measures import MEASURES, interval, single_threaded_products
from snellen.models import Unit
from snellen.studies.arrays import stacked
from snellen.studies.choice import Chosen
from snellen.studies.natural import Counter
from snellen.studies.study import Entry, Study
from snellen.studies.world import World, spread

TRUSTED = Threshold(0.7, "similarity of paths from which on pictures count as processed like natural images")
LEVEL, SPREAD = 0.95, 0.90
_RESOLUTION = 1e-5  # of similarities computed in float32; baselines nearer than that are one
Series = list[float | None]


@dataclass(frozen=True, eq=False)
class Paths:
    """Similarities of whole activation vectors between all images, at every layer.

    Args:
        layers: in execution order.
        matrices: by layer and measure, (n, n) each; nan where a vector is constant or not finite.
    """

    layers: tuple[str, ...]
    matrices: Mapping[str, Matrices]


def measure_paths(
    source: ActivationSource, layers: Sequence[str], images: int, *, memory: int = 2_200_000_000
) -> Paths:
    """Compare what all images and pictures do to all layers; what every path-similarity finding is read from.

    Args:
        source: of the activations.
        layers: in execution order.
        images: how many there are in all, natural and pictures.
        memory: bytes that may hold activations at once. Where they do not suffice for all layers, the source is asked
            again; the result is the same.

    Raises:
        LayerError, UsageError: the source lacks a layer, or gives other images or shapes than it announced.
    """
    return Paths(tuple(layers), stream(source, layers, images, memory=memory))


@dataclass(frozen=True)
class PathSimilarity(Check):
    """The sanity check: of the classes, and of the units of every inner layer."""

    name = "path-similarity"
    short = "similarity of paths"
    asks = (
        "A picture that shows what a unit detects should be processed like photographs of it: from some layer on its "
        "activations should be as similar to theirs as they are to each other’s."
    )
    by_class = True
    thresholds = (TRUSTED,)

    def cost(self, world: World, units: int) -> float:
        """Of both passes over the images."""
        return 4.0 * min(len(world.images), world.request.scale.compared)

    def functions(self, world: World) -> Mapping[str, Function]:
        """The measurement: all images at all layers once, then a finding for every group."""

        def function(spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
            names = spec["pictures"]
            drawn = stacked(context, names) if names else torch.empty(0, 3, *world.model.size)
            total = len(spec["natural"]) + len(names)
            source = Activations(world, spec["natural"], drawn, Counter(2 * total, context.tick).more)
            paths = measure_paths(source, spec["layers"], total)
            for group in spec["groups"]:
                members = tuple(Group(tuple(g["images"]), tuple(g["pictures"])) for g in group["groups"])
                upto = Paths(tuple(group["layers"]), {name: paths.matrices[name] for name in group["layers"]})
                finding = self.finding(
                    upto,
                    Grouping(group["name"], members),
                    seed=Seed(spec["seed"]).fork("paths", group["name"]),
                    resamples=spec["resamples"],
                )
                yield group["name"], finding.as_data()

        return {"paths": function}

    def usable(self, chosen: Chosen) -> None:
        """Units of one layer."""
        groups = {unit.layer for unit in chosen.inner} | ({"classes"} if chosen.classes else set())
        if len(groups) > 1:
            raise UsageError(f"expected units of one layer, got {', '.join(sorted(groups))}; look at one at a time")

    def examine(self, study: Study) -> Sequence[Finding]:
        """A finding for each group."""
        job = _job(study)
        return () if job is None else tuple(Finding.from_data(data) for data in study.do(job).values())

    def finding(
        self,
        paths: Paths,
        grouping: Grouping,
        *,
        seed: Seed,
        threshold: float = TRUSTED.value,
        resamples: int = 1000,
    ) -> Finding:
        """The sanity check: from which layer on pictures are processed like natural images of what they show.

        s(l) = (S(natural_c, picture_c) - S(natural_c, natural_c')) / (S(natural_c, natural_c) - S(natural_c,
        natural_c'))

        S is the mean over pairs of images, never one with itself, then over groups c, of Spearman's correlation of
        whole activation vectors (in the evidence also Pearson's, and the cosine). Bands are bootstrap intervals over
        groups and images. Where the natural baselines are not apart, s is undefined; where they are not surely apart,
        it has no band.

        Args:
            paths: from `measure_paths`.
            grouping: which images and pictures belong together.
            seed: of the bootstrap's random streams.
            threshold: of s, from which on pictures count as processed like natural images.
            resamples: of the bootstrap.

        Raises:
            UsageError: the grouping names images that were not measured, or there are no layers.

        Reference: Geirhos et al. 2024, "Don't trust your eyes", section 4 (their counts and error bars are not
        published).
        """
        if not paths.layers:
            raise UsageError("expected layers to compare at, got none; name at least one")
        _check(paths, grouping)
        with single_threaded_products():
            curves = _curves(paths, grouping, resamples, seed)
        reading = read(curves["spearman"], paths.layers, grouping, threshold)
        return Finding(
            self.name,
            f"Are the pictures of the {grouping.name} processed like natural images?",
            reading.claim,
            reading.verdict,
            reading.figure,
            reading.interval,
            _evidence(curves, paths.layers, grouping)
            | {"resamples": resamples, "threshold": threshold, "trusted_from": reading.trusted_from},
        )


def _job(study: Study) -> Job | None:
    """The measurement of all groups together; None where nothing was drawn."""
    world, chosen = study.world, study.chosen
    by_unit = {entry["unit"]: entry for entry in study.drawn}
    drawn = [u for u in chosen.all if by_unit[str(u)]["status"] == "ok"]
    if not drawn or not world.curve:
        return None
    natural = _compared(study, by_unit)
    number_of = {index: i for i, index in enumerate(natural)}
    picture = {unit: len(natural) + i for i, unit in enumerate(drawn)}
    groups = []
    if chosen.classes:
        groups.append(_class_group(study, number_of, {u: picture[u] for u in chosen.classes if u in picture}))
    for layer in dict.fromkeys(unit.layer for unit in chosen.inner):
        units = [u for u in chosen.inner if u.layer == layer]
        groups.append(_unit_group(world, layer, number_of, [(by_unit[str(u)], picture.get(u)) for u in units]))
    spec = {
        "world": world.identity,
        "layers": list(world.curve),
        "natural": natural,
        "pictures": [by_unit[str(u)]["image"] for u in drawn],
        "groups": groups,
        "seed": world.request.seed,
        "resamples": world.request.scale.resamples,
    }
    return Job("paths", spec, tuple(g["name"] for g in groups), "similarity of paths", 2.0 * len(natural) + len(drawn))


def _compared(study: Study, by_unit: Mapping[str, Entry]) -> list[int]:
    """Natural images of the audited classes, then the top images of the inner units; in rising order."""
    scale = study.world.request.scale
    own = [study.classes.of_unit(u.channel) for u in study.chosen.classes]
    top = [i for u in study.chosen.inner for i in by_unit[str(u)]["top"][: scale.own]]
    return sorted({*spread(own, scale.compared), *top})


def _class_group(study: Study, number_of: Mapping[int, int], picture: Mapping[Unit, int]) -> dict[str, Any]:
    groups = []
    for unit, drawn in picture.items():
        images = [number_of[i] for i in study.classes.of_unit(unit.channel) if i in number_of]
        groups.append({"images": images, "pictures": [drawn]})
    return {"name": "classes", "layers": list(study.world.curve), "groups": groups}


def _unit_group(
    world: World, layer: str, number_of: Mapping[int, int], units: Sequence[tuple[Entry, int | None]]
) -> dict[str, Any]:
    own = world.request.scale.own
    order = {known.name: i for i, known in enumerate(world.layers)}
    upto = [name for name in world.curve if order[name] <= order[layer]] or list(world.curve[:1])
    groups = [
        {"images": sorted(number_of[i] for i in entry["top"][:own]), "pictures": [] if drawn is None else [drawn]}
        for entry, drawn in units
    ]
    return {"name": f"{layer} units", "layers": upto, "groups": groups}


def _check(paths: Paths, grouping: Grouping) -> None:
    known = len(paths.matrices[paths.layers[0]]["spearman"])
    named = [i for g in grouping.groups for i in (*g.images, *g.pictures)]
    if any(not 0 <= i < known for i in named):
        raise UsageError(f"expected images below {known}, got {max(named)}; measure the paths of every image first")


def _curves(paths: Paths, grouping: Grouping, resamples: int, seed: Seed) -> dict[str, Curve]:
    estimate, drawn = once(grouping), resampled(grouping, resamples, seed)
    found: dict[str, Curve] = {}
    for measure in MEASURES:
        layers = []
        for layer in paths.layers:
            pairs = Pairs(paths.matrices[layer][measure], grouping)
            mean, single = pairs.held_out(resamples, seed)
            layers.append((pairs.means(estimate), pairs.means(drawn), mean, single))
        found[measure] = _curve(*zip(*layers, strict=True))
    return found


def _curve(
    means: Sequence[Means], samples: Sequence[Means], mean: Sequence[float], single: Sequence[np.ndarray]
) -> Curve:
    gap = np.array([m.gap[0] for m in means])
    apart = gap > _RESOLUTION
    position = np.stack([s.position() for s in samples], 1)
    surely = apart & (interval(np.stack([s.gap for s in samples], 1), LEVEL)[0] > _RESOLUTION)
    s = np.where(apart, np.concatenate([m.position() for m in means]), np.nan)
    low, high = (np.where(surely, end, np.nan) for end in interval(position, LEVEL))
    ceiling = np.concatenate([m.position(np.array([v])) for m, v in zip(means, mean, strict=True)])
    spread = interval(np.stack([m.position(v) for m, v in zip(means, single, strict=True)], 1), SPREAD)
    ends = [np.where(apart, end, np.nan) for end in (ceiling, *spread)]
    raw = {name: np.concatenate([getattr(m, name) for m in means]) for name in ("picture", "same", "other")}
    return Curve(s, low, high, np.where(surely, position, np.nan), raw, ends)


def _evidence(curves: Mapping[str, Curve], layers: Sequence[str], grouping: Grouping) -> dict[str, Any]:
    def each(part: Callable[[Curve], Mapping[str, np.ndarray]]) -> dict[str, dict[str, Series]]:
        return {m: {k: [number(v) for v in values] for k, values in part(c).items()} for m, c in curves.items()}

    spearman = curves["spearman"]
    return {
        "group": grouping.name,
        "layers": list(layers),
        "curves": each(lambda c: {"s": c.s, "lo": c.low, "hi": c.high}),
        "raw": each(lambda c: c.raw),
        "ceiling": each(lambda c: dict(zip(("mean", "lo", "hi"), c.ceiling, strict=True))),
        "images": len({i for g in grouping.targets + grouping.others for i in g.images}),
        "classes": len(grouping.targets),
        "level": LEVEL,
        "not_apart": [name for name, low in zip(layers, spearman.low, strict=True) if np.isnan(low)],
    }
