"""Exact ranks: equal values share the mean of the places they take. Fast where most values are one big tie at zero."""

import numpy as np
from jaxtyping import Float

_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_SIGN = np.uint32(0x80000000)


def ranks(values: Float[np.ndarray, "*n d"]) -> Float[np.ndarray, "*n d"]:
    """Average-tie ranks along the last axis, from 1 to d.

    rank(x_i) = #{j: x_j < x_i} + (#{j: x_j = x_i} + 1) / 2

    Args:
        values: finite numbers, (d,) or (..., d); float32 takes the fast way, every other type a plain sort.
    """
    values = np.asarray(values)
    rows = values.reshape(-1, values.shape[-1])
    out = np.empty(rows.shape, np.float64)
    for row, place in zip(rows, out, strict=True):
        if row.dtype == np.float32:
            centred_ranks(row, place)
            place += (row.size + 1) / 2
        else:
            order = np.argsort(row)
            place[order] = _average(row[order])
    return out.reshape(values.shape)


def centred_ranks(row: Float[np.ndarray, " d"], out: Float[np.ndarray, " d"]) -> None:
    """Write the average-tie ranks of a vector, less their mean (d + 1) / 2, into `out`, which may be the vector itself.

    They are whole or half numbers within +-d / 2, exact in float32 up to d = 2**24. Zeros (a rectified layer has many)
    never enter the sort; the others are sorted as one 64-bit word each, value above index, which is far faster than
    an argsort.

    Args:
        row: float32, finite, contiguous, (d,).
        out: float32 or float64, (d,).
    """
    occupied = np.flatnonzero(row != 0)
    values = row[occupied]
    zeros = row.size - values.size
    negative = values < 0
    below = int(np.count_nonzero(negative))
    words = _ordered_bits(values, negative if below else None).astype(np.uint64)
    words <<= _SHIFT
    words |= occupied.astype(np.uint64)
    words.sort()
    place = _average((words >> _SHIFT).astype(np.uint32))
    place -= (row.size + 1) / 2
    place[below:] += zeros
    out.fill(below + (zeros + 1) / 2 - (row.size + 1) / 2)
    out[(words & _LOW).astype(np.intp)] = place


def _ordered_bits(values: np.ndarray, negative: np.ndarray | None) -> np.ndarray:
    """Float32 as unsigned integers of the same order: negatives inverted, positives with their sign bit set."""
    bits = values.view(np.uint32)
    return bits if negative is None else np.where(negative, ~bits, bits | _SIGN)


def _average(ordered: np.ndarray) -> np.ndarray:
    """The ranks 1..n of sorted values, equal neighbours averaged; only the ties are touched."""
    place = np.arange(1, ordered.size + 1, dtype=np.float64)
    tied = np.flatnonzero(ordered[1:] == ordered[:-1])
    if not tied.size:
        return place
    breaks = np.flatnonzero(np.diff(tied) > 1)
    first = tied[np.concatenate(([0], breaks + 1))]
    last = tied[np.concatenate((breaks, [tied.size - 1]))] + 1
    length = last - first + 1
    before = np.cumsum(length) - length
    within = np.arange(length.sum()) + np.repeat(first - before, length)
    place[within] = np.repeat((first + last) / 2 + 1, length)
    return place
