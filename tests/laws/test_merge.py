"""Law 4: running statistics are commutative monoids; any partition of the data, in any order, gives the same value."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.base import UsageError
from snellen.measures import Extremes, Moments

UNITS = 3
numbers = st.floats(-1e3, 1e3, width=32)
few = st.integers(-2, 2).map(float)  # many ties
tables = st.lists(st.tuples(*[numbers | few] * UNITS), max_size=30).map(lambda r: np.array(r).reshape(-1, UNITS))


@st.composite
def partitions(draw):
    """A table with the numbers of its rows, cut into pieces in shuffled order, and a tree that merges them."""
    table = draw(tables)
    order = np.array(draw(st.permutations(range(len(table)))), np.int64)
    cuts = sorted(draw(st.lists(st.integers(0, len(table)), max_size=6)))
    return table, np.split(order, cuts), draw(st.randoms(use_true_random=False))


def merged(pieces, random):
    """Merges neighbours or strangers, left with right or right with left, until one is left."""
    pieces = list(pieces)
    while len(pieces) > 1:
        a = pieces.pop(random.randrange(len(pieces)))
        b = pieces.pop(random.randrange(len(pieces)))
        pieces.append(a.merge(b))
    return pieces[0]


def same_moments(a, b):
    assert a.count == b.count
    for name, tolerance in (("mean", 1e-9), ("squares", 1e-5), ("low", 0), ("high", 0)):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-9, atol=tolerance, err_msg=name)


def same_extremes(a, b):
    np.testing.assert_array_equal(a.values, b.values)
    np.testing.assert_array_equal(a.indices, b.indices)


@given(partitions())
def test_moments_of_any_partition_are_those_of_the_whole(case):
    table, pieces, random = case
    same_moments(merged([Moments.of(table[p]) for p in pieces], random), Moments.of(table))


@given(tables, tables)
def test_moments_commute_and_have_a_neutral_element(a, b):
    x, y = Moments.of(a), Moments.of(b)
    same_moments(x.merge(y), y.merge(x))
    same_moments(x.merge(Moments.empty(UNITS)), x)
    same_moments(Moments.empty(UNITS).merge(x), x)


@given(tables.filter(len))
def test_moments_are_what_numpy_computes(table):
    found = Moments.of(table)
    np.testing.assert_allclose(found.mean, table.mean(0), atol=1e-9)
    np.testing.assert_allclose(found.std, table.std(0), atol=1e-6)
    np.testing.assert_array_equal((found.low, found.high), (table.min(0), table.max(0)))


def test_moments_keep_a_small_variance_beside_a_large_mean():
    values = 1e9 + np.random.default_rng(0).normal(size=(2000, 1))
    pieces = [Moments.of(part) for part in np.split(values, 40)]
    assert merged(pieces, __import__("random").Random(0)).std[0] == pytest.approx(values.std(), rel=1e-5)


def test_moments_of_nothing_have_no_spread():
    assert np.isnan(Moments.empty(2).std).all()


@given(partitions(), st.integers(1, 6), st.booleans())
def test_extremes_of_any_partition_are_exactly_those_of_the_whole(case, most, largest):
    table, pieces, random = case
    whole = Extremes.of(table, np.arange(len(table)), most, largest=largest)
    same_extremes(merged([Extremes.of(table[p], p, most, largest=largest) for p in pieces], random), whole)


@given(tables, st.integers(1, 6), st.booleans())
def test_extremes_are_the_best_by_value_then_by_index(table, most, largest):
    found = Extremes.of(table, np.arange(len(table)) * 2, most, largest=largest)
    for unit in range(UNITS):
        ordered = sorted((-v if largest else v, 2 * i) for i, v in enumerate(table[:, unit].tolist()))[:most]
        assert found.indices[unit].tolist() == [i for _, i in ordered]
        assert found.values[unit].tolist() == [-v if largest else v for v, _ in ordered]


@given(tables, st.integers(1, 6))
def test_extremes_have_a_neutral_element(table, most):
    found = Extremes.of(table, np.arange(len(table)), most)
    same_extremes(found.merge(Extremes.empty(UNITS, most)), found)
    same_extremes(Extremes.empty(UNITS, most).merge(found), found)


def test_extremes_of_another_kind_do_not_merge():
    with pytest.raises(UsageError, match="one kind"):
        Extremes.empty(2, 3).merge(Extremes.empty(2, 4))
    with pytest.raises(UsageError, match="one kind"):
        Extremes.empty(2, 3).merge(Extremes.empty(2, 3, largest=False))
