"""Members of the classes that pictures know by their geometry: quadratic, cosine and radial functions."""

from typing import Literal, TypeAlias

import numpy as np
from torch import nn

from snellen.base import UsageError
from snellen.theory.classes import Cosine, FunctionClass, Quadratic, Radial, RadialUnknown
from snellen.theory.cosine import ball_of, cosine_members
from snellen.theory.domain import Array
from snellen.theory.evidence import Evidence
from snellen.theory.modules import CosineMap, Quadric, RadialMap
from snellen.theory.quadratic import lines, spectrum, to_steps
from snellen.theory.radial import ROUND, ladder

End: TypeAlias = Literal["lower", "upper"]
"""Which bound a member attains."""

_NEARLY = 1e-9
"""Of the step down from one known value to the next, by how much a strictly falling profile misses an end."""


def geometric_member(
    function_class: "Quadratic | Cosine | Radial | RadialUnknown",
    evidence: Evidence,
    target: tuple[Array, float],
    end: End,
) -> nn.Module:
    """A member with the evidence that takes the value of the bound at x; target is (x, bound).

    Raises:
        UsageError: none is known, or the evidence leaves the bound open.
        InconsistentEvidenceError: no member has this evidence.
    """
    match function_class:
        case Quadratic():
            return _quadric(function_class, evidence, target[0], end)
        case Cosine():
            return _cosine(function_class, evidence)
        case Radial():
            known = ladder(evidence)
            return RadialMap(known.prototype, lambda t: function_class.at(np.minimum(t, known.farthest)))
    return _descent(evidence, target)


def _quadric(function_class: FunctionClass, evidence: Evidence, x: Array, end: End) -> Quadric:
    """floor or ceiling off the pictures; with an exemplar less, or more, along one direction in the plane of both."""
    found = spectrum(function_class, evidence)
    known = lines(found, evidence)
    if len(known.names) > 1:
        raise UsageError(
            "expected at most one exemplar off the pictures for a quadratic witness; none is known otherwise"
        )
    rest = found.ceiling if end == "upper" else found.floor
    axes, weights, ball = found.axes, found.heights, ball_of(evidence, "homogeneous quadratic")
    if len(known.names) and not np.isfinite(found.room):
        rest = float(known.heights[0])
    elif len(known.names) and found.room > 0:
        sign = -1.0 if end == "upper" else 1.0
        share = (known.heights[0] - found.floor) / found.room
        turned = _turned(known.units[0], found.rest(to_steps(evidence, x)[None])[0], share if sign < 0 else 1 - share)
        axes, weights = np.concatenate([axes, turned[None]]), np.append(weights - rest, sign * found.room)
        return Quadric(ball.centre, axes, weights, radius=ball.radius, rest=rest)
    rest = rest if np.isfinite(rest) else float(np.clip(0.0, found.floor, found.ceiling))
    return Quadric(ball.centre, axes, weights - rest, radius=ball.radius, rest=rest)


def _turned(unit: Array, off: Array, share: float) -> Array:
    """The v with |v| <= 1 and (v . unit)^2 = 1 - share for which v . off is smallest in size, in the plane of both."""
    across = off - (off @ unit) * unit
    length = float(np.linalg.norm(across))
    if length <= 1e-12 * float(np.linalg.norm(off)):
        return float(np.sqrt(1 - share)) * unit
    side = across / length * (1.0 if off @ unit >= 0 else -1.0)
    angle, phi = float(np.arctan2(length, abs(float(off @ unit)))), float(np.arcsin(np.sqrt(share)))
    if phi + angle <= np.pi / 2:
        return np.cos(phi) * unit - np.sin(phi) * side
    return np.cos(phi) / np.sin(angle) * (np.sin(angle) * unit - np.cos(angle) * side)


def _cosine(function_class: Cosine, evidence: Evidence) -> CosineMap:
    known = cosine_members(function_class, evidence)
    if known.direction is None or not np.isfinite(known.scale):
        raise UsageError("expected x_max and its value for a cosine witness; give them")
    centre = evidence.domain.centre
    return CosineMap(centre, known.direction, scale=known.scale, power=function_class.power)


def _descent(evidence: Evidence, target: tuple[Array, float]) -> RadialMap:
    """Straight lines through all known values and the target, falling all the way."""
    known = ladder(evidence)
    x, bound = target
    away = float(known.away(x[None])[0])
    knots = dict(zip(known.distances.tolist(), known.values.tolist(), strict=True))
    if away not in knots:
        before, after = known.values[known.distances < away], known.values[known.distances > away]
        value = bound
        if len(before) and len(after):
            value = float(np.clip(bound, *(after[0] + (before[-1] - after[0]) * np.array([_NEARLY, 1 - _NEARLY]))))
        knots[away] = value
    size = float(np.ptp(list(knots.values()))) or 1.0
    knots.setdefault(0.0, max(knots.values()) + size)
    if max(knots) < known.farthest * (1 - ROUND):
        knots[known.farthest] = min(knots.values()) - size
    grid = np.array(sorted(knots))
    heights = np.array([knots[t] for t in grid])
    return RadialMap(known.prototype, lambda t: np.interp(t, grid, heights))
