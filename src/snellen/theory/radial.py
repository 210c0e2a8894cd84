"""Radial functions f(x) = h(||x - p||): the largest picture is the prototype p (docs/theory.md, section 12)."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from snellen.base import UsageError
from snellen.theory.classes import FunctionClass, Radial
from snellen.theory.domain import Array
from snellen.theory.evidence import Evidence, InconsistentEvidenceError

ROUND = 1e-6
"""Of the farthest distance, by which x_min may be nearer: the tolerance of points in the domain."""


@dataclass(frozen=True, eq=False)
class Ladder:
    """The known values by distance from the prototype: h falls through all of them.

    Args:
        prototype: (d,), x_max.
        distances, values: (k,) in order of the distances.
        farthest: the largest distance that the domain has.
        floor, ceiling: the values of x_min and x_max, infinite where unknown.
        rounding: of distances.
    """

    prototype: Array
    distances: Array
    values: Array
    farthest: float
    rounding: float
    floor: float
    ceiling: float

    def away(self, x: Array) -> Array:
        """(n, d) -> (n,) distances, of points beyond the wall by rounding as on it."""
        return np.minimum(distance(x, self.prototype), self.farthest)


def distance(x: Array, place: Array) -> Array:
    """Of every row of x (n, d) from a place (d,), the same to the last bit for equal rows."""
    return np.asarray(np.linalg.norm(np.ascontiguousarray(x - place), axis=1))


def radial_envelope(
    function_class: FunctionClass, evidence: Evidence, x: "Array | Tensor"
) -> tuple[Array, Array] | tuple[Array, Array, Array]:
    """With a known profile the value; else the known values next in distance, with a gap where two are not told apart.

    Raises:
        UsageError: x_max is missing.
        InconsistentEvidenceError: x_min is nearer to x_max than another point, or values do not fall with the distance.
    """
    rows = np.asarray(x, dtype=np.float64)
    known = ladder(evidence)
    if isinstance(function_class, Radial):
        _check_profile(function_class, evidence, known)
        value = function_class.at(np.append(known.away(rows), 0.0))[:-1]
        return value, value
    _check_order(evidence, known)
    return _between(known, rows)


def ladder(evidence: Evidence) -> Ladder:
    """What is known, in order of the distance from x_max."""
    if evidence.x_max is None:
        raise UsageError("expected x_max for a radial class, whose prototype it is; give it")
    prototype, farthest = evidence.x_max, evidence.domain.reach(evidence.x_max)
    if evidence.x_min is not None:
        away = float(distance(evidence.x_min[None], prototype)[0])
        if away < farthest * (1 - ROUND):
            reason = f"x_min is {away:g} from x_max, the farthest point of the domain {farthest:g}"
            raise InconsistentEvidenceError(reason, ("x_min", "x_max"))
    nodes = [n for n in evidence.nodes() if n.value is not None]
    places = np.array([n.place for n in nodes]).reshape(len(nodes), evidence.domain.dim)
    distances = np.minimum(distance(places, prototype), farthest)
    values = np.array([n.value for n in nodes], dtype=np.float64)
    order = np.lexsort((-values, distances))
    size = farthest + float(np.abs(prototype).max())
    rounding = 8 * float(np.finfo(np.float64).eps) * size
    floor = -np.inf if evidence.value_min is None else evidence.value_min
    ceiling = np.inf if evidence.value_max is None else evidence.value_max
    return Ladder(
        prototype, distances[order], values[order], farthest=farthest, rounding=rounding, floor=floor, ceiling=ceiling
    )


def _between(known: Ladder, x: Array) -> tuple[Array, Array, Array]:
    """lo: the largest value farther away; up: the smallest value nearer; both: the value at the very distance."""
    away = known.away(x)[:, None]
    same = away == known.distances
    nearer, farther = known.distances < away - known.rounding, known.distances > away + known.rounding
    up = np.where(nearer | same, known.values, np.inf).min(1, initial=np.inf)
    lo = np.where(farther | same, known.values, -np.inf).max(1, initial=-np.inf)
    lo, up = np.maximum(lo, known.floor), np.minimum(up, known.ceiling)
    unclear = (~(nearer | farther | same)).any(1) & (up > lo)
    return lo, up, np.where(unclear, up - lo, 0.0)


def _check_order(evidence: Evidence, known: Ladder) -> None:
    """Values do not rise with the distance."""
    nodes = [n for n in evidence.nodes() if n.value is not None]
    if len(nodes) < 2:
        return
    away = known.away(np.array([n.place for n in nodes]))
    values = np.array([n.value for n in nodes], dtype=np.float64)
    farther = away[:, None] > away[None] + known.rounding
    rise = np.where(farther, values[:, None] - values[None], -np.inf)
    far, near = np.unravel_index(int(rise.argmax()), rise.shape)
    if rise[far, near] > evidence.slack:
        one, other = nodes[int(far)], nodes[int(near)]
        reason = f"f({one.name}) = {one.value:g} is above f({other.name}) = {other.value:g}, nearer to x_max"
        raise InconsistentEvidenceError(reason, (one.name, other.name, "x_max"))


def _check_profile(kind: Radial, evidence: Evidence, known: Ladder) -> None:
    """Every known value is the profile's at its distance, within the slack and what a rounded distance changes."""
    ends = kind.at(np.array([0.0, known.farthest]))
    if not ends[0] > ends[1]:
        raise UsageError(f"expected a strictly decreasing profile, got {ends[0]:g} at 0 and {ends[1]:g} at the far end")
    for node in evidence.nodes():
        if node.value is None:
            continue
        away = float(known.away(node.place[None])[0])
        room = ROUND * known.farthest if node.name == "x_min" else known.rounding
        near = kind.at(np.clip([away - room, away, away + known.rounding], 0.0, known.farthest))
        slack = evidence.slack + 1e-9 * float(ends[0] - ends[1]) + float(near[0] - near[2])
        if abs(node.value - near[1]) > slack:
            reason = f"f({node.name}) = {node.value:g}, but the profile is {near[1]:g} at its distance from x_max"
            raise InconsistentEvidenceError(reason, (node.name, "x_max"))
