"""The rows of the table: one setting a class, and in words why it comes out as it does and what would change it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from snellen.theory.classes import (
    Additive,
    Affine,
    AffineAlong,
    BlackBox,
    Concave,
    Constant,
    Convex,
    Cosine,
    FittedReLUNetwork,
    FunctionClass,
    Lipschitz,
    LipschitzUnknown,
    Monotone,
    PatchAdditive,
    PiecewiseAffine,
    Profile,
    Quadratic,
    Radial,
    RadialUnknown,
    ReLUNetwork,
    Smooth,
    SparseAffine,
)
from snellen.theory.domain import Array, Ball, Box
from snellen.theory.evidence import Evidence

Mark: TypeAlias = Literal["attested", "inferred", "ours"]
"""Whose a verdict is: the paper's own, inferred from it, or ours (beyond the paper)."""


@dataclass(frozen=True)
class Source:
    """What the paper says of a class. It examines twelve; nine of its verdicts are attested, a tenth is inferred.

    Args:
        mark: whether that is attested or inferred; "ours" where nothing is known to be said of the class.
        verdict: whether prediction from pictures is possible; "" for ours.
        note: what of the row the paper does not settle.
    """

    mark: Mark
    verdict: Literal["impossible", "possible", ""] = ""
    note: str = ""

    def of(self, verdict: str) -> Mark:
        """The mark of one cell: the class's own where the cell says no more and no less than the paper, else ours."""
        agrees = {"impossible": "no", "possible": "yes", "": ""}[self.verdict] == verdict
        return self.mark if agrees else "ours"

    def __str__(self) -> str:
        if self.mark == "ours":
            return "Beyond the paper" + (f": {self.note}" if self.note else "")
        return f"prediction {self.verdict} ({self.mark})" + (f"; {self.note}" if self.note else "")


OURS = Source("ours")
FAILS, WORKS = Source("attested", "impossible"), Source("attested", "possible")
_SMALL = Source("ours", note="the paper excepts small L from its verdict; how small, and in which norm, is not known")


@dataclass(frozen=True, eq=False)
class Entry:
    """One row: the class and its evidence in any dimension, with D = 1, and the reasons in words.

    Args:
        name: what `--class` takes.
        title: what the page says.
        make: dimension -> (class, evidence).
        why: one line for each of the three questions.
        help: what further evidence would change.
        paper: what the paper says of the class.
        dims: the dimensions in which it is computed.
    """

    name: str
    title: str
    make: Callable[[int], tuple[FunctionClass, Evidence]]
    why: tuple[str, str, str]
    help: str
    paper: Source
    dims: tuple[int, int] = (2, 8)


def corners(dim: int) -> Evidence:
    """The unit cube with its minimum at 0 and its maximum at 1, of values 0 and 1."""
    return Evidence(Box.unit(dim), np.zeros(dim), np.ones(dim), 0.0, 1.0)


def inside(dim: int) -> Evidence:
    """The unit cube with both extremes in its interior."""
    low, high = np.full(dim, 0.5), np.full(dim, 0.5)
    low[0], high[0] = 0.2, 0.8
    return Evidence(Box.unit(dim), low, high, 0.0, 1.0)


def across(dim: int) -> Evidence:
    """The ball of diameter 1 in the cube, with its extremes at the two ends of a diameter."""
    ray = np.full(dim, 0.5 / np.sqrt(dim))
    return Evidence(Ball(np.full(dim, 0.5), 0.5), 0.5 - ray, 0.5 + ray, 0.0, 1.0)


def bowl(dim: int) -> Evidence:
    """The cube with its minimum inside and its maximum at a corner."""
    return Evidence(Box.unit(dim), np.full(dim, 0.3), np.ones(dim), 0.0, 1.0)


def dome(dim: int) -> Evidence:
    """The cube with its maximum inside and its minimum at a corner."""
    return Evidence(Box.unit(dim), np.zeros(dim), np.full(dim, 0.7), 0.0, 1.0)


def training(dim: int) -> FittedReLUNetwork:
    """Three training inputs with their targets."""
    inputs = np.random.default_rng(4).uniform(0.1, 0.9, (3, dim))
    inputs[:, 0] = [0.35, 0.5, 0.65]
    return FittedReLUNetwork(inputs, np.array([0.7, 0.25, 0.5]))


def lipschitz(norm: str, factor: float) -> Callable[[int], tuple[FunctionClass, Evidence]]:
    """L = factor times the smallest that is consistent, D / ||x_max - x_min||."""
    order = {"l1": 1.0, "l2": 2.0, "linf": np.inf}[norm]

    def make(dim: int) -> tuple[FunctionClass, Evidence]:
        return Lipschitz(factor / float(np.linalg.norm(np.ones(dim), order)), norm), corners(dim)  # type: ignore[arg-type]

    return make


def directions(dim: int) -> Array:
    """The mean over all coordinates, and (for d > 2) the mean over the first half."""
    rows = [np.ones(dim)]
    if dim > 2:
        rows.append((np.arange(dim) < dim // 2).astype(float))
    return np.array(rows)


def foot(evidence: Evidence) -> float:
    """The value that counts as a = 0 in words and pictures; a constant stays where it is."""
    return float(evidence.value_min or 0.0) if evidence.spread > 0 else 0.0


def energy(dim: int) -> Evidence:
    """The ball in the cube with the minimum at its centre, and the maximum on its sphere."""
    return Evidence(Ball(np.full(dim, 0.5), 0.5), np.full(dim, 0.5), across(dim).x_max, 0.0, 1.0)


def deflated(dim: int) -> Quadratic:
    """d - 1 further pictures: a mirror image of the axes, of which the first is the direction of x_max."""
    turned = np.full(dim, 1 / np.sqrt(dim)) - np.eye(dim)[0]
    length = float(turned @ turned) or 1.0
    axes = np.eye(dim) - 2 * np.outer(turned, turned) / length
    return Quadratic(0.5 + 0.5 * axes[1:], 1 - np.arange(1, dim) / dim) if dim > 1 else Quadratic()


def swing(dim: int) -> Evidence:
    """As `across`, with the value 0 in the middle, as a cosine unit has it."""
    ends = across(dim)
    return Evidence(ends.domain, ends.x_min, ends.x_max, -0.5, 0.5)


def straight(farthest: float) -> Profile:
    """The profile that falls from 1 to 0 evenly."""

    def fall(distances: Array) -> Array:
        return 1 - distances / farthest

    return fall


def known_fall(dim: int) -> tuple[FunctionClass, Evidence]:
    """A cone over the prototype."""
    seen = dome(dim)
    return Radial(straight(0.7 * np.sqrt(dim))), seen


def halves(dim: int, factor: float | None = None) -> PatchAdditive:
    """Two groups (one for d = 1); with a factor, bounds so many times as large as the least that are consistent."""
    groups = np.arange(dim) * 2 // dim
    least = 1 / np.sqrt(np.bincount(groups)).sum()
    return PatchAdditive(groups, None if factor is None else float(factor * least))


_SPIKE = "a network with a thin spike at x has the same pictures and any value between a and b at x"
_SPIKES = (
    _SPIKE,
    "the same spike: the worst error of any decoder is D / 2, that of a coin",
    "the spike can go to a or to b",
)
_NONE = "only the value at x itself: evidence elsewhere says nothing about x"

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "black-box", "Black-box", lambda d: (BlackBox(), inside(d)), _SPIKES, _NONE, FAILS,
    ),
    Entry(
        "relu", "ReLU network", lambda d: (ReLUNetwork(), inside(d)), _SPIKES,
        _NONE + "; a proved Lipschitz constant would move the unit to another row", FAILS,
    ),
    Entry(
        "fitted-relu", "ReLU network fitted to data", lambda d: (training(d), inside(d)),
        ("fitting fixes the values at the training inputs alone; spikes are free elsewhere", *_SPIKES[1:]),
        _NONE + "; at training inputs it is exact", FAILS,
    ),
    Entry(
        "piecewise-affine", "Piecewise affine", lambda d: (PiecewiseAffine(), inside(d)), _SPIKES,
        _NONE + "; the pieces themselves, if known, make it affine on each", FAILS,
    ),
    Entry(
        "lipschitz-unknown", "Lipschitz, L unknown", lambda d: (LipschitzUnknown(), inside(d)),
        ("a spike of any steepness is Lipschitz with some L", *_SPIKES[1:]),
        "a bound on L: see the next rows",
        Source("ours", note="whether an unknown L is among the paper's twelve classes is not known"),
    ),
    Entry(
        "lipschitz-l2-small", "Lipschitz in l2, L 1.2 times the least possible", lipschitz("l2", 1.2),
        (
            "a cone up from x_min and a cone down from x_max leave a gap off the segment between them",
            "the cones meet the bounds a and b late: near the pictures the error is at most L r / 2",
            "decided within D / (2 L) of either picture",
        ),
        "natural images with their responses: each forces the response in a ball of radius eps / L around it",
        _SMALL,
    ),
    Entry(
        "lipschitz-l2", "Lipschitz in l2, L 3 times the least possible", lipschitz("l2", 3.0),
        (
            "at points farther than D / L from both pictures any value between a and b is possible",
            "the worst error is D / 2; only a ball around each picture is known within eps",
            "decided within D / (2 L) of either picture, a vanishing share of the cube as d grows",
        ),
        "natural images near x; (L sqrt(d) / eps)^d of them for the whole cube",
        Source(
            "attested", "impossible",
            "but for small L, in an unknown norm: 3 times the least L is useless in l1, l2 and l-infinity alike",
        ),
    ),
    Entry(
        "lipschitz-l1", "Lipschitz in l1, L 1.2 times the least possible", lipschitz("l1", 1.2),
        (
            "||x - x_min||_1 + ||x - x_max||_1 = d, so the cones differ by L d - D everywhere; exact if L = D / d",
            "the worst error is (L d - D) / 2, here 0.1 D, for every d",
            "decided but in a slab around the middle",
        ),
        "the true L: at L = D / d the function is known exactly", _SMALL,
    ),
    Entry(
        "lipschitz-linf", "Lipschitz in l-infinity, L 1.2 times the least possible", lipschitz("linf", 1.2),
        (
            "any x with one coordinate at 0 and one at 1 is as far from both pictures as they are from each other",
            "the worst error is D / 2 for every consistent L once d > 1",
            "decided within D / (2 L) of either picture",
        ),
        "natural images near x", _SMALL,
    ),
    Entry(
        "monotone", "Monotone", lambda d: (Monotone(), corners(d)),
        (
            "where the extremes are is known beforehand; a step at x is monotone",
            "the step can be at x or behind it: the worst error is D / 2",
            "the same step",
        ),
        "responses of images below and above x: f(x) lies between the largest below and the smallest above",
        FAILS,
    ),
    Entry(
        "convex", "Convex", lambda d: (Convex(), bowl(d)),
        (
            "f can stay at a and rise only at x_max, or rise evenly: a <= f(x) <= a + D rho(x)",
            "rho, the gauge of the cube around x_min, is below 2 eps / D on a share (2 eps / D)^d of the cube",
            "decided (nearer to the minimum) where rho <= 1/2: a share 2^-d of the cube",
        ),
        "responses on a line through x bound it from above; a gradient at a point bounds it from below everywhere",
        FAILS,
    ),
    Entry(
        "concave", "Concave", lambda d: (Concave(), dome(d)),
        (
            "the convex case upside down: b - D rho(x) <= f(x) <= b, rho the gauge around x_max",
            "known within eps on a share (2 eps / D)^d of the cube",
            "decided (nearer to the maximum) where rho <= 1/2: a share 2^-d of the cube",
        ),
        "as for convex: responses on a line through x, and gradients", OURS,
    ),
    Entry(
        "smooth", "Smooth, gradient Lipschitz with L = 16 D", lambda d: (Smooth(16.0), inside(d)),
        (
            "f can rise from x_min as a parabola L r^2 / 2, or stay at a until x_max makes it rise",
            "within eps of a up to r = sqrt(2 eps / L) from x_min, and likewise at x_max",
            "decided within sqrt(D / L) of either picture",
        ),
        "responses and gradients of images near x", OURS,
    ),
    Entry(
        "additive", "Additive, any functions of one pixel", lambda d: (Additive(), corners(d)),
        (
            "the shares of the pixels and their curves are free: every value from a to b at almost every x",
            "the worst error is D / 2",
            "the curves can jump early or late",
        ),
        "responses to images that repeat single pixel values of x; monotone curves with known shares", OURS,
    ),
    Entry(
        "patch-additive", "Patch-additive, any functions of one patch", lambda d: (halves(d), corners(d)),
        (
            "the shares of the patches and their functions are free: every value from a to b at almost every x",
            "the worst error is D / 2",
            "the functions can jump early or late",
        ),
        "responses to images that repeat whole patches of x; a bound on how fast each patch's function changes", OURS,
    ),
    Entry(
        "patch-lipschitz", "Patch-additive, L of each patch 1.2 times the least possible",
        lambda d: (halves(d, 1.2), corners(d)),
        (
            "a + the sum of the patches' cones from x_min, b - the sum of their cones from x_max",
            "as for the Lipschitz function of constant sqrt(J) L that J patches add up to",
            "decided near either picture, patch by patch",
        ),
        "natural images with patches near those of x; the patches' own values, which make each patch a unit", OURS,
    ),
    Entry(
        "quadratic", "Homogeneous quadratic on a ball", lambda d: (Quadratic(), energy(d)),
        (
            "x_max is the first eigenvector: what of x is orthogonal to it is free between the last two values",
            "[mu-, mu+] |P x|^2 is left open: within eps where |P x|^2 <= 2 eps / D",
            "decided where the known part, or what is left of the norm, is small enough",
        ),
        "further pictures, each orthogonal to the earlier ones: every one takes its direction out of the gap", OURS,
    ),
    Entry(
        "quadratic-all", "Homogeneous quadratic, d pictures", lambda d: (deflated(d), energy(d)),
        ("all eigenvectors with their values are the function",) * 3,
        "nothing is missing: with k pictures the gap is that of the last values off those k directions", OURS,
    ),
    Entry(
        "cosine", "Cosine (B-cos) unit on an l2 ball, B = 2", lambda d: (Cosine(2.0), swing(d)),
        ("the largest picture is the direction of the weights, and its value their scale",) * 3,
        "nothing is missing: one picture with its value is enough", OURS,
    ),
    Entry(
        "radial", "Radial with a known profile", known_fall,
        ("the largest picture is the prototype, and the distance to it the response",) * 3,
        "nothing is missing; without the profile see the next row", OURS,
    ),
    Entry(
        "radial-unknown", "Radial, profile unknown", lambda d: (RadialUnknown(), dome(d)),
        (
            "the ranking of all images is known, and no value but a and b",
            "the profile can fall at once or at last: the worst error is D / 2",
            "where the profile passes the middle is unknown",
        ),
        "responses: each bounds all images nearer to x_max from below and all farther ones from above", OURS,
    ),
    Entry(
        "affine", "Affine on a cube, d > 1", lambda d: (Affine(), corners(d)),
        (
            "a corner x_max tells only the signs of the slope; exact on the diagonal between the pictures alone",
            "a + D [min s_i, max s_i]: the worst error is D / 2, at the other corners",
            "decided where all pixels lie on one side of the middle: a share 2^(1 - d)",
        ),
        "d - 1 natural images in general position, or one gradient, make it exact everywhere",
        Source("inferred", "impossible", "the paper's verdict on affine functions is known for d = 1 alone"),
    ),
    Entry(
        "affine-1d", "Affine, d = 1", lambda _: (Affine(), corners(1)),
        ("two values fix a line",) * 3, "nothing is missing", WORKS, (1, 1),
    ),
    Entry(
        "affine-ball", "Affine on an l2 ball", lambda d: (Affine(), across(d)),
        (
            "x_max - x_min is parallel to the slope: w = D (x_max - x_min) / (4 r^2)",
            "exact", "exact",
        ),
        "nothing is missing: the negative result for affine units is a property of the cube's corners", OURS,
    ),
    Entry(
        "affine-along", "Affine along known directions", lambda d: (AffineAlong(directions(d)), corners(d)),
        (
            "with one direction the pictures fix its slope; with m there are m - 1 unknowns left",
            "as far as the signs and the sum of the slope leave the unknown directions free",
            "decided where the known directions agree on the side",
        ),
        "m - 1 natural images in general position make it exact", OURS,
    ),
    Entry(
        "sparse-affine", "k-sparse affine, k = 2", lambda d: (SparseAffine(2), corners(d)),
        (
            "one pixel alone can carry all of D, and the pictures do not say which",
            "the same envelope as for all affine functions, for every k >= 1",
            "decided where all pixels lie on one side of the middle: a share 2^(1 - d)",
        ),
        "2 k - 1 natural images in general position single out the slope, however large d is", OURS,
    ),
    Entry(
        "constant", "Constant", lambda d: (Constant(), Evidence(Box.unit(d), np.zeros(d), np.ones(d), 0.5, 0.5)),
        ("one value is all there is",) * 3, "nothing is missing", WORKS,
    ),
)  # fmt: skip
