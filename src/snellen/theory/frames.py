"""Units of its own for every piece of evidence: programs see values in [0, 1] on a unit box or ball, at any scale."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from snellen.theory.domain import Array, Ball, Box
from snellen.theory.evidence import Evidence


@dataclass(frozen=True, eq=False)
class Frame:
    """x -> (x - origin) / size and v -> (v - low) / unit, and back.

    Args:
        origin: (d,) of the domain: a box's lower corner, a ball's centre.
        size: a box's widths, (d,), or one number for all coordinates.
        low, unit: the least of the known values, and their range (where it is 0, another size that the evidence has).
    """

    origin: Array
    size: "Array | float"
    low: float
    unit: float

    def inward(self, x: Array) -> Array:
        """Points (n, d) in the frame."""
        return np.asarray((x - self.origin) / self.size)

    def value(self, v: Array) -> Array:
        """Values in the frame, back as they are."""
        return np.asarray(self.low + self.unit * v)

    def height(self, v: float) -> float:
        """One value in the frame, back as it is."""
        return self.low + self.unit * v

    def slope(self, w: Array) -> Array:
        """A slope (..., d) in the frame, back as it is."""
        return np.asarray(w * (self.unit / self.size))


def framed(evidence: Evidence, *, isotropic: bool = False) -> tuple[Frame, Evidence]:
    """The frame of the evidence, and the evidence in it: on [0, 1]^d (with one size, within it) or the unit ball.

    Args:
        isotropic: one size for all coordinates, so that distances keep their ratios (on a ball always).
    """
    domain = evidence.domain
    if isinstance(domain, Ball):
        frame = Frame(domain.centre, domain.radius, *_values(evidence, domain.radius))
        inner: Box | Ball = Ball(np.zeros(domain.dim), 1.0)
    else:
        widths = domain.upper - domain.lower
        size = float(widths.max()) if isotropic else widths
        frame = Frame(domain.lower, size, *_values(evidence, widths))
        inner = Box(np.zeros(domain.dim), np.minimum(widths / size, 1.0))
    gradients = evidence.gradients
    values = (evidence.values - frame.low) / frame.unit
    return frame, dataclasses.replace(
        evidence,
        domain=inner,
        x_min=_inside(frame, inner, evidence.x_min),
        x_max=_inside(frame, inner, evidence.x_max),
        value_min=None if evidence.value_min is None else (evidence.value_min - frame.low) / frame.unit,
        value_max=None if evidence.value_max is None else (evidence.value_max - frame.low) / frame.unit,
        points=inner.nearest(frame.inward(evidence.points)),
        values=values,
        gradients=None if gradients is None else gradients * (frame.size / frame.unit),
        noise=evidence.slack / frame.unit,
    )


def _inside(frame: Frame, inner: "Box | Ball", place: Array | None) -> Array | None:
    return None if place is None else inner.nearest(frame.inward(place[None]))[0]


def _values(evidence: Evidence, size: "Array | float") -> tuple[float, float]:
    """(low, unit)."""
    known = evidence.known_values
    if not len(known):
        return 0.0, 1.0
    rises = [float((np.abs(g) * size).sum()) for g in evidence.slopes().values()]
    units = (evidence.extent, max(rises, default=0.0), float(np.abs(known).max()), 1.0)
    return float(known.min()), next(u for u in units if u > 0)
