"""Bounds on a convex function from weights and prices of linear programs, each checked again by plain geometry.

A program proposes weights w on known places p_j. What is reported follows from the weights whatever the program did:
with q = sum w_j p_j and t the gauge of X around q at x, f(x) <= (1 - t) sum w_j v_j + t b. Its prices give an affine
function that, once lowered below everything known, shows how far from the tightest that is. No slope is cut off.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from snellen.base import UsageError
from snellen.theory.domain import Array, Box, Domain
from snellen.theory.evidence import Evidence
from snellen.theory.frames import Frame, framed
from snellen.theory.programs import cheapest

_ROUNDS = 60
_CLOSE = 1e-8
"""Of the values' range: a gap below it is rounding."""


@dataclass(frozen=True, eq=False)
class Support:
    """The affine function y -> value + slope . (y - place)."""

    value: float
    slope: Array
    place: Array

    def __call__(self, y: Array) -> Array:
        return np.asarray(self.value + (y - self.place) @ self.slope)


@dataclass(frozen=True, eq=False)
class Bound:
    """A bound that holds, and `best`, which no bound can pass: the tightest one lies between the two.

    Args:
        weights: (k,) of the known places in it; `rest`: that of the maximum over X.
        support: the affine minorant of all that is known behind `best`.
    """

    value: float
    best: float
    weights: Array
    rest: float
    support: Support


@dataclass(frozen=True, eq=False)
class Known:
    """The evidence of a convex function in its frame: values at places, subgradients by number, bounds over X.

    `floor` and `ceiling` are the values of x_min and x_max, infinite where those are not given. Of a concave function
    it is the evidence of its negative (sign = -1), under its own names.
    """

    domain: Domain
    frame: Frame
    sign: float
    names: tuple[str, ...]
    places: Array
    values: Array
    slopes: dict[int, Array]
    floor: float
    ceiling: float
    slack: float

    def shown(self, value: float) -> float:
        """A value as the user gave it."""
        return self.sign * self.frame.height(value)

    @property
    def top(self) -> str:
        """The name of the picture whose value is the ceiling."""
        return "x_max" if self.sign > 0 else "x_min"


def gather(evidence: Evidence, sign: float = 1.0) -> Known:
    """The evidence as `Known`; with sign = -1 that of -f.

    Raises:
        UsageError: a visualization without its value.
    """
    if any(n.value is None for n in evidence.nodes()):
        raise UsageError("expected the values of x_min and x_max for a convex or concave class; give them")
    other = {"x_min": "x_max", "x_max": "x_min"} if sign < 0 else {}
    frame, inner = framed(evidence if sign > 0 else evidence.flipped())
    nodes = inner.nodes()
    first = len(nodes) - len(inner.values)
    return Known(
        inner.domain,
        frame,
        sign,
        tuple(other.get(n.name, n.name) for n in nodes[:first]) + inner.labels,
        np.array([n.place for n in nodes]).reshape(len(nodes), inner.domain.dim),
        inner.known_values,
        {first + i: g for i, g in inner.slopes().items()},
        -np.inf if inner.value_min is None else inner.value_min,
        np.inf if inner.value_max is None else inner.value_max,
        inner.slack,
    )


def upper_bound(known: Known, x: Array) -> Bound | None:
    """The least mean of known values, and of the maximum on X, at places whose mean is x; None where there is none."""
    best: Bound | None = None
    sphere = _first_cuts(known, x, None)
    for weights, prices in _rounds(known, x, None, (x, sphere)):
        value, rest = _mean(known, weights, x)
        support = _lowered(known, prices)
        if best is None:
            best = Bound(value, float(support(x)), weights, rest, support)
        if value < best.value:
            best = Bound(value, best.best, weights, rest, best.support)
        if float(support(x)) > best.best:
            best = Bound(best.value, float(support(x)), best.weights, best.rest, support)
        if best.value - best.best <= _CLOSE:
            break
        sphere.append(known.domain.farthest(prices[:-1]))
        sphere.append(known.domain.farthest(prices[:-1] + best.support.slope))
        sphere += _exit(known, weights, x)
    return best


def lower_bound(
    known: Known, i: int, x: Array, tangent: Support | None = None, *, enough: float = -np.inf
) -> tuple[float, float]:
    """A bound on f(x) from below because of node i, and what no such bound can pass; no search where that is `enough`.

    f(x) >= v_i - |x - p_i| r for the rate r at which the upper hull U rises beyond p_i: the least of
    (U(z) - v_i) / |z - p_i| at z = p_i + s (p_i - x), s > 0. Minus infinity where p_i is an end of all that is known.
    """
    place, height = known.places[i], float(known.values[i])
    if i in known.slopes:
        found = height + float((x - place) @ known.slopes[i])
        return found, found
    apart = float(np.linalg.norm(x - place))
    if apart == 0:
        return height, height
    ray = (place - x) / apart
    room = float(known.domain.room(place[None], ray[None])[0])
    best, inner = np.inf, None if tangent is None else tangent.slope
    sphere = _first_cuts(known, place, ray)
    for weights, prices in _rounds(known, place, i, (ray, sphere)) if room > 0 else ():
        best = min(best, _rate(known, i, ray, weights))
        slope = _admissible(known, i, inner, prices)
        inner = slope if inner is None or slope @ ray > inner @ ray else inner
        if apart * (best - inner @ ray) <= _CLOSE or height - apart * float(inner @ ray) <= enough:
            break
        sphere += [known.domain.farthest(prices), known.domain.farthest(slope)]
        if weights.sum() > 0:
            sphere += _exit(known, weights, place + min(1 / weights.sum(), room) * ray)
    if best == np.inf or inner is None:
        return -np.inf, -np.inf
    return height - apart * best, height - apart * min(float(inner @ ray), best)


def _rounds(
    known: Known, centre: Array, i: int | None, aim: tuple[Array, list[Array]]
) -> Iterator[tuple[Array, Array]]:
    """Weights (k,) and prices: one pair on a box; on a ball, ever better ones, as points of the sphere come in.

    i None: means of places that are the target x; prices (d + 1,). Else: ways from node i whose sum is the target, a
    ray, each weighed by its length; prices (d,).
    """
    (target, sphere), count, dim = aim, len(known.places), known.domain.dim
    rounds = _ROUNDS if sphere else 1
    for _ in range(rounds):
        rim = np.array(sphere).reshape(len(sphere), dim)
        places, values = np.concatenate([known.places, rim]), np.r_[known.values, np.full(len(rim), known.ceiling)]
        if i is None:
            lengths = np.ones(len(places))
            program = np.concatenate([places, lengths[:, None]], 1).T, np.append(target, 1.0), values
        else:
            columns, costs, lengths = _ways(known, i, places, values)
            program = columns, target, costs
        if isinstance(known.domain, Box) and np.isfinite(known.ceiling):
            cost = known.ceiling - (0.0 if i is None else float(known.values[i]))
            program = _with_box(known.domain, centre, cost, program)
        found = cheapest(*program)
        if found is None:
            return
        yield found[0][:count] / lengths[:count], found[1][: dim + (i is None)]


def _ways(known: Known, i: int, places: Array, values: "Array | float") -> tuple[Array, Array, Array]:
    """From p_i to places (k, d): unit vectors (d, k), the rates at which f rises on them, and their lengths."""
    steps = places - known.places[i]
    lengths = np.linalg.norm(steps, axis=1)
    lengths[lengths == 0] = np.inf
    return (steps / lengths[:, None]).T, (values - known.values[i]) / lengths, lengths


def _with_box(box: Box, centre: Array, cost: float, program: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
    """Further columns: a weight m of X, and m (y - c) written as y_i = m lower_i + up_i with up_i + down_i = m width_i.

    Of means (a row of ones for the weights) c = 0; of ways it is the centre.
    """
    columns, target, costs = program
    (rows, count), dim = columns.shape, box.dim
    whole = np.zeros((rows + dim, count + 1 + 2 * dim))
    whole[:rows, :count] = columns
    whole[:dim, count] = box.lower - (centre if rows == dim else 0.0)
    whole[dim:rows, count] = 1.0
    whole[:dim, count + 1 : count + 1 + dim] = np.eye(dim)
    whole[rows:, count] = box.lower - box.upper
    whole[rows:, count + 1 :] = np.concatenate([np.eye(dim), np.eye(dim)], 1)
    return whole, np.concatenate([target, np.zeros(dim)]), np.r_[costs, cost, np.zeros(2 * dim)]


def _first_cuts(known: Known, centre: Array, ray: Array | None) -> list[Array]:
    """Points of a sphere for the first round: x itself or the end of the ray, ends of the lines through what is known.

    None on a box, or where no maximum is known.
    """
    ball = known.domain
    if isinstance(ball, Box) or not np.isfinite(known.ceiling):
        return []
    steps = known.places - centre
    lengths = np.linalg.norm(steps, axis=1)
    units = steps[lengths > 0] / lengths[lengths > 0, None]
    units = np.concatenate([units, -units] if ray is None else [units, -units, ray[None]])
    start = np.broadcast_to(centre, units.shape)
    ends = [*(start + ball.room(start, units)[:, None] * units), *(ball.farthest(u) for u in np.eye(ball.dim))]
    ends += [ball.farthest(-u) for u in np.eye(ball.dim)]
    return [centre, *ends] if ray is None else ends


def _exit(known: Known, weights: Array, x: Array) -> list[Array]:
    """Where the line from the mean of the weighed places through x leaves a ball."""
    if weights.sum() <= 0:
        return []
    mean = weights @ known.places / weights.sum()
    step = x - mean
    length = float(np.linalg.norm(step))
    if length == 0:
        return []
    return [mean + float(known.domain.room(mean[None], step[None] / length)[0]) / length * step]


def _mean(known: Known, weights: Array, x: Array) -> tuple[float, float]:
    """(an upper bound at x from weights on known places, the share of the maximum in it); it holds for any weights."""
    total = float(weights.sum())
    if total <= 0:
        return known.ceiling, 1.0
    share = weights / total
    value, rest = float(share @ known.values), 0.0
    if np.isfinite(known.ceiling):
        rest = float(min(known.domain.gauge(x[None], share @ known.places)[0], 1.0))
        value = (1 - rest) * value + rest * known.ceiling if rest > 0 else value
    here = known.values[(known.places == x).all(1)]
    return float(min([value, *here])), rest


def _rate(known: Known, i: int, ray: Array, weights: Array) -> float:
    """An upper bound on the rate at which f rises from p_i along the ray, for any weights >= 0 on ways to other nodes.

    What the ways leave of the ray is n (y - p_i) with y on the boundary of X: at most n (b - v_i) more.
    """
    height, total = float(known.values[i]), float(weights.sum())
    rate = float(weights @ (known.values - height))
    if not np.isfinite(known.ceiling):
        return rate
    place, domain = known.places[i], known.domain
    rest = ray - weights @ (known.places - place)
    found = [rate]
    if rest.any():
        found = [rate + float(domain.gauge((place + rest)[None], place)[0]) * (known.ceiling - height)]
    if total > 0:  # where that leaves X by rounding: what the places' mean says of a place on the ray itself
        away = min(1 / total, float(domain.room(place[None], ray[None])[0]))
        found.append((_mean(known, weights, place + away * ray)[0] - height) / away)
    return min(found)


def _lowered(known: Known, prices: Array) -> Support:
    """y -> slope . y + base, lowered until it is below every known value, and below the maximum on X."""
    slope, base = prices[:-1], float(prices[-1])
    over = [0.0, *(base + known.places @ slope - known.values)]
    if np.isfinite(known.ceiling):
        over.append(base + float(slope @ known.domain.farthest(slope)) - known.ceiling)
    centre = known.domain.centre
    return Support(base - max(over) + float(slope @ centre), slope, centre)


def _admissible(known: Known, i: int, inner: Array | None, slope: Array) -> Array:
    """The slope, or (on a ball) as far towards it from an admissible one as v_i + slope . (y - p_i) stays below b."""
    if isinstance(known.domain, Box) or not np.isfinite(known.ceiling):
        return slope
    start, left = np.zeros_like(slope) if inner is None else inner, known.ceiling - float(known.values[i])

    def most(share: float) -> float:
        mixed = start + share * (slope - start)
        return float(mixed @ (known.domain.farthest(mixed) - known.places[i]))

    if most(1.0) <= left:
        return slope
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if most(middle) <= left else (low, middle)
    return start + low * (slope - start)
