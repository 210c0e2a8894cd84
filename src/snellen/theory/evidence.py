"""What is known of a function: its visualizations, their values, further points, gradients."""

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snellen.base import UsageError
from snellen.theory.domain import LARGEST, Array, Domain, number, numbers, vector

_ULPS = 8 * float(np.finfo(np.float64).eps)
"""Rounding of sums and differences of values, relative to their size."""


class InconsistentEvidenceError(UsageError):
    """Values that no function of the class has.

    Args:
        reason: one line that says what fails.
        pieces: the names of the pieces of evidence that conflict, such as ("point 3", "x_max").
    """

    def __init__(self, reason: str, pieces: tuple[str, ...]) -> None:
        self.pieces = tuple(dict.fromkeys(pieces))
        named = ", ".join(self.pieces) or "the evidence itself"
        super().__init__(f"inconsistent evidence: {reason}; in conflict: {named}")


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of f on a domain X; every piece but the domain is optional.

    f(x_min) <= f(x) <= f(x_max) for all x in X; f(x_min) = value_min, f(x_max) = value_max; f(points[i]) = values[i];
    the gradient of f at points[i] is gradients[i] (a row of NaN where it is unknown).

    Args:
        domain: X.
        x_min, x_max: a minimizer and a maximizer of f over X, any shape with d entries.
        value_min, value_max: their values.
        points: (k, ...) with d entries each.
        values: (k,).
        gradients: (k, ...) or None.
        tolerance: relative to `extent`, the range of the known values; smaller contradictions are taken for rounding.
        noise: absolute, the most by which a value may be off (computed in float32, say); likewise.
        labels: (k,) what messages call the points; "point 0", "point 1", ... by default.

    Raises:
        UsageError: shapes that do not fit, a point outside the domain, a value without its point.
        InconsistentEvidenceError: values that no function at all has.
    """

    domain: Domain
    x_min: Array | None = None
    x_max: Array | None = None
    value_min: float | None = None
    value_max: float | None = None
    points: Array = dataclasses.field(default_factory=lambda: np.zeros((0, 0)))
    values: Array = dataclasses.field(default_factory=lambda: np.zeros(0))
    gradients: Array | None = None
    tolerance: float = 1e-7
    noise: float = 0.0
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        dim = self.domain.dim
        for name in ("x_min", "x_max"):
            place, value = getattr(self, name), getattr(self, name.replace("x_", "value_"))
            if place is None and value is not None:
                raise UsageError(f"expected {name} with its value {value}, got no {name}; give both")
            if place is not None:
                object.__setattr__(self, name, vector(place, dim, name))
            if value is not None:
                object.__setattr__(self, name.replace("x_", "value_"), number(value, f"the value at {name}"))
        values = numbers(self.values, "values").reshape(-1)
        object.__setattr__(self, "values", vector(values, values.size, "values"))
        object.__setattr__(self, "points", _matrix(self.points, (values.size, dim), "points"))
        if self.gradients is not None:
            object.__setattr__(self, "gradients", _matrix(self.gradients, (values.size, dim), "gradients"))
        labels = tuple(self.labels) or tuple(f"point {i}" for i in range(values.size))
        if len(labels) != values.size:
            raise UsageError(f"expected a label for each of {values.size} points, got {len(labels)}")
        object.__setattr__(self, "labels", labels)
        for name in ("tolerance", "noise"):
            object.__setattr__(self, name, number(getattr(self, name), name))
            if not 0 <= getattr(self, name) < np.inf:
                raise UsageError(f"expected a finite {name} >= 0, got {getattr(self, name)}")
        self._check_sizes()
        self._check_places()
        self._check_values()

    def _check_sizes(self) -> None:
        if self.gradients is not None and np.isinf(self.gradients).any():
            raise UsageError("expected finite gradients, or rows of NaN where unknown, got infinity; remove it")
        known = [v for v in (self.value_min, self.value_max, *self.values) if v is not None]
        for name, found in (("values", np.array(known)), ("gradients", self.gradients)):
            if found is not None and np.nan_to_num(np.abs(found), posinf=np.inf).max(initial=0.0) > LARGEST:
                raise UsageError(f"expected finite {name} of at most {LARGEST:g}; give them in another unit")

    def _check_places(self) -> None:
        if not np.isfinite(self.points).all():
            raise UsageError("expected finite points, got NaN or infinity; remove them")
        for node in self.nodes():
            if not self.domain.contains(node.place[None])[0]:
                raise UsageError(f"expected evidence inside the domain, got {node.name} outside it; widen the domain")

    def _check_values(self) -> None:
        """Values lie between value_min and value_max, and equal points have equal values."""
        for bound, sign, name in ((self.value_min, 1.0, "x_min"), (self.value_max, -1.0, "x_max")):
            for node in self.nodes():
                if bound is not None and node.value is not None and sign * (bound - node.value) > self.slack:
                    raise InconsistentEvidenceError(
                        f"f({node.name}) = {node.value:g} is {'below' if sign > 0 else 'above'} f({name}) = {bound:g}",
                        (node.name, name),
                    )
        seen: dict[bytes, Node] = {}
        for node in self.nodes():
            if node.value is None:
                continue
            twin = seen.setdefault((node.place + 0.0).tobytes(), node)
            if twin.value is not None and abs(twin.value - node.value) > self.slack:
                raise InconsistentEvidenceError(
                    f"one point has the two values {twin.value:g} and {node.value:g}", (twin.name, node.name)
                )

    @cached_property
    def known_values(self) -> Array:
        """The values of all nodes that have one, in their order."""
        return np.array([n.value for n in self.nodes() if n.value is not None], dtype=np.float64)

    @cached_property
    def extent(self) -> float:
        """The range of the known values: D where both pictures have theirs, 0 where fewer than two values are known."""
        return float(np.ptp(self.known_values)) if len(self.known_values) else 0.0

    @cached_property
    def slack(self) -> float:
        """The absolute tolerance of values: a share of their range, their noise, and a few units in the last place."""
        return self.tolerance * self.extent + self.noise + _ULPS * float(np.abs(self.known_values).max(initial=0.0))

    @property
    def spread(self) -> float:
        """D = value_max - value_min; infinite where one is unknown."""
        if self.value_min is None or self.value_max is None:
            return float("inf")
        return max(self.value_max - self.value_min, 0.0)

    def nodes(self) -> "tuple[Node, ...]":
        """Every place with something known: x_min, x_max (where given), then the points."""
        ends = [
            Node(name, place, value)
            for name, place, value in (("x_min", self.x_min, self.value_min), ("x_max", self.x_max, self.value_max))
            if place is not None
        ]
        return (
            *ends,
            *(Node(n, p, float(v)) for n, p, v in zip(self.labels, self.points, self.values, strict=True)),
        )

    def slopes(self) -> dict[int, Array]:
        """Known gradients by number of the point."""
        if self.gradients is None:
            return {}
        return {i: g for i, g in enumerate(self.gradients) if not np.isnan(g).any()}

    def flipped(self) -> "Evidence":
        """The evidence of -f: minimum and maximum change places."""
        return dataclasses.replace(
            self,
            x_min=self.x_max,
            x_max=self.x_min,
            value_min=None if self.value_max is None else -self.value_max,
            value_max=None if self.value_min is None else -self.value_min,
            values=-self.values,
            gradients=None if self.gradients is None else -self.gradients,
        )

    def with_points(self, points: object, values: object, kind: str = "point") -> "Evidence":
        """This evidence and further points with values (k, ...), (k,), which messages call "kind 0", "kind 1", ..."""
        more = numbers(values, "values").reshape(-1)
        extra = _matrix(points, (more.size, self.domain.dim), "points")
        first = len(self.values) if kind == "point" else 0
        rows = self.gradients
        if rows is not None:
            rows = np.concatenate([rows, np.full(extra.shape, np.nan)])
        return dataclasses.replace(
            self,
            points=np.concatenate([self.points, extra]),
            values=np.concatenate([self.values, more]),
            gradients=rows,
            labels=(*self.labels, *(f"{kind} {first + i}" for i in range(more.size))),
        )


@dataclass(frozen=True, eq=False)
class Node:
    """One place of the evidence: its name in messages, where it is, and its value if that is known."""

    name: str
    place: Array
    value: float | None


def _matrix(value: object, shape: tuple[int, int], name: str) -> Array:
    rows = numbers(value, name)
    if rows.size != shape[0] * shape[1]:
        raise UsageError(f"expected {name} with {shape[0]} rows of {shape[1]} entries, got shape {rows.shape}")
    return rows.reshape(shape)
