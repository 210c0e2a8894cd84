"""Linear maps fitted on photographs: against slower ways, and with photographs in which something else was at work."""

import numpy as np
import pytest

from snellen.measures.surrogates import Affine, affine_of_most, left_over, ridge, trimmed_ridge, variances

GROUPS, ROWS, INSIDE, OUTSIDE = 20, 30, 7, 3


def world(odd=0, seed=0):
    """Groups that obey one affine map, and at the end some that obey another."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(GROUPS, ROWS, INSIDE)) * np.geomspace(1, 1e-3, INSIDE) + 2
    weights, offset = rng.normal(size=(INSIDE, OUTSIDE)), rng.normal(size=OUTSIDE)
    y = x @ weights + offset
    if odd:
        y[-odd:] = x[-odd:] @ rng.normal(size=(INSIDE, OUTSIDE)) * 5
    return x, y, Affine(np.zeros(INSIDE), weights, offset)


@pytest.mark.parametrize("odd", [0, 1, 8])
def test_the_map_of_most_groups_is_found_whatever_the_others_do(odd):
    x, y, true = world(odd)
    fit = affine_of_most(x, y)
    np.testing.assert_allclose(fit.weights, true.weights, atol=1e-5)
    kept = GROUPS - odd
    assert left_over(fit, x[:kept], y[:kept]).max() < 1e-12
    if odd:
        assert left_over(fit, x[kept:], y[kept:]).min() > 0.5


def test_without_odd_groups_it_is_least_squares():
    x, y, _ = world()
    y = y + 0.3 * np.random.default_rng(1).normal(size=y.shape)
    flat = np.concatenate([x.reshape(-1, INSIDE), np.ones((GROUPS * ROWS, 1))], 1)
    expected = np.linalg.lstsq(flat, y.reshape(-1, OUTSIDE), rcond=None)[0]
    said = affine_of_most(x, y)(x).reshape(-1, OUTSIDE)
    assert np.abs(said - flat @ expected).max() < 0.1, "weights differ a little, as groups do"


def test_what_is_left_is_that_of_a_loop():
    x, y, true = world(1)
    found = left_over(true, x, y)
    for i in range(GROUPS):
        spread = np.mean([np.var(y[i, :, k]) for k in range(OUTSIDE)])
        assert found[i] == pytest.approx(np.mean((y[i] - true(x[i])) ** 2) / spread, abs=1e-12)
        assert variances(y)[i] == pytest.approx(spread)
    assert left_over(true, x, y, least=1e9).max() < 1e-6


def rows(n=40, d=6, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) * np.geomspace(3, 0.3, d) + 1
    return x, x @ rng.normal(size=(d, 2)) + 4 + noise * rng.normal(size=(n, 2))


@pytest.mark.parametrize("shape", [(40, 6), (20, 50)])
def test_residuals_are_those_of_fits_without_the_row(shape):
    x, y = rows(*shape)
    found = ridge(x, y)
    for i in range(0, len(x), 7):
        others = np.arange(len(x)) != i
        middle, means = x.mean(0), y.mean(0)  # the centre stays, as leverage with 1/n has it for a free intercept
        ones = np.concatenate([x[others] - middle, np.ones((len(x) - 1, 1))], 1)
        penalty = np.diag([found.penalty] * x.shape[1] + [0.0])
        weights = np.linalg.solve(ones.T @ ones + penalty, ones.T @ (y[others] - means))
        said = np.append(x[i] - middle, 1.0) @ weights + means
        np.testing.assert_allclose(found.missed[i], y[i] - said, rtol=1e-5, atol=1e-7)


def test_leverage_is_that_of_the_inverse():
    x, y = rows()
    found = ridge(x, y)
    away = np.random.default_rng(3).normal(size=(5, x.shape[1])) * 9
    centred = x - x.mean(0)
    inverse = np.linalg.inv(centred.T @ centred + found.penalty * np.eye(x.shape[1]))
    expected = [1 / len(x) + (a - x.mean(0)) @ inverse @ (a - x.mean(0)) for a in away]
    np.testing.assert_allclose(found.leverage(away), expected, rtol=1e-6)


@pytest.mark.parametrize("woken", [1, 6])
def test_photographs_in_which_something_else_was_at_work_do_not_bend_the_fit(woken):
    x, y = rows(noise=0.0)
    true = ridge(x, y).fit.weights
    x[:woken] *= 6
    y[:woken] = -30.0
    assert np.abs(ridge(x, y).fit.weights - true).max() > 0.1
    found = trimmed_ridge(x, y)
    np.testing.assert_allclose(found.fit.weights, true, atol=1e-5)
    assert found.unexplained.max() < 1e-9
    assert np.abs(found.missed[:woken]).min() > 1
    assert not found.kept[:woken].any()


def test_too_few_rows_are_never_exact():
    rng = np.random.default_rng(0)
    found = trimmed_ridge(rng.normal(size=(20, 50)), rng.normal(size=(20, 2)))
    assert found.unexplained.min() > 0.2


def test_what_no_row_told_of_is_known_as_unknown():
    x, y = rows()
    x[:, -1] = 0.0
    found = ridge(x, y)
    away = np.eye(x.shape[1])[[0, -1]] * 7 + x.mean(0)
    np.testing.assert_allclose(found.across(away), [0.0, 7.0], atol=1e-9)
