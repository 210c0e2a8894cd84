"""Law 4: running statistics are commutative monoids; any partition of the data, in any order, gives the same value."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from snellen.measures import Rest

CHANNELS, POSITIONS = 3, 2
few = st.integers(-2, 2).map(float)  # many ties
images = st.lists(st.tuples(*[few] * (CHANNELS * POSITIONS)), max_size=20).map(
    lambda rows: np.array(rows, np.float64).reshape(-1, CHANNELS, POSITIONS)
)


def rest_of(table, spare=0):
    return Rest.of(table.min(2), table.max(2), spare) if len(table) else Rest.empty(CHANNELS, spare)


@st.composite
def partitions(draw):
    """Images, cut into pieces in shuffled order, and a tree that merges them."""
    table = draw(images)
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


def same(a, b):
    assert a.images == b.images
    for name in ("low", "high", "at_low", "at_high"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


@given(partitions())
def test_any_partition_rests_as_the_whole_does(case):
    table, pieces, random = case
    same(merged([rest_of(table[p]) for p in pieces], random), rest_of(table))


@given(partitions(), st.integers(0, 3))
def test_any_partition_has_the_band_of_the_whole(case, spare):
    """Second derivation: every channel sorted, and cut at either end."""
    table, pieces, random = case
    low, high = merged([rest_of(table[p], spare) for p in pieces], random).band
    for c in range(CHANNELS):
        least, most = sorted(table[:, c].min(1)), sorted(table[:, c].max(1))
        assert low[c] == (least[spare] if spare < len(table) else np.inf)
        assert high[c] == (most[-1 - spare] if spare < len(table) else -np.inf)


@given(images, images)
def test_merging_commutes_and_has_a_neutral_element(a, b):
    x, y = rest_of(a), rest_of(b)
    same(x.merge(y), y.merge(x))
    same(x.merge(Rest.empty(CHANNELS)), x)
    same(Rest.empty(CHANNELS).merge(x), x)


@given(images.filter(len))
def test_it_counts_the_images_that_never_leave_an_end(table):
    found = rest_of(table)
    for channel in range(CHANNELS):
        own = table[:, channel]
        assert (found.low[channel], found.high[channel]) == (own.min(), own.max())
        assert found.at_low[channel] == sum(bool((image == own.min()).all()) for image in own)
        assert found.at_high[channel] == sum(bool((image == own.max()).all()) for image in own)
