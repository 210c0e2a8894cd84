"""Means of similarities over pairs, between the two natural baselines, under any weights of the images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from snellen.base import Seed
from snellen.checks.paths.groups import Group, Grouping
from snellen.measures import Draws, hierarchical


@dataclass(frozen=True, eq=False)
class Means:
    """Three means over pairs, one value a resample: picture-same, same-same and same-other."""

    picture: Float[np.ndarray, " r"]
    same: Float[np.ndarray, " r"]
    other: Float[np.ndarray, " r"]

    @property
    def gap(self) -> Float[np.ndarray, " r"]:
        """How much more alike natural images of one group are than of two."""
        return self.same - self.other

    def position(self, value: np.ndarray | None = None) -> np.ndarray:
        """Where a similarity lies between the baselines: 0 at `other`, 1 at `same`; nan unless the gap is positive."""
        value = self.picture if value is None else value
        return _ratio(value - self.other, np.where(self.gap > 0, self.gap, 0))


@dataclass(frozen=True, eq=False)
class Weights:
    """How often every group and image counts in each resample.

    Args:
        draws: for every group, targets first, the copies of it that were drawn.
        resamples: how many resamples.
        target, everyone: (r, m) weights of memberships (1 / group size a copy), of the targets and of all groups.
    """

    draws: tuple[Draws, ...]
    resamples: int
    target: Float[np.ndarray, "r m"]
    everyone: Float[np.ndarray, "r m"]


def once(grouping: Grouping) -> Weights:
    """Every image of every group once: the estimate itself."""
    return _weights(grouping, [Draws(np.zeros(1, np.int64), np.ones((1, len(g.images)))) for g in _all(grouping)], 1)


def resampled(grouping: Grouping, resamples: int, seed: Seed) -> Weights:
    """Groups drawn with replacement, examined ones and others apart, and images within every drawn group."""
    parts = [(grouping.targets, "targets"), (grouping.others, "others")]
    draws = [d for gs, name in parts for d in hierarchical([len(g.images) for g in gs], resamples, seed.fork(name))]
    return _weights(grouping, draws, resamples)


def _weights(grouping: Grouping, draws: Sequence[Draws], resamples: int) -> Weights:
    columns = []
    for one in draws:
        total = np.zeros((resamples, one.counts.shape[1]))
        np.add.at(total, one.resample, one.counts / one.counts.shape[1])
        columns.append(total)
    everyone = np.concatenate(columns, 1) if columns else np.zeros((resamples, 0))
    target = everyone.copy()
    target[:, sum(len(g.images) for g in grouping.targets) :] = 0
    return Weights(tuple(draws), resamples, target, everyone)


class Pairs:
    """One similarity matrix seen through a grouping. Undefined similarities, and an image with itself, never count.

    Args:
        matrix: (n, n) similarities of all images and pictures; nan where undefined.
        grouping: which of them belong together.
    """

    def __init__(self, matrix: Float[np.ndarray, "n n"], grouping: Grouping) -> None:
        groups = _all(grouping)
        image = np.array([i for g in groups for i in g.images], np.int64)
        group = np.repeat(np.arange(len(groups)), [len(g.images) for g in groups])
        between, valid = _defined(matrix[np.ix_(image, image)])
        apart = (group[:, None] != group) & (image[:, None] != image)
        self._across = between * apart, valid * apart
        self._own = [_within(matrix, g) for g in grouping.targets]
        self._shown = [_defined(matrix[np.ix_(g.images, g.pictures)]) for g in grouping.targets]

    def means(self, weights: Weights) -> Means:
        """Means over pairs, then over the examined groups: each group counts the same however many images it has.

        picture = mean_c mean_{p, i} S(p_c, i_c);  same = mean_c mean_{i != j} S(i_c, j_c);
        other = sum w_i w_j S(i_c, j_c') / sum w_i w_j over c examined, c' != c, i != j, with w = 1 / group size
        """
        same, picture = _Mean(weights.resamples), _Mean(weights.resamples)
        for draws, own, shown in zip(weights.draws, self._own, self._shown, strict=False):
            w = draws.counts
            same.add(draws.resample, _ratio(((w @ own[0]) * w).sum(1), ((w @ own[1]) * w).sum(1)))
            picture.add(draws.resample, _ratio(w @ shown[0].sum(1), w @ shown[1].sum(1)))
        total, count = (((weights.target @ across) * weights.everyone).sum(1) for across in self._across)
        return Means(picture.value, same.value, _ratio(total, count))

    def held_out(self, resamples: int, seed: Seed) -> tuple[float, Float[np.ndarray, " r"]]:
        """`picture` with a natural image of the group, compared with the group's others, in every picture's place.

        Returns:
            its mean over all choices, and its value for `resamples` random ones.
        """
        chosen, mean = _Mean(resamples), _Mean(1)
        for number, (own, shown) in enumerate(zip(self._own, self._shown, strict=True)):
            alike = _ratio(own[0].sum(1), own[1].sum(1))
            stream = np.random.default_rng(seed.fork("held out", number).value)
            some = alike[stream.integers(len(alike), size=(resamples, shown[0].shape[1]))]
            chosen.add(np.arange(resamples), _mean(some))
            mean.add(np.zeros(1, np.int64), _mean(alike[None]))
        return float(mean.value[0]), chosen.value


class _Mean:
    """A mean for every resample of the values that are defined."""

    def __init__(self, resamples: int) -> None:
        self._total, self._count = np.zeros(resamples), np.zeros(resamples)

    def add(self, resample: np.ndarray, values: np.ndarray) -> None:
        values, valid = _defined(values)
        self._total += np.bincount(resample, weights=values, minlength=len(self._total))
        self._count += np.bincount(resample, weights=valid, minlength=len(self._total))

    @property
    def value(self) -> np.ndarray:
        return _ratio(self._total, self._count)


def _all(grouping: Grouping) -> tuple[Group, ...]:
    return grouping.targets + grouping.others


def _within(matrix: np.ndarray, group: Group) -> tuple[np.ndarray, np.ndarray]:
    values, valid = _defined(matrix[np.ix_(group.images, group.images)])
    apart = 1 - np.eye(len(values))
    return values * apart, valid * apart


def _defined(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values with 0 for nan, and 1 where they are defined."""
    valid = ~np.isnan(values)
    return np.where(valid, values, 0), valid.astype(np.float64)


def _mean(values: np.ndarray) -> np.ndarray:
    total, valid = _defined(values)
    return _ratio(total.sum(1), valid.sum(1))


def _ratio(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """total / count; nan where the count is zero."""
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)
