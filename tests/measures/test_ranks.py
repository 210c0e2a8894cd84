"""Ranks against SciPy's, on every kind of tie."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import rankdata

from snellen.measures import centred_ranks, ranks

CASES = {
    "no ties": lambda g: g.normal(size=5000),
    "rectified": lambda g: np.maximum(g.normal(size=5000), 0),
    "few values": lambda g: g.integers(-3, 4, size=5000),
    "capped on both sides": lambda g: np.clip(g.normal(size=5000) * 6, 0, 6),
    "all negative": lambda g: -np.abs(g.normal(size=5000)) - 1,
    "all equal": lambda g: np.full(50, 2.5),
    "all zero": lambda g: np.zeros(50),
    "two zeros": lambda g: np.where(g.random(5000) < 0.5, 0.0, -0.0),
    "denormal": lambda g: g.integers(-5, 5, size=500) * 1e-45,
    "huge": lambda g: g.normal(size=500) * 1e38,
    "one": lambda g: np.array([7.0]),
    "a run of ties at each end": lambda g: np.array([1, 1, 2, 3, 3, 4, 5, 5, 5, 6, 6.0]),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ranks_agree_with_scipy(case, dtype):
    with np.errstate(over="ignore"):
        values = CASES[case](np.random.default_rng(0)).astype(dtype)
    values = values[np.isfinite(values)]
    np.testing.assert_array_equal(ranks(values), rankdata(values, method="average"))


@given(hnp.arrays(np.float32, st.integers(1, 40), elements=st.floats(-2, 2, width=16)))
def test_ranks_agree_with_scipy_on_any_vector(values):
    np.testing.assert_array_equal(ranks(values), rankdata(values, method="average"))


def test_rows_are_ranked_apart():
    rows = np.random.default_rng(0).integers(0, 5, size=(2, 3, 40)).astype(np.float32)
    np.testing.assert_array_equal(ranks(rows), rankdata(rows, axis=-1))


def test_centred_ranks_may_replace_the_vector_and_sum_to_zero():
    row = np.maximum(np.random.default_rng(0).normal(size=10_001), 0).astype(np.float32)
    expected = rankdata(row) - 10_002 / 2
    centred_ranks(row, row)
    np.testing.assert_array_equal(row, expected)
    assert row.sum(dtype=np.float64) == 0


def test_ranks_stay_exact_in_float32_at_the_size_of_a_large_layer():
    row = np.random.default_rng(0).permutation(3_000_001).astype(np.float32)
    expected = row - 1_500_000
    centred_ranks(row, row)
    np.testing.assert_array_equal(row, expected)
