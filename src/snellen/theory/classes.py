"""The function classes, as values: what a unit is assumed to be before anything can be guaranteed about it."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import numpy as np

from snellen.base import UsageError
from snellen.theory.domain import Array, number, numbers

Norm: TypeAlias = Literal["l1", "l2", "linf"]
"""Which norm measures distances between inputs."""


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
        parts.append(f"{field.name}={shown}")
    return f"{function_class.title} ({', '.join(parts)})" if parts else function_class.title
