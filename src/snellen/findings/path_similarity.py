"""Are pictures processed like the natural images that they stand for? Layer by layer, between two natural baselines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snellen.base import Seed, UsageError
from snellen.findings._baselines import Means, Pairs, once, resampled
from snellen.findings._reading import Curve, read
from snellen.findings._streaming import Matrices, stream
from snellen.findings.finding import Finding, number
from snellen.findings.groups import Grouping
from snellen.findings.source import ActivationSource
from snellen.measures import MEASURES, interval, single_threaded_products

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


def path_similarity(
    paths: Paths, grouping: Grouping, *, seed: Seed, threshold: float = 0.7, resamples: int = 1000
) -> Finding:
    """The sanity check: from which layer on pictures are processed like natural images of what they show.

    s(l) = (S(natural_c, picture_c) - S(natural_c, natural_c')) / (S(natural_c, natural_c) - S(natural_c, natural_c'))

    S is the mean over pairs of images, never one with itself, then over groups c, of Spearman's correlation of whole
    activation vectors (in the evidence also Pearson's, and the cosine). Bands are bootstrap intervals over groups and
    images. Where the natural baselines are not apart, s is undefined; where they are not surely apart, it has no band.

    Args:
        paths: from `measure_paths`.
        grouping: which images and pictures belong together.
        seed: of the bootstrap's random streams.
        threshold: of s, from which on pictures count as processed like natural images.
        resamples: of the bootstrap.

    Raises:
        UsageError: the grouping names images that were not measured, or there are no layers.

    Reference: Geirhos et al. 2024, "Don't trust your eyes", section 4 (their counts and error bars are not published).
    """
    if not paths.layers:
        raise UsageError("expected layers to compare at, got none; name at least one")
    _check(paths, grouping)
    with single_threaded_products():
        curves = _curves(paths, grouping, resamples, seed)
    reading = read(curves["spearman"], paths.layers, grouping, threshold)
    return Finding(
        "path-similarity",
        f"Are the pictures of the {grouping.name} processed like natural images?",
        reading.claim,
        reading.verdict,
        reading.figure,
        reading.interval,
        _evidence(curves, paths.layers, grouping)
        | {"resamples": resamples, "threshold": threshold, "trusted_from": reading.trusted_from},
    )


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
