"""Affine functions that support what is known of a convex function: the dual of its lower hull, by linear programs."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from snellen.base import UsageError
from snellen.theory.domain import Array, Box, Domain
from snellen.theory.evidence import Evidence, InconsistentEvidenceError
from snellen.theory.programs import Program

_ROUNDS = 60
_STEEPEST = 1e5
_CLOSE = 1e-7


@dataclass(frozen=True, eq=False)
class Support:
    """The affine function y -> value + slope . (y - place); `gap`: how far it may be from the best one."""

    value: float
    slope: Array
    place: Array
    gap: float = 0.0

    def __call__(self, y: Array) -> Array:
        return np.asarray(self.value + (y - self.place) @ self.slope)


@dataclass(frozen=True, eq=False)
class Known:
    """The evidence of a convex function, plainly: values at places, subgradients by number, bounds over X.

    `floor` and `ceiling` are the values of x_min and x_max, infinite where those are not given. `cuts` are points of a
    ball's sphere at which some program has gone above the ceiling: every later program keeps below it there.
    """

    domain: Domain
    names: tuple[str, ...]
    places: Array
    values: Array
    slopes: dict[int, Array]
    floor: float
    ceiling: float
    slack: float
    cuts: list[Array] = field(default_factory=list)

    @property
    def scale(self) -> float:
        """The size of the values, for tolerances."""
        return float(max(np.ptp(self.values), 1e-12)) if len(self.values) else 1.0


def gather(evidence: Evidence) -> Known:
    """The evidence as `Known`.

    Raises:
        UsageError: a visualization without its value.
    """
    nodes = evidence.nodes()
    if any(n.value is None for n in nodes):
        raise UsageError("expected the values of x_min and x_max for a convex or concave class; give them")
    first = len(nodes) - len(evidence.values)
    return Known(
        evidence.domain,
        tuple(n.name for n in nodes),
        np.array([n.place for n in nodes]).reshape(len(nodes), evidence.domain.dim),
        np.array([n.value for n in nodes], dtype=np.float64),
        {first + i: g for i, g in evidence.slopes().items()},
        -np.inf if evidence.value_min is None else evidence.value_min,
        np.inf if evidence.value_max is None else evidence.value_max,
        evidence.slack,
    )


def upper_support(known: Known, x: Array) -> Support | None:
    """The affine minorant of the evidence that is highest at x; None where nothing limits it."""
    objective = np.concatenate([np.zeros(known.domain.dim), [1.0]])
    last = None
    for last in _rounds(known, x, objective, None):
        if last.gap <= _CLOSE * known.scale:
            break
    return last


def lower_support(known: Known, i: int, x: Array) -> Support | None:
    """The affine minorant through (p_i, v_i) that is lowest at x; None where it can be as low as it likes."""
    if i in known.slopes:
        return Support(float(known.values[i]), known.slopes[i], known.places[i])
    objective = np.concatenate([known.places[i] - x, [0.0]])
    last = None
    for last in _rounds(known, known.places[i], objective, float(known.values[i])):
        if last.gap <= _CLOSE * known.scale:
            return last
    return None if last is None else replace(last, gap=np.inf)


def _rounds(known: Known, origin: Array, objective: Array, height: float | None) -> Iterator[Support]:
    """The best support over X; on a ball, ever better ones: each round adds the plane that the last one violates."""
    dim = known.domain.dim
    first = _first_cuts(known, origin - objective[:dim])
    for _ in range(_ROUNDS):
        z = _solve(known, (origin, first + known.cuts), objective, height)
        if z is None:
            return
        slope, base = z[:dim] - z[dim : 2 * dim], float(z[2 * dim])
        if isinstance(known.domain, Box) or not np.isfinite(known.ceiling):
            yield Support(base, slope, origin)
            return
        far = known.domain.farthest(slope)
        excess = base + float(slope @ (far - origin)) - known.ceiling
        yield Support(base, slope, origin, max(excess, 0.0))
        known.cuts.append(far)


def _first_cuts(known: Known, x: Array) -> list[Array]:
    """Points of a sphere that bound the first program: where the lines between x and what is known leave the ball."""
    if isinstance(known.domain, Box):
        return []
    steps = known.places - x
    lengths = np.linalg.norm(steps, axis=1)
    units = steps[lengths > 0] / lengths[lengths > 0, None]
    ends, here = known.places[lengths > 0], np.broadcast_to(x, units.shape)
    beyond = [*(ends + known.domain.room(ends, units)[:, None] * units)]
    axes = np.concatenate([np.eye(known.domain.dim), -np.eye(known.domain.dim)])
    corners = [known.domain.farthest(axis) for axis in axes]
    return [*beyond, *(here - known.domain.room(here, -units)[:, None] * units), *corners]


def _solve(known: Known, around: tuple[Array, list[Array]], objective: Array, height: float | None) -> Array | None:
    """(g+, g-, h) that maximizes objective . (g, h) under h + g . (p_j - o) <= v_j and h + g . (y - o) <= b on X."""
    origin, cuts = around
    dim = known.domain.dim
    places, limits = known.places - origin, known.values
    if np.isfinite(known.ceiling) and not isinstance(known.domain, Box):
        places = np.concatenate([places, np.array(cuts).reshape(len(cuts), dim) - origin])
        limits = np.concatenate([limits, np.full(len(cuts), known.ceiling)])
    matrix = np.concatenate([places, -places, np.ones((len(places), 1))], 1)
    if np.isfinite(known.ceiling) and isinstance(known.domain, Box):
        wall = np.concatenate([known.domain.upper - origin, origin - known.domain.lower, [1.0]])
        matrix, limits = np.concatenate([matrix, wall[None]]), np.append(limits, known.ceiling)
    ball = not isinstance(known.domain, Box) and np.isfinite(known.ceiling)
    most = _STEEPEST * known.scale if ball else np.inf
    low, high = (-np.inf, np.inf) if height is None else (height, height)
    lower, upper = np.append(np.zeros(2 * dim), low), np.append(np.full(2 * dim, most), high)
    both = np.concatenate([objective[:dim], -objective[:dim], objective[dim:]])
    for give in (0.0, 4 * known.slack):
        program = Program(np.zeros((0, len(both))), np.zeros(0), (), lower, upper, matrix, limits + give)
        try:
            z = program.extreme(both)[1]
        except InconsistentEvidenceError:
            continue
        if z is None:
            return None
        fallen = height is not None and np.isfinite(most) and objective @ objective > 0
        far = float(np.abs(objective[:dim]).max()) * most
        return None if fallen and float(both @ z) - (height or 0.0) * objective[dim] > 0.5 * far else z
    raise InconsistentEvidenceError("no convex function has all these values", known.names)
