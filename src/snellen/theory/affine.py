"""Affine classes: f(x) = c + w . x, with w free, in a known subspace, or sparse (docs/theory.md, section 5)."""

import numpy as np
from scipy.sparse import csr_array, hstack, identity, vstack
from torch import Tensor

from snellen.base import UsageError
from snellen.theory.classes import AffineAlong, FunctionClass, SparseAffine
from snellen.theory.domain import Array, Ball, Box
from snellen.theory.evidence import Evidence, InconsistentEvidenceError
from snellen.theory.programs import Program


def affine_envelope(function_class: FunctionClass, evidence: Evidence, x: "Array | Tensor") -> tuple[Array, Array]:
    """The range of c + w . x over all (w, c) of the class with this evidence: closed form, or linear programs.

    On a box with both visualizations and their values and nothing else, f(x) = a + sum_i u_i s_i(x) with u >= 0,
    sum u = D and s_i = |x_i - x_min_i| / |x_max_i - x_min_i|, so that the envelope is a + D [min_i s_i, max_i s_i].
    """
    rows = np.asarray(x, dtype=np.float64)
    shares = _shares(function_class, evidence, rows)
    if shares is not None:
        low = float(evidence.value_min or 0.0)
        return low + evidence.spread * shares.min(1), low + evidence.spread * shares.max(1)
    program, features = affine_program(function_class, evidence)
    lo, up = np.empty(len(rows)), np.empty(len(rows))
    for i, row in enumerate(rows):
        objective = features(row)
        up[i] = program.extreme(objective)[0]
        lo[i] = -program.extreme(-objective)[0]
    return lo, up


class Features:
    """x -> the vector z-coefficients of f(x) = c + alpha . B x, in the variables z = (c, alpha, ...)."""

    def __init__(self, basis: Array | None, origin: Array, size: int) -> None:
        self.basis, self.origin, self.size = basis, origin, size

    def __call__(self, x: Array) -> Array:
        return self.linear(x - self.origin, 1.0)

    def linear(self, step: Array, constant: float = 0.0) -> Array:
        """Coefficients of w . step (+ c)."""
        part = step if self.basis is None else self.basis @ step
        return np.concatenate([[constant], part, np.zeros(self.size - 1 - len(part))])


def affine_program(function_class: FunctionClass, evidence: Evidence) -> tuple[Program, Features]:
    """All (c, alpha) of the class with this evidence, as a program; w = B^T alpha, f(x) = c + w . (x - origin)."""
    if isinstance(evidence.domain, Ball):
        basis, low, high = _on_ball(function_class, evidence, evidence.domain)
    else:
        basis = function_class.directions if isinstance(function_class, AffineAlong) else None
        low, high = sign_cone(evidence, evidence.domain)
    if basis is not None and basis.shape[1] != evidence.domain.dim:
        raise UsageError(f"expected directions of {evidence.domain.dim} entries, got {basis.shape[1]}")
    count = (evidence.domain.dim if basis is None else len(basis)) + 1
    sparse = function_class if isinstance(function_class, SparseAffine) and _binding(function_class, evidence) else None
    total = count + (evidence.domain.dim if sparse else 0)
    features = Features(basis, evidence.domain.centre, total)
    rows, values, names = _equations(evidence, features)
    lower, upper, matrix, limits = _cone(evidence, basis, (low, high))
    if sparse:
        lower, upper, matrix, limits = _count_nonzero(sparse, evidence, (low, high))
    return Program(rows, values, names, lower, upper, matrix, limits, evidence.slack, total - count), features


def sign_cone(evidence: Evidence, box: Box) -> tuple[Array, Array]:
    """Bounds (0 or infinite) on every w_i: x_max is a maximizer iff w_i > 0 only where it is at the upper wall, etc."""
    low, high = np.full(box.dim, -np.inf), np.full(box.dim, np.inf)
    tolerance = 1e-6 * (box.upper - box.lower)
    for place, sign in ((evidence.x_max, 1), (evidence.x_min, -1)):
        if place is None:
            continue
        top, bottom = place >= box.upper - tolerance, place <= box.lower + tolerance
        if sign < 0:
            top, bottom = bottom, top
        high[~top] = 0.0
        low[~bottom] = 0.0
    return low, high


def _shares(function_class: FunctionClass, evidence: Evidence, x: Array) -> Array | None:
    """s_i(x) of the active coordinates, (n, d'), or None where there is no closed form."""
    if not np.isfinite(evidence.spread) or len(evidence.values) or evidence.spread <= evidence.slack:
        return None
    if evidence.x_min is None or evidence.x_max is None:
        return None
    if isinstance(evidence.domain, Ball):
        basis, _, _ = _on_ball(function_class, evidence, evidence.domain)
        across = 2 * evidence.domain.radius
        return None if basis is None else np.asarray(((x - evidence.x_min) @ basis[0] / across)[:, None])
    if isinstance(function_class, AffineAlong):
        return _one_direction(function_class, evidence, x)
    low, high = sign_cone(evidence, evidence.domain)
    active = low < high
    if not active.any():
        return None
    span = (evidence.x_max - evidence.x_min)[active]
    return np.asarray((x[:, active] - evidence.x_min[active]) / span)


def _one_direction(function_class: AffineAlong, evidence: Evidence, x: Array) -> Array | None:
    """With one direction q, f is fixed: the share is q . (x - x_min) / q . (x_max - x_min); None for more of them."""
    if len(function_class.directions) > 1 or evidence.x_min is None or evidence.x_max is None:
        return None
    program, _ = affine_program(function_class, evidence)
    program.extreme(np.zeros(len(program.lower)))
    direction = function_class.directions[0]
    return np.asarray(((x - evidence.x_min) @ direction / ((evidence.x_max - evidence.x_min) @ direction))[:, None])


def _on_ball(function_class: FunctionClass, evidence: Evidence, ball: Ball) -> tuple[Array | None, Array, Array]:
    """On a ball a visualization gives the direction of w: x_max = centre + r w / ||w||, x_min opposite."""
    basis = function_class.directions if isinstance(function_class, AffineAlong) else None
    rays = [
        sign * (place - ball.centre) / ball.radius
        for place, sign in ((evidence.x_max, 1.0), (evidence.x_min, -1.0))
        if place is not None
    ]
    free = np.full(ball.dim, np.inf)
    if not rays:
        return basis, -free, free
    ray, tolerance = np.mean(rays, 0), 1e-5
    fits = all(np.linalg.norm(r) >= 1 - tolerance and np.linalg.norm(r - ray) <= tolerance for r in rays)
    if fits and basis is not None:
        fits = bool(np.linalg.norm(basis.T @ np.linalg.lstsq(basis.T, ray, rcond=None)[0] - ray) <= tolerance)
    if isinstance(function_class, SparseAffine):
        fits = fits and int((np.abs(ray) > tolerance).sum()) <= function_class.nonzero
    if not fits and evidence.spread > evidence.slack and np.isfinite(evidence.spread):
        reason = "on a ball an affine function of the class has its extremes at opposite ends of its slope"
        raise InconsistentEvidenceError(
            reason, tuple(n for n in ("x_min", "x_max") if getattr(evidence, n) is not None)
        )
    return ray[None] / max(float(np.linalg.norm(ray)), 1e-300), np.zeros(1), np.array([np.inf if fits else 0.0])


def _equations(evidence: Evidence, features: Features) -> tuple[Array, Array, tuple[str, ...]]:
    """One row a known value; d rows a known gradient."""
    known = [n for n in evidence.nodes() if n.value is not None]
    rows = [features(n.place) for n in known]
    values = [n.value or 0.0 for n in known]
    names = [n.name for n in known]
    for i, slope in evidence.slopes().items():
        rows += [features.linear(axis) for axis in np.eye(evidence.domain.dim)]
        values += slope.tolist()
        names += [f"gradient of point {i}"] * evidence.domain.dim
    return np.array(rows).reshape(len(rows), features.size), np.array(values), tuple(names)


def _cone(
    evidence: Evidence, basis: Array | None, bounds: tuple[Array, Array]
) -> tuple[Array, Array, Array | None, Array | None]:
    """Bounds on z = (c, alpha) and rows that keep B^T alpha in the sign cone."""
    low, high = bounds
    constant = (np.array([-np.inf]), np.array([np.inf]))
    if basis is None or isinstance(evidence.domain, Ball):
        return np.r_[constant[0], low], np.r_[constant[1], high], None, None
    free = np.full(len(basis) + 1, np.inf)
    columns = np.concatenate([np.zeros((basis.shape[1], 1)), basis.T], 1)
    matrix = np.concatenate([columns[high == 0], -columns[low == 0]])
    return -free, free, matrix if len(matrix) else None, np.zeros(len(matrix)) if len(matrix) else None


def _binding(function_class: SparseAffine, evidence: Evidence) -> bool:
    """Whether sparsity can matter: a vertex of the affine program has at most (number of equations - 1) slopes."""
    known = sum(n.value is not None for n in evidence.nodes())
    return not isinstance(evidence.domain, Ball) and function_class.nonzero < max(known - 1, 1) + (
        evidence.domain.dim if evidence.slopes() else 0
    )


def _count_nonzero(
    function_class: SparseAffine, evidence: Evidence, bounds: tuple[Array, Array]
) -> tuple[Array, Array, csr_array, Array]:
    """Variables (c, w, z) with z binary, |w_i| <= M_i z_i and sum z <= k, where M_i = D / |x_max_i - x_min_i|."""
    if evidence.x_min is None or evidence.x_max is None or not np.isfinite(evidence.spread):
        raise UsageError("expected x_min and x_max with their values for a sparse affine class; give them")
    dim = evidence.domain.dim
    span = np.abs(evidence.x_max - evidence.x_min)
    low, high = bounds
    most = evidence.spread / np.where(low < high, np.maximum(span, 1e-12), np.inf)
    column = csr_array((dim, 1))
    up = hstack([column, identity(dim), -csr_array(np.diag(most))])
    down = hstack([column, -identity(dim), -csr_array(np.diag(most))])
    count = csr_array(np.concatenate([np.zeros(dim + 1), np.ones(dim)])[None])
    limits = np.concatenate([np.zeros(2 * dim), [function_class.nonzero]])
    lower = np.concatenate([[-np.inf], np.maximum(low, -most), np.zeros(dim)])
    upper = np.concatenate([[np.inf], np.minimum(high, most), np.ones(dim)])
    return lower, upper, csr_array(vstack([up, down, count])), limits
