"""Smooth functions: bounds along lines, with the gap to functions known to exist (docs/theory.md, section 8)."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from snellen.base import UsageError
from snellen.theory.classes import FunctionClass, Smooth
from snellen.theory.domain import Array
from snellen.theory.evidence import Evidence, InconsistentEvidenceError
from snellen.theory.frames import framed

_HALVINGS = 48


@dataclass(frozen=True, eq=False)
class Line:
    """The ways from k known places to n points: length t, room beyond the point, room behind the place, (k, n) each."""

    length: Array
    ahead: Array
    behind: Array


def radial_rise(t: Array, spread: float, bound: float) -> Array:
    """The highest smooth climb from a minimum: L t^2 / 2, then D - L (T - t)^2 / 2, then D, with T = 2 sqrt(D / L)."""
    turn = np.sqrt(spread / bound)
    late = spread - bound / 2 * np.maximum(2 * turn - t, 0.0) ** 2
    return np.where(t <= turn, bound / 2 * t**2, late)


def line_rise(line: Line, start: Array, spread: float, bound: float) -> Array:
    """The most that f(x) - v can be, for a place with value v = a + start, along the line alone; cut at D - start.

    Among all phi with phi(0) = 0, |phi''| <= L and -start <= phi <= D - start on the line; start (k, 1) -> (k, n).
    """
    left = spread - start
    slope = steepest(line.behind, start, bound)
    with np.errstate(divide="ignore", invalid="ignore"):
        most = np.minimum(slope + bound * line.length, left / line.length + bound * (line.length + 1.0))
    low, high = np.zeros_like(line.length), np.where(line.length > 0, most, 0.0)
    for _ in range(_HALVINGS):
        q = (low + high) / 2
        over = climb(line.length, slope, q, bound) + overshoot(q, line.ahead, bound) > left
        low, high = np.where(over, low, q), np.where(over, q, high)
    return np.minimum(climb(line.length, slope, high, bound), left)


def climb(t: Array, slope: Array, q: Array, bound: float) -> Array:
    """The highest phi(t) with phi(0) = 0, phi'(0) <= slope, phi'(t) = q and |phi''| <= L."""
    coast = q * t + bound / 2 * t**2
    finite = np.where(np.isfinite(slope), slope, 0.0)
    peak = (finite + q + bound * t) / 2
    turned = (2 * peak**2 - finite**2 - q**2) / (2 * bound)
    return np.where(slope >= q + bound * t, coast, turned)


def overshoot(q: Array, room: Array, bound: float) -> Array:
    """How much more f must rise beyond a point where it has slope q >= 0, within the room."""
    inside = np.where(np.isfinite(room), room, 0.0)
    return np.where(q <= bound * room, q**2 / (2 * bound), q * inside - bound / 2 * inside**2)


def steepest(room: Array, start: Array, bound: float) -> Array:
    """The largest slope away from `room` at a height `start` above the minimum: else f falls below it behind."""
    fall = np.sqrt(2 * start / bound)
    wall = room <= 1e-12
    short = start / np.where(wall, 1.0, room) + bound / 2 * room
    return np.where(wall, np.inf, np.where(fall <= room, bound * fall, short))


def smooth_envelope(
    function_class: FunctionClass, evidence: Evidence, x: "Array | Tensor"
) -> tuple[Array, Array, Array]:
    """Outer bounds, and how far they may be from the tightest.

    Raises:
        UsageError: x_min or x_max or their values are missing.
        InconsistentEvidenceError: a value outside the bounds that the others imply.
    """
    if not isinstance(function_class, Smooth) or not np.isfinite(evidence.spread):
        raise UsageError("expected x_min and x_max with their values for a smooth class; give them")
    frame, inner = framed(evidence, isotropic=True)
    rows = inner.domain.nearest(frame.inward(np.asarray(x, dtype=np.float64)))
    bound = max(function_class.bound * float(np.max(frame.size)) ** 2 / frame.unit, 1e-200)
    _check(bound, inner, function_class)
    low = float(inner.value_min or 0.0)
    up = low + _highest(bound, inner, rows)
    lo = low + inner.spread - _highest(bound, inner.flipped(), rows)
    return frame.value(lo), frame.value(up), frame.unit * _gap(bound, inner, rows, (lo, up))


def _highest(bound: float, evidence: Evidence, x: Array) -> Array:
    """The lowest of the bounds from every node, above value_min, (n,)."""
    best = np.minimum(_from_nodes(bound, evidence, x).min(0), evidence.spread)
    for number, slope in evidence.slopes().items():
        step = x - evidence.points[number]
        start = float(evidence.values[number]) - (evidence.value_min or 0.0)
        best = np.minimum(best, start + step @ slope + bound / 2 * (step**2).sum(1))
    return best


def _from_nodes(bound: float, evidence: Evidence, x: Array) -> Array:
    """The highest that f - value_min can be at x (n, d) because of each of the k nodes alone, (k, n)."""
    nodes, low = evidence.nodes(), evidence.value_min or 0.0
    start = np.clip([(n.value or 0.0) - low for n in nodes], 0.0, evidence.spread)[:, None]
    places = np.array([n.place for n in nodes])
    steps = x - places[:, None]
    length = np.linalg.norm(steps, axis=2)
    units = (steps / np.where(length > 0, length, 1.0)[:, :, None]).reshape(-1, evidence.domain.dim)
    ahead = evidence.domain.room(np.tile(x, (len(nodes), 1)), units).reshape(length.shape)
    behind = evidence.domain.room(np.repeat(places, len(x), 0), -units).reshape(length.shape)
    line = Line(length, np.where(length > 0, ahead, 0.0), np.where(length > 0, behind, 0.0))
    return start + np.where(length > 0, line_rise(line, start, evidence.spread, bound), 0.0)


def _gap(bound: float, evidence: Evidence, x: Array, outer: tuple[Array, Array]) -> Array:
    """The distance to the two radial members, where they exist; else the whole width: nothing tighter is shown."""
    lo, up = outer
    width = np.maximum(up - lo, 0.0)
    if evidence.x_min is None or evidence.x_max is None or not radial(bound, evidence):
        return width
    rise = radial_rise(np.linalg.norm(x - evidence.x_min, axis=1), evidence.spread, bound)
    fall = radial_rise(np.linalg.norm(x - evidence.x_max, axis=1), evidence.spread, bound)
    low, high = float(evidence.value_min or 0.0), float(evidence.value_max or 0.0)
    return np.minimum(np.maximum(up - low - rise, high - fall - lo).clip(min=0.0), width)


def radial(bound: float, evidence: Evidence) -> bool:
    """Whether a + rise(||x - x_min||) and b - rise(||x - x_max||) have the evidence: room for both, no exemplars."""
    if evidence.x_min is None or evidence.x_max is None or len(evidence.values):
        return False
    apart = float(np.linalg.norm(evidence.x_max - evidence.x_min))
    return 4 * evidence.spread <= bound * apart**2 * (1 + 1e-9)


def _check(bound: float, evidence: Evidence, function_class: Smooth) -> None:
    """Every value lies inside the bounds that the other pieces imply, one by one; `bound` is L in the frame."""
    places = np.array([n.place for n in evidence.nodes()])
    names = [n.name for n in evidence.nodes()]
    for known in (evidence, evidence.flipped()):
        sign = 1.0 if known is evidence else -1.0
        values = sign * np.array([n.value or 0.0 for n in evidence.nodes()])
        excess = values - (known.value_min or 0.0) - _from_nodes(bound, known, places)
        first, second = np.unravel_index(int(excess.argmax()), excess.shape)
        if excess[first, second] > known.slack:
            other = known.nodes()[int(first)].name
            pieces = (names[int(second)], other if known is evidence else _swap(other))
            most = f"a gradient with Lipschitz constant {function_class.bound:g} lets it"
            reason = f"f changes by more between them than {most}"
            raise InconsistentEvidenceError(reason, pieces)


def _swap(name: str) -> str:
    return {"x_min": "x_max", "x_max": "x_min"}.get(name, name)
