"""How well numbers predict numbers: of pictures' viewers against units' responses, with what they can guarantee."""

import math

import numpy as np
from jaxtyping import Bool, Float, Int

from snellen.base import Seed
from snellen.measures.ranks import ranks

RIDGES = 10.0 ** np.arange(-3.0, 6.0)
"""Penalties that a read-out tries, in units of the mean square of a feature."""


def rank_vectors(rows: Float[np.ndarray, "u n"]) -> Float[np.ndarray, "u n"]:
    """Ranks of every row less their mean, at unit length: inner products of them are Spearman correlations.

    A constant row is all zeros, so that it correlates with nothing.
    """
    found = np.asarray(ranks(np.asarray(rows, np.float64)))
    found -= found.mean(1, keepdims=True)
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12))


def resampled_correlations(
    a: Float[np.ndarray, "u n"], b: Float[np.ndarray, "u n"], resamples: int, seed: Seed
) -> Float[np.ndarray, "r u"]:
    """Bootstrap values of the Spearman correlation of every row of `a` with the same row of `b`.

    Columns are drawn with replacement, the same for all rows. Ranks are those among all columns: to draw does not
    change who is before whom, only how often each counts.
    """
    n = a.shape[1]
    x, y = rank_vectors(a), rank_vectors(b)
    counts = np.random.default_rng(seed.value).multinomial(n, np.full(n, 1 / n), size=resamples) / n
    means_x, means_y = counts @ x.T, counts @ y.T
    both = counts @ (x * y).T - means_x * means_y
    spread = (counts @ (x * x).T - means_x**2) * (counts @ (y * y).T - means_y**2)
    return np.asarray(both / np.sqrt(np.maximum(spread, 1e-24)))


def average_precision(scores: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " n"]) -> float:
    """Area under precision and recall: the mean over positives of the precision at their score; ties count together.

    1 for a perfect order, the share of positives for an idle one; nan without positives.
    """
    if not positive.any():
        return math.nan
    values, where = np.unique(-scores, return_inverse=True)
    hits = np.bincount(where, weights=positive, minlength=len(values))
    found, seen = np.cumsum(hits), np.cumsum(np.bincount(where, minlength=len(values)))
    return float((hits * found / seen).sum() / hits.sum())


def auc(own: Float[np.ndarray, "... a"], others: Float[np.ndarray, "... b"]) -> Float[np.ndarray, "..."]:
    """P(own > other) + P(own = other) / 2 over all pairs."""
    over = (own[..., :, None] > others[..., None, :]).mean((-2, -1))
    return np.asarray(over + 0.5 * (own[..., :, None] == others[..., None, :]).mean((-2, -1)))


def own_places(table: Float[np.ndarray, "u u"]) -> Float[np.ndarray, " u"]:
    """For every row the share of its other numbers that are below the diagonal one; ties half.

    Args:
        table: at least two rows.
    """
    own = np.diag(table)[:, None]
    return np.asarray(((table < own).sum(1) + 0.5 * ((table == own).sum(1) - 1)) / (len(table) - 1))


def forced_choice(
    scores: Float[np.ndarray, " n"], truth: Float[np.ndarray, " n"], share: float = 0.1
) -> tuple[float, Bool[np.ndarray, " n"]]:
    """Two-alternative forced choice: of two images, one of the top and one of the bottom share, which excites more?

    Borowski et al. 2021 ask people so.

    Args:
        scores: predicted.
        truth: responses.
        share: of images at either end.

    Returns:
        How often the scores choose right, 0.5 by chance; and which images are of the top share.
    """
    count = max(round(share * len(truth)), 1)
    order = np.argsort(truth, kind="stable")
    top = np.zeros(len(truth), bool)
    top[order[-count:]] = True
    return float(auc(scores[order[-count:]], scores[order[:count]])), top


def ridge_readout(
    known: Float[np.ndarray, "n d"], answers: Float[np.ndarray, "n u"], asked: Float[np.ndarray, "m d"]
) -> Float[np.ndarray, "m u"]:
    """What a linear read-out of features says: ridge regression, each answer's penalty chosen by leaving one out.

    Args:
        known: features of the images that it learns from.
        answers: of these.
        asked: features of others.
    """
    middle, means = known.mean(0), answers.mean(0)
    left, values, right = np.linalg.svd(known - middle, full_matrices=False)
    parts = left.T @ (answers - means)
    best, chosen = np.full(answers.shape[1], np.inf), np.zeros((len(values), answers.shape[1]))
    scale = float((values**2).sum() / max(known.shape[1], 1)) or 1.0
    for penalty in RIDGES * scale:
        shrunk = values**2 / (values**2 + penalty)
        leverage = (left**2) @ shrunk + 1 / len(known)
        missed = (answers - means - left @ (shrunk[:, None] * parts)) / np.maximum(1 - leverage, 1e-9)[:, None]
        error = (missed**2).mean(0)
        better = error < best
        best = np.where(better, error, best)
        factors = (values / (values**2 + penalty))[:, None] * parts
        chosen = np.where(better, factors, chosen)
    return np.asarray(means + (asked - middle) @ (right.T @ chosen))


def share_interval(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share, also where all or none are hits (Wilson 1927).

    Args:
        hits: of so many.
        count: at least 1.
    """
    z = 1.959964
    share, room = hits / count, z**2 / count
    middle = (share + room / 2) / (1 + room)
    half = z / (1 + room) * math.sqrt(share * (1 - share) / count + room / (4 * count))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def chance_agreement(a: Int[np.ndarray, " n"], b: Int[np.ndarray, " n"]) -> float:
    """How often two sortings would agree if they had nothing to do with each other: of each its shares of kinds."""
    count = int(max(a.max(), b.max())) + 1
    first, second = (np.bincount(v, minlength=count) / len(v) for v in (a, b))
    return float(first @ second)


def conformal_radius(residuals: Float[np.ndarray, "n ..."], level: float) -> Float[np.ndarray, "..."]:
    """The ceil(level (n + 1))-th smallest of n residuals' sizes; infinite where n is too small for that.

    A prediction that was made without these n images is off by at most this, with probability at least `level`, at a
    further one that is exchangeable with them (split conformal prediction; Vovk et al. 2005).
    """
    n = len(residuals)
    place = math.ceil(level * (n + 1))
    if place > n:
        return np.full(residuals.shape[1:], np.inf)
    return np.asarray(np.partition(np.abs(residuals), place - 1, axis=0)[place - 1])
