"""Differences between two ways of training, over seeds: intervals, tests, and their correction for many."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from snellen.base import UsageError


@dataclass(frozen=True)
class Difference:
    """The mean of paired differences.

    Args:
        mean: of the differences.
        lo, hi: its 95 % interval; infinite with one pair.
        p: two-sided, of no difference at all; 1 with one pair.
    """

    mean: float
    lo: float
    hi: float
    p: float


def paired_difference(ours: Sequence[float], theirs: Sequence[float]) -> Difference:
    """Student's paired test: which of two is larger, where the pairs share what is random.

    Args:
        ours: one value a seed.
        theirs: of the same seeds, in the same order.

    Raises:
        UsageError: other numbers of values, or none.
    """
    if len(ours) != len(theirs) or not ours:
        raise UsageError(f"expected pairs of values, got {len(ours)} and {len(theirs)}")
    differences = np.asarray(ours, float) - np.asarray(theirs, float)
    mean, count = float(differences.mean()), len(differences)
    if count == 1:
        return Difference(mean, -np.inf, np.inf, 1.0)
    error = float(differences.std(ddof=1)) / np.sqrt(count)
    half = float(t.ppf(0.975, count - 1)) * error
    if error == 0:
        return Difference(mean, mean, mean, 1.0 if mean == 0 else 0.0)
    return Difference(mean, mean - half, mean + half, float(2 * t.sf(abs(mean) / error, count - 1)))


def holm(values: Sequence[float]) -> tuple[float, ...]:
    """p-values that hold for all of a family at once (Holm 1979), in the order given.

    Args:
        values: p-values of single tests.
    """
    order = np.argsort(values, kind="stable")
    found, least = np.ones(len(values)), 0.0
    for rank, i in enumerate(order):
        least = max(least, min(1.0, (len(values) - rank) * values[i]))
        found[i] = least
    return tuple(float(p) for p in found)
