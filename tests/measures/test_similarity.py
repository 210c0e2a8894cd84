"""Similarities against SciPy, pair by pair, in float64."""

import numpy as np
import pytest
import torch
from scipy import stats

from snellen.base import UsageError
from snellen.measures import (
    correlations,
    correlations_and_cosines,
    cosine,
    pearson,
    rank_block,
    raw_block,
    similarities,
    spearman,
    within,
)


def rows(kind, n=7, d=6200, seed=0):
    """Vectors of one kind that share a part, so that their similarities are far from zero."""
    g = np.random.default_rng(seed)
    values = g.normal(size=(n, d)) + g.normal(size=d)
    made = {
        "dense": values,
        "rectified": np.maximum(values, 0),
        "sparse": np.maximum(values - 2.5, 0),
        "rounded": np.round(values),
        "far from zero": values + 1000,
        "huge": values * 1e30,
        "tiny": values * 1e-30,
    }[kind]
    return made.astype(np.float32)


KINDS = ["dense", "rectified", "sparse", "rounded", "far from zero", "huge", "tiny"]


def slow(a, b, measure):
    def one(x, y):
        x, y = x.astype(np.float64), y.astype(np.float64)
        if measure == "spearman":
            return stats.spearmanr(x, y).statistic
        if measure == "pearson":
            return stats.pearsonr(x, y).statistic
        return x @ y / np.sqrt((x @ x) * (y @ y))

    return np.array([[one(x, y) for y in b] for x in a])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("measure", ["spearman", "pearson", "cosine"])
def test_each_measure_agrees_with_scipy(kind, measure):
    a, b = rows(kind), rows(kind, n=4, seed=1)
    function = {"spearman": spearman, "pearson": pearson, "cosine": cosine}[measure]
    np.testing.assert_allclose(function(a, b), slow(a, b, measure), atol=5e-6)
    np.testing.assert_allclose(similarities(a)[measure], slow(a, a, measure), atol=5e-6)


def test_inputs_are_left_alone_and_within_leaves_ranks():
    a = rows("rectified")
    before = a.copy()
    expected = similarities(a)
    np.testing.assert_array_equal(a, before)
    found = within(a)
    assert all(np.array_equal(found[m], expected[m]) for m in expected)
    np.testing.assert_array_equal(a[0], stats.rankdata(before[0]) - (a.shape[1] + 1) / 2)


def test_vectors_with_no_correlation_are_undefined_and_harm_no_other():
    a = rows("dense")
    alone = similarities(a[:3])
    a[3], a[4], a[5] = 0, 2.5, 1
    a[5, 7], a[6, 8] = np.nan, np.inf
    found = similarities(a)
    for measure in ("spearman", "pearson"):
        assert np.isnan(found[measure][3:]).all()
        assert np.isnan(found[measure][:, 3:]).all()
        np.testing.assert_array_equal(found[measure][:3, :3], alone[measure])
    np.testing.assert_allclose(found["cosine"][4, 0], slow(a[4:5], a[:1], "cosine")[0, 0], atol=5e-6)
    assert np.isnan(found["cosine"][[3, 5, 6]]).all()


def test_a_vector_that_varies_less_than_float32_can_centre_is_undefined_not_infinite():
    a = rows("dense", n=2)
    a[1] = 0
    a[1, 0] = 1e-45
    assert np.isfinite(spearman(a, a)).all()
    assert not np.isinf(pearson(a, a)).any()


def test_rows_of_other_lengths_are_refused():
    with pytest.raises(UsageError, match="one length"):
        similarities(np.zeros((1, 3), np.float32), np.zeros((1, 4), np.float32))


def test_the_result_does_not_depend_on_the_number_of_threads():
    a = rows("rectified", d=50_000)
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(similarities(a))
    finally:
        torch.set_num_threads(before)
    assert all(np.array_equal(f[m], found[0][m]) for f in found for m in f)


def test_blocks_of_rows_give_the_parts_of_the_whole():
    a = rows("rectified", n=9)
    whole = similarities(a)
    top, rest = raw_block(a[:5].copy()), raw_block(a[5:].copy())
    linear, angle = correlations_and_cosines(top, rest)
    order = correlations(rank_block(top), rank_block(rest))
    for part, measure in ((linear, "pearson"), (angle, "cosine"), (order, "spearman")):
        np.testing.assert_allclose(part, whole[measure][:5, 5:], atol=2e-6)


def test_ranks_may_go_elsewhere_and_spare_the_rows():
    a = rows("rectified")
    raw, out = raw_block(a.copy()), np.empty_like(a)
    ranked = rank_block(raw, out)
    np.testing.assert_array_equal(raw.rows, a)
    assert ranked.rows is out
