"""The tightest bounds that a function class and evidence allow, and the best decoder they imply."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from torch import Tensor

from snellen.base import UsageError
from snellen.theory.additive import additive_envelope, terms
from snellen.theory.affine import affine_envelope
from snellen.theory.classes import (
    FLEXIBLE,
    Additive,
    Affine,
    AffineAlong,
    Concave,
    Constant,
    Convex,
    Cosine,
    FunctionClass,
    Lipschitz,
    Monotone,
    PatchAdditive,
    Quadratic,
    Radial,
    RadialUnknown,
    Smooth,
    SparseAffine,
)
from snellen.theory.cosine import cosine_envelope
from snellen.theory.differences import difference_envelope
from snellen.theory.domain import Array
from snellen.theory.evidence import Evidence, InconsistentEvidenceError
from snellen.theory.hull import convex_envelope
from snellen.theory.points import asked_points
from snellen.theory.quadratic import quadratic_envelope
from snellen.theory.radial import radial_envelope
from snellen.theory.smooth import smooth_envelope

Bounds: TypeAlias = tuple[Array, Array] | tuple[Array, Array, Array]
"""(lo, up), exact, or (lo, up, gap)."""


@dataclass(frozen=True, eq=False)
class Envelope:
    """lo(x) <= f(x) <= up(x) for every f of the class with this evidence; unpacks into (lo, up).

    Args:
        lo, up: (n,), infinite where nothing is implied.
        gap: (n,), the most by which lo or up may fall short of the tightest bound; 0 where they are the tightest.
    """

    lo: Array
    up: Array
    gap: Array

    def __iter__(self) -> Iterator[Array]:
        return iter((self.lo, self.up))

    @property
    def width(self) -> Array:
        """up - lo, (n,); 0 where rounding makes it negative."""
        return np.maximum(self.up - self.lo, 0.0)


@dataclass(frozen=True, eq=False)
class Decoded:
    """The best prediction of f(x) and the most it can err, (n,) each."""

    prediction: Array
    error: Array


def envelope(function_class: FunctionClass, evidence: Evidence, x: "npt.ArrayLike | Tensor") -> Envelope:
    """lo(x) = inf f(x) and up(x) = sup f(x) over all f in the class that have this evidence.

    Exact (a closed form or a linear program, to rounding) for every class but `Smooth`, `Additive` and `PatchAdditive`
    on a ball, `Convex` and `Concave` with exemplars where programs reach no further, `Quadratic` with two exemplars or
    more, `RadialUnknown` at distances that rounding does not tell apart, and `SparseAffine` without both pictures'
    values in many dimensions: there the bounds hold, and `gap` says how far from the tightest they may be. Whatever the
    units of values and domain, tolerances are relative to the range of the known values and to the size of the domain.

    Args:
        function_class: what f is assumed to be.
        evidence: what is known of f.
        x: (n, ...) with d entries each, in the domain.

    Examples:
        >>> from snellen.theory import Affine, Ball, Evidence, envelope
        >>> disc = Ball(np.zeros(2), 1.0)
        >>> seen = Evidence(disc, x_max=np.array([1.0, 0.0]), x_min=np.array([-1.0, 0.0]), value_max=1.0, value_min=0.0)
        >>> found = envelope(Affine(), seen, np.array([[0.5, 0.5]]))
        >>> float(found.lo[0]), float(found.up[0])
        (0.75, 0.75)

    Raises:
        InconsistentEvidenceError: no f of the class has this evidence (the conflicting pieces are named).
        UsageError: points of another dimension or outside the domain, or evidence this class needs and lacks.
    """
    points = asked_points(evidence.domain, x)
    _first_order(function_class, evidence)
    bounds = _solver(function_class)(function_class, evidence, points)
    lo, up = bounds[0], bounds[1]
    gap = bounds[2] if len(bounds) == 3 else np.zeros(len(lo))
    return Envelope(lo, up, gap)


def envelopes(
    function_class: FunctionClass, evidence: Evidence, chunks: "Iterable[npt.ArrayLike | Tensor]"
) -> Iterator[Envelope]:
    """`envelope` for chunks of points as they come: memory is bounded by one chunk."""
    for chunk in chunks:
        yield envelope(function_class, evidence, chunk)


def decode(function_class: FunctionClass, evidence: Evidence, x: "npt.ArrayLike | Tensor") -> Decoded:
    """The minimax-best prediction (lo + up) / 2 and its worst error (up - lo) / 2; NaN and infinity where unbounded."""
    bounds = envelope(function_class, evidence, x)
    finite = np.isfinite(bounds.lo) & np.isfinite(bounds.up)
    with np.errstate(invalid="ignore"):
        middle = np.where(finite, (bounds.lo + bounds.up) / 2, np.nan)
    return Decoded(middle, np.where(finite, bounds.width / 2, np.inf))


def _solver(function_class: FunctionClass) -> Callable[..., Bounds]:
    table: tuple[tuple[tuple[type[FunctionClass], ...], Callable[..., Bounds]], ...] = (
        ((*FLEXIBLE, Lipschitz, Monotone, Constant), difference_envelope),
        ((Affine, AffineAlong, SparseAffine), affine_envelope),
        ((Convex, Concave), convex_envelope),
        ((Additive, PatchAdditive), additive_envelope),
        ((Quadratic,), quadratic_envelope),
        ((Cosine,), cosine_envelope),
        ((Radial, RadialUnknown), radial_envelope),
        ((Smooth,), smooth_envelope),
    )
    for kinds, solver in table:
        if isinstance(function_class, kinds):
            return solver
    raise UsageError(f"expected one of the classes of snellen.theory, got {type(function_class).__name__}")


def _first_order(function_class: FunctionClass, evidence: Evidence) -> None:
    """Known gradients fit the class, and lead out of the domain, or nowhere, at every point of an extreme value."""
    if isinstance(function_class, Convex | Concave):
        return
    for i, slope in evidence.slopes().items():
        _fits(function_class, evidence, i)
        rounding = 1e-6 * float((np.abs(slope) * evidence.domain.widths).sum()) + evidence.slack
        ends = (("x_min", evidence.x_min, evidence.value_min, -1.0), ("x_max", evidence.x_max, evidence.value_max, 1.0))
        for name, place, value, sign in ends:
            same = place is not None and np.array_equal(place, evidence.points[i])
            if not same and (value is None or sign * (evidence.values[i] - value) < 0):
                continue
            there = evidence.points[i]
            climb = float(sign * slope @ (evidence.domain.farthest(sign * slope) - there))
            if climb > rounding:
                reason = f"f goes beyond its value at {name} next to it"
                raise InconsistentEvidenceError(reason, (evidence.labels[i], name))


def _fits(function_class: FunctionClass, evidence: Evidence, i: int) -> None:
    slope = evidence.slopes()[i]
    rises = slope * evidence.domain.widths
    name = (f"gradient of {evidence.labels[i]}",)
    if isinstance(function_class, Lipschitz):
        size = np.linalg.norm(slope, {"l1": np.inf, "l2": 2, "linf": 1}[function_class.norm])
        if size > function_class.bound * (1 + 1e-6):
            raise InconsistentEvidenceError(f"its dual norm {size:g} exceeds L = {function_class.bound:g}", name)
    if isinstance(function_class, PatchAdditive):
        _fits_patches(function_class, slope, name)
    if isinstance(function_class, Monotone) and rises.min() < -1e-6 * np.abs(rises).max():
        raise InconsistentEvidenceError("a monotone function has no negative derivative", name)
    if isinstance(function_class, Constant) and np.abs(rises).sum() > evidence.slack:
        raise InconsistentEvidenceError("a constant function has no gradient but 0", name)


def _fits_patches(function_class: PatchAdditive, slope: Array, name: tuple[str, ...]) -> None:
    """In every group it is no longer than |weight| L."""
    split = terms(function_class, len(slope))
    sizes, most = split.lengths(slope[None])[0], np.abs(split.weights) * split.bounds
    worst = int((sizes - most).argmax())
    if sizes[worst] > most[worst] * (1 + 1e-6):
        reason = f"its norm in group {worst}, {sizes[worst]:g}, exceeds the group's bound {most[worst]:g}"
        raise InconsistentEvidenceError(reason, name)
