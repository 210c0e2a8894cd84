"""The function classes, as values: what a unit is assumed to be before anything can be guaranteed about it."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from snellen.base import UsageError
from snellen.theory.domain import Array, number, numbers

Norm: TypeAlias = Literal["l1", "l2", "linf"]
"""Which norm measures distances between inputs."""

Extreme: TypeAlias = Literal["max", "min"]
"""Whether a picture is the largest or the smallest of those among which it was looked for."""

Profile: TypeAlias = Callable[[Array], Array]
"""Distances (n,) -> values (n,)."""


@dataclass(frozen=True, eq=False)
class FunctionClass:
    """A set of functions X -> R. Final classes below; the verbs (`envelope`, `witness`, ...) dispatch on them."""

    title: ClassVar[str] = "function class"


@dataclass(frozen=True, eq=False)
class BlackBox(FunctionClass):
    """All bounded functions."""

    title: ClassVar[str] = "black-box"


@dataclass(frozen=True, eq=False)
class ReLUNetwork(FunctionClass):
    """All ReLU networks of any width and depth (on X: all continuous piecewise affine functions)."""

    title: ClassVar[str] = "ReLU network"


@dataclass(frozen=True, eq=False)
class FittedReLUNetwork(FunctionClass):
    """All ReLU networks with the smallest training loss on given data, that is, which fit it exactly.

    Args:
        inputs: (k, ...) training inputs, distinct.
        targets: (k,) what a network of zero training loss answers on them.
    """

    inputs: Array
    targets: Array
    title: ClassVar[str] = "ReLU network fitted to data"


@dataclass(frozen=True, eq=False)
class PiecewiseAffine(FunctionClass):
    """All continuous functions that are affine on each of finitely many polyhedra."""

    title: ClassVar[str] = "piecewise affine"


@dataclass(frozen=True, eq=False)
class Lipschitz(FunctionClass):
    """|f(x) - f(y)| <= bound ||x - y||, with a known bound.

    Args:
        bound: L >= 0.
        norm: the norm of the right-hand side.
    """

    bound: float
    norm: Norm = "l2"
    title: ClassVar[str] = "Lipschitz, L known"

    def __post_init__(self) -> None:
        object.__setattr__(self, "bound", number(self.bound, "the Lipschitz bound"))
        if not (np.isfinite(self.bound) and self.bound >= 0):
            raise UsageError(f"expected a Lipschitz bound >= 0, got {self.bound}; use LipschitzUnknown without one")
        if self.norm not in ("l1", "l2", "linf"):
            raise UsageError(f'expected a norm of "l1", "l2", "linf", got "{self.norm}"')


@dataclass(frozen=True, eq=False)
class LipschitzUnknown(FunctionClass):
    """All functions that are Lipschitz with some finite constant."""

    title: ClassVar[str] = "Lipschitz, L unknown"


@dataclass(frozen=True, eq=False)
class Monotone(FunctionClass):
    """f(x) <= f(y) wherever x <= y in every coordinate."""

    title: ClassVar[str] = "monotone"


@dataclass(frozen=True, eq=False)
class Convex(FunctionClass):
    """f(tx + (1 - t)y) <= t f(x) + (1 - t) f(y). Gradients given as evidence are read as subgradients."""

    title: ClassVar[str] = "convex"


@dataclass(frozen=True, eq=False)
class Concave(FunctionClass):
    """-f is convex."""

    title: ClassVar[str] = "concave"


@dataclass(frozen=True, eq=False)
class Smooth(FunctionClass):
    """Differentiable, with ||grad f(x) - grad f(y)||_2 <= bound ||x - y||_2.

    Args:
        bound: L > 0.
    """

    bound: float
    title: ClassVar[str] = "smooth"

    def __post_init__(self) -> None:
        object.__setattr__(self, "bound", number(self.bound, "the bound on the gradient's Lipschitz constant"))
        if not (np.isfinite(self.bound) and self.bound > 0):
            raise UsageError(f"expected a bound > 0 on the gradient's Lipschitz constant, got {self.bound}")


@dataclass(frozen=True, eq=False)
class Additive(FunctionClass):
    """f(x) = sum_i f_i(x_i) with arbitrary bounded f_i of one variable."""

    title: ClassVar[str] = "additive"


@dataclass(frozen=True, eq=False)
class Affine(FunctionClass):
    """f(x) = w . x + c."""

    title: ClassVar[str] = "affine"


@dataclass(frozen=True, eq=False)
class AffineAlong(FunctionClass):
    """f(x) = c + sum_j alpha_j (directions[j] . x): affine, with a slope in a known subspace.

    Args:
        directions: (m, d), the known directions; alpha and c are unknown.
    """

    directions: Array
    title: ClassVar[str] = "affine along known directions"

    def __post_init__(self) -> None:
        rows = np.atleast_1d(numbers(self.directions, "directions"))
        if rows.size == 0 or not np.isfinite(rows).all() or not rows.any():
            raise UsageError("expected at least one direction with finite entries that are not all 0, (m, d)")
        object.__setattr__(self, "directions", rows.reshape(len(rows), -1))


@dataclass(frozen=True, eq=False)
class SparseAffine(FunctionClass):
    """f(x) = w . x + c with at most `nonzero` entries of w other than 0 (which ones is unknown).

    Args:
        nonzero: k >= 1.
    """

    nonzero: int
    title: ClassVar[str] = "k-sparse affine"

    def __post_init__(self) -> None:
        count = number(self.nonzero, "the number of nonzero weights")
        if not (count >= 1 and count % 1 == 0):
            raise UsageError(f"expected a whole number >= 1 of nonzero weights, got {count:g}; use Constant for none")
        object.__setattr__(self, "nonzero", int(count))


@dataclass(frozen=True, eq=False)
class PatchAdditive(FunctionClass):
    """f(x) = sum_j g_j(x restricted to group j), the groups a partition of the coordinates, as are an image's patches.

    Args:
        groups: (d,) in any shape, the number of every coordinate's group, 0 to J - 1.
        bound: L_j >= 0, (J,) or one number for all: |g_j(u) - g_j(v)| <= L_j ||u - v||_2. None: arbitrary bounded g_j.
        weights: (J,), none 0; then the groups share one unknown g, and f(x) = sum_j weights_j g(x restricted to j).

    Raises:
        UsageError: numbers that leave a group out, a negative bound, a weight of 0, or a shared g on unequal groups.

    Examples:
        >>> from snellen.theory import PatchAdditive
        >>> PatchAdditive(np.array([0, 0, 1])).count, PatchAdditive.tiles((3, 32, 32), 4).count
        (2, 64)
    """

    groups: npt.NDArray[np.integer[Any]]
    bound: "float | Array | None" = None
    weights: Array | None = None
    title: ClassVar[str] = "patch-additive"

    def __post_init__(self) -> None:
        groups = numbers(self.groups, "groups").reshape(-1)
        count = int(groups.max(initial=-1)) + 1 if np.isfinite(groups).all() else 0
        if not groups.size or not np.array_equal(np.unique(groups), np.arange(count)):
            raise UsageError("expected whole numbers from 0 on for groups, every one of them used; number them anew")
        object.__setattr__(self, "groups", groups.astype(np.int64))
        if self.bound is not None:
            object.__setattr__(self, "bound", self._each(self.bound, "the bound"))
            if not (self.bound >= 0).all():  # type: ignore[union-attr]
                raise UsageError("expected a bound >= 0 for every group, got a negative one; None is for no bound")
        if self.weights is not None:
            object.__setattr__(self, "weights", self._each(self.weights, "weights"))
            self._check_shared()

    @classmethod
    def tiles(cls, shape: tuple[int, int, int], size: int, bound: "float | Array | None" = None) -> "PatchAdditive":
        """The square patches, of all channels, into which an image (c, h, w) is cut.

        Args:
            shape: (c, h, w), of the images.
            size: side of a patch in pixels; at the right and lower edge patches may be smaller.
            bound: as for the class.
        """
        channels, height, width = shape
        if not min(channels, height, width, size) >= 1:
            raise UsageError(f"expected a shape (c, h, w) and a size of at least 1, got {shape} and {size}")
        rows, columns = np.arange(height) // size, np.arange(width) // size
        tile = rows[:, None] * (columns[-1] + 1) + columns
        return cls(np.broadcast_to(tile, shape), bound)

    @property
    def count(self) -> int:
        """J."""
        return int(self.groups.max()) + 1

    def _each(self, value: object, name: str) -> Array:
        each = numbers(value, name).reshape(-1)
        if each.size not in (1, self.count) or not np.isfinite(each).all():
            raise UsageError(f"expected {name} as a finite number for each of {self.count} groups, got {each.size}")
        return np.broadcast_to(each, (self.count,)).copy()

    def _check_shared(self) -> None:
        if not np.asarray(self.weights).all():
            raise UsageError("expected weights other than 0; leave the coordinates of such a group out")
        if np.ptp(np.bincount(self.groups)):
            raise UsageError("expected groups of one size for a shared function, got several; leave weights out")
        if self.bound is not None and np.ptp(self.bound):
            raise UsageError("expected one bound for a shared function, got several; give their least")


@dataclass(frozen=True, eq=False)
class Quadratic(FunctionClass):
    """f(x) = (x - c)^T Q (x - c) on a ball around c, with an unknown symmetric Q.

    Beside x_max and x_min, further pictures may be known that were drawn one after the other on the sphere, each the
    largest or the smallest there among the points orthogonal (seen from c) to x_max, x_min and all earlier pictures.

    Args:
        pictures: (k, ...) with d entries each.
        values: (k,), f of them.
        ends: (k,) of "max" and "min"; "max" for all where it is left out.

    Raises:
        UsageError: not as many values or ends as pictures.

    Examples:
        >>> from snellen.theory import Ball, Evidence, Quadratic, envelope
        >>> seen = Evidence(Ball(np.zeros(3), 1.0), np.zeros(3), np.eye(3)[0], 0.0, 1.0)
        >>> more = Quadratic(pictures=np.eye(3)[1:2], values=np.array([0.5]))
        >>> [envelope(kind, seen, np.array([[0.0, 0.0, 1.0]])).up.tolist() for kind in (Quadratic(), more)]
        [[1.0], [0.5]]
    """

    pictures: Array | None = None
    values: Array | None = None
    ends: tuple[Extreme, ...] = ()
    title: ClassVar[str] = "homogeneous quadratic"

    def __post_init__(self) -> None:
        values = numbers(() if self.values is None else self.values, "values").reshape(-1)
        rows = numbers(() if self.pictures is None else self.pictures, "pictures")
        if not (np.isfinite(values).all() and np.isfinite(rows).all()):
            raise UsageError("expected finite pictures and values, got NaN or infinity; remove them")
        if (rows.size == 0) != (values.size == 0) or (values.size and rows.size % values.size):
            raise UsageError(f"expected a value for each picture, got pictures {rows.shape} and {values.size} values")
        ends = tuple(self.ends) or ("max",) * values.size
        if len(ends) != values.size or not set(ends) <= {"max", "min"}:
            raise UsageError(f'expected "max" or "min" for each of {values.size} pictures, got {ends!r:.60}; give ends')
        object.__setattr__(self, "pictures", rows.reshape(values.size, -1) if values.size else np.zeros((0, 0)))
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "ends", ends)


@dataclass(frozen=True, eq=False)
class Cosine(FunctionClass):
    """f(x) = k ||x - c|| |cos|^(power - 1) cos on a ball around c, cos that of the angle between x - c and w.

    A B-cos unit without bias: its power B is known, the scale k >= 0 and the direction of w are not.

    Args:
        power: B >= 1; 1 is a linear unit.

    Raises:
        UsageError: a power below 1.

    Examples:
        >>> from snellen.theory import Ball, Cosine, Evidence, envelope
        >>> seen = Evidence(Ball(np.zeros(2), 1.0), x_max=np.array([1.0, 0.0]), value_max=2.0)
        >>> envelope(Cosine(2.0), seen, np.array([[0.6, 0.8], [-0.5, 0.0]])).up.round(6).tolist()
        [0.72, -1.0]
    """

    power: float
    title: ClassVar[str] = "cosine"

    def __post_init__(self) -> None:
        object.__setattr__(self, "power", number(self.power, "the power"))
        if not (np.isfinite(self.power) and self.power >= 1):
            raise UsageError(f"expected a finite power >= 1, got {self.power:g}; 1 is a linear unit")


@dataclass(frozen=True, eq=False)
class Radial(FunctionClass):
    """f(x) = profile(||x - p||_2), with a known profile and an unknown prototype p in the domain.

    Args:
        profile: distances (n,) -> values (n,), strictly decreasing; NumPy arrays of float64.

    Raises:
        UsageError: the profile is no function.

    Examples:
        >>> from snellen.theory import Box, Evidence, Radial, envelope
        >>> seen = Evidence(Box.unit(2), x_max=np.zeros(2))
        >>> envelope(Radial(lambda t: 1 - t), seen, np.array([[0.3, 0.4]])).lo.tolist()
        [0.5]
    """

    profile: Profile
    title: ClassVar[str] = "radial, profile known"

    def __post_init__(self) -> None:
        if not callable(self.profile):
            raise UsageError("expected a function of distances as profile; RadialUnknown is for an unknown one")

    def at(self, distances: Array) -> Array:
        """The profile at distances (n,).

        Raises:
            UsageError: it returns another number of values, or some that are not finite or rise with the distance.
        """
        found = numbers(self.profile(distances), "the profile's values").reshape(-1)
        if found.shape != distances.shape:
            raise UsageError(f"expected {distances.size} values of the profile, got {found.size}; take and give arrays")
        order = np.argsort(distances)
        rounding = 1e-12 * np.abs(found).max(initial=0.0)
        if not np.isfinite(found).all() or (np.diff(found[order]) > rounding).any():
            raise UsageError("expected a strictly decreasing profile with finite values; give the negative of f's")
        return found


@dataclass(frozen=True, eq=False)
class RadialUnknown(FunctionClass):
    """f(x) = h(||x - p||_2), h any strictly decreasing function, p any prototype in the domain.

    Examples:
        >>> from snellen.theory import Box, Evidence, RadialUnknown, envelope
        >>> seen = Evidence(Box.unit(2), x_max=np.zeros(2), value_max=1.0).with_points([[0.5, 0.5]], [0.25])
        >>> found = envelope(RadialUnknown(), seen, np.array([[0.3, 0.4]]))
        >>> found.lo.tolist(), found.up.tolist()
        ([0.25], [1.0])
    """

    title: ClassVar[str] = "radial, profile unknown"


@dataclass(frozen=True, eq=False)
class Constant(FunctionClass):
    """f(x) = c."""

    title: ClassVar[str] = "constant"


FLEXIBLE: tuple[type[FunctionClass], ...] = (
    BlackBox,
    ReLUNetwork,
    FittedReLUNetwork,
    PiecewiseAffine,
    LipschitzUnknown,
)
"""The classes that can take any values at finitely many points: the pictures say nothing elsewhere."""


def describe(function_class: FunctionClass) -> str:
    """The class with its parameters in one line, such as `Lipschitz, L known (bound=0.5, norm=l2)`."""
    parts = []
    for field in dataclasses.fields(function_class):
        value = getattr(function_class, field.name)
        shown = "x".join(map(str, np.shape(value))) if isinstance(value, np.ndarray) else f"{value}"
        shown = getattr(value, "__name__", "function").strip("<>") if callable(value) else shown
        parts.append(f"{field.name}={shown}")
    return f"{function_class.title} ({', '.join(parts)})" if parts else function_class.title
