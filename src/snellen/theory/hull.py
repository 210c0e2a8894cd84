"""Convex and concave functions: envelopes are lower hulls of what is known (docs/theory.md, section 6).

up(x) = min { sum_j l_j v_j + m b : x = sum_j l_j p_j + m y, y in X, l, m >= 0, sum l + m = 1 }
lo(x) = max(a, max_i L_i(x)), L_i(x) = min { v_i + g . (x - p_i) : g an admissible subgradient at p_i }
"""

import numpy as np
from torch import Tensor

from snellen.theory.classes import Concave, FunctionClass
from snellen.theory.domain import Array, Box
from snellen.theory.evidence import Evidence, InconsistentEvidenceError
from snellen.theory.supports import Known, Support, gather, lower_support, upper_support


def convex_envelope(
    function_class: FunctionClass, evidence: Evidence, x: "Array | Tensor"
) -> tuple[Array, Array, Array]:
    """lo, up and the gap: closed form from two pictures alone, else linear programs (on a ball, cut by planes)."""
    rows = np.asarray(x, dtype=np.float64)
    if isinstance(function_class, Concave):
        lo, up, gap = _convex(evidence.flipped(), rows)
        return -up, -lo, gap
    return _convex(evidence, rows)


def _convex(evidence: Evidence, x: Array) -> tuple[Array, Array, Array]:
    known = gather(evidence)
    if evidence.x_min is not None and evidence.x_max is not None and len(evidence.values) == 0:
        return _two_pictures(known, x)
    tangents = check(known)
    lo, up, gap = np.empty(len(x)), np.empty(len(x)), np.empty(len(x))
    for n, row in enumerate(x):
        top = upper_support(known, row)
        up[n], above = (np.inf, 0.0) if top is None else (top.value, top.gap)
        lo[n], below = _lowest(known, tangents, row)
        gap[n] = max(above, below)
    return lo, np.minimum(up, known.ceiling), gap


def _lowest(known: Known, tangents: tuple[Support | None, ...], x: Array) -> tuple[float, float]:
    """lo(x) and its gap. L_i(x) is no higher than any tangent at p_i: nodes with a low tangent are passed over."""
    ceilings = [np.inf if t is None else float(t(x)) for t in tangents]
    best, gap = known.floor, 0.0
    for i in np.argsort(ceilings)[::-1]:
        if ceilings[i] <= best:
            break
        found = lower_support(known, int(i), x)
        if found is not None:
            best, gap = max(best, float(found(x))), max(gap, found.gap)
    return best, gap


def check(known: Known) -> tuple[Support | None, ...]:
    """Every known value lies on the lower hull of the others, and no subgradient overshoots.

    Returns:
        A tangent at each node: an affine function through its value that lies below all else; None where there is none.

    Raises:
        InconsistentEvidenceError: names the point above the hull, and those that span the hull below it.
    """
    for i, slope in known.slopes.items():
        excess = known.values[i] + (known.places - known.places[i]) @ slope - known.values
        name, worst = f"gradient of {known.names[i]}", int(excess.argmax())
        if excess[worst] > known.slack:
            raise InconsistentEvidenceError("a subgradient overshoots a value", (name, known.names[worst]))
        top = known.values[i] + slope @ (known.domain.farthest(slope) - known.places[i])
        if top > known.ceiling + known.slack:
            raise InconsistentEvidenceError("a subgradient overshoots the maximum", (name, "x_max"))
    tangents = []
    for i, name in enumerate(known.names):
        found = upper_support(known, known.places[i])
        tangents.append(
            Support(float(known.values[i]), known.slopes[i], known.places[i]) if i in known.slopes else found
        )
        if found is not None and found.value < known.values[i] - known.slack - found.gap:
            near = np.abs(found(known.places) - known.values) <= 1e-7 * known.scale
            spanning = [known.names[j] for j in np.flatnonzero(near) if j != i]
            reason = f"f({name}) = {known.values[i]:g} lies above the hull of the rest, {found.value:g}"
            raise InconsistentEvidenceError(reason, (name, *spanning))
    return tuple(tangents)


def _two_pictures(known: Known, x: Array) -> tuple[Array, Array, Array]:
    """up = a + D rho(x), rho the gauge of X around x_min; lo = a but on the smallest face that contains x_max."""
    x_min, x_max = known.places[0], known.places[1]
    spread = max(known.ceiling - known.floor, 0.0)
    if spread > known.slack and known.domain.gauge(x_max[None], x_min)[0] < 1 - 1e-6:
        reason = "a convex function has its maximum on the boundary, as seen from its minimum"
        raise InconsistentEvidenceError(reason, ("x_min", "x_max"))
    if isinstance(known.domain, Box):
        slack = 1e-6 * (known.domain.upper - known.domain.lower)
        free = (x_max > known.domain.lower + slack) & (x_max < known.domain.upper - slack)
        face = ((x == x_max) | free).all(1)
    else:
        face = (x == x_max).all(1)
    up = known.floor + spread * np.minimum(known.domain.gauge(x, x_min), 1.0)
    return np.where(face, known.ceiling, known.floor), np.where(face, known.ceiling, up), np.zeros(len(x))
