"""Linear maps fitted on photographs, which a few odd photographs cannot bend; and how well they hold elsewhere."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from snellen.measures.prediction import RIDGES

ROUNDS = 12
"""Of weighing anew."""
TRIMMED, FEWER = 0.25, 0.05
"""Share of rows that a ridge fit leaves out, those that it predicts worst: where rows are plenty, and elsewhere."""
CONCENTRATED = 5
"""Times at most that a ridge fit chooses anew what to leave out (Rousseeuw and Van Driessen 1999)."""
_FLOOR = 1e-14  # of a residual's share: rounding
_EXACT = 1e-9  # penalty of a ridge, likewise, where rows are plenty
_STEADY = 1e-12  # ridge of an exact fit, in parts of the mean square


@dataclass(frozen=True, eq=False)
class Affine:
    """y = (x - middle) weights + means.

    Args:
        middle: of what goes in.
        weights: of d numbers on k.
        means: of what comes out.
    """

    middle: Float[np.ndarray, " d"]
    weights: Float[np.ndarray, "d k"]
    means: Float[np.ndarray, " k"]

    def __call__(self, x: Float[np.ndarray, "... d"]) -> Float[np.ndarray, "... k"]:
        """What it says."""
        return np.asarray((x - self.middle) @ self.weights + self.means)


def affine_of_most(x: Float[np.ndarray, "g r d"], y: Float[np.ndarray, "g r k"]) -> Affine:
    """The affine map that most groups of rows obey: least squares, groups weighed by 1 / their squared residual.

    Where more than half of the groups obey one map exactly, the others lose all their weight within a few rounds
    (iteratively reweighted least squares; Holland and Welsch 1977, with the weights of a sparse residual). A group is
    an image, its rows are places: an image in which something else was at work is left out as a whole.

    Args:
        x: what goes in; g groups of r rows.
        y: what comes out.
    """
    middle, means = x.mean((0, 1)), y.mean((0, 1))
    known = np.concatenate([x - middle, np.ones_like(x[..., :1])], -1)
    said = y - means
    inner, outer = known.transpose(0, 2, 1) @ known, known.transpose(0, 2, 1) @ said
    ridge = _STEADY * np.trace(inner.mean(0)) / len(middle) * np.eye(inner.shape[-1])
    weights, found = np.ones(len(x)), np.zeros(outer.shape[1:])
    for _ in range(ROUNDS):
        weights = weights / weights.sum()
        found = np.linalg.solve(np.tensordot(weights, inner, 1) + ridge, np.tensordot(weights, outer, 1))
        missed = np.square(said - known @ found).mean((1, 2)) / max(float(np.square(said).mean()), 1e-300)
        weights = 1 / (missed + max(_FLOOR, 1e-3 * float(np.median(missed))))
    return Affine(middle, found[:-1], means + found[-1])


def left_over(
    fit: Affine, x: Float[np.ndarray, "g r d"], y: Float[np.ndarray, "g r k"], *, least: float = 0.0
) -> Float[np.ndarray, " g"]:
    """For every group the mean square that a map leaves of the outputs, in parts of their variance there.

    Args:
        fit: the map.
        x: what goes in.
        y: what comes out.
        least: variance that is divided by at least.
    """
    return np.asarray(np.square(y - fit(x)).mean((1, 2)) / np.maximum(variances(y), max(least, 1e-300)))


def variances(y: Float[np.ndarray, "g r k"]) -> Float[np.ndarray, " g"]:
    """Of every group, over its rows, in the mean over outputs."""
    return np.asarray(np.square(y - y.mean(1, keepdims=True)).mean((1, 2)))


@dataclass(frozen=True, eq=False)
class Ridge:
    """A ridge regression, and how sure it is.

    Args:
        fit: the map.
        axes: orthonormal directions of what went in, r of them.
        squares: sums of squares along these.
        penalty: on the square of the weights.
        missed: residuals of every row as if it had been left out, those left out for good too.
        scale: of these residuals: 1.4826 times their median size, a standard deviation if they are normal.
        spread: standard deviation of the outputs.
        kept: rows that it was fitted on.
    """

    fit: Affine
    axes: Float[np.ndarray, "r d"]
    squares: Float[np.ndarray, " r"]
    penalty: float
    missed: Float[np.ndarray, "n k"]
    scale: Float[np.ndarray, " k"]
    spread: Float[np.ndarray, " k"]
    kept: np.ndarray

    @property
    def unexplained(self) -> Float[np.ndarray, " k"]:
        """Of every output the share of its variance that rows left out leave; the middle, not the mean, of squares."""
        return np.asarray(np.square(self.scale / np.maximum(self.spread, 1e-300)))

    def across(self, x: Float[np.ndarray, "m d"]) -> Float[np.ndarray, " m"]:
        """How far off the span of all that went in: what no row told anything of."""
        away = x - self.fit.middle
        return np.asarray(np.linalg.norm(away - away @ self.axes.T @ self.axes, axis=1))

    def leverage(self, x: Float[np.ndarray, "m d"]) -> Float[np.ndarray, " m"]:
        """x' (X'X + penalty)^-1 x: what the residuals' scale grows with, beyond what went in."""
        away = x - self.fit.middle
        along = away @ self.axes.T
        inside = (np.square(along) / (self.squares + self.penalty)).sum(1)
        return np.asarray(inside + np.square(self.across(x)) / max(self.penalty, 1e-300) + 1 / self.kept.sum())


def ridge(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n k"]) -> Ridge:
    """Ridge regression, one penalty for all outputs, chosen by leaving one out.

    Args:
        x: what goes in; at least three rows.
        y: what comes out.
    """
    return _ridge(x, y, np.ones(len(x), bool))


def trimmed_ridge(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n k"]) -> Ridge:
    """The same, fitted again without the rows that it predicts worst.

    One photograph in which something else was at work has a large leverage: residuals are those of a fit without it.

    Args:
        x: what goes in; at least three rows.
        y: what comes out.
    """
    found = ridge(x, y)
    share = TRIMMED if (1 - TRIMMED) * len(x) > 1.5 * x.shape[1] else FEWER
    for _ in range(CONCENTRATED):
        worst = np.abs(found.missed / np.maximum(found.scale, 1e-300)).max(1)
        kept = worst <= np.quantile(worst, 1 - share)
        if (kept == found.kept).all():
            break
        found = _ridge(x, y, kept)
    return found


def _ridge(x: np.ndarray, y: np.ndarray, kept: np.ndarray) -> Ridge:
    middle, means = x[kept].mean(0), y[kept].mean(0)
    left, values, right = np.linalg.svd(x[kept] - middle, full_matrices=False)
    sound = values > 1e-9 * max(float(values[0]), 1e-300)
    left, values, right = left[:, sound], values[sound], right[sound]
    said = y[kept] - means
    parts, size = left.T @ said, np.maximum(said.std(0), 1e-300)
    scale = float((values**2).sum() / max(len(values), 1)) or 1.0
    best = (np.inf, 0.0, said)
    exact = [_EXACT] if len(left) > 1.5 * len(values) else []  # with fewer rows nothing is left over, whatever is asked
    for penalty in np.array([*exact, *RIDGES]) * scale:
        shrunk = values**2 / (values**2 + penalty)
        leverage = (left**2) @ shrunk + 1 / kept.sum()
        missed = (said - left @ (shrunk[:, None] * parts)) / np.maximum(1 - leverage, 1e-9)[:, None]
        error = float(np.square(missed / size).mean())
        if error < best[0]:
            best = (error, float(penalty), missed)
    _, penalty, missed = best
    fit = Affine(middle, right.T @ ((values / (values**2 + penalty))[:, None] * parts), means)
    everyone = y - fit(x)
    everyone[kept] = missed
    spread = 1.4826 * np.median(np.abs(missed), 0)
    return Ridge(fit, right, values**2, penalty, everyone, spread, said.std(0), kept)
