"""Exact ranks: equal values share the mean of the places they take. Fast where most values are one big tie at zero."""

import sys

import numpy as np
from jaxtyping import Float

_LOW = np.uint64(0xFFFFFFFF)
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
            place[order] = _average(row[order], 1.0, place.dtype)
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
    zeros = row.size - occupied.size
    words, values, places = _words(occupied.size)
    below = _ordered_bits(row[occupied] if zeros else row, values)
    places[...] = occupied
    words.sort()
    middle = (row.size + 1) / 2
    ranked = _average(values.copy(), 1 - middle, out.dtype)
    if zeros:
        ranked[below:] += zeros
        out.fill(below + (zeros + 1) / 2 - middle)
    words &= _LOW
    out[words.view(np.intp)] = ranked


def _words(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Uninitialized 64-bit words, with views of their upper and lower halves."""
    words = np.empty(count, np.uint64)
    halves = words.view(np.uint32)
    upper, lower = (1, 0) if sys.byteorder == "little" else (0, 1)
    return words, halves[upper::2], halves[lower::2]


def _ordered_bits(values: np.ndarray, out: np.ndarray) -> int:
    """Float32 as unsigned integers of the same order, negatives inverted, the others with their sign bit set.

    Returns:
        How many are negative.
    """
    bits = values.view(np.int32)
    inverted = (bits >> 31).view(np.uint32)  # all bits of a negative number, no bit of another
    negative = int(np.count_nonzero(inverted))
    inverted |= _SIGN
    np.bitwise_xor(inverted, bits.view(np.uint32), out=out)
    return negative


def _average(ordered: np.ndarray, first: float, dtype: np.dtype) -> np.ndarray:
    """The ranks first, first + 1, ... of sorted values, equal neighbours averaged; only the ties are touched."""
    place = np.arange(ordered.size, dtype=dtype)
    place += first
    tied = np.flatnonzero(ordered[1:] == ordered[:-1])
    if not tied.size:
        return place
    breaks = np.flatnonzero(np.diff(tied) > 1)
    start = tied[np.concatenate(([0], breaks + 1))]
    last = tied[np.concatenate((breaks, [tied.size - 1]))] + 1
    length = last - start + 1
    before = np.cumsum(length) - length
    within = np.arange(length.sum()) + np.repeat(start - before, length)
    place[within] = np.repeat((start + last) / 2 + first, length)
    return place
