"""Where functions live: a box or a Euclidean ball, with the geometry the envelopes need."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from torch import Tensor

from snellen.base import UsageError

Array: TypeAlias = npt.NDArray[np.float64]


def numbers(value: object, name: str) -> Array:
    """Real numbers as a float64 array of any shape; tensors of any device and kind, with or without gradients.

    Raises:
        UsageError: rows of different lengths, text, complex numbers, or anything else that is no array of real numbers.
    """
    try:
        raw = value.detach().cpu().double().numpy() if isinstance(value, Tensor) else np.asarray(value)
        if raw.dtype.kind not in "biuf":
            raise TypeError
        return raw.astype(np.float64, copy=False)
    except (TypeError, ValueError, OverflowError):
        kind = f"{value!r:.40}" if isinstance(value, str | bytes) else type(value).__name__
        raise UsageError(
            f"expected real numbers for {name}, in rows of one length, got {kind}; give one array"
        ) from None


def number(value: object, name: str) -> float:
    """One real number as a float, not NaN.

    Raises:
        UsageError: anything else.
    """
    found = numbers(value, name)
    if found.size != 1 or np.isnan(found).any():
        raise UsageError(f"expected one number for {name}, got {found.size if found.size != 1 else 'NaN'}; give one")
    return float(found.reshape(-1)[0])


def vector(value: object, dim: int, name: str) -> Array:
    """A float64 vector of `dim` entries, flattened from any shape (an image, say).

    Raises:
        UsageError: another number of entries, or an entry that is no finite number.
    """
    flat = numbers(value, name).reshape(-1)
    if flat.shape != (dim,):
        raise UsageError(f"expected {name} with {dim} entries, got {flat.size}; give it the shape of the domain")
    if not np.isfinite(flat).all():
        raise UsageError(f"expected finite entries in {name}, got NaN or infinity; remove them")
    return flat


LARGEST = 1e100
"""Of coordinates and values: their squares and products stay finite."""


@dataclass(frozen=True, eq=False)
class Box:
    """The box {x : lower <= x <= upper}.

    Args:
        lower, upper: (d,), lower < upper in every coordinate.
    """

    lower: Array
    upper: Array

    def __post_init__(self) -> None:
        lower = numbers(self.lower, "lower").reshape(-1)
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", vector(self.upper, lower.size, "upper"))
        if not (lower.size and np.isfinite(lower).all() and (self.lower < self.upper).all()):
            raise UsageError("expected lower < upper in every coordinate of a box; leave fixed coordinates out")
        if max(np.abs(lower).max(), np.abs(self.upper).max()) > LARGEST:
            raise UsageError(f"expected coordinates of a box of at most {LARGEST:g}; give them in another unit")

    @classmethod
    def unit(cls, dim: int) -> "Box":
        """The cube [0, 1]^dim of images."""
        return cls(np.zeros(dim), np.ones(dim))

    @property
    def dim(self) -> int:
        return self.lower.size

    @property
    def centre(self) -> Array:
        return (self.lower + self.upper) / 2

    @property
    def widths(self) -> Array:
        """(d,)."""
        return self.upper - self.lower

    def contains(self, x: Array, tolerance: float = 1e-6) -> npt.NDArray[np.bool_]:
        """Which of x (n, d) lie in the box, up to `tolerance` of its width."""
        slack = tolerance * (self.upper - self.lower)
        return np.asarray(((x >= self.lower - slack) & (x <= self.upper + slack)).all(-1))

    def interior(self, x: Array, tolerance: float = 1e-6) -> bool:
        """Whether x (d,) is farther than `tolerance` of the width from every wall."""
        slack = tolerance * (self.upper - self.lower)
        return bool(((x > self.lower + slack) & (x < self.upper - slack)).all())

    def nearest(self, x: Array) -> Array:
        """The points of the box nearest to x (n, d)."""
        return np.clip(x, self.lower, self.upper)

    def gauge(self, x: Array, origin: Array) -> Array:
        """inf {t >= 0 : x - origin in t (X - origin)}: 0 at the origin, 1 on the boundary; x (n, d) -> (n,)."""
        step = x - origin
        room = np.where(step > 0, self.upper - origin, origin - self.lower)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(step == 0, 0.0, np.abs(step) / room)
        return np.asarray(ratio.max(-1))

    def room(self, x: Array, direction: Array) -> Array:
        """How far x (n, d) can go along unit vectors `direction` (n, d) before it leaves the box -> (n,)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            wall = np.where(direction > 0, self.upper - x, self.lower - x) / direction
        return np.maximum(np.where(direction == 0, np.inf, wall).min(-1), 0.0)

    def farthest(self, slope: Array) -> Array:
        """A point of the box that maximizes slope . x."""
        return np.where(slope >= 0, self.upper, self.lower)

    def reach(self, place: Array) -> float:
        """The distance from a place (d,) of the box to the point of it that is farthest from there."""
        return float(np.linalg.norm(np.maximum(self.upper - place, place - self.lower)))

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """`count` points, uniform in the box -> (count, d)."""
        return np.asarray(rng.uniform(self.lower, self.upper, (count, self.dim)))


@dataclass(frozen=True, eq=False)
class Ball:
    """The Euclidean ball {x : ||x - centre||_2 <= radius}.

    Args:
        centre: (d,).
        radius: > 0.
    """

    centre: Array
    radius: float

    def __post_init__(self) -> None:
        centre = numbers(self.centre, "centre").reshape(-1)
        object.__setattr__(self, "centre", centre)
        object.__setattr__(self, "radius", number(self.radius, "radius"))
        if not (centre.size and np.isfinite(centre).all() and np.isfinite(self.radius) and self.radius > 0):
            raise UsageError(f"expected a finite centre and a radius > 0, got radius {self.radius}; give a real ball")
        if max(np.abs(centre).max(), self.radius) > LARGEST:
            raise UsageError(f"expected coordinates of a ball of at most {LARGEST:g}; give them in another unit")

    @property
    def dim(self) -> int:
        return self.centre.size

    @property
    def widths(self) -> Array:
        """(d,), the diameter in every coordinate."""
        return np.full(self.dim, 2 * self.radius)

    def contains(self, x: Array, tolerance: float = 1e-6) -> npt.NDArray[np.bool_]:
        """Which of x (n, d) lie in the ball, up to `tolerance` of its radius."""
        return np.asarray(np.linalg.norm(x - self.centre, axis=-1) <= self.radius * (1 + tolerance))

    def interior(self, x: Array, tolerance: float = 1e-6) -> bool:
        """Whether x (d,) is farther than `tolerance` radii from the sphere."""
        return bool(np.linalg.norm(x - self.centre) < self.radius * (1 - tolerance))

    def nearest(self, x: Array) -> Array:
        """The points of the ball nearest to x (n, d)."""
        step = x - self.centre
        length = np.linalg.norm(step, axis=-1, keepdims=True)
        return np.where(length > self.radius, self.centre + step * (self.radius / np.maximum(length, self.radius)), x)

    def gauge(self, x: Array, origin: Array) -> Array:
        """inf {t >= 0 : x - origin in t (X - origin)}: 0 at the origin, 1 on the sphere; x (n, d) -> (n,)."""
        step = x - origin
        length = np.linalg.norm(step, axis=-1)
        unit = step / np.where(length > 0, length, 1.0)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(length == 0, 0.0, length / self.room(origin[None], unit))

    def room(self, x: Array, direction: Array) -> Array:
        """How far x (n, d) can go along unit vectors `direction` (n, d) before it leaves the ball -> (n,)."""
        offset = x - self.centre
        along = (offset * direction).sum(-1)
        inside = np.maximum(self.radius**2 - (offset**2).sum(-1), 0.0)
        root = np.sqrt(along**2 + inside)
        return np.where(along > 0, inside / np.where(along > 0, along + root, 1.0), root - along)

    def farthest(self, slope: Array) -> Array:
        """A point of the ball that maximizes slope . x."""
        length = np.linalg.norm(slope)
        return self.centre + (self.radius / length) * slope if length > 0 else self.centre

    def reach(self, place: Array) -> float:
        """The distance from a place (d,) of the ball to the point of it that is farthest from there."""
        return float(np.linalg.norm(place - self.centre)) + self.radius

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """`count` points, uniform in the ball -> (count, d)."""
        normal = rng.standard_normal((count, self.dim))
        radii = self.radius * rng.uniform(size=(count, 1)) ** (1 / self.dim)
        return np.asarray(self.centre + radii * normal / np.linalg.norm(normal, axis=-1, keepdims=True))


Domain: TypeAlias = Box | Ball
