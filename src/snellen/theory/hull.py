"""Convex and concave functions: envelopes are lower hulls of what is known (docs/theory.md, section 6).

up(x) = min { sum_j l_j v_j + m b : x = sum_j l_j p_j + m y, y in X, l, m >= 0, sum l + m = 1 }
lo(x) = max(a, max_i L_i(x)), L_i(x) = min { v_i + g . (x - p_i) : g an admissible subgradient at p_i }
"""

import numpy as np
from torch import Tensor

from snellen.theory.classes import Concave, FunctionClass
from snellen.theory.domain import Array, Box, Domain
from snellen.theory.evidence import Evidence, InconsistentEvidenceError
from snellen.theory.supports import Known, Support, gather, lower_bound, upper_bound

_ROUNDING = 1e-8
"""Of the values' range: a gap below it is 0."""


def convex_envelope(
    function_class: FunctionClass, evidence: Evidence, x: "Array | Tensor"
) -> tuple[Array, Array, Array]:
    """lo, up and the gap: closed form from two pictures alone, else linear programs (on a ball, in rounds)."""
    rows = np.asarray(x, dtype=np.float64)
    if isinstance(function_class, Concave):
        lo, up, gap = _convex(evidence, rows, -1.0)
        return -up, -lo, gap
    return _convex(evidence, rows, 1.0)


def _convex(evidence: Evidence, x: Array, sign: float) -> tuple[Array, Array, Array]:
    """The envelope of sign * f."""
    known = gather(evidence, sign)
    if evidence.x_min is not None and evidence.x_max is not None and len(evidence.values) == 0:
        ends = (evidence.x_min, evidence.x_max) if sign > 0 else (evidence.x_max, evidence.x_min)
        return _two_pictures(known, evidence.domain, ends, x)
    tangents = check(known)
    lo, up, gap = np.empty(len(x)), np.empty(len(x)), np.empty(len(x))
    for n, row in enumerate(known.domain.nearest(known.frame.inward(x))):
        top = upper_bound(known, row)
        up[n], above = (np.inf, 0.0) if top is None else (top.value, top.value - top.best)
        lo[n], below = _lowest(known, tangents, row)
        gap[n] = max(above, below)
    up = np.minimum(up, known.ceiling)
    return known.frame.value(lo), known.frame.value(up), known.frame.unit * np.where(gap <= _ROUNDING, 0.0, gap)


def _lowest(known: Known, tangents: tuple[Support | None, ...], x: Array) -> tuple[float, float]:
    """lo(x) and its gap. L_i(x) is no higher than any tangent at p_i: nodes with a low tangent are passed over."""
    ceilings = [np.inf if t is None else float(t(x)) for t in tangents]
    best = most = known.floor
    for i in np.argsort(ceilings)[::-1]:
        if ceilings[i] <= best:
            break
        found, least = lower_bound(known, int(i), x, tangents[i], enough=best)
        best, most = max(best, found), max(most, least)
    return best, most - best if most > best else 0.0


def check(known: Known) -> tuple[Support | None, ...]:
    """Every known value lies on the lower hull of the others, and no subgradient overshoots.

    Returns:
        A tangent at each node: an affine function through its value that lies below all else; None where there is none.

    Raises:
        InconsistentEvidenceError: names the point above the hull, and those that span the hull below it.
    """
    convex = known.sign > 0
    above, passes, end = ("above", "overshoots", "maximum") if convex else ("below", "undershoots", "minimum")
    tangent = f"a tangent of a {'convex' if convex else 'concave'} function {passes}"
    for i, slope in known.slopes.items():
        rounding = known.slack + 1e-12 * float(np.abs(slope).sum())
        excess = known.values[i] + (known.places - known.places[i]) @ slope - known.values
        name, worst = f"gradient of {known.names[i]}", int(excess.argmax())
        if excess[worst] > rounding:
            raise InconsistentEvidenceError(f"{tangent} a value", (name, known.names[worst]))
        top = known.values[i] + slope @ (known.domain.farthest(slope) - known.places[i])
        if top > known.ceiling + rounding:
            raise InconsistentEvidenceError(f"{tangent} the {end}", (name, known.top))
    tangents: list[Support | None] = []
    for i, name in enumerate(known.names):
        value, place = float(known.values[i]), known.places[i]
        if i in known.slopes:
            tangents.append(Support(value, known.slopes[i], place))
        elif value <= known.floor:
            tangents.append(Support(value, np.zeros(len(place)), place))
        else:
            found = upper_bound(known, place)
            tangents.append(None if found is None else found.support)
            if found is not None and found.value < value - known.slack:
                spanning = [known.names[j] for j in np.flatnonzero(found.weights > 1e-9) if j != i]
                spanning += [known.top] if found.rest > 1e-9 else []
                figures = f"{known.shown(value):g} lies {above} the hull of the rest, {known.shown(found.value):g}"
                raise InconsistentEvidenceError(f"f({name}) = {figures}", (name, *spanning))
    return tuple(tangents)


def _two_pictures(known: Known, domain: Domain, ends: tuple[Array, Array], x: Array) -> tuple[Array, Array, Array]:
    """up = a + D rho(x), rho the gauge of X around x_min; lo = a but on the smallest face that contains x_max."""
    x_min, x_max = ends
    a, b = (known.frame.height(v) for v in (known.floor, known.ceiling))
    if known.ceiling - known.floor > known.slack and domain.gauge(x_max[None], x_min)[0] < 1 - 1e-6:
        words = ("convex", "maximum", "minimum") if known.sign > 0 else ("concave", "minimum", "maximum")
        reason = "a {} function has its {} on the boundary, as seen from its {}".format(*words)
        raise InconsistentEvidenceError(reason, ("x_min", "x_max"))
    if isinstance(domain, Box):
        slack = 1e-6 * (domain.upper - domain.lower)
        free = (x_max > domain.lower + slack) & (x_max < domain.upper - slack)
        face = ((x == x_max) | free).all(1)
    else:
        face = (x == x_max).all(1)
    up = a + (b - a) * np.minimum(domain.gauge(x, x_min), 1.0)
    return np.where(face, b, a), np.where(face, b, up), np.zeros(len(x))
