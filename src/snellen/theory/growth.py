"""How the worst error shrinks as natural exemplars come in beside the pictures."""

from dataclasses import dataclass

import numpy as np

from snellen.theory.classes import (
    Additive,
    Affine,
    AffineAlong,
    BlackBox,
    Concave,
    Convex,
    FunctionClass,
    Lipschitz,
    Monotone,
    Smooth,
    SparseAffine,
)
from snellen.theory.domain import Array
from snellen.theory.entries import corners, directions
from snellen.theory.envelope import envelope
from snellen.theory.evidence import Evidence

DIM = 8
COUNTS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 32)
_ASKED = 12


@dataclass(frozen=True, eq=False)
class Growth:
    """One curve: the largest error of the best decoder over some images, against the number of exemplars.

    Args:
        exact: the least further information that makes every answer exact.
    """

    title: str
    counts: tuple[int, ...]
    errors: tuple[float, ...]
    exact: str


def growth(seed: int = 0) -> tuple[Growth, ...]:
    """Curves in d = 8, pictures at opposite corners, D = 1, exemplars uniform in the cube.

    The unit that gives the exemplars their values is the mean over all pixels, which is in every class but the sparse
    one; there it is the mean of the first two. The errors are over twelve uniform images, the same for every class.
    """
    rng = np.random.default_rng(seed)
    evidence = corners(DIM)
    places, asked = evidence.domain.sample(max(COUNTS), rng), evidence.domain.sample(_ASKED, rng)
    curves = []
    for title, function_class, most, exact in _CLASSES:
        weights = np.zeros(DIM)
        weights[: 2 if isinstance(function_class, SparseAffine) else DIM] = 1.0
        values = places @ weights / weights.sum()
        counts = tuple(c for c in COUNTS if c <= most)
        errors = []
        for count in counts:
            known = evidence.with_points(places[:count], values[:count]) if count else evidence
            errors.append(_worst(function_class, known, asked))
        curves.append(Growth(title, counts, tuple(errors), exact))
    return tuple(curves)


def _worst(function_class: FunctionClass, evidence: Evidence, asked: Array) -> float:
    return float(envelope(function_class, evidence, asked).width.max()) / 2


_NET = "no finite number; within eps, a net of exemplars of radius eps / L"

_CLASSES: tuple[tuple[str, FunctionClass, int, str], ...] = (
    (
        "Black-box, piecewise affine, Lipschitz with unknown L, ReLU networks, fitted or not",
        BlackBox(),
        32,
        "the value at every image",
    ),
    ("Additive", Additive(), 32, "the d curves: a value for every level of every pixel"),
    ("Monotone", Monotone(), 32, "for each image, one below and one above it with equal responses"),
    ("Lipschitz in l2, L 1.2 times the least", Lipschitz(float(1.2 / np.sqrt(DIM))), 32, _NET),
    ("Lipschitz in l1, L 1.2 times the least", Lipschitz(1.2 / DIM, "l1"), 32, _NET + " (none at the least L)"),
    ("Lipschitz in l-infinity, L 1.2 times the least", Lipschitz(1.2, "linf"), 32, _NET),
    (
        "Smooth, L 16 times D",
        Smooth(16.0),
        32,
        "no finite number; within eps, values and gradients on a net of radius sqrt(2 eps / L)",
    ),
    ("Convex", Convex(), 8, "for each image, exemplars around it among which f is affine"),
    ("Concave", Concave(), 8, "the same"),
    ("Affine", Affine(), 32, "d - 1 exemplars in general position, or one gradient"),
    ("k-sparse affine, k = 2", SparseAffine(2), 8, "2 k - 1 exemplars in general position (k for almost every slope)"),
    ("Affine along m = 2 known directions", AffineAlong(directions(DIM)), 8, "m - 1 exemplars in general position"),
)
