"""Affine classes: f(x) = c + w . x, with w free, in a known subspace, or sparse (docs/theory.md, section 5)."""

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array, hstack, identity, vstack
from torch import Tensor

from snellen.base import UsageError
from snellen.theory.classes import AffineAlong, FunctionClass, SparseAffine
from snellen.theory.domain import Array, Ball, Box
from snellen.theory.evidence import Evidence, InconsistentEvidenceError
from snellen.theory.frames import Frame, framed
from snellen.theory.programs import Program, Programs

_SUPPORTS = 512
"""The most sets of k coordinates that are gone through one by one."""


@dataclass(frozen=True, eq=False)
class AffineEnd:
    """One end of the range of f(x): its value, and slope and offset of a member that attains it (None: unbounded).

    `exact` is false where a wider class stands in for the sparse one.
    """

    value: float
    slope: Array | None
    offset: float
    exact: bool = True


def affine_envelope(
    function_class: FunctionClass, evidence: Evidence, x: "Array | Tensor"
) -> tuple[Array, Array, Array]:
    """The range of c + w . x over all (w, c) of the class with this evidence, and the gap.

    On a box with both visualizations and their values and nothing else, f(x) = a + sum_i u_i s_i(x) with u >= 0,
    sum u = D and s_i = |x_i - x_min_i| / |x_max_i - x_min_i|, so that the envelope is a + D [min_i s_i, max_i s_i].
    Otherwise linear programs, mixed-integer ones for sparse slopes.
    """
    rows = np.asarray(x, dtype=np.float64)
    members = AffineMembers(function_class, evidence)
    shares = members.shares(rows)
    if shares is not None:
        low = float(evidence.value_min or 0.0)
        up, lo = low + evidence.spread * shares.max(1), low + evidence.spread * shares.min(1)
        return lo, up, np.zeros(len(rows))
    lo, up, gap = np.empty(len(rows)), np.empty(len(rows)), np.zeros(len(rows))
    for i, row in enumerate(rows):
        top, bottom = members.extreme(row, 1.0), members.extreme(row, -1.0)
        up[i], lo[i] = top.value, bottom.value
        if not (top.exact and bottom.exact):
            gap[i] = up[i] - lo[i]
    return lo, up, gap


class AffineMembers:
    """All (c, alpha) of the class with the evidence: w = B^T alpha and f(x) = c + w . (x - centre), in its frame."""

    def __init__(self, function_class: FunctionClass, evidence: Evidence) -> None:
        self.frame, self.evidence = framed(evidence)
        self.kind, domain = function_class, self.evidence.domain
        self.centre = domain.centre
        self.basis = _basis(function_class, self.frame, domain.dim)
        if isinstance(domain, Ball):
            self.basis, self.low, self.high = _on_ball(function_class, self.evidence, self.basis)
        else:
            self.low, self.high = sign_cone(self.evidence, domain)
        self._programs: tuple[Program | Programs, bool] | None = None

    def extreme(self, x: Array, sign: float) -> AffineEnd:
        """The largest (sign = 1) or the smallest f(x) at one point x (d,)."""
        if self._programs is None:
            self._programs = self._posed()
        program, exact = self._programs
        row = self.evidence.domain.nearest(self.frame.inward(x[None]))[0]
        z = program.extreme(sign * self._features(row - self.centre, 1.0, program.size))[1]
        if z is None:
            return AffineEnd(sign * np.inf, None, 0.0, exact)
        slope = z[1 : 1 + len(x)] if self.basis is None else self.basis.T @ z[1 : 1 + len(self.basis)]
        value = self.frame.height(float(z[0] + slope @ (row - self.centre)))
        whole = self.frame.slope(slope)
        middle = self.frame.origin + self.frame.size * self.centre
        return AffineEnd(value, whole, self.frame.height(float(z[0])) - float(whole @ middle), exact)

    def shares(self, x: Array) -> Array | None:
        """s_i(x) of the active coordinates, (n, d'), or None where there is no closed form."""
        known = self.evidence
        if known.x_min is None or known.x_max is None or not np.isfinite(known.spread) or len(known.values):
            return None
        if known.spread <= known.slack:
            return None
        rows = known.domain.nearest(self.frame.inward(x))
        if isinstance(known.domain, Ball) and self.basis is not None:
            return np.asarray(((rows - known.x_min) @ self.basis[0] / 2)[:, None])
        if isinstance(self.kind, AffineAlong):
            if self.basis is None or len(self.basis) > 1:
                return None
            self.extreme(x[0] if len(x) else self.frame.origin, 1.0)  # refuses a direction that cannot have them
            span = (known.x_max - known.x_min) @ self.basis[0]
            return np.asarray(((rows - known.x_min) @ self.basis[0] / span)[:, None])
        active = self.low < self.high
        if not active.any():
            return None
        span = (known.x_max - known.x_min)[active]
        return np.asarray((rows[:, active] - known.x_min[active]) / span)

    def _features(self, step: Array, constant: float, size: int) -> Array:
        """Coefficients of w . step (+ c) in the variables of a program."""
        part = step if self.basis is None else self.basis @ step
        return np.concatenate([[constant], part, np.zeros(size - 1 - len(part))])

    def _posed(self) -> tuple[Program | Programs, bool]:
        """The program, and whether it is exact."""
        wide = self._program()
        if not isinstance(self.kind, SparseAffine) or self.basis is not None:
            return wide, True
        active, count = np.flatnonzero(self.low < self.high), self.kind.nonzero
        if count >= len(active) or self._vertices_are_sparse(count):
            return wide, True
        known = self.evidence
        if known.x_min is not None and known.x_max is not None and np.isfinite(known.spread):
            return self._counted(count), True
        if math.comb(len(active), count) > _SUPPORTS:
            return wide, False
        sets = [np.isin(np.arange(len(self.low)), s) for s in itertools.combinations(active, count)]
        cut = [np.concatenate([[True], s]) for s in sets]
        return Programs(
            tuple(replace(wide, lower=np.where(s, wide.lower, 0.0), upper=np.where(s, wide.upper, 0.0)) for s in cut)
        ), True

    def _vertices_are_sparse(self, count: int) -> bool:
        """A vertex has at most (number of equations - 1) slopes; where both pictures bound f, all ends are vertices."""
        known = self.evidence
        bounded = known.x_min is not None and known.x_max is not None and np.isfinite(known.spread)
        return bool(bounded) and not known.slopes() and count >= len(known.known_values) - 1

    def _program(self) -> Program:
        known = self.evidence
        size = (known.domain.dim if self.basis is None else len(self.basis)) + 1
        rows, values, names = self._equations(size)
        lower, upper = np.r_[-np.inf, self.low], np.r_[np.inf, self.high]
        matrix = limits = None
        if self.basis is not None and not isinstance(known.domain, Ball):
            columns = np.concatenate([np.zeros((known.domain.dim, 1)), self.basis.T], 1)
            matrix = np.concatenate([columns[self.high == 0], -columns[self.low == 0]])
            limits = np.zeros(len(matrix))
            lower, upper = np.full(size, -np.inf), np.full(size, np.inf)
        return Program(rows, values, names, lower, upper, matrix, limits, known.slack)

    def _counted(self, count: int) -> Program:
        """Variables (c, w, z) with z binary, |w_i| <= M_i z_i and sum z <= k, where M_i = D / |x_max_i - x_min_i|."""
        known = self.evidence
        dim = known.domain.dim
        span = np.abs(np.subtract(*(n.place for n in known.nodes()[:2])))
        active = self.low < self.high
        most = known.spread * np.where(active, 1 / np.where(active, span, 1.0), 0.0)
        column, caps = csr_array((dim, 1)), csr_array(np.diag(most))
        up, down = hstack([column, identity(dim), -caps]), hstack([column, -identity(dim), -caps])
        chosen = csr_array(np.concatenate([np.zeros(dim + 1), np.ones(dim)])[None])
        limits = np.concatenate([np.zeros(2 * dim), [count]])
        lower = np.concatenate([[-np.inf], np.maximum(self.low, -most), np.zeros(dim)])
        upper = np.concatenate([[np.inf], np.minimum(self.high, most), np.ones(dim)])
        rows, values, names = self._equations(1 + 2 * dim)
        matrix = csr_array(vstack([up, down, chosen]))
        return Program(rows, values, names, lower, upper, matrix, limits, known.slack, dim)

    def _equations(self, size: int) -> tuple[Array, Array, tuple[str, ...]]:
        """One row a known value; d rows a known gradient."""
        known = [n for n in self.evidence.nodes() if n.value is not None]
        rows = [self._features(n.place - self.centre, 1.0, size) for n in known]
        values = [n.value or 0.0 for n in known]
        names = [n.name for n in known]
        for i, slope in self.evidence.slopes().items():
            rows += [self._features(axis, 0.0, size) for axis in np.eye(len(slope))]
            values += slope.tolist()
            names += [f"gradient of {self.evidence.labels[i]}"] * len(slope)
        return np.array(rows).reshape(len(rows), size), np.array(values), tuple(names)


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


def _basis(function_class: FunctionClass, frame: Frame, dim: int) -> Array | None:
    """An orthonormal basis (m', d) of the known directions in the frame; None where every slope is possible."""
    if not isinstance(function_class, AffineAlong):
        return None
    rows = function_class.directions
    if rows.shape[1] != dim:
        raise UsageError(f"expected directions of {dim} entries, got {rows.shape[1]}; give them the domain's shape")
    rows = rows / np.abs(rows).max() * (frame.size / np.max(frame.size))
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    _, sizes, basis = np.linalg.svd(rows / np.where(lengths > 0, lengths, 1.0), full_matrices=False)
    return np.asarray(basis[sizes > 1e-13 * max(sizes[0], 1e-300) * max(rows.shape)])


def _on_ball(
    function_class: FunctionClass, evidence: Evidence, basis: Array | None
) -> tuple[Array | None, Array, Array]:
    """On the unit ball a visualization gives the direction of w: x_max = w / ||w||, x_min opposite."""
    rays = [s * p for p, s in ((evidence.x_max, 1.0), (evidence.x_min, -1.0)) if p is not None]
    if not rays:
        free = np.full(evidence.domain.dim if basis is None else len(basis), np.inf)
        return basis, -free, free
    ray, tolerance = np.mean(rays, 0), 1e-5
    fits = all(np.linalg.norm(r) >= 1 - tolerance and np.linalg.norm(r - ray) <= tolerance for r in rays)
    if fits and basis is not None:
        fits = bool(np.linalg.norm(basis.T @ (basis @ ray) - ray) <= tolerance)
    if isinstance(function_class, SparseAffine):
        fits = fits and int((np.abs(ray) > tolerance).sum()) <= function_class.nonzero
    if not fits and evidence.spread > evidence.slack and np.isfinite(evidence.spread):
        reason = "on a ball an affine function of the class has its extremes at opposite ends of its slope"
        raise InconsistentEvidenceError(
            reason, tuple(n for n in ("x_min", "x_max") if getattr(evidence, n) is not None)
        )
    return ray[None] / max(float(np.linalg.norm(ray)), 1e-300), np.zeros(1), np.array([np.inf if fits else 0.0])
