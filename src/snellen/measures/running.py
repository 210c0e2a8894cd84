"""Running statistics that merge: any partition of the data gives the same value (mean, variance: to rounding)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from snellen.base import UsageError


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, mean, variance, minimum and maximum of each of d quantities; a commutative monoid under `merge`.

    Merging is Chan's update: M2 = M2_a + M2_b + (mean_b - mean_a)^2 n_a n_b / n.

    Args:
        count: how many values were seen, of each quantity alike.
        mean: (d,) float64, 0 where nothing was seen.
        squares: (d,) sum of squared distances from the mean.
        low, high: (d,), inf and -inf where nothing was seen.

    Reference: Chan, Golub, LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances".
    """

    count: int
    mean: Float[np.ndarray, " d"]
    squares: Float[np.ndarray, " d"]
    low: Float[np.ndarray, " d"]
    high: Float[np.ndarray, " d"]

    @classmethod
    def empty(cls, width: int) -> "Moments":
        """The neutral element for `width` quantities."""
        return cls(0, np.zeros(width), np.zeros(width), np.full(width, np.inf), np.full(width, -np.inf))

    @classmethod
    def of(cls, values: Float[np.ndarray, "n d"]) -> "Moments":
        """Of n rows of d quantities."""
        values = np.asarray(values, np.float64)
        if not len(values):
            return cls.empty(values.shape[1])
        mean = values.mean(0)
        return cls(len(values), mean, ((values - mean) ** 2).sum(0), values.min(0), values.max(0))

    def merge(self, other: "Moments") -> "Moments":
        """Of both sets of rows together."""
        count = self.count + other.count
        if not count:
            return self
        step = other.mean - self.mean
        share = other.count / count
        return Moments(
            count,
            self.mean * (1 - share) + other.mean * share,
            self.squares + other.squares + step**2 * self.count * share,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )

    @property
    def std(self) -> Float[np.ndarray, " d"]:
        """Standard deviation over the rows seen (the population's, so 0 for one row); nan where nothing was seen."""
        return np.sqrt(self.squares / self.count) if self.count else np.full(len(self.mean), np.nan)


@dataclass(frozen=True, eq=False)
class Extremes:
    """The k largest (or smallest) values of each of u units with where they came from; a commutative monoid, exactly.

    Order: by value, then by smaller index, so ties and the order of merging change nothing. Every index is to be seen
    once; values are compared in float64, so float32 stays exact.

    Args:
        most: k.
        largest: whether large values come first.
        values: (u, j) with j <= k, best first.
        indices: (u, j) of the images that gave them.
    """

    most: int
    largest: bool
    values: Float[np.ndarray, "u j"]
    indices: Int[np.ndarray, "u j"]

    @classmethod
    def empty(cls, units: int, most: int, *, largest: bool = True) -> "Extremes":
        """The neutral element for `units` units."""
        return cls(most, largest, np.zeros((units, 0)), np.zeros((units, 0), np.int64))

    @classmethod
    def of(cls, values: np.ndarray, indices: np.ndarray, most: int, *, largest: bool = True) -> "Extremes":
        """Of n images.

        Args:
            values: (n, u) responses, finite.
            indices: (n,) of the images, unique.
            most: how many to keep.
            largest: whether large values come first.
        """
        columns = np.asarray(values, np.float64).T
        places = np.broadcast_to(np.asarray(indices, np.int64), columns.shape)
        return cls._best(columns, places, most, largest)

    def merge(self, other: "Extremes") -> "Extremes":
        """Of both sets of images together.

        Raises:
            UsageError: one keeps another number, or the other end.
        """
        if (self.most, self.largest) != (other.most, other.largest):
            raise UsageError("expected extremes of one kind, got different lengths or ends; merge like with like")
        values = np.concatenate((self.values, other.values), 1)
        return self._best(values, np.concatenate((self.indices, other.indices), 1), self.most, self.largest)

    @classmethod
    def _best(cls, values: np.ndarray, indices: np.ndarray, most: int, largest: bool) -> "Extremes":
        order = np.lexsort((indices, -values if largest else values), axis=1)[:, :most]
        taken = np.take_along_axis(values, order, 1), np.take_along_axis(indices, order, 1)
        return cls(most, largest, *taken)
