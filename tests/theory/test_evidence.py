"""Contradictions are refused, by name; other evidence is accepted."""

import numpy as np
import pytest

from snellen.base import UsageError
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
    Evidence,
    FittedReLUNetwork,
    InconsistentEvidenceError,
    Lipschitz,
    Monotone,
    Smooth,
    SparseAffine,
    envelope,
)

CUBE = Box.unit(2)
CORNERS = Evidence(CUBE, np.zeros(2), np.ones(2), 0.0, 1.0)
MIDDLE = np.full((1, 2), 0.5)
BALL = Ball(np.zeros(2), 1.0)


def given(points, values, **more):
    fields = {"x_min": CORNERS.x_min, "x_max": CORNERS.x_max, "value_min": 0.0, "value_max": 1.0, **more}
    return Evidence(CUBE, points=np.array(points), values=np.array(values), **fields)


CONFLICTS = [
    (Lipschitz(0.5), CORNERS, {"x_min", "x_max"}),
    (Lipschitz(1.0), given([[0.5, 0.5], [0.5, 0.6]], [0.4, 0.6]), {"point 0", "point 1"}),
    (Monotone(), given([[0.2, 0.2], [0.9, 0.1], [0.6, 0.7]], [0.6, 0.5, 0.3]), {"point 0", "point 2"}),
    (Convex(), given([[0.5, 0.5]], [0.7]), {"point 0", "x_min", "x_max"}),
    (Concave(), given([[0.5, 0.5]], [0.3]), {"point 0", "x_min", "x_max"}),
    (Convex(), Evidence(CUBE, np.zeros(2), np.full(2, 0.5), 0.0, 1.0), {"x_min", "x_max"}),
    (Affine(), given([[0.5, 0.5]], [0.8]), {"point 0", "x_min", "x_max"}),
    (Affine(), Evidence(CUBE, np.array([0.5, 0.5]), np.ones(2), 0.0, 1.0), {"x_min", "x_max"}),
    (Affine(), Evidence(BALL, np.array([-1.0, 0]), np.array([0, 1.0]), 0.0, 1.0), {"x_min", "x_max"}),
    (AffineAlong(np.array([[1.0, 1.0]])), given([[0.5, 0.2]], [0.6]), {"point 0", "x_min", "x_max"}),
    (SparseAffine(1), given([[0.5, 0.2]], [0.3]), {"point 0", "x_min", "x_max"}),
    (Constant(), CORNERS, {"x_min", "x_max"}),
    (Smooth(1.0), Evidence(BALL, np.array([-0.5, 0]), np.array([0.5, 0]), 0.0, 1.0), {"x_min", "x_max"}),
    (Additive(), given([[0.0, 1.0], [1.0, 0.0]], [0.7, 0.6]), {"point 0", "point 1", "x_min", "x_max"}),
    (FittedReLUNetwork(np.array([[0.5, 0.5]]), np.array([2.0])), CORNERS, {"training input 0", "x_max"}),
    (Lipschitz(1.0), given([[0.5, 0.5]], [0.5], gradients=np.array([[3.0, 0]])), {"gradient of point 0"}),
    (Monotone(), given([[0.5, 0.5]], [0.5], gradients=np.array([[1.0, -1.0]])), {"gradient of point 0"}),
    (BlackBox(), given([[1.0, 1.0]], [1.0], gradients=np.array([[-1.0, 0.0]])), {"point 0", "x_max"}),
    (BlackBox(), given([[0.5, 0.5]], [0.0], gradients=np.array([[0.1, 0.0]])), {"point 0", "x_min"}),
    (Smooth(9.0), given([[0.5, 0.5]], [1.0], gradients=np.array([[0.1, 0.0]])), {"point 0", "x_max"}),
    (Convex(), given([[0.5, 0.5]], [0.2], gradients=np.array([[2.0, 2.0]])), {"gradient of point 0", "x_max"}),
]


@pytest.mark.parametrize(("function_class", "evidence", "pieces"), CONFLICTS)
def test_contradictions_name_the_pieces(function_class, evidence, pieces):
    with pytest.raises(InconsistentEvidenceError) as caught:
        envelope(function_class, evidence, MIDDLE)
    assert set(caught.value.pieces) == pieces
    assert "\n" not in str(caught.value)


def test_every_piece_named_by_a_linear_program_is_needed():
    """Take any named piece away, and the other named ones are consistent."""
    points, values = [[0.5, 0.5], [0.1, 0.2], [0.3, 0.9]], [0.5, 0.15, 0.5]
    with pytest.raises(InconsistentEvidenceError) as caught:
        envelope(Affine(), given(points, values), MIDDLE)
    assert len(caught.value.pieces) > 1
    for dropped in caught.value.pieces:
        kept = [p for p in caught.value.pieces if p != dropped]
        numbers = [int(p.split()[1]) for p in kept if p.startswith("point")]
        ends = {k: v for k, v in (("x_min", np.zeros(2)), ("x_max", np.ones(2))) if k in kept}
        ends |= {f"value_{k[2:]}": float(k == "x_max") for k in ends}
        rest = Evidence(
            CUBE, points=np.array([points[i] for i in numbers]), values=np.array([values[i] for i in numbers]), **ends
        )
        envelope(Affine(), rest, MIDDLE)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"x_min": np.zeros(2), "value_min": 1.0, "x_max": np.ones(2), "value_max": 0.0}, "below"),
        ({"x_min": np.zeros(2), "value_min": 0.0, "points": np.full((1, 2), 0.5), "values": np.array([-1.0])}, "below"),
        ({"points": np.full((2, 2), 0.5), "values": np.array([0.0, 1.0])}, "two values"),
    ],
)
def test_what_no_function_has(fields, message):
    with pytest.raises(InconsistentEvidenceError, match=message):
        Evidence(CUBE, **fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"x_min": np.zeros(3)}, "2 entries"),
        ({"value_min": 0.0}, "give both"),
        ({"x_min": np.full(2, 2.0)}, "inside the domain"),
        ({"x_min": np.array([np.nan, 0])}, "finite"),
        ({"points": np.zeros((2, 2)), "values": np.zeros(3)}, "3 rows"),
    ],
)
def test_malformed_evidence(fields, message):
    with pytest.raises(UsageError, match=message):
        Evidence(CUBE, **fields)


def test_points_of_another_dimension_are_refused():
    with pytest.raises(UsageError, match="2 entries"):
        envelope(BlackBox(), CORNERS, np.zeros((4, 3)))


def test_images_are_flattened():
    cube = Box.unit(12)
    evidence = Evidence(cube, np.zeros((3, 2, 2)), np.ones((3, 2, 2)), 0.0, 1.0)
    flat, shaped = np.full((1, 12), 0.25), np.full((1, 3, 2, 2), 0.25)
    for function_class in (Lipschitz(0.5), Affine(), Convex()):
        left, right = (envelope(function_class, evidence, x) for x in (flat, shaped))
        np.testing.assert_array_equal(left.up, right.up)


def test_rounding_is_no_contradiction():
    """Values known to float32 do not fit an affine function exactly."""
    rng = np.random.default_rng(0)
    weights, points = np.abs(rng.normal(size=2)), rng.uniform(size=(5, 2))
    values = (points @ weights).astype(np.float32).astype(float)
    evidence = given(points, values, value_max=float(np.float32(weights.sum())))
    bounds = envelope(Affine(), evidence, MIDDLE)
    assert bounds.lo[0] == pytest.approx(MIDDLE[0] @ weights, abs=1e-5)
    assert bounds.up[0] == pytest.approx(MIDDLE[0] @ weights, abs=1e-5)


def test_additive_contradictions_on_a_ball_are_named():
    """Opposite corners of a rectangle have equal sums, whatever the curves; another point has no part in it."""
    corners = np.array([[0.3, 0.3], [-0.3, -0.3], [0.3, -0.3], [-0.3, 0.3], [0.1, 0.2]])
    ends = {"x_min": np.array([-0.5, 0]), "x_max": np.array([0.5, 0]), "value_min": 0.0, "value_max": 1.0}
    fits = Evidence(BALL, points=corners, values=np.array([0.7, 0.3, 0.4, 0.6, 0.5]), **ends)
    bounds = envelope(Additive(), fits, np.array([[0.3, 0.3], [0.0, 0.4]]))
    assert bounds.lo.tolist() == [0.7, 0.0]
    assert bounds.gap.tolist() == [0.0, 1.0]
    with pytest.raises(InconsistentEvidenceError) as caught:
        envelope(Additive(), Evidence(BALL, points=corners, values=np.array([0.7, 0.4, 0.4, 0.6, 0.5]), **ends), MIDDLE)
    assert set(caught.value.pieces) == {f"point {i}" for i in range(4)}
