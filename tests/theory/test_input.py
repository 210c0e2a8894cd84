"""What is no evidence, no class or no point is refused in one line; what is odd but right is answered."""

import subprocess
import sys

import numpy as np
import pytest
import torch

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
    PatchAdditive,
    RadialUnknown,
    Smooth,
    SparseAffine,
    envelope,
)

CUBE, BALL = Box.unit(2), Ball(np.zeros(2), 1.0)
PICTURES = Evidence(CUBE, np.zeros(2), np.ones(2), 0.0, 1.0)
MIDDLE = np.full((1, 2), 0.5)
CLASSES = [
    BlackBox(),
    FittedReLUNetwork(np.array([[0.2, 0.4]]), np.array([0.5])),
    Lipschitz(3.0),
    Monotone(),
    Convex(),
    Concave(),
    Smooth(50.0),
    Additive(),
    Affine(),
    AffineAlong(np.eye(2)),
    SparseAffine(1),
    PatchAdditive(np.array([0, 1]), 2.0),
    RadialUnknown(),
    Constant(),
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda c: c.title)
@pytest.mark.parametrize(
    "x",
    [
        "abc",
        [[0.1, 0.2], [0.3]],
        [["a", "b"]],
        [[0.1 + 1j, 0.2]],
        np.array(0.5),
        np.array(None),
        torch.tensor(0.5),
        np.full((1, 2), np.nan),
        np.full((1, 2), np.inf),
        np.zeros((2, 3)),
        np.array([[0.1, "x"]], dtype=object),
    ],
    ids=repr,
)
def test_points_that_are_none(kind, x):
    evidence = PICTURES if not isinstance(kind, Constant) else Evidence(CUBE, np.zeros(2), np.ones(2), 0.5, 0.5)
    with pytest.raises(UsageError, match="expected") as caught:
        envelope(kind, evidence, x)
    assert "\n" not in str(caught.value)


def test_points_of_other_kinds():
    right = envelope(Lipschitz(1.0), PICTURES, MIDDLE).up
    for x in (
        torch.full((1, 2), 0.5, requires_grad=True),
        torch.full((1, 2), 0.5, dtype=torch.bfloat16),
        torch.full((1, 2), 0.5, dtype=torch.float16),
        np.full((1, 2), 0.5, dtype=np.float16),
    ):
        np.testing.assert_allclose(envelope(Lipschitz(1.0), PICTURES, x).up, right, atol=1e-7)
    assert len(envelope(Lipschitz(1.0), PICTURES, np.zeros((0, 2))).lo) == 0
    assert envelope(Lipschitz(1.0), PICTURES, np.zeros((1, 2), dtype=np.int64)).up[0] == 0
    line = Evidence(Box.unit(1), np.zeros(1), np.ones(1), 0.0, 1.0)
    assert envelope(Affine(), line, np.array(0.25)).up.tolist() == [0.25]


PLAIN = """
import numpy as np
from snellen.base import UsageError
from snellen.theory import AffineAlong, Ball, Box, Evidence, FittedReLUNetwork, Lipschitz, Smooth, SparseAffine
from snellen.theory import Cosine, PatchAdditive, Quadratic, Radial, envelope

cube, one, inf = Box.unit(2), {"points": [[0.1, 0.2]], "values": [1.0]}, float("inf")
refused = {
    "x_min text": lambda: Evidence(cube, x_min="abc"),
    "x_min ragged": lambda: Evidence(cube, x_min=[[0.1], [0.2, 0.3]]),
    "points text": lambda: Evidence(cube, points=[["a", "b"]], values=[1.0]),
    "points ragged": lambda: Evidence(cube, points=[[0.1, 0.2], [0.3]], values=[1.0, 2.0]),
    "values text": lambda: Evidence(cube, points=[[0.1, 0.2]], values=["one"]),
    "values complex": lambda: Evidence(cube, points=[[0.1, 0.2]], values=[1j]),
    "values NaN": lambda: Evidence(cube, points=[[0.1, 0.2]], values=[np.nan]),
    "values huge": lambda: Evidence(cube, points=[[0.1, 0.2]], values=[1e300]),
    "value text": lambda: Evidence(cube, x_min=[0, 0], value_min="low"),
    "value infinite": lambda: Evidence(cube, x_min=[0, 0], value_min=inf),
    "gradient infinite": lambda: Evidence(cube, **one, gradients=[[inf, 0.0]]),
    "gradient minus infinity": lambda: Evidence(cube, **one, gradients=[[0.0, -inf]]),
    "gradient text": lambda: Evidence(cube, **one, gradients="steep"),
    "labels": lambda: Evidence(cube, **one, labels=("a", "b")),
    "tolerance": lambda: Evidence(cube, tolerance=-1.0),
    "noise": lambda: Evidence(cube, noise=np.nan),
    "box text": lambda: Box([0.0, "x"], [1.0, 1.0]),
    "box empty": lambda: Box([], []),
    "box infinite": lambda: Box([-1e308], [1e308]),
    "ball empty": lambda: Ball([], 1.0),
    "ball text": lambda: Ball([0.0], "wide"),
    "bound text": lambda: Lipschitz("steep"),
    "bound None": lambda: Smooth(None),
    "norm": lambda: Lipschitz(1.0, None),
    "directions text": lambda: AffineAlong("up"),
    "directions ragged": lambda: AffineAlong([[1.0], [1.0, 2.0]]),
    "directions zero": lambda: AffineAlong([[0.0, 0.0]]),
    "nonzero a share": lambda: SparseAffine(1.5),
    "nonzero infinite": lambda: SparseAffine(inf),
    "nonzero text": lambda: SparseAffine("two"),
    "groups text": lambda: PatchAdditive("left"),
    "groups infinite": lambda: PatchAdditive([0.0, inf]),
    "groups halves": lambda: PatchAdditive([0.0, 0.5]),
    "groups none": lambda: PatchAdditive([]),
    "bounds text": lambda: PatchAdditive([0, 1], "steep"),
    "weights NaN": lambda: PatchAdditive([0, 1], None, [1.0, np.nan]),
    "shape": lambda: PatchAdditive.tiles((0, 4, 4), 2),
    "pictures text": lambda: Quadratic("up", [1.0]),
    "pictures ragged": lambda: Quadratic([[1.0], [1.0, 2.0]], [1.0, 2.0]),
    "pictures alone": lambda: Quadratic([[1.0, 0.0]]),
    "ends": lambda: Quadratic([[1.0, 0.0]], [1.0], ("top",)),
    "power text": lambda: Cosine("two"),
    "power NaN": lambda: Cosine(np.nan),
    "profile a number": lambda: Radial(2.0),
    "profile text": lambda: envelope(Radial(lambda t: "low"), Evidence(cube, x_max=[0, 0]), [[0.5, 0.5]]),
    "training ragged": lambda: envelope(FittedReLUNetwork([[0.1], [0.2, 0.3]], [1, 2]), Evidence(cube), [[0.5, 0.5]]),
    "training text": lambda: envelope(FittedReLUNetwork([["a", "b"]], [1]), Evidence(cube), [[0.5, 0.5]]),
}
for name, make in refused.items():
    try:
        make()
        print(name, "was taken")
    except UsageError as error:
        if "expected" not in str(error) or "\\n" in str(error):
            print(name, "said", error)
    except Exception as error:
        print(name, "ended in", type(error).__name__, error)
pictures = Evidence(cube, [0, 0], [[1], [1]], 0, 1, [[0.5, 0.5]], [0.25])
for x in ([[0.5, 0.5]], (0.5, 0.5), [[0, 1]]):
    assert envelope(Lipschitz(2), pictures, x).up.shape == (1,)
"""


def test_what_is_no_array_of_numbers():
    """In a process of its own, without the tests' own checks of types."""
    done = subprocess.run([sys.executable, "-c", PLAIN], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


@pytest.mark.parametrize("domain", [CUBE, BALL])
def test_directions_of_another_length(domain):
    low, high = (domain.farthest(np.array([s, 0.0])) for s in (-1.0, 1.0))
    point = {"points": np.zeros((1, 2)), "values": np.full(1, 0.5)}
    for fields in ({}, point, {"x_min": low, "x_max": high, "value_min": 0.0, "value_max": 1.0}):
        evidence = Evidence(domain, **fields)
        with pytest.raises(UsageError, match="directions of 2 entries, got 3"):
            envelope(AffineAlong(np.ones((1, 3))), evidence, MIDDLE[:, :2] * 0.1)


def test_known_directions_on_a_ball_without_pictures():
    """Two values along the one direction fix f; along two directions it is open off the line between the two points."""
    places = np.array([[0.0, 0.0], [0.5, 0.0]])
    evidence = Evidence(BALL, points=places, values=np.array([1.0, 2.0]))
    x = np.array([[0.25, 0.3], [-0.5, 0.0]])
    one = envelope(AffineAlong(np.array([[1.0, 0.0]])), evidence, x)
    np.testing.assert_allclose((one.lo, one.up), [[1.5, 0.0]] * 2, atol=1e-9)
    two = envelope(AffineAlong(np.array([[1.0, 1.0], [1.0, -1.0]])), evidence, x)
    assert two.lo[0] == -np.inf
    np.testing.assert_allclose((two.lo[1], two.up[1]), 0.0, atol=1e-9)
    bare = envelope(AffineAlong(np.ones((1, 2))), Evidence(BALL), x)
    assert (bare.lo == -np.inf).all()
    assert (bare.up == np.inf).all()


def test_additive_functions_on_a_ball_without_values():
    pictures = Evidence(BALL, np.array([-1.0, 0.0]), np.array([1.0, 0.0]))
    bounds = envelope(Additive(), pictures, 0.1 * MIDDLE)
    assert bounds.lo[0] == -np.inf
    assert bounds.up[0] == np.inf
    assert len(envelope(Additive(), Evidence(BALL), MIDDLE).lo) == 1


SQUARE = Evidence(CUBE, points=np.array([[0.0, 0.0], [1.0, 1.0]]), values=np.array([0.0, 1.0]))


def test_sparse_affine_without_pictures():
    """One of the two pixels has slope 1, and nothing else is possible."""
    bounds = envelope(SparseAffine(1), SQUARE, np.array([[0.5, 0.2]]))
    assert bounds.lo[0] == pytest.approx(0.2)
    assert bounds.up[0] == pytest.approx(0.5)
    assert bounds.gap[0] == 0
    assert envelope(SparseAffine(2), SQUARE, np.array([[0.5, 0.2]])).up[0] == np.inf


def test_sparse_affine_where_sets_of_pixels_are_too_many():
    """The wider affine range stands in, and the gap says so."""
    cube = Box.unit(60)
    given = Evidence(cube, points=np.array([np.zeros(60), np.ones(60)]), values=np.array([0.0, 1.0]))
    bounds = envelope(SparseAffine(3), given, np.full((1, 60), 0.3) + np.linspace(0, 0.1, 60))
    assert bounds.up[0] == np.inf
    assert bounds.gap[0] == np.inf


@pytest.mark.parametrize(
    "evidence",
    [
        SQUARE,
        Evidence(CUBE),
        Evidence(CUBE, x_max=np.ones(2)),
        Evidence(CUBE, np.zeros(2), np.ones(2)),
        Evidence(CUBE, np.zeros(2), np.ones(2), value_max=2.0),
        Evidence(BALL, points=0.5 * SQUARE.points, values=SQUARE.values),
        PICTURES.with_points([[0.2, 0.6]], [0.3]),
        Evidence(CUBE, points=SQUARE.points[:1], values=np.ones(1), gradients=np.array([[2.0, 3.0]])),
    ],
)
def test_sparse_with_all_pixels_is_affine(evidence):
    x = np.array([[0.5, 0.2], [0.1, 0.1]])
    one, other = envelope(SparseAffine(2), evidence, x), envelope(Affine(), evidence, x)
    np.testing.assert_array_equal((one.lo, one.up, one.gap), (other.lo, other.up, other.gap))


def test_concave_conflicts_speak_of_the_values_that_were_given():
    with pytest.raises(InconsistentEvidenceError, match=r"f\(point 0\) = 0.3 lies below the hull of the rest, 0.5;"):
        envelope(Concave(), PICTURES.with_points(MIDDLE, [0.3]), MIDDLE)
    with pytest.raises(InconsistentEvidenceError, match=r"f\(point 0\) = 0.7 lies above the hull of the rest, 0.5;"):
        envelope(Convex(), PICTURES.with_points(MIDDLE, [0.7]), MIDDLE)
    steep = {"x_min": np.zeros(2), "x_max": np.ones(2), "value_min": 0.0, "value_max": 1.0, "points": MIDDLE}
    sloped = Evidence(CUBE, **steep, values=np.array([0.8]), gradients=np.array([[2.0, 2.0]]))
    with pytest.raises(InconsistentEvidenceError, match="concave function undershoots a value") as caught:
        envelope(Concave(), sloped, MIDDLE)
    assert caught.value.pieces == ("gradient of point 0", "x_min")


def test_a_training_input_is_called_one_and_the_conflict_is_said_once():
    kind = FittedReLUNetwork(np.array([[0.5, 0.5], [0.2, 0.1]]), np.array([0.5, 2.0]))
    with pytest.raises(InconsistentEvidenceError) as caught:
        envelope(kind, PICTURES.with_points([[0.3, 0.3]], [0.4]), MIDDLE)
    assert caught.value.pieces == ("training input 1", "x_max")
    assert str(caught.value).count("inconsistent evidence") == 1
    assert str(caught.value).count("in conflict") == 1


def test_first_order_conflicts_are_measured_by_the_slope():
    """A slope of 1e-9 at an inner minimum is a conflict where values are of the size of 1e-9, and at no scale else."""
    for scale in (1e-9, 1.0, 1e9):
        fields = {"x_min": np.zeros(2), "x_max": np.ones(2), "value_min": 0.0, "value_max": scale, "points": MIDDLE}
        for slope, conflict in ((0.1 * scale, True), (1e-9 * scale, False)):
            given = Evidence(CUBE, **fields, values=np.zeros(1), gradients=np.array([[slope, 0.0]]))
            if conflict:
                with pytest.raises(InconsistentEvidenceError, match="next to it"):
                    envelope(BlackBox(), given, MIDDLE)
            else:
                envelope(BlackBox(), given, MIDDLE)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_points_that_may_not_be_written_to(kind):
    x = np.broadcast_to(np.array([0.5, 0.25], dtype=kind), (3, 2))
    assert envelope(Affine(), PICTURES, x).up.tolist() == [0.5] * 3
