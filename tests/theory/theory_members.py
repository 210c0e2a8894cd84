"""Random members of every function class, with their true extremes: none of this uses the code under test."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from snellen.theory import (
    Additive,
    Affine,
    AffineAlong,
    Ball,
    BlackBox,
    Box,
    Concave,
    Constant,
    Convex,
    Cosine,
    Evidence,
    FittedReLUNetwork,
    FunctionClass,
    Lipschitz,
    LipschitzUnknown,
    Monotone,
    PatchAdditive,
    PiecewiseAffine,
    Quadratic,
    Radial,
    RadialUnknown,
    ReLUNetwork,
    Smooth,
    SparseAffine,
)


@dataclass(frozen=True, eq=False)
class Case:
    """A member f of a class, and what is known of it."""

    function_class: FunctionClass
    evidence: Evidence
    f: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray] | None = None
    nonlinear: bool = True


def box(rng, dim):
    if rng.random() < 0.5:
        return Box.unit(dim)
    lower = rng.normal(size=dim)
    return Box(lower, lower + rng.uniform(0.3, 2, dim))


def ball(rng, dim):
    return Ball(rng.normal(size=dim), float(rng.uniform(0.3, 2)))


def seen(domain, f, low, high):
    """Evidence of the two visualizations."""
    a, b = f(np.array([low, high]))
    return Evidence(domain, low, high, float(a), float(b))


def grid_function(rng, domain, knots):
    """A continuous piecewise affine function on the Kuhn triangulation of a grid, and its extremes (at grid points)."""
    dim = domain.dim
    values = rng.normal(size=(knots,) * dim)
    step = (domain.upper - domain.lower) / (knots - 1)

    def f(x):
        t = np.clip((np.asarray(x) - domain.lower) / step, 0, knots - 1)
        cell = np.minimum(t.astype(int), knots - 2)
        rest = t - cell
        order = np.argsort(-rest, axis=1)
        corner = cell.copy()
        total = values[tuple(corner.T)].copy()
        rows = np.arange(len(t))
        for axis in order.T:
            before = values[tuple(corner.T)]
            corner[rows, axis] += 1
            total += rest[rows, axis] * (values[tuple(corner.T)] - before)
        return total

    places = [
        domain.lower + np.array(np.unravel_index(k, values.shape)) * step for k in (values.argmin(), values.argmax())
    ]
    return f, places


def clipped(rng, domain, g):
    """g cut at its values at two random places, which become a minimizer and a maximizer, whatever the domain."""
    low, high = sorted(domain.sample(2, rng), key=lambda p: float(g(p[None])[0]))
    ends = g(np.array([low, high]))
    return (lambda x: np.clip(g(x), *ends)), (low, high)


def around(domain):
    """The smallest box that holds a domain."""
    return domain if isinstance(domain, Box) else Box(domain.centre - domain.radius, domain.centre + domain.radius)


def piecewise(rng, dim):
    """(domain, f, its extremes): on a box with extremes at corners of the grid, or clipped, on a box or a ball."""
    domain = (ball if rng.random() < 0.3 else box)(rng, dim)
    f, places = grid_function(rng, around(domain), int(rng.integers(2, 5)))
    if isinstance(domain, Ball) or rng.random() < 0.3:
        f, places = clipped(rng, domain, f)
    return domain, f, places


def flexible(kind):
    def make(rng, dim):
        domain, f, (low, high) = piecewise(rng, dim)
        return Case(kind(), seen(domain, f, low, high), f)

    return make


def fitted(rng, dim):
    domain, f, (low, high) = piecewise(rng, dim)
    inputs = domain.sample(int(rng.integers(1, 5)), rng)
    return Case(FittedReLUNetwork(inputs, f(inputs)), seen(domain, f, low, high), f)


def lipschitz(norm):
    order, dual = {"l1": (1, np.inf), "l2": (2, 2), "linf": (np.inf, 1)}[norm]

    def make(rng, dim):
        domain = (ball if rng.random() < 0.3 else box)(rng, dim)
        bound = float(rng.uniform(0.1, 3))
        low, high = domain.sample(2, rng)
        if isinstance(domain, Box) and rng.random() < 0.5:
            low, high = domain.lower, domain.upper
        apart = np.linalg.norm(high - low, order)
        spread = bound * apart * rng.uniform(0.2, 1)
        ramp = rng.normal(size=dim)
        ramp *= bound * rng.uniform(0.3, 1) / np.linalg.norm(ramp, dual)
        apexes, heights = domain.sample(3, rng), rng.normal(size=3)

        def f(x):
            cones = heights + bound * rng_sign * np.linalg.norm(x[:, None] - apexes, order, axis=2)
            inner = np.maximum(cones.min(1), x @ ramp) if rng_sign > 0 else np.minimum(cones.max(1), x @ ramp)
            inner = np.maximum(np.maximum(inner, spread - bound * np.linalg.norm(x - high, order, axis=1)), 0)
            return np.minimum(np.minimum(inner, bound * np.linalg.norm(x - low, order, axis=1)), spread) + shift

        rng_sign, shift = rng.choice([-1.0, 1.0]), rng.normal()
        return Case(Lipschitz(bound, norm), seen(domain, f, low, high), f)

    return make


def monotone(rng, dim):
    domain = (ball if rng.random() < 0.2 else box)(rng, dim)
    rates, steps, places = rng.uniform(0, 1, (3, dim)), rng.uniform(0, 1, 3), domain.sample(3, rng)
    rates[rng.random((3, dim)) < 0.4] = 0

    def f(x):
        jumps = (x[:, None] >= places).all(2) @ steps
        return np.maximum((x @ rates[:2].T).min(1), x @ rates[2]) + jumps

    if isinstance(domain, Box) and rng.random() < 0.8:
        return Case(Monotone(), seen(domain, f, domain.lower, domain.upper), f)
    cut, (low, high) = clipped(rng, domain, f)
    return Case(Monotone(), seen(domain, cut, low, high), cut)


def convex(rng, dim):
    if rng.random() < 0.1:
        return convex_on_ball(rng, dim)
    domain = box(rng, dim)
    low = domain.sample(1, rng)[0] if rng.random() < 0.7 else domain.lower.copy()
    slopes, sinks = rng.normal(size=(4, dim)), rng.uniform(0, 0.5, 4)
    curve = rng.choice([0.0, 1.0])

    def f(x):
        step = x - low
        return np.maximum((step @ slopes.T - sinks).max(1), 0) + curve * (step**2).sum(1)

    def slope(x):
        step = x - low
        pieces = step @ slopes.T - sinks
        active = np.where((pieces.max(1) > 0)[:, None], slopes[pieces.argmax(1)], 0.0)
        return active + 2 * curve * step

    corners = np.array(list(itertools.product(*zip(domain.lower, domain.upper, strict=True))))
    return Case(Convex(), seen(domain, f, low, corners[f(corners).argmax()]), f, slope)


def convex_on_ball(rng, dim):
    domain = ball(rng, dim)
    ray = rng.normal(size=dim)
    ray /= np.linalg.norm(ray)
    low = domain.centre + domain.radius * rng.uniform(-0.9, 0.5) * ray
    power = rng.choice([1.0, 2.0])

    def f(x):
        return np.maximum((x - low) @ ray, 0) ** power

    def slope(x):
        along = np.maximum((x - low) @ ray, 0)
        return (power * along ** (power - 1) * (along > 0))[:, None] * ray

    return Case(Convex(), seen(domain, f, low, domain.centre + domain.radius * ray), f, slope)


def concave(rng, dim):
    case = convex(rng, dim)
    e = case.evidence
    flipped = Evidence(e.domain, e.x_max, e.x_min, -e.value_max, -e.value_min)
    return Case(Concave(), flipped, lambda x: -case.f(x), lambda x: -case.slope(x))


def waves(rng, count):
    amplitudes, rates, phases = rng.uniform(0.2, 1, count), rng.uniform(0.5, 6, count), rng.uniform(0, 6.28, count)
    return amplitudes, rates, phases


def turning(rate, phase, low, high):
    """Ends of an interval and every place inside it where cos(rate t + phase) turns."""
    first = int(np.ceil((rate * low + phase) / np.pi))
    last = int(np.floor((rate * high + phase) / np.pi))
    inside = [(k * np.pi - phase) / rate for k in range(first, last + 1)]
    return np.clip(np.array([low, high, *inside]), low, high)


def smooth(rng, dim):
    if rng.random() < 0.3:
        return smooth_on_ball(rng, dim)
    domain = box(rng, dim)
    amplitudes, rates, phases = waves(rng, dim)
    low, high = np.empty(dim), np.empty(dim)
    for i in range(dim):
        turns = turning(rates[i], phases[i], domain.lower[i], domain.upper[i])
        heights = np.cos(rates[i] * turns + phases[i])
        low[i], high[i] = turns[heights.argmin()], turns[heights.argmax()]

    def f(x):
        return (amplitudes * np.cos(rates * x + phases)).sum(1)

    def slope(x):
        return -amplitudes * rates * np.sin(rates * x + phases)

    bound = float((amplitudes * rates**2).max())
    return Case(Smooth(bound), seen(domain, f, low, high), f, slope)


def smooth_on_ball(rng, dim):
    domain = ball(rng, dim)
    (amplitude,), (rate,), (phase,) = waves(rng, 1)
    ray = rng.normal(size=dim)
    ray /= np.linalg.norm(ray)
    turns = turning(rate, phase, -domain.radius, domain.radius)
    heights = np.cos(rate * turns + phase)

    def f(x):
        return amplitude * np.cos(rate * ((x - domain.centre) @ ray) + phase)

    def slope(x):
        return (-amplitude * rate * np.sin(rate * ((x - domain.centre) @ ray) + phase))[:, None] * ray

    low, high = (domain.centre + turns[k] * ray for k in (heights.argmin(), heights.argmax()))
    return Case(Smooth(float(amplitude * rate**2)), seen(domain, f, low, high), f, slope)


def additive(rng, dim):
    """Curves through knots, constant beyond them; on a ball knots and extremes are in the inscribed cube."""
    domain = (ball if rng.random() < 0.2 else box)(rng, dim)
    cube = domain
    if isinstance(domain, Ball):
        half = domain.radius / np.sqrt(dim) * (1 - 1e-9)
        cube = Box(domain.centre - half, domain.centre + half)
    knots = np.sort(cube.sample(4, rng), 0)
    knots[0], knots[-1] = cube.lower, cube.upper
    values = rng.normal(size=(4, dim)) * (rng.random(dim) < 0.8)

    def f(x):
        return sum(np.interp(x[:, i], knots[:, i], values[:, i]) for i in range(dim))

    low = knots[values.argmin(0), range(dim)]
    high = knots[values.argmax(0), range(dim)]
    return Case(Additive(), seen(domain, f, low, high), f)


def linear_case(function_class, domain, weights, offset):
    def f(x):
        return x @ weights + offset

    def slope(x):
        return np.broadcast_to(weights, x.shape)

    if isinstance(domain, Box):
        low, high = np.where(weights > 0, domain.lower, domain.upper), np.where(weights > 0, domain.upper, domain.lower)
    else:
        ray = weights / max(np.linalg.norm(weights), 1e-300)
        low, high = domain.centre - domain.radius * ray, domain.centre + domain.radius * ray
    return Case(function_class, seen(domain, f, low, high), f, slope, nonlinear=False)


def affine(rng, dim):
    domain = (ball if rng.random() < 0.3 else box)(rng, dim)
    weights = rng.normal(size=dim) * (rng.random(dim) < 0.85)
    weights[0] += weights[0] == 0
    return linear_case(Affine(), domain, weights, rng.normal())


def affine_along(rng, dim):
    domain = (ball if rng.random() < 0.3 else box)(rng, dim)
    directions = rng.normal(size=(int(rng.integers(1, dim + 1)), dim))
    return linear_case(AffineAlong(directions), domain, rng.normal(size=len(directions)) @ directions, rng.normal())


def sparse_affine(rng, dim):
    domain = (ball if rng.random() < 0.2 else box)(rng, dim)
    weights = np.zeros(dim)
    nonzero = int(rng.integers(1, dim + 1))
    weights[rng.choice(dim, nonzero, replace=False)] = rng.normal(size=nonzero)
    return linear_case(SparseAffine(nonzero), domain, weights, rng.normal())


def constant(rng, dim):
    domain = (ball if rng.random() < 0.3 else box)(rng, dim)
    return linear_case(Constant(), domain, np.zeros(dim), rng.normal())


def hill(rng, domain, bound):
    """(g, low, high): g is Lipschitz in l2 with the bound, 0 at low and largest at high; low = high where g is 0."""
    low, high = domain.sample(2, rng)
    if rng.random() < 0.3:
        low, high = domain.lower, domain.upper
    spread = bound * np.linalg.norm(high - low) * rng.uniform(0.2, 1) * (rng.random() < 0.85)
    apexes, heights = domain.sample(3, rng), spread * rng.uniform(size=3)

    def g(x):
        inner = (heights + bound * np.linalg.norm(x[:, None] - apexes, axis=2)).min(1)
        inner = np.maximum(np.maximum(inner, spread - bound * np.linalg.norm(x - high, axis=1)), 0)
        return np.minimum(np.minimum(inner, bound * np.linalg.norm(x - low, axis=1)), spread)

    return g, low, high


def patches(rng, dim, bounded):
    """Groups in any order, each with a function of its own; on a ball what is outside the inscribed cube is cut off."""
    domain = (ball if rng.random() < 0.2 else box)(rng, dim)
    cube = domain
    if isinstance(domain, Ball):
        half = domain.radius / np.sqrt(dim) * (1 - 1e-9)
        cube = Box(domain.centre - half, domain.centre + half)
    groups = np.unique(rng.integers(0, 2, dim), return_inverse=True)[1]
    bounds, low, high, parts = rng.uniform(0.2, 3, groups.max() + 1), np.empty(dim), np.empty(dim), []
    for j, bound in enumerate(bounds):
        own = groups == j
        g, low[own], high[own] = hill(rng, Box(cube.lower[own], cube.upper[own]), bound)
        parts.append((own, g))
    shift = rng.normal()

    def f(x):
        inside = np.clip(x, cube.lower, cube.upper)
        return shift + sum(g(inside[:, own]) for own, g in parts)

    return Case(PatchAdditive(groups, bounds if bounded else None), seen(domain, f, low, high), f)


def patch_shared(rng, dim):
    """One function of one or two pixels, at weights of either sign."""
    size = 2 if dim % 2 == 0 and rng.random() < 0.5 else 1
    walls = np.sort(rng.normal(size=(2, size)), axis=0) + np.array([[0.0], [0.3]])
    bound = float(rng.uniform(0.2, 3))
    g, low, high = hill(rng, Box(*walls), bound)
    order = rng.permutation(dim) // size
    weights = rng.uniform(0.2, 2, dim // size) * rng.choice([-1.0, 1.0], dim // size)
    if rng.random() < 0.3:
        weights -= weights.mean() * (len(weights) > 1) * (np.abs(weights - weights.mean()) > 0.1).all()
    domain = Box(*(np.ones((dim // size, 1)) * w for w in walls))
    ends = np.empty((2, dim))
    lower, upper = np.empty(dim), np.empty(dim)
    for j, weight in enumerate(weights):
        own = order == j
        lower[own], upper[own] = walls
        ends[:, own] = (low, high) if weight > 0 else (high, low)
    domain, shift = Box(lower, upper), rng.normal() * (abs(weights.sum()) > 1e-9)

    def f(x):
        return sum(w * (shift + g(x[:, order == j])) for j, w in enumerate(weights))

    kind = PatchAdditive(order, bound if rng.random() < 0.5 else None, weights)
    return Case(kind, seen(domain, f, *ends), f)


def quadratic(rng, dim):
    """Eigenvalues of both signs or of one, pictures at the centre where that is an extreme, further pictures."""
    domain = ball(rng, dim)
    values = np.sort(rng.normal(size=dim)) * 10.0 ** rng.uniform(-1, 1)
    kind = rng.choice(["any", "positive", "negative"], p=[0.4, 0.4, 0.2])
    values = np.sort({"any": values, "positive": np.abs(values), "negative": -np.abs(values)}[kind])
    if kind != "any" and dim > 1 and rng.random() < 0.4:
        values[0 if kind == "positive" else -1] = 0.0
    axes = np.linalg.qr(rng.normal(size=(dim, dim)))[0].T
    matrix = (axes.T * values) @ axes

    def f(x):
        steps = x - domain.centre
        return ((steps @ matrix) * steps).sum(1)

    left, ends = list(range(dim)), {}
    for name, k, sign in (("max", dim - 1, 1.0), ("min", 0, -1.0)):
        length = 1.0 if sign * values[k] > 0 else 0.0 if values[k] else rng.uniform(0.1, 1)
        ends[name] = domain.centre + domain.radius * length * axes[k]
        if length:
            left.remove(k)
    found = []
    for _ in range(int(rng.integers(len(left) + 1)) if rng.random() < 0.4 else 0):
        end = rng.choice(["max", "min"])
        found.append((left.pop(-1 if end == "max" else 0), str(end)))
    pictures = domain.centre + domain.radius * axes[[k for k, _ in found]]
    more = Quadratic(pictures, f(pictures), tuple(e for _, e in found)) if found else Quadratic()
    return Case(more, seen(domain, f, ends["min"], ends["max"]), f)


def cosine(rng, dim):
    domain, power = ball(rng, dim), float(rng.choice([1.0, 1.25, 2.0, 3.5]))
    ray = rng.normal(size=dim)
    ray *= rng.uniform(0.1, 10) / np.linalg.norm(ray)

    def f(x):
        steps = x - domain.centre
        along = steps @ ray
        norms = np.linalg.norm(steps, axis=1) * np.linalg.norm(ray)
        return along * np.where(norms > 0, np.abs(along) / np.where(norms > 0, norms, 1.0), 0.0) ** (power - 1)

    def slope(x):
        steps = x - domain.centre
        lengths = np.linalg.norm(steps, axis=1, keepdims=True)
        cosines = np.abs(steps @ ray)[:, None] / (lengths * np.linalg.norm(ray))
        value = (steps @ ray)[:, None] * cosines ** (power - 1)
        return power * cosines ** (power - 1) * ray - (power - 1) * value * steps / lengths**2

    unit = ray / np.linalg.norm(ray)
    ends = domain.centre - domain.radius * unit, domain.centre + domain.radius * unit
    return Case(Cosine(power), seen(domain, f, *ends), f, slope)


def far_corner(domain, place):
    """The farthest point of the domain: of a box the best of all corners."""
    if isinstance(domain, Ball):
        step = place - domain.centre
        return domain.centre - domain.radius * step / np.linalg.norm(step)
    corners = np.array(list(itertools.product(*zip(domain.lower, domain.upper, strict=True))))
    return corners[np.linalg.norm(corners - place, axis=1).argmax()]


def fall(rng, most):
    """A strictly decreasing function of a distance: smooth, straight, or with steps."""
    rate, power = rng.uniform(0.3, 3) / most, rng.uniform(0.5, 2)
    steps, heights = rng.uniform(0, most, 3), rng.uniform(0, 1, 3)
    kind, size = rng.integers(3), 10.0 ** rng.uniform(-1, 1)

    def h(t):
        if kind == 0:
            return size * np.exp(-rate * t)
        if kind == 1:
            return -size * (t / most) ** power
        return -size * (t / most + (t[:, None] > steps) @ heights)

    return h


def radial(rng, dim, known):
    domain = (ball if rng.random() < 0.4 else box)(rng, dim)
    prototype = domain.sample(1, rng)[0]
    h = fall(rng, float(np.linalg.norm(far_corner(domain, prototype) - prototype)))

    def f(x):
        return h(np.linalg.norm(x - prototype, axis=1))

    kind = Radial(h) if known else RadialUnknown()
    return Case(kind, seen(domain, f, far_corner(domain, prototype), prototype), f)


MAKERS: dict[str, Callable[[np.random.Generator, int], Case]] = {
    "black-box": flexible(BlackBox),
    "relu": flexible(ReLUNetwork),
    "fitted": fitted,
    "piecewise": flexible(PiecewiseAffine),
    "lipschitz-unknown": flexible(LipschitzUnknown),
    "lipschitz-l1": lipschitz("l1"),
    "lipschitz-l2": lipschitz("l2"),
    "lipschitz-linf": lipschitz("linf"),
    "monotone": monotone,
    "convex": convex,
    "concave": concave,
    "smooth": smooth,
    "additive": additive,
    "patch-additive": lambda rng, dim: patches(rng, dim, False),
    "patch-lipschitz": lambda rng, dim: patches(rng, dim, True),
    "patch-shared": patch_shared,
    "quadratic": quadratic,
    "cosine": cosine,
    "radial": lambda rng, dim: radial(rng, dim, True),
    "radial-unknown": lambda rng, dim: radial(rng, dim, False),
    "affine": affine,
    "affine-along": affine_along,
    "sparse-affine": sparse_affine,
    "constant": constant,
}


def random_case(name: str, seed: int, *, dim: int, exemplars: int, gradients: bool = False) -> Case:
    """A member of a class with `exemplars` true values (and gradients) beside its visualizations."""
    rng = np.random.default_rng([seed, dim, exemplars, *name.encode()])
    case = MAKERS[name](rng, dim)
    points = case.evidence.domain.sample(exemplars, rng)
    evidence = case.evidence.with_points(points, case.f(points)) if exemplars else case.evidence
    if gradients and case.slope is not None and exemplars:
        fields = {
            k: getattr(evidence, k) for k in ("domain", "x_min", "x_max", "value_min", "value_max", "points", "values")
        }
        evidence = Evidence(**fields, gradients=case.slope(points))
    return Case(case.function_class, evidence, case.f, case.slope, case.nonlinear)


def known(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Every place with a value: the evidence, and what a fitted network was fitted to."""
    nodes = [n for n in case.evidence.nodes() if n.value is not None]
    places, values = np.array([n.place for n in nodes]), np.array([n.value for n in nodes])
    if isinstance(case.function_class, FittedReLUNetwork):
        places = np.concatenate([places, case.function_class.inputs])
        values = np.concatenate([values, case.function_class.targets])
    return places, values


def asked(case: Case, seed: int, count: int) -> np.ndarray:
    """Points to ask about: in the domain, on its boundary, between pieces of evidence, and at them."""
    rng = np.random.default_rng([seed, 7])
    domain = case.evidence.domain
    inside = domain.sample(max(count, 4), rng)
    edge = np.array([domain.farthest(s) for s in rng.normal(size=(2, domain.dim))])
    places, _ = known(case)
    share, (one, other) = rng.uniform(size=(2, 1)), rng.integers(len(places), size=(2, 2))
    between = share * places[one] + (1 - share) * places[other]
    every = np.concatenate([inside, edge, between, places])
    return every if count > len(every) else every[rng.choice(len(every), count, replace=False)]


@dataclass(frozen=True, eq=False)
class Units:
    """x -> origin + size x and v -> low + unit v: a change of units of domain and values."""

    origin: np.ndarray
    size: np.ndarray
    low: float
    unit: float

    def place(self, x):
        return self.origin + self.size * x

    def back(self, x):
        return (x - self.origin) / self.size

    def value(self, v):
        return self.low + self.unit * v


LIPSCHITZ = ("lipschitz-l1", "lipschitz-l2", "lipschitz-linf")
ISOTROPIC = (*LIPSCHITZ, "smooth", "patch-lipschitz", "patch-shared", "radial", "radial-unknown")
HOMOGENEOUS = ("quadratic", "cosine")
"""Classes of functions that are 0 at the centre: a shift of the values leads out of them."""


def random_units(name: str, case: Case, rng: np.random.Generator, most: float = 12.0) -> Units:
    """Units of 1e-12 to 1e12, of every coordinate alone where the class allows it; shifts of up to 100 times those."""
    domain = case.evidence.domain
    size = 10.0 ** rng.uniform(-most, most, domain.dim)
    if isinstance(domain, Ball) or name in ISOTROPIC:
        size[:] = size[0]
    unit = float(10.0 ** rng.uniform(-most, most))
    shift = rng.uniform(-100, 100, domain.dim + 1) * (rng.random(domain.dim + 1) < 0.5)
    shift[0] *= name not in HOMOGENEOUS and not balanced(case.function_class)
    if name == "patch-shared":  # whose groups have the same walls
        shift[1:] = shift[1]
    return Units(shift[1:] * size, size, float(shift[0] * unit), unit)


def balanced(kind: FunctionClass) -> bool:
    """Whether a shared function's shift cancels: then the class has one height."""
    weights = getattr(kind, "weights", None)
    return weights is not None and abs(weights.sum()) < 1e-9 * np.abs(weights).sum()


def in_units(case: Case, units: Units) -> Case:
    """The same function in other units, with evidence that it has there to the last bit."""
    evidence, kind = case.evidence, case.function_class

    def f(x):
        return units.value(case.f(units.back(x)))

    def slope(x):
        return units.unit / units.size * case.slope(units.back(x))

    domain = evidence.domain
    if isinstance(domain, Ball):
        inner = Ball(units.place(domain.centre), float(domain.radius * units.size[0]))
    else:
        inner = Box(units.place(domain.lower), units.place(domain.upper))
    ends = {}
    for place, value in (("x_min", "value_min"), ("x_max", "value_max")):
        if getattr(evidence, place) is not None:
            ends[place] = units.place(getattr(evidence, place))
            if getattr(evidence, value) is not None:
                ends[value] = float(f(ends[place][None])[0])
    points = units.place(evidence.points)
    rows = evidence.gradients
    moved = Evidence(
        inner,
        **ends,
        points=points,
        values=f(points) if len(points) else np.zeros(0),
        gradients=None if rows is None else rows * units.unit / units.size,
    )
    return Case(rescaled(kind, units, f), moved, f, None if case.slope is None else slope, case.nonlinear)


def rescaled(kind: FunctionClass, units: Units, f: Callable[[np.ndarray], np.ndarray]) -> FunctionClass:
    """The class in other units."""
    match kind:
        case Lipschitz(bound=bound, norm=norm):
            return Lipschitz(float(bound * units.unit / units.size[0]), norm)
        case Smooth(bound=bound):
            return Smooth(float(bound * units.unit / units.size[0] ** 2))
        case PatchAdditive(groups=groups, bound=bound, weights=weights) if bound is not None:
            return PatchAdditive(groups, bound * units.unit / units.size[0], weights)
        case Quadratic(pictures=pictures, ends=ends) if len(pictures):
            return Quadratic(units.place(pictures), f(units.place(pictures)), ends)
        case Radial(profile=profile):
            return Radial(lambda t: units.value(profile(t / units.size[0])))
        case FittedReLUNetwork(inputs=inputs):
            return FittedReLUNetwork(units.place(inputs), f(units.place(inputs)))
        case AffineAlong(directions=directions):
            return AffineAlong(directions / units.size)
    return kind
