"""Bootstrap draws, intervals and their coverage on data whose truth is known."""

import numpy as np
import pytest

from snellen.base import Seed, UsageError
from snellen.measures import bootstrap_mean, hierarchical, interval, quantiles


def test_every_resample_draws_as_many_groups_and_members_as_there_are():
    sizes = [3, 1, 5]
    draws = hierarchical(sizes, 400, Seed(0))
    copies = np.stack([np.bincount(d.resample, minlength=400) for d in draws])
    assert (copies.sum(0) == 3).all()
    assert copies.max() == 3
    assert copies.min() == 0
    for size, one in zip(sizes, draws, strict=True):
        assert one.counts.shape == (len(one.resample), size)
        assert (one.counts.sum(1) == size).all()
        assert (np.diff(one.resample) >= 0).all()


def test_copies_of_a_group_in_one_resample_have_members_of_their_own():
    (draws,) = hierarchical([50], 30, Seed(0))
    both = hierarchical([50, 50], 200, Seed(0))[0]
    twice = [both.counts[both.resample == r] for r in range(200) if (both.resample == r).sum() == 2]
    assert len(draws.counts) == 30
    assert twice
    assert all((a != b).any() for a, b in twice)


def test_draws_follow_the_seed_alone():
    a, b, c = (hierarchical([4, 4], 50, Seed(s)) for s in (0, 0, 1))
    assert all(np.array_equal(x.counts, y.counts) for x, y in zip(a, b, strict=True))
    assert any(x.counts.shape != y.counts.shape or (x.counts != y.counts).any() for x, y in zip(a, c, strict=True))


@pytest.mark.parametrize(("sizes", "resamples"), [([3, 0], 5), ([3], 0)])
def test_empty_groups_and_no_resamples_are_refused(sizes, resamples):
    with pytest.raises(UsageError, match="at least one resample"):
        hierarchical(sizes, resamples, Seed(0))


def test_no_groups_have_no_draws():
    assert hierarchical([], 5, Seed(0)) == ()


def test_bootstrap_means_have_the_spread_of_both_levels():
    """Variance = (that of the group means + that within groups / n) / C, the two-level bootstrap's own formula."""
    g = np.random.default_rng(0)
    groups = [g.normal(size=20) + offset for offset in g.normal(size=12)]
    values = bootstrap_mean(groups, 20_000, Seed(0))
    means, within = [x.mean() for x in groups], np.mean([x.var() / len(x) for x in groups])
    assert values.mean() == pytest.approx(np.mean(means), abs=0.01)
    assert values.var() == pytest.approx((np.var(means) + within) / len(groups), rel=0.05)


def test_intervals_of_a_mean_cover_the_truth_about_as_often_as_they_say():
    g = np.random.default_rng(1)
    hits = 0
    for trial in range(200):
        groups = [3 + offset + g.normal(size=15) for offset in g.normal(size=20)]
        low, high = interval(bootstrap_mean(groups, 400, Seed(trial)))
        hits += bool(low <= 3 <= high)
    assert 0.88 <= hits / 200 <= 0.99


def test_interval_is_the_percentiles_of_what_is_defined():
    samples = np.stack([np.arange(101.0), np.where(np.arange(101) < 40, np.nan, np.arange(101.0))], 1)
    low, high = interval(samples, 0.9)
    np.testing.assert_allclose((low[0], high[0]), (5, 95))
    np.testing.assert_allclose((low[1], high[1]), (43, 97))


def test_interval_is_undefined_where_half_the_samples_are():
    low, high = interval(np.array([np.nan, np.nan, 1.0, 2.0]))
    assert np.isnan(low)
    assert np.isnan(high)


def test_quantiles_run_from_the_smallest_to_the_largest():
    values = np.random.default_rng(0).normal(size=33)
    found = quantiles(values)
    assert len(found) == 101
    assert (found[0], found[50], found[100]) == (values.min(), np.median(values), values.max())
    assert quantiles(np.array([1, 3]), 3) == [1.0, 2.0, 3.0]
    with pytest.raises(UsageError, match="at least 2 points"):
        quantiles(np.array([]))
