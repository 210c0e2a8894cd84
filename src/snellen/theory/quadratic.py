"""Homogeneous quadratics f(x) = s^T Q s, s = x - c: pictures are eigenvectors of Q (docs/theory.md, section 12).

Steps are in radii of the ball, so that an eigenvalue of Q is a value of f on the sphere.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from snellen.base import UsageError
from snellen.theory.classes import FunctionClass, Quadratic
from snellen.theory.cosine import ON_SPHERE, ball_of, slack_about_zero
from snellen.theory.domain import Array, vector
from snellen.theory.evidence import Evidence, InconsistentEvidenceError

_ROUNDING = 16 * float(np.finfo(np.float64).eps)
_PARALLEL = 1e-9
"""The sine of the angle below which two exemplars say the same."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """What the pictures tell: eigenvectors with their eigenvalues, and between which numbers all others lie.

    Args:
        names: of the pictures.
        axes: (k, d), orthonormal; heights: (k,).
        floor, ceiling: of the other eigenvalues, infinite where nothing is known.
        bounds: names of the pieces that floor and ceiling come from.
    """

    names: tuple[str, ...]
    axes: Array
    heights: Array
    floor: float
    ceiling: float
    bounds: tuple[str, str]

    @property
    def room(self) -> float:
        return self.ceiling - self.floor

    def known(self, steps: Array) -> Array:
        """The part of f (n,) that the pictures fix, of steps (n, d)."""
        return np.asarray((steps @ self.axes.T) ** 2 @ self.heights)

    def rest(self, steps: Array) -> Array:
        """P s (n, d), what of the steps is orthogonal to all pictures."""
        if len(self.axes) >= steps.shape[1]:
            return np.zeros_like(steps)
        return np.asarray(steps - (steps @ self.axes.T) @ self.axes)


@dataclass(frozen=True, eq=False)
class Lines:
    """Exemplars as lines through the centre on which the unknown part of f is known.

    Args:
        names: (m,); units: (m, d), P p / ||P p||.
        heights: (m,), the unknown part along them, between the spectrum's floor and ceiling.
        noise: (m,), how far off the heights may be for rounding and for the noise that the evidence declares.
        doubt: (m,), likewise for all that is no contradiction.
    """

    names: tuple[str, ...]
    units: Array
    heights: Array
    noise: Array
    doubt: Array

    def alone(self, j: int) -> "Lines":
        """One of them, as unsure as it may be."""
        return Lines((self.names[j],), self.units[[j]], self.heights[[j]], self.doubt[[j]], self.doubt[[j]])


def quadratic_envelope(
    function_class: FunctionClass, evidence: Evidence, x: "Array | Tensor"
) -> tuple[Array, Array, Array]:
    """Known part + [floor, ceiling] ||P s||^2, narrowed by exemplars; exact with at most one of them off the pictures.

    An exemplar near the pictures tells of the rest what is left of its value, divided by ||P s||^2: noise that the
    evidence declares is divided likewise, and widens the bounds.

    Raises:
        UsageError: the domain is no ball, a picture lacks its value, or there are gradients.
        InconsistentEvidenceError: pictures that are no eigenvectors in order, or values outside what they leave.
    """
    steps = to_steps(evidence, np.asarray(x, dtype=np.float64))
    found = spectrum(function_class, evidence)
    known = lines(found, evidence)
    lo, up = _ends(found, known, steps)
    wide = np.maximum(up - lo, 0.0)
    return lo, up, wide if len(known.names) > 1 else np.zeros(len(lo))


def to_steps(evidence: Evidence, x: Array) -> Array:
    """(x - c) / r."""
    ball = ball_of(evidence, "homogeneous quadratic")
    return np.asarray((x - ball.centre) / ball.radius)


def spectrum(function_class: FunctionClass, evidence: Evidence) -> Spectrum:
    """What x_max, x_min and the further pictures tell.

    Raises:
        UsageError, InconsistentEvidenceError: as for `quadratic_envelope`.
    """
    if not isinstance(function_class, Quadratic):
        raise UsageError(f"expected a quadratic class, got {function_class.title}")
    if evidence.slopes():
        raise UsageError("expected no gradients for a quadratic class; leave them out")
    first = _ends_of_the_ball(evidence)
    if len(first.axes) == 2 and abs(first.axes[0] @ first.axes[1]) > ON_SPHERE:
        if first.room > 2 * slack_about_zero(evidence):
            raise InconsistentEvidenceError("x_max and x_min are not orthogonal, and f is not 0", first.names)
        first = Spectrum((), first.axes[:0], first.heights[:0], 0.0, 0.0, first.bounds)
    return _with_pictures(first, function_class, evidence)


def _ends_of_the_ball(evidence: Evidence) -> Spectrum:
    """x_max and x_min: on the sphere, or where f is 0 at its largest or smallest."""
    slack = slack_about_zero(evidence)
    names, axes, heights, limits = [], [], [], {"x_max": np.inf, "x_min": -np.inf}
    for name, sign in (("x_max", 1.0), ("x_min", -1.0)):
        place, value = getattr(evidence, name), getattr(evidence, name.replace("x_", "value_"))
        if place is None:
            continue
        step = to_steps(evidence, place)
        length = float(np.linalg.norm(step))
        if value is None and length >= 1 - ON_SPHERE:
            raise UsageError(f"expected the value of {name} for a quadratic class; give it")
        height = sign * (value or 0.0)
        if height < -slack or (height > slack and length < 1 - ON_SPHERE):
            reason = f"f is 0 at the centre, and {value:g} at {name}" + (", which is not on the sphere" * (height > 0))
            raise InconsistentEvidenceError(reason, (name,))
        limits[name] = sign * max(height, 0.0)
        if length > ON_SPHERE:
            names.append(name)
            axes.append(step / length)
            heights.append(limits[name])
    shape = (len(names), evidence.domain.dim)
    floor, ceiling = limits["x_min"], limits["x_max"]
    return Spectrum(tuple(names), np.reshape(axes, shape), np.array(heights), floor, ceiling, ("x_min", "x_max"))


def _with_pictures(first: Spectrum, kind: Quadratic, evidence: Evidence) -> Spectrum:
    """The further pictures in their order: orthogonal to the earlier ones, of values between the last two extremes."""
    slack = slack_about_zero(evidence) + evidence.tolerance * float(np.abs(np.asarray(kind.values)).max(initial=0.0))
    names, axes, heights = list(first.names), list(first.axes), list(first.heights)
    limits, set_by = [first.floor, first.ceiling], list(first.bounds)
    for i, (picture, value) in enumerate(zip(np.asarray(kind.pictures), np.asarray(kind.values), strict=True)):
        name, end = f"picture {i}", int(kind.ends[i] == "max")
        step = to_steps(evidence, vector(picture, evidence.domain.dim, name))
        length = float(np.linalg.norm(step))
        if abs(length - 1) > ON_SPHERE:
            raise InconsistentEvidenceError(f"{name} is {length:g} radii from the centre, not on the sphere", (name,))
        along = [abs(float(axis @ step)) for axis in axes]
        if along and max(along) > ON_SPHERE:
            raise InconsistentEvidenceError("they are not orthogonal", (names[int(np.argmax(along))], name))
        for other, beyond in enumerate((limits[0] - value, value - limits[1])):
            if beyond > slack:
                reason = f"f({name}) = {value:g} is beyond {limits[other]:g}, the extreme of all that was left"
                raise InconsistentEvidenceError(reason, (name, set_by[other]))
        limits[end], set_by[end] = float(np.clip(value, limits[0], limits[1])), name
        names, axes, heights = [*names, name], [*axes, step / length], [*heights, limits[end]]
    found = np.reshape(axes, (len(axes), evidence.domain.dim))
    if len(found):
        left, _, right = np.linalg.svd(found, full_matrices=False)
        found = left @ right  # the nearest orthonormal rows
    return Spectrum(tuple(names), found, np.array(heights), limits[0], limits[1], (set_by[0], set_by[1]))


def lines(found: Spectrum, evidence: Evidence) -> Lines:
    """The exemplars that say something off the pictures, no two on one line.

    Raises:
        InconsistentEvidenceError: a value that the pictures, or another exemplar, do not leave.
    """
    slack, dim = slack_about_zero(evidence), evidence.domain.dim
    kept = _no_lines(dim)
    if not len(evidence.values):
        return kept
    steps = to_steps(evidence, evidence.points)
    off = found.rest(steps)
    squares, size = (off**2).sum(1), float(np.abs([*evidence.known_values, *found.heights]).max(initial=0.0))
    ball = ball_of(evidence, "homogeneous quadratic")
    rounding = _ROUNDING * (1 + float(np.abs(ball.centre).max()) / ball.radius)
    for i in np.argsort(-squares, kind="stable"):  # the most telling first
        name, value, square = evidence.labels[i], float(evidence.values[i]), float(squares[i])
        _check(found, kept, (name, steps[i], value), slack)
        if square * found.room <= slack or square <= rounding:
            continue
        unit = off[i] / np.sqrt(square)
        apart = kept.units - (kept.units @ unit)[:, None] * unit
        if len(apart) and np.linalg.norm(apart, axis=1).min() <= _PARALLEL:
            continue
        height = float(np.clip((value - found.known(steps[[i]])[0]) / square, found.floor, found.ceiling))
        noise = (rounding * size + 2 * evidence.noise) / square
        kept = Lines(
            (*kept.names, name),
            np.concatenate([kept.units, unit[None]]),
            np.append(kept.heights, height),
            np.append(kept.noise, noise),
            np.append(kept.doubt, noise + 2 * slack / square),
        )
    return kept


def _no_lines(dim: int) -> Lines:
    return Lines((), np.zeros((0, dim)), np.zeros(0), np.zeros(0), np.zeros(0))


def _check(found: Spectrum, kept: Lines, exemplar: tuple[str, Array, float], slack: float) -> None:
    """The value lies within what the pictures, and each of the exemplars before, leave for it."""
    name, step, value = exemplar
    for others in (_no_lines(len(step)), *(kept.alone(j) for j in range(len(kept.names)))):
        lo, up = (float(end[0]) for end in _ends(found, others, step[None]))
        if not lo - slack <= value <= up + slack:
            reason = f"f({name}) = {value:g} is outside [{lo:g}, {up:g}], which the others leave"
            limits = zip(found.bounds, (found.floor, found.ceiling), strict=True)
            pieces = (*found.names, *(n for n, limit in limits if np.isfinite(limit)))
            raise InconsistentEvidenceError(reason, (name, *others.names, *pieces))


def _ends(found: Spectrum, known: Lines, steps: Array) -> tuple[Array, Array]:
    """(lo, up) at steps (n, d): the tightest from the pictures and each of the exemplars alone."""
    base, off = found.known(steps), found.rest(steps)
    squares = (off**2).sum(1)
    clear = squares > 0
    with np.errstate(invalid="ignore"):
        up = base + np.where(clear, squares * found.ceiling, 0.0)
        lo = base + np.where(clear, squares * found.floor, 0.0)
    units = off / np.sqrt(np.where(clear, squares, 1.0))[:, None]
    for j in range(len(known.names)):
        dot = units @ known.units[j]
        across = np.linalg.norm(units - dot[:, None] * known.units[j], axis=1)
        low, high = cone(found, known, j, np.arctan2(across, np.abs(dot)))
        with np.errstate(invalid="ignore"):
            up = np.where(clear, np.minimum(up, base + squares * high), up)
            lo = np.where(clear, np.maximum(lo, base + squares * low), lo)
    return lo, up


def cone(found: Spectrum, known: Lines, j: int, angle: Array) -> tuple[Array, Array]:
    """Between which numbers the unknown part is at angles (n,) of 0 to pi / 2 from an exemplar.

    With height = floor + room sin(phi)^2 it is floor + room sin(phi -+ angle)^2, cut at floor and ceiling.
    """
    height, noise = float(known.heights[j]), float(known.noise[j])
    if not np.isfinite(found.room):
        same = angle <= _PARALLEL
        return np.where(same, height - noise, found.floor), np.where(same, height + noise, found.ceiling)
    if found.room <= 0:
        return np.full(len(angle), found.floor), np.full(len(angle), found.ceiling)
    share = (height - found.floor) / found.room
    give = noise / found.room
    low, high = (np.arcsin(np.sqrt(np.clip(share + s * give, 0.0, 1.0))) for s in (-1.0, 1.0))
    down, top = np.maximum(low - angle, 0.0), np.minimum(high + angle, np.pi / 2)
    return found.floor + found.room * np.sin(down) ** 2, found.floor + found.room * np.sin(top) ** 2
