"""Envelopes against slower derivations that share nothing with them: joint linear programs, enumeration, grids."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from theory_attacks import size
from theory_members import known, random_case, seen, smooth

from snellen.theory import Ball, Box, Concave, Constant, Evidence, Lipschitz, Monotone, Smooth, envelope

SEEDS = st.integers(0, 2**32)
EVIDENCE = st.fixed_dictionaries({"dim": st.integers(1, 3), "exemplars": st.integers(0, 4), "gradients": st.booleans()})


def extremes(objective, rows, limits, known):
    """(min, max) of objective . z over rows z <= limits, known[0] z = known[1], z free."""
    equal, values = known
    out = []
    for sign in (1.0, -1.0):
        found = linprog(sign * objective, rows, limits, equal, values, bounds=(None, None), method="highs")
        out.append(sign * found.fun if found.status == 0 else -sign * np.inf)
    return out


def most(function_class, u, v):
    """What f(u) - f(v) can be at most, u != v."""
    if isinstance(function_class, Lipschitz):
        return function_class.bound * np.linalg.norm(u - v, {"l1": 1, "l2": 2, "linf": np.inf}[function_class.norm])
    if isinstance(function_class, Monotone):
        return 0.0 if (u <= v).all() else np.inf
    return 0.0 if isinstance(function_class, Constant) else np.inf


def differences(case, x, extra):
    """One variable a place (evidence, x, further places), and every pair's constraint written out."""
    places, values = known(case)
    everywhere = np.concatenate([places, x[None], extra])
    n = len(everywhere)
    rows, limits = [], []
    for i, j in itertools.permutations(range(n), 2):
        limit = most(case.function_class, everywhere[i], everywhere[j])
        if np.isfinite(limit):
            rows.append(np.eye(n)[i] - np.eye(n)[j])
            limits.append(limit)
    for i in range(n):
        rows += [np.eye(n)[0] - np.eye(n)[i], np.eye(n)[i] - np.eye(n)[1]]
        limits += [1e-9, 1e-9]
    return extremes(np.eye(n)[len(places)], rows, limits, (np.eye(n)[: len(places)], values))


FLEXIBLE = ["black-box", "relu", "fitted", "piecewise", "lipschitz-unknown"]


@pytest.mark.parametrize("name", [*FLEXIBLE, "lipschitz-l1", "lipschitz-l2", "lipschitz-linf", "monotone", "constant"])
@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, dim=st.integers(1, 3), exemplars=st.integers(0, 4))
def test_bounded_differences(name, seed, dim, exemplars):
    case = random_case(name, seed, dim=dim, exemplars=exemplars)
    x, *extra = case.evidence.domain.sample(5, np.random.default_rng(seed))
    lo, up = differences(case, x, np.array(extra))
    got = envelope(case.function_class, case.evidence, x[None])
    assert abs(got.lo[0] - lo) <= 2e-6 * size(case)
    assert abs(got.up[0] - up) <= 2e-6 * size(case)


def convex_joint(case, x, rim):
    """Values at evidence and x, a subgradient at each, every pair's inequality, and <= b on the rim of X.

    A concave f is written as the convex -f, and the bounds are turned over.
    """
    places, values = known(case)
    sign = -1.0 if isinstance(case.function_class, Concave) else 1.0
    values = sign * values
    everywhere = np.concatenate([places, x[None]])
    n, d = everywhere.shape
    rows, limits = [], []
    for i in range(n):
        for j, y in [*enumerate(everywhere), *((None, y) for y in rim)]:
            row = np.zeros(n + n * d)
            row[i] = 1.0
            row[n + i * d : n + (i + 1) * d] = y - everywhere[i]
            if j is not None:
                row[j] -= 1.0
            rows.append(row)
            limits.append(1e-9 if j is not None else values.max() + 1e-9)
    every = np.eye(n + n * d)
    rows.append(-every[n - 1])
    limits.append(-values.min())
    fixed, to = [*every[: len(places)]], [*values]
    for i, slope in case.evidence.slopes().items():
        first = n + (2 + i) * d
        fixed, to = [*fixed, *every[first : first + d]], [*to, *(sign * slope)]
    return np.sort(sign * np.array(extremes(every[n - 1], rows, limits, (np.array(fixed), np.array(to)))))


@pytest.mark.parametrize("name", ["convex", "concave"])
@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, evidence=EVIDENCE)
def test_convex(name, seed, evidence):
    case = random_case(name, seed, **evidence)
    domain = case.evidence.domain
    x = domain.sample(1, np.random.default_rng(seed))[0]
    if isinstance(domain, Box):
        rim, tolerance = np.array(list(itertools.product(*zip(domain.lower, domain.upper, strict=True)))), 1e-5
    else:
        if domain.dim != 2:
            return
        angles = np.linspace(0, 2 * np.pi, 720, endpoint=False)
        rim = domain.centre + domain.radius * np.stack([np.cos(angles), np.sin(angles)], 1)
        tolerance = 1e-3
    lo, up = convex_joint(case, x, rim)
    got = envelope(case.function_class, case.evidence, x[None])
    assert abs(got.lo[0] - lo) <= tolerance * size(case)
    assert abs(got.up[0] - up) <= tolerance * size(case)


def affine_by_corners(case, x, support):
    """Slopes on a support; a <= f <= b written at every corner instead of as signs."""
    places, values = known(case)
    domain = case.evidence.domain
    basis = getattr(case.function_class, "directions", np.eye(domain.dim)[list(support)])
    corners = np.array(list(itertools.product(*zip(domain.lower, domain.upper, strict=True))))

    def features(points):
        return np.concatenate([np.ones((len(points), 1)), points @ basis.T], 1)

    rows = np.concatenate([features(corners), -features(corners)])
    limits = np.concatenate([np.full(len(corners), values[1]), np.full(len(corners), -values[0])]) + 1e-9
    fixed, to = features(places), values
    for slope in case.evidence.slopes().values():
        fixed = np.concatenate([fixed, np.concatenate([np.zeros((domain.dim, 1)), basis.T], 1)])
        to = np.concatenate([to, slope])
    return extremes(features(x[None])[0], rows, limits, (fixed, to))


@pytest.mark.parametrize("name", ["affine", "affine-along", "sparse-affine"])
@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, evidence=EVIDENCE)
def test_affine(name, seed, evidence):
    case = random_case(name, seed, **evidence)
    domain = case.evidence.domain
    x = domain.sample(1, np.random.default_rng(seed))[0]
    got = envelope(case.function_class, case.evidence, x[None])
    if isinstance(domain, Ball):  # identified: the formula of the paper's plan, written down directly
        e = case.evidence
        slope = (e.value_max - e.value_min) * (e.x_max - e.x_min) / (4 * domain.radius**2)
        value = e.value_min + slope @ (x - e.x_min)
        assert got.lo[0] == pytest.approx(value, abs=1e-6 * size(case))
        assert got.up[0] == pytest.approx(value, abs=1e-6 * size(case))
        return
    count = getattr(case.function_class, "nonzero", domain.dim)
    bounds = [affine_by_corners(case, x, s) for s in itertools.combinations(range(domain.dim), count)]
    feasible = [b for b in bounds if np.isfinite(b).all()]
    assert got.lo[0] == pytest.approx(min(b[0] for b in feasible), abs=1e-5 * size(case))
    assert got.up[0] == pytest.approx(max(b[1] for b in feasible), abs=1e-5 * size(case))


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, dim=st.integers(1, 3), exemplars=st.integers(0, 2))
def test_additive(seed, dim, exemplars):
    """One variable per coordinate and known entry; a <= sum <= b at every point of the product grid in the domain.

    On a box that is the range of f(x). On a ball it may be wider, as f is bounded off the grid too, and narrower than
    what `envelope` says by its stated gap.
    """
    case = random_case("additive", seed, dim=dim, exemplars=exemplars)
    places, values = known(case)
    x = case.evidence.domain.sample(1, np.random.default_rng(seed))[0]
    everywhere = np.concatenate([places, x[None]])
    grids = [np.unique(everywhere[:, i]) for i in range(dim)]
    offsets = np.cumsum([0] + [len(g) for g in grids])

    def row(point):
        out = np.zeros(offsets[-1])
        for i, t in enumerate(point):
            out[offsets[i] + int(np.searchsorted(grids[i], t))] = 1.0
        return out

    grid = np.array([row(p) for p in itertools.product(*grids) if case.evidence.domain.contains(np.array([p]))[0]])
    limits = np.concatenate([np.full(len(grid), values[1]), np.full(len(grid), -values[0])]) + 1e-9
    lo, up = extremes(row(x), np.concatenate([grid, -grid]), limits, (np.array([row(p) for p in places]), values))
    got = envelope(case.function_class, case.evidence, x[None])
    tolerance = 1e-5 * size(case)
    assert -tolerance <= lo - got.lo[0] <= got.gap[0] + tolerance
    assert -tolerance <= got.up[0] - up <= got.gap[0] + tolerance
    assert got.gap[0] == 0 or isinstance(case.evidence.domain, Ball)


def smooth_on_grid(evidence, bound, target, points):
    """The range of f at one of the grid's points; f on a grid with second differences at most L h^2."""
    grid = np.linspace(evidence.domain.lower[0], evidence.domain.upper[0], points)
    h = grid[1] - grid[0]
    second = np.eye(points)[:-2] - 2 * np.eye(points)[1:-1] + np.eye(points)[2:]
    rows = np.concatenate([second, -second, np.eye(points), -np.eye(points)])
    limits = np.concatenate(
        [
            np.full(2 * len(second), bound * h**2),
            np.full(points, evidence.value_max),
            np.full(points, -evidence.value_min),
        ]
    )
    nodes = evidence.nodes()
    places, values = np.array([n.place for n in nodes]), np.array([n.value for n in nodes])
    index = np.round((places[:, 0] - grid[0]) / h).astype(int)
    at = round((target - grid[0]) / h)
    return grid[at], extremes(np.eye(points)[at], rows, limits + 1e-12, (np.eye(points)[index], values))


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, share=st.floats(0.05, 0.95))
def test_smooth_in_one_dimension(seed, share):
    """Outer bounds hold against a program on a grid, and the true gap is no larger than the stated one."""
    case = smooth(np.random.default_rng(seed), 1)
    while not isinstance(case.evidence.domain, Box):
        seed += 1
        case = smooth(np.random.default_rng(seed), 1)
    e, bound, points = case.evidence, case.function_class.bound, 201
    grid = np.linspace(e.domain.lower[0], e.domain.upper[0], points)
    low, high = (grid[[round((p[0] - grid[0]) / (grid[1] - grid[0]))]] for p in (e.x_min, e.x_max))
    snapped = seen(e.domain, case.f, low, high)
    wider = Smooth(bound * 1.2)
    at, (lo, up) = smooth_on_grid(snapped, wider.bound, grid[0] + share * np.ptp(grid), points)
    got = envelope(wider, snapped, np.array([[at]]))
    step = 4 * wider.bound * np.ptp(grid) * (grid[1] - grid[0])  # what a grid can miss of a slope
    assert got.lo[0] <= lo + step
    assert got.up[0] >= up - step
    assert lo - got.lo[0] <= got.gap[0] + step
    assert got.up[0] - up <= got.gap[0] + step


def test_values_worked_out_by_hand():
    unit = Evidence(Box.unit(2), np.zeros(2), np.ones(2), 0.0, 1.0)
    x = np.array([[0.25, 0.75]])
    far = np.sqrt(0.625)
    for function_class, lo, up in [
        (Lipschitz(1.0), 1 - far, far),
        (Lipschitz(0.5, "l1"), 0.5, 0.5),
        (Lipschitz(1.0, "linf"), 0.25, 0.75),
    ]:
        got = envelope(function_class, unit, x)
        assert got.lo[0] == pytest.approx(lo)
        assert got.up[0] == pytest.approx(up)
