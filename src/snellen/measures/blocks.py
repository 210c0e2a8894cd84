"""Similarities of many long vectors at once: blocks of rows, their centred products, ranks in place."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from snellen.measures.ranks import centred_ranks
from snellen.measures.threads import each, single_threaded_products

_CHUNK = 512  # features in one float32 product (equal ranks round to one side); the sum over chunks is float64
_PART = 1 << 14  # numbers squared at a time: long enough for one step of the interpreter, short enough for the cache
_LANES = 8  # partial sums, whatever the number of threads, so that it cannot change a bit of the result


@dataclass(frozen=True, eq=False)
class Block:
    """Rows of a matrix with what is needed to correlate them: x -> (x - mean) / (size * norm) has length one.

    Args:
        rows: (n, d) float32.
        mean: (n,) of each row.
        size: (n,) largest distance from zero, so that products neither overflow nor vanish; 1 for ranks.
        norm: (n,) length of (row - mean) / size; nan where the row is constant or not finite.
        ranked: whether the rows are centred ranks, used as they are.
    """

    rows: Float[np.ndarray, "n d"]
    mean: Float[np.ndarray, " n"]
    size: Float[np.ndarray, " n"]
    norm: Float[np.ndarray, " n"]
    ranked: bool = False

    def chunk(self, start: int) -> np.ndarray:
        """Columns from `start` on, centred and scaled; for ranks a view, else a copy."""
        part = self.rows[:, start : start + _CHUNK]
        if self.ranked:
            return part
        centred = part - self.mean[:, None].astype(np.float32)
        centred *= (1 / self.size)[:, None].astype(np.float32)
        return centred


def raw_block(rows: Float[np.ndarray, "n d"]) -> Block:
    """A block of activations as they are. Rows that are not finite are set to zero and have no norm."""
    mean, size, norm = (np.empty(len(rows)) for _ in range(3))

    def summarize(i: int) -> None:
        mean[i], size[i], norm[i] = _summary(rows[i])

    each(summarize, len(rows))
    return Block(rows, mean, size, norm)


def rank_block(raw: Block, out: Float[np.ndarray, "n d"] | None = None) -> Block:
    """The ranks of a block's rows, centred, written over the rows themselves unless `out` is given."""
    target = raw.rows if out is None else out
    norm = np.full(len(target), np.nan)

    def rank(i: int) -> None:
        if np.isnan(raw.norm[i]):
            target[i] = 0
        else:
            centred_ranks(raw.rows[i], target[i])
            norm[i] = np.sqrt(_squares(target[i]))

    each(rank, len(target))
    return Block(target, np.zeros(len(target)), np.ones(len(target)), norm, ranked=True)


def correlations(a: Block, b: Block) -> Float[np.ndarray, "n m"]:
    """Pearson's correlation of every row of `a` with every row of `b` (of ranks: Spearman's); nan where undefined."""
    return np.clip(_products(a, b) / np.outer(a.norm, b.norm), -1, 1)


def correlations_and_cosines(a: Block, b: Block) -> tuple[Float[np.ndarray, "n m"], Float[np.ndarray, "n m"]]:
    """Pearson's correlations and cosines from one product: <x, y> = <x - mx, y - my> + d mx my."""
    products, d = _products(a, b), a.rows.shape[1]
    shift_a, shift_b = (np.sqrt(d) * x.mean / x.size for x in (a, b))
    length_a, length_b = _length(a, shift_a), _length(b, shift_b)
    cosines = (products + np.outer(shift_a, shift_b)) / np.outer(length_a, length_b)
    return np.clip(products / np.outer(a.norm, b.norm), -1, 1), np.clip(cosines, -1, 1)


def _length(block: Block, shift: np.ndarray) -> np.ndarray:
    """Length of the scaled rows before centring; a constant row has one, a row of zeros has none."""
    centred = np.where(np.isnan(block.norm), 0, block.norm)
    length = np.hypot(centred, shift)
    return np.where(length > 0, length, np.nan)


def _products(a: Block, b: Block) -> np.ndarray:
    """Inner products of centred, scaled rows; every thread takes chunks of features of its own."""

    def lane(first: int) -> np.ndarray:
        total = np.zeros((len(a.rows), len(b.rows)))
        for start in range(first * _CHUNK, a.rows.shape[1], _LANES * _CHUNK):
            left = a.chunk(start)
            total += left @ (left if b is a else b.chunk(start)).T
        return total

    lanes = min(_LANES, -(-a.rows.shape[1] // _CHUNK))
    with single_threaded_products():
        return np.sum(each(lane, lanes), axis=0)


def _summary(row: np.ndarray) -> tuple[float, float, float]:
    """Mean, largest distance from zero and scaled centred length of one row."""
    low, high = float(row.min()), float(row.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        row.fill(0)
        return 0.0, 1.0, np.nan
    size = max(abs(low), abs(high), float(np.finfo(np.float32).tiny))
    if low == high:
        return low, size, np.nan
    mean = float(row.mean(dtype=np.float64))
    return mean, size, np.sqrt(_squares(row, mean, size)) or np.nan


def _squares(row: np.ndarray, mean: float = 0.0, size: float = 1.0) -> float:
    total = 0.0
    for start in range(0, row.size, _PART):
        part = row[start : start + _PART]
        if mean or size != 1:  # rounded as the products round it
            part = part - np.float32(mean)
            part *= np.float32(1 / size)
        wide = part.astype(np.float64)
        total += float(wide @ wide)
    return total
