"""Differences over seeds and their correction, against scipy and against the definition."""

import numpy as np
import pytest
from scipy import stats

from snellen.base import UsageError
from snellen.measures.seeds import holm, paired_difference


@pytest.mark.parametrize("count", [2, 3, 7])
def test_paired_differences_are_students(count):
    g = np.random.default_rng(count)
    ours, theirs = g.normal(size=count), g.normal(size=count)
    found, want = paired_difference(list(ours), list(theirs)), stats.ttest_rel(ours, theirs)
    ends = want.confidence_interval(0.95)
    assert (found.p, found.lo, found.hi) == pytest.approx((want.pvalue, ends.low, ends.high))
    assert found.mean == pytest.approx((ours - theirs).mean())


def test_one_seed_says_nothing_and_none_is_refused():
    found = paired_difference([1.0], [0.0])
    assert (found.lo, found.hi, found.p) == (-np.inf, np.inf, 1.0)
    for ours, theirs in (([], []), ([1.0], [1.0, 2.0])):
        with pytest.raises(UsageError):
            paired_difference(ours, theirs)


def test_differences_without_spread():
    assert paired_difference([2.0, 2.0], [2.0, 2.0]).p == 1.0
    assert paired_difference([2.0, 2.0], [1.0, 1.0]).p == 0.0


def test_holm_by_its_definition():
    g = np.random.default_rng(0)
    for count in (1, 2, 9):
        values = list(g.random(count) ** 3)
        order = sorted(range(count), key=lambda i: values[i])
        want = [0.0] * count
        for rank, i in enumerate(order):
            want[i] = max(min(1.0, (count - k) * values[order[k]]) for k in range(rank + 1))
        assert holm(values) == pytest.approx(want)
    assert holm([]) == ()


def test_under_no_difference_hardly_any_family_is_called_one():
    """200 families of 10 true nulls: the share with any corrected p below 0.05 stays near 5 %."""
    g = np.random.default_rng(1)
    wrong = 0
    for _ in range(200):
        found = [paired_difference(list(g.normal(size=3)), list(g.normal(size=3))).p for _ in range(10)]
        wrong += min(holm(found)) < 0.05
    assert wrong <= 0.05 * 200 + 3 * (200 * 0.05 * 0.95) ** 0.5
