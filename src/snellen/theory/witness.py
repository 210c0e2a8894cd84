"""Two members of a class with the same evidence that lie as low and as high as the envelope says, as modules."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from snellen.base import UsageError
from snellen.theory.additive import additive_program, terms
from snellen.theory.affine import AffineMembers
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
from snellen.theory.differences import tighten, with_training_data
from snellen.theory.domain import Array, Ball, vector
from snellen.theory.envelope import envelope
from snellen.theory.evidence import Evidence
from snellen.theory.members import End, geometric_member
from snellen.theory.modules import (
    AffineMap,
    ConeNet,
    MaxAffine,
    RadialRise,
    StepNet,
    SumOfCurves,
    SumOfPatches,
)
from snellen.theory.spikes import spike_net
from snellen.theory.supports import Known, Support, gather, upper_bound

_WITH_SLOPES = (Affine, AffineAlong, SparseAffine, Constant, Convex, Concave, Cosine)
"""Classes whose witnesses have the known gradients, convex and concave ones as subgradients."""


@dataclass(frozen=True, eq=False)
class Witness:
    """A member of the class with the evidence.

    Args:
        module: (n, ...) -> (n, 1), float64.
        value: its value at x.
        bound: lo(x) or up(x), which it attains up to `gap`.
        gap: |bound - value|; 0 to rounding wherever the envelope is exact.
    """

    module: nn.Module
    value: float
    bound: float

    @property
    def gap(self) -> float:
        return abs(self.bound - self.value)


def witnesses(function_class: FunctionClass, evidence: Evidence, x: Array) -> tuple[Witness, Witness]:
    """The pair (lower, upper) of members of the class with this evidence that attain lo(x) and up(x).

    Args:
        x: one point with d entries.

    Raises:
        UsageError: a bound is infinite, no witness is known (smooth or, on a ball, additive, with exemplars), or there
            are gradients that a witness of this class would not have.
        InconsistentEvidenceError: no member has this evidence.
    """
    place = vector(x, evidence.domain.dim, "x")
    if evidence.slopes() and not isinstance(function_class, _WITH_SLOPES):
        raise UsageError(
            f"expected no gradients for a witness of a {function_class.title} function, whose kinks lie at the "
            "evidence; leave them out (the bounds stay the same for all classes but smooth ones)"
        )
    bounds = envelope(function_class, evidence, place[None])
    if not (np.isfinite(bounds.lo[0]) and np.isfinite(bounds.up[0])):
        raise UsageError("expected finite bounds at x, got an unbounded response; give x_min and x_max their values")
    pair = []
    for end, bound in (("lower", float(bounds.lo[0])), ("upper", float(bounds.up[0]))):
        module = _member(function_class, evidence, (place, bound), end)  # type: ignore[arg-type]
        with torch.no_grad():
            value = float(module(torch.tensor(place)[None]))
        pair.append(Witness(module, value, bound))
    return pair[0], pair[1]


def _member(function_class: FunctionClass, evidence: Evidence, target: tuple[Array, float], end: End) -> nn.Module:
    x, bound = target
    match function_class:
        case Lipschitz() | Monotone():
            return _extremal(function_class, evidence, end)
        case Constant():
            return AffineMap(np.zeros(len(x)), bound)
        case Affine() | AffineAlong() | SparseAffine():
            return _affine(function_class, evidence, x, end)
        case Convex():
            return _interpolant(gather(evidence), target)
        case Concave():
            return _interpolant(gather(evidence, -1.0), target)
        case Additive() | PatchAdditive():
            return _curves(function_class, evidence, x, end)
        case Smooth():
            return _radial(function_class.bound, evidence, end)
    if isinstance(function_class, Quadratic | Cosine | Radial | RadialUnknown):
        return geometric_member(function_class, evidence, target, end)
    if isinstance(function_class, FLEXIBLE):
        return _spiked(with_training_data(function_class, evidence), target)
    raise UsageError(f"expected one of the classes of snellen.theory, got {type(function_class).__name__}")


def _spiked(evidence: Evidence, target: tuple[Array, float]) -> nn.Module:
    """A ReLU network through all known values and the target."""
    known = {n.place.tobytes(): (n.place, n.value) for n in evidence.nodes() if n.value is not None}
    known.setdefault((target[0] + 0.0).tobytes(), target)
    places = np.array([p for p, _ in known.values()])
    values = np.array([v for _, v in known.values()], dtype=np.float64)
    return spike_net(places, values, float((values.min() + values.max()) / 2))


def _extremal(function_class: Lipschitz | Monotone, evidence: Evidence, end: End) -> nn.Module:
    """The envelope itself: the largest and the smallest member."""
    tight = tighten(function_class, evidence)
    sign = 1.0 if end == "upper" else -1.0
    heights, limit = (tight.high, tight.ceiling) if end == "upper" else (tight.low, tight.floor)
    if not (np.isfinite(heights).all() and np.isfinite(limit)):
        raise UsageError("expected bounded values of x_min and x_max for a witness; give them")
    if isinstance(function_class, Monotone):
        return StepNet(tight.places, heights, limit=limit, sign=sign)
    return ConeNet(tight.places, heights, bound=function_class.bound, norm=function_class.norm, limit=limit, sign=sign)


def _affine(function_class: FunctionClass, evidence: Evidence, x: Array, end: End) -> AffineMap:
    found = AffineMembers(function_class, evidence).extreme(x, 1.0 if end == "upper" else -1.0)
    if found.slope is None or not found.exact:
        raise UsageError("expected a bounded program for a witness; give x_min and x_max their values")
    return AffineMap(found.slope, found.offset)


def _interpolant(known: Known, target: tuple[Array, float]) -> MaxAffine:
    """max of affine minorants that touch the evidence and the target: convex, at most b on X; concave turned over."""
    frame = known.frame
    x = known.domain.nearest(frame.inward(target[0][None]))[0]
    joined = replace(
        known,
        names=(*known.names, "x"),
        places=np.concatenate([known.places, x[None]]),
        values=np.append(known.values, (known.sign * target[1] - frame.low) / frame.unit),
    )
    found = [bound.support for bound in (upper_bound(joined, p) for p in joined.places) if bound is not None]
    found += [Support(float(known.values[i]), g, known.places[i]) for i, g in known.slopes.items()]
    if np.isfinite(known.floor):
        found.append(Support(known.floor, np.zeros(len(x)), x))
    centre = known.domain.centre
    slopes = np.array([frame.slope(s.slope) for s in found])
    offsets = np.array([frame.height(float(s(centre))) for s in found])
    return MaxAffine(slopes, offsets, frame.origin + frame.size * centre, known.sign)


def _curves(function_class: FunctionClass, evidence: Evidence, x: Array, end: End) -> "SumOfCurves | SumOfPatches":
    if isinstance(evidence.domain, Ball):
        return _one_curve(function_class, evidence, x, end)
    posed = additive_program(function_class, evidence, x)
    z = posed.program.extreme(posed.objective if end == "upper" else -posed.objective)[1]
    if z is None:
        raise UsageError("expected a bounded program for a witness; give x_min and x_max their values")
    heights = [posed.unit * np.where(c < 0, 0.0, z[c]) for c in posed.columns]
    return _summed(function_class, posed.low + posed.unit * float(z[0]), list(posed.places), heights)


def _summed(
    function_class: FunctionClass, offset: float, places: list[Array], heights: list[Array]
) -> "SumOfCurves | SumOfPatches":
    """Functions through places (m, q) with heights (m,), one a group or one for all."""
    if not isinstance(function_class, PatchAdditive):
        orders = [np.argsort(p[:, 0]) for p in places]
        grids = [p[o, 0] for p, o in zip(places, orders, strict=True)]
        return SumOfCurves(offset, grids, [h[o] for h, o in zip(heights, orders, strict=True)])
    split = terms(function_class, len(np.asarray(function_class.groups)))
    parts = [(p, h, float(split.bounds[f])) for f, (p, h) in enumerate(zip(places, heights, strict=True))]
    members, which = [np.asarray(m) for m in split.members], split.which.tolist()
    return SumOfPatches(offset, parts, members=members, which=which, weights=split.weights)


def _one_curve(function_class: FunctionClass, evidence: Evidence, x: Array, end: End) -> "SumOfCurves | SumOfPatches":
    """On a ball, from two pictures: one group carries all of D, and x_j counts as x_max_j (upper) or x_min_j."""
    bounded = isinstance(function_class, PatchAdditive) and function_class.bound is not None
    if evidence.x_min is None or evidence.x_max is None or len(evidence.values) or bounded:
        raise UsageError(
            "expected neither exemplars nor bounds for a witness of an additive class on a ball; use a box around it"
        )
    split = terms(function_class, len(x))
    other = {"lower": evidence.x_max, "upper": evidence.x_min}[end]
    moving = split.moved(evidence.x_max[None], evidence.x_min)[0]
    j = int(np.argmax(2 * (moving & split.moved(x[None], other)[0]) + moving))
    own, low, high = (split.parts(p)[j] for p in (x, evidence.x_min, evidence.x_max))
    cells = {(part + 0.0).tobytes(): (part, h) for part, h in ((own, float(end == "upper")), (high, 1.0), (low, 0.0))}
    places, heights = [p[None] for p in split.parts(x)], [np.zeros(1) for _ in split.members]
    places[j] = np.array([part for part, _ in cells.values()])
    heights[j] = evidence.spread * np.array([h for _, h in cells.values()])
    return _summed(function_class, float(evidence.value_min or 0.0), places, heights)


def _radial(bound: float, evidence: Evidence, end: End) -> RadialRise:
    if evidence.x_min is None or evidence.x_max is None or len(evidence.values):
        raise UsageError("expected x_min and x_max without exemplars for a smooth witness; none is known otherwise")
    apart = float(np.linalg.norm(evidence.x_max - evidence.x_min))
    if 4 * evidence.spread > bound * apart**2 * (1 + 1e-9):
        raise UsageError("expected room for a radial witness, x_min and x_max are too near; none is known here")
    if end == "upper":
        return RadialRise(
            evidence.x_min, float(evidence.value_min or 0.0), spread=evidence.spread, bound=bound, sign=1.0
        )
    return RadialRise(evidence.x_max, float(evidence.value_max or 0.0), spread=evidence.spread, bound=bound, sign=-1.0)
