"""Convex and concave functions of any steepness: what is known near the boundary is not cut off or rounded away."""

import numpy as np
import pytest
from scipy.optimize import minimize

from snellen.theory import Ball, Box, Concave, Convex, Evidence, envelope

DISC = Ball(np.zeros(2), 1.0)
DEPTHS = [1e-2, 1e-4, 5e-6, 1e-6, 1e-9, 1e-12]


def near_the_edge(depth: float, sign: float = 1.0) -> Evidence:
    """A minimum inside, a maximum on the circle, and a value equal to the minimum just inside the circle's top."""
    low, high = np.array([0.0, -0.5]), np.array([1.0, 0.0])
    ends = (low, high) if sign > 0 else (high, low)
    values = (0.0, 1.0) if sign > 0 else (-1.0, 0.0)
    return Evidence(DISC, *ends, *values, points=np.array([[0, 1 - depth]]), values=np.zeros(1))


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("kind", [Convex, Concave])
def test_the_rim_beside_a_low_value_may_be_at_the_maximum(kind, depth):
    """f can be b at [0, 1], however steep it must be: max(0, (y - 1 + depth) / depth) there is convex."""
    sign = 1.0 if kind is Convex else -1.0
    bounds = envelope(kind(), near_the_edge(depth, sign), np.array([[0.0, 1.0]]))
    assert (bounds.up if sign > 0 else -bounds.lo)[0] == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("depth", DEPTHS[:-1])  # below, places themselves are rounded too much for their values
@pytest.mark.parametrize("domain", [DISC, Box(-np.ones(2), np.ones(2))])
def test_steep_members_stay_inside(domain, depth):
    """Cones max(0, (u . y - 1 + depth) / depth): true values beside the wall, at it, and away from it."""
    rng = np.random.default_rng(0)
    for _ in range(4):
        ray = rng.normal(size=2)
        ray /= np.linalg.norm(ray)
        top = domain.farthest(ray)
        level = float(ray @ top)

        def f(x, ray=ray, level=level):
            return np.maximum((x @ ray - level) / depth + 1, 0)

        given = Evidence(domain, np.zeros(2), top, 0.0, float(f(top)))
        places = [(1 - 0.5 * depth) * top, (1 - 2 * depth) * top, *domain.sample(2, rng)]
        given = given.with_points(places, f(np.array(places)))
        x = np.array([top, (1 - 0.7 * depth) * top, (1 - 0.3 * depth) * top, domain.farthest(rng.normal(size=2))])
        bounds, truth = envelope(Convex(), given, x), f(x)
        assert np.maximum(bounds.lo - truth, truth - bounds.up).max() <= 1e-6


def hull_on_a_ball(evidence: Evidence, x: np.ndarray) -> float:
    """The upper end as a smooth program in the weights alone, solved from many starts by another method."""
    nodes = evidence.nodes()
    places, values = np.array([n.place for n in nodes]), np.array([n.value for n in nodes])
    centre, radius, top = evidence.domain.centre, evidence.domain.radius, evidence.value_max

    def value(w):
        left = 1 - w.sum()
        return w @ values + left * top

    def room(w):
        left = 1 - w.sum()
        return left * radius - np.sqrt(((x - left * centre - w @ places) ** 2).sum() + 1e-18)

    best = top
    for start in np.random.default_rng(0).dirichlet(np.ones(len(nodes) + 1), 6):
        found = minimize(
            value, start[:-1], method="SLSQP", bounds=[(0, 1)] * len(nodes), options={"maxiter": 100, "ftol": 1e-12},
            constraints=[{"type": "ineq", "fun": room}, {"type": "ineq", "fun": lambda w: 1 - w.sum()}],
        )  # fmt: skip
        if room(found.x) >= -1e-9 and found.x.min() >= -1e-12:
            best = min(best, float(value(found.x)))
    return best


@pytest.mark.parametrize("dim", [2, 3])
def test_the_upper_end_on_a_ball_is_the_tightest(dim):
    rng = np.random.default_rng(dim)
    for _ in range(4):
        domain = Ball(rng.normal(size=dim), float(rng.uniform(0.5, 2)))
        ray = rng.normal(size=dim)
        ray /= np.linalg.norm(ray)
        low = domain.centre - 0.5 * domain.radius * ray
        top = domain.centre + domain.radius * ray

        def f(x, low=low, ray=ray):
            return np.maximum((x - low) @ ray, 0) ** 2

        places = domain.sample(3, rng)
        evidence = Evidence(domain, low, top, 0.0, float(f(top))).with_points(places, f(places))
        for x in domain.sample(3, rng):
            found = envelope(Convex(), evidence, x[None])
            assert found.gap[0] <= 1e-6 * evidence.spread
            assert found.up[0] == pytest.approx(hull_on_a_ball(evidence, x), abs=1e-4 * evidence.spread)
