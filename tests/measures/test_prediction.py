"""Scores of predictions against slower derivations; conformal intervals that hold as often as they say."""

import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from snellen.base import Seed
from snellen.measures import (
    auc,
    average_precision,
    conformal_radius,
    forced_choice,
    interval,
    rank_vectors,
    resampled_correlations,
    ridge_readout,
    share_interval,
)


def stream(seed=0):
    return np.random.default_rng(seed)


def test_rank_vectors_give_scipys_spearman_with_ties():
    a, b = stream(1).integers(0, 6, (2, 4, 50)).astype(float)
    found = rank_vectors(a) @ rank_vectors(b).T
    for i, j in itertools.product(range(4), range(4)):
        assert found[i, j] == pytest.approx(scipy.stats.spearmanr(a[i], b[j])[0])
    assert (rank_vectors(np.ones((1, 5))) == 0).all()


def test_the_bootstrap_is_about_the_correlation_and_covers_it():
    x = stream(2).normal(size=(3, 400))
    y = x + stream(3).normal(size=(3, 400))
    draws = resampled_correlations(x, y, 400, Seed(0))
    whole = [scipy.stats.spearmanr(x[i], y[i])[0] for i in range(3)]
    np.testing.assert_allclose(draws.mean(0), whole, atol=0.02)
    low, high = interval(draws)
    assert ((low < whole) & (whole < high)).all()
    assert 0.05 < (high - low).mean() < 0.2


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_average_precision_by_its_definition(pairs):
    scores, positive = np.array([float(s) for s, _ in pairs]), np.array([p for _, p in pairs])
    found = average_precision(scores, positive)
    if not positive.any():
        assert np.isnan(found)
        return
    precisions = [positive[scores >= s].mean() for s in scores[positive]]
    assert found == pytest.approx(np.mean(precisions))


def test_average_precision_of_a_perfect_and_an_idle_order():
    truth = np.arange(100) >= 90
    assert average_precision(np.arange(100.0), truth) == 1.0
    assert average_precision(np.zeros(100), truth) == pytest.approx(0.1)


def test_forced_choice_asks_about_both_ends():
    truth = stream(4).normal(size=100)
    assert forced_choice(truth, truth)[0] == 1.0
    assert forced_choice(-truth, truth)[0] == 0.0
    assert forced_choice(np.zeros(100), truth)[0] == 0.5
    _, top = forced_choice(truth, truth)
    assert set(np.flatnonzero(top)) == set(np.argsort(truth)[-10:])
    assert float(auc(np.array([1.0, 2.0]), np.array([1.0]))) == 0.75


def test_the_read_out_is_ridge_regression_with_the_best_left_out_penalty():
    rng = stream(5)
    known, asked = rng.normal(size=(30, 8)), rng.normal(size=(5, 8))
    answers = known @ rng.normal(size=(8, 2)) + 0.5 * rng.normal(size=(30, 2))
    found = ridge_readout(known, answers, asked)

    def fitted(x, y, z, penalty):
        middle = x.mean(0)
        w = np.linalg.solve((x - middle).T @ (x - middle) + penalty * np.eye(8), (x - middle).T @ (y - y.mean()))
        return y.mean() + (z - middle) @ w

    scale = ((known - known.mean(0)) ** 2).sum() / 8
    for unit in range(2):
        errors, told = [], []
        for penalty in 10.0 ** np.arange(-3.0, 6.0) * scale:
            # the leverage formula leaves one out with the mean of all: by hand, with the mean of the others
            left = [
                answers[i, unit] - fitted(np.delete(known, i, 0), np.delete(answers[:, unit], i), known[i], penalty)
                for i in range(30)
            ]
            errors.append(np.mean(np.square(left)))
            told.append(fitted(known, answers[:, unit], asked, penalty))
        np.testing.assert_allclose(found[:, unit], told[int(np.argmin(errors))], rtol=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.integers(10, 60), st.sampled_from([0.5, 0.8, 0.9]))
def test_conformal_intervals_hold_as_often_as_they_say(n, level):
    rng = stream(n)
    residuals = rng.standard_t(3, size=(n, 4000))
    radius = conformal_radius(residuals, level)
    inside = np.mean(np.abs(rng.standard_t(3, size=4000)) <= radius)
    assert level - 0.03 <= inside <= level + 1 / (n + 1) + 0.03


def test_a_level_that_few_images_cannot_carry_is_infinite():
    assert np.isinf(conformal_radius(np.arange(8.0), 0.9))
    assert conformal_radius(np.arange(9.0), 0.9) == 8.0


@pytest.mark.parametrize(("hits", "count"), [(0, 12), (12, 12), (5, 12), (990, 1000)])
def test_the_interval_of_a_share_is_wilsons_and_never_a_point(hits, count):
    low, high = share_interval(hits, count)
    assert low <= hits / count <= high
    assert high - low > 1e-3
    found = scipy.stats.binomtest(hits, count).proportion_ci(0.95, method="wilson")
    assert (low, high) == pytest.approx((found.low, found.high), abs=1e-6)
