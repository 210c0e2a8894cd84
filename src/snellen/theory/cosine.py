"""Cosine units: f(x) = ||s|| sigma(w . s / ||s||), s = x - c, sigma(t) = sign(t) |t|^B (docs/theory.md, section 12).

Under the inverse of sigma every value is a linear equation in w, and x_max is its direction.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from snellen.base import UsageError
from snellen.theory.classes import Cosine, FunctionClass
from snellen.theory.domain import Array, Ball
from snellen.theory.evidence import Evidence, InconsistentEvidenceError
from snellen.theory.programs import Program

ON_SPHERE = 1e-6
"""In radii, by how much a picture on the sphere may be off it, or off the place opposite to another."""


def signed_power(t: Array, power: float) -> Array:
    """sign(t) |t|^power."""
    return np.asarray(np.sign(t) * np.abs(t) ** power)


def ball_of(evidence: Evidence, title: str) -> Ball:
    """The domain, where it is a ball.

    Raises:
        UsageError: it is a box.
    """
    if not isinstance(evidence.domain, Ball):
        raise UsageError(f"expected a ball around the point where a {title} function is 0, got a box; give a Ball")
    return evidence.domain


def slack_about_zero(evidence: Evidence) -> float:
    """The tolerance of values where 0 at the centre is a known value as well."""
    size = float(np.abs(evidence.known_values).max(initial=0.0))
    return evidence.slack + evidence.tolerance * size


@dataclass(frozen=True, eq=False)
class CosineMembers:
    """What is known of w: its direction and the scale of f along it, or equations.

    Args:
        direction: (d,) of length 1, or None.
        scale: k of the class; NaN where only the direction is known.
        program: of w / unit, where no direction is known.
        unit: the size of w.
    """

    direction: Array | None
    scale: float = np.nan
    program: Program | None = None
    unit: float = 1.0


def cosine_envelope(function_class: FunctionClass, evidence: Evidence, x: "Array | Tensor") -> tuple[Array, Array]:
    """The value where a picture and a value are known; else the sign of it, or what the values say of its line.

    Raises:
        UsageError: the domain is no ball, or there are gradients without a picture and a value.
        InconsistentEvidenceError: extremes that are not opposite on the sphere, or values that no w has.
    """
    if not isinstance(function_class, Cosine):
        raise UsageError(f"expected a cosine class, got {function_class.title}")
    steps = np.asarray(x, dtype=np.float64) - ball_of(evidence, "cosine").centre
    known = cosine_members(function_class, evidence)
    if known.direction is None:
        return _on_lines(function_class, known, steps)
    shape = unit_response(steps, known.direction, function_class.power)
    if np.isfinite(known.scale):
        return known.scale * shape, known.scale * shape
    return np.where(shape < 0, -np.inf, 0.0), np.where(shape > 0, np.inf, 0.0)


def cosine_members(kind: Cosine, evidence: Evidence) -> CosineMembers:
    """The direction and the scale, or the equations.

    Raises:
        UsageError, InconsistentEvidenceError: as for `cosine_envelope`.
    """
    ball = ball_of(evidence, "cosine")
    rays = [
        s * (p - ball.centre) / ball.radius for p, s in ((evidence.x_max, 1), (evidence.x_min, -1)) if p is not None
    ]
    if not rays:
        known = _equations(kind, evidence)
    else:
        ray = np.mean(rays, axis=0)
        known = CosineMembers(ray / max(float(np.linalg.norm(ray)), 1e-300), 0.0)
        if all(np.linalg.norm(r) >= 1 - ON_SPHERE and np.linalg.norm(r - ray) <= ON_SPHERE for r in rays):
            known = _scaled(kind, evidence, known)
        else:
            _refuse_all_but_zero(evidence)
    _check_gradients(kind, evidence, known)
    return known


def unit_response(steps: Array, direction: Array, power: float) -> Array:
    """||s|| |cos|^(B - 1) cos, (n, d) -> (n,)."""
    lengths = np.linalg.norm(steps, axis=1)
    cosines = np.clip(steps @ direction / np.where(lengths > 0, lengths, 1.0), -1.0, 1.0)
    return np.asarray(lengths * signed_power(cosines, power))


def _valued(evidence: Evidence) -> tuple[tuple[str, ...], Array, Array]:
    """Names, steps from the centre and values of all that has a value."""
    nodes = [n for n in evidence.nodes() if n.value is not None]
    places = np.array([n.place for n in nodes]).reshape(len(nodes), evidence.domain.dim)
    values = np.array([n.value for n in nodes], dtype=np.float64)
    return tuple(n.name for n in nodes), places - evidence.domain.centre, values


def _scaled(kind: Cosine, evidence: Evidence, known: CosineMembers) -> CosineMembers:
    """The scale, from the value that tells most of it; all others agree."""
    names, steps, values = _valued(evidence)
    if known.direction is None or not names:
        return CosineMembers(known.direction)
    shapes = unit_response(steps, known.direction, kind.power)
    best = int(np.abs(shapes).argmax())
    scale = max(float(values[best] / shapes[best]), 0.0) if shapes[best] else np.nan
    off = np.abs(values - np.nan_to_num(scale) * shapes)
    worst = int(off.argmax())
    if off[worst] > slack_about_zero(evidence):
        pictures = tuple(n for n in ("x_max", "x_min") if getattr(evidence, n) is not None)
        reason = (
            f"f({names[worst]}) = {values[worst]:g}, but it is {np.nan_to_num(scale) * shapes[worst]:g} by the rest"
        )
        raise InconsistentEvidenceError(reason, (names[worst], names[best], *pictures))
    return CosineMembers(known.direction, scale)


def _refuse_all_but_zero(evidence: Evidence) -> None:
    """Pictures that are not opposite ends on the sphere are those of f = 0."""
    names, _, values = _valued(evidence)
    for name, value in zip(names, values, strict=True):
        if abs(value) > slack_about_zero(evidence):
            pictures = tuple(n for n in ("x_max", "x_min") if getattr(evidence, n) is not None)
            reason = "a cosine function has its extremes on the sphere, at opposite ends of its direction, or is 0"
            raise InconsistentEvidenceError(reason, pictures if name in pictures else (*pictures, name))


def _equations(kind: Cosine, evidence: Evidence) -> CosineMembers:
    """Without a picture: w . s / ||s|| = the inverse of sigma at f / ||s||, one equation a value."""
    names, steps, values = _valued(evidence)
    lengths, slack = np.linalg.norm(steps, axis=1), slack_about_zero(evidence)
    for name, value, length in zip(names, values, lengths, strict=True):
        if length == 0 and abs(value) > slack:
            raise InconsistentEvidenceError(f"f is 0 at the centre of the ball, not {value:g}", (name,))
    kept = np.flatnonzero(lengths)
    rows = steps[kept] / lengths[kept, None]
    wide = [signed_power((values[kept] + give) / lengths[kept], 1 / kind.power) for give in (0.0, slack, -slack)]
    unit = float(np.abs(wide[0]).max(initial=0.0)) or 1.0
    give = float(np.ptp(wide, axis=0).max(initial=0.0)) / unit
    free = np.full(evidence.domain.dim, np.inf)
    program = Program(rows, wide[0] / unit, tuple(names[k] for k in kept), -free, free, slack=give)
    program.extreme(np.zeros(evidence.domain.dim))
    return CosineMembers(None, program=program, unit=unit)


def _on_lines(kind: Cosine, known: CosineMembers, steps: Array) -> tuple[Array, Array]:
    """The range of f where w is known by equations alone."""
    lengths = np.linalg.norm(steps, axis=1)
    ends = np.zeros((2, len(steps)))
    if known.program is not None:
        for i, (row, sign) in itertools.product(np.flatnonzero(lengths), ((0, -1.0), (1, 1.0))):
            ends[row, i] = sign * known.unit * known.program.extreme(sign * steps[i] / lengths[i])[0]
    return lengths * signed_power(ends[0], kind.power), lengths * signed_power(ends[1], kind.power)


def _check_gradients(kind: Cosine, evidence: Evidence, known: CosineMembers) -> None:
    """Known gradients are those of the one function that there is."""
    slopes = evidence.slopes()
    if not slopes:
        return
    if known.direction is None or not np.isfinite(known.scale):
        raise UsageError("expected x_max and its value beside gradients of a cosine class; give them")
    for i, slope in slopes.items():
        step = evidence.points[i] - evidence.domain.centre
        length = float(np.linalg.norm(step))
        unit = step / length if length else known.direction
        t = float(unit @ known.direction)
        steep = kind.power * abs(t) ** (kind.power - 1)
        own = known.scale * (unit * signed_power(np.array(t), kind.power) + steep * (known.direction - t * unit))
        smooth = length > 0 or kind.power == 1 or known.scale == 0
        rounding = 1e-6 * kind.power * known.scale + evidence.slack / float(evidence.domain.widths[0])
        if not smooth or float(np.linalg.norm(slope - own)) > rounding:
            reason = "the pictures make it another one" if smooth else "there is none at the centre"
            raise InconsistentEvidenceError(reason, (f"gradient of {evidence.labels[i]}", "x_max", "x_min"))
