"""Bootstrap intervals: groups are drawn with replacement, then images within every drawn group (hierarchical)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from snellen.base import Seed, UsageError


@dataclass(frozen=True, eq=False)
class Draws:
    """Every copy of one group that was drawn, over all resamples.

    Args:
        resample: (k,) which resample each copy belongs to, ascending.
        counts: (k, n) how often each of the group's n members is in it; each row sums to n.
    """

    resample: Int[np.ndarray, " k"]
    counts: Float[np.ndarray, "k n"]


def hierarchical(sizes: Sequence[int], resamples: int, seed: Seed) -> tuple[Draws, ...]:
    """Draws of as many groups as there are, with replacement, and of as many members as each drawn group has.

    A group that is drawn twice has its members drawn anew each time.

    Args:
        sizes: members of each group, each >= 1.
        resamples: how many, >= 1.
        seed: of the random stream; the draws of a group do not depend on the other groups' sizes.

    Raises:
        UsageError: a group is empty or `resamples` < 1.
    """
    if resamples < 1 or any(n < 1 for n in sizes):
        raise UsageError("expected at least one resample and no empty group; drop empty groups first")
    stream = np.random.default_rng(seed.fork("groups").value)
    drawn = stream.integers(len(sizes), size=(resamples, len(sizes))) if sizes else np.zeros((resamples, 0), np.int64)
    found = []
    for group, n in enumerate(sizes):
        resample = np.nonzero(drawn == group)[0]
        members = np.random.default_rng(seed.fork("members", group).value)
        counts = members.multinomial(n, np.full(n, 1 / n), size=len(resample))
        found.append(Draws(resample, counts.astype(np.float64)))
    return tuple(found)


def interval(samples: Float[np.ndarray, "r ..."], level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval over the first axis, undefined (nan) samples left out; nan where half or more are undefined.

    Args:
        samples: (r, ...) bootstrap values.
        level: share of the samples inside, in (0, 1).

    Returns:
        lower and upper ends, each of the shape after the first axis.
    """
    samples = np.asarray(samples, np.float64)
    flat = samples.reshape(len(samples), -1)
    ends = np.full((2, flat.shape[1]), np.nan)
    for column in range(flat.shape[1]):
        defined = flat[~np.isnan(flat[:, column]), column]
        if 2 * len(defined) > len(flat):
            ends[:, column] = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    ends = ends.reshape(2, *samples.shape[1:])
    return ends[0, ...], ends[1, ...]


def bootstrap_mean(groups: Sequence[np.ndarray], resamples: int, seed: Seed) -> Float[np.ndarray, " r"]:
    """Hierarchical bootstrap values of the mean over groups of the mean over their members.

    Args:
        groups: each (n,) numbers, n >= 1; at least one group.
        resamples: how many values.
        seed: of the random stream.

    Raises:
        UsageError: a group is empty.
    """
    total = np.zeros(resamples)
    for values, draws in zip(groups, hierarchical([len(g) for g in groups], resamples, seed), strict=True):
        means = draws.counts @ np.asarray(values, np.float64) / len(values)
        total += np.bincount(draws.resample, weights=means, minlength=resamples)
    return total / len(groups)
