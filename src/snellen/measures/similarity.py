"""Similarity of whole activation vectors: Pearson, Spearman with exact ties, cosine."""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from snellen.base import UsageError
from snellen.measures.blocks import correlations, correlations_and_cosines, rank_block, raw_block

Measure = Literal["spearman", "pearson", "cosine"]
MEASURES: tuple[Measure, ...] = get_args(Measure)


def spearman(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n m"]:
    """Rank correlation of every row of `a` with every row of `b`; equal values share their mean rank.

    rho(x, y) = Pearson's correlation of ranks(x) and ranks(y)

    Args:
        a, b: (n, d) and (m, d), computed in float32.

    Returns:
        (n, m) in [-1, 1]; nan where a row is constant or not finite.

    Raises:
        UsageError: the rows differ in length.
    """
    return similarities(a, b)["spearman"]


def pearson(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n m"]:
    """Linear correlation of every row of `a` with every row of `b`. Arguments, result and errors as `spearman`."""
    return similarities(a, b)["pearson"]


def cosine(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n m"]:
    """<x, y> / (|x| |y|) for every row of `a` with every row of `b`. As `spearman`, but a constant row has a value."""
    return similarities(a, b)["cosine"]


def similarities(a: np.ndarray, b: np.ndarray | None = None) -> dict[Measure, np.ndarray]:
    """All three measures between the rows of `a` and of `b` (or of `a` itself), each (n, m) float64.

    Raises:
        UsageError: the rows differ in length.
    """
    left = raw_block(np.array(a, np.float32, order="C"))
    if b is None:
        return within(left.rows)
    if a.shape[1] != b.shape[1]:
        raise UsageError(
            f"expected vectors of one length, got {a.shape[1]} and {b.shape[1]}; compare one layer at a time"
        )
    right = raw_block(np.array(b, np.float32, order="C"))
    linear, angle = correlations_and_cosines(left, right)
    return {"spearman": correlations(rank_block(left), rank_block(right)), "pearson": linear, "cosine": angle}


def within(rows: Float[np.ndarray, "n d"]) -> dict[Measure, np.ndarray]:
    """All three measures between all pairs of rows, using the rows' own memory: they hold centred ranks afterwards.

    Args:
        rows: float32, C-contiguous, (n, d); overwritten.
    """
    raw = raw_block(rows)
    linear, angle = correlations_and_cosines(raw, raw)
    ranked = rank_block(raw)
    return {"spearman": correlations(ranked, ranked), "pearson": linear, "cosine": angle}


def unit_length(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Every row divided by its length; a row of zeros stays one."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
