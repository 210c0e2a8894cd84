"""Guaranteed intervals of a real unit's responses, from its pictures and exemplars."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from snellen.base import UsageError
from snellen.theory.classes import FunctionClass, Lipschitz
from snellen.theory.domain import Array, Box, Domain
from snellen.theory.envelope import envelope
from snellen.theory.evidence import Evidence


@dataclass(frozen=True, eq=False)
class Certificate:
    """What the class and the evidence guarantee for n images.

    Args:
        lo, up: (n,) the intervals.
        truth: (n,) the true responses.
        natural: (min, max) of the responses to natural images.
        needed: the largest Lipschitz constant for which at least half of the images would get an interval narrower than
            half the natural range; NaN for classes without one.
    """

    lo: Array
    up: Array
    truth: Array
    natural: tuple[float, float]
    needed: float

    @property
    def holds(self) -> npt.NDArray[np.bool_]:
        """(n,) whether the true response lies in the interval, up to float32 rounding of the responses."""
        slack = 1e-4 * max(self.natural[1] - self.natural[0], 1e-6)
        return np.asarray((self.lo - slack <= self.truth) & (self.truth <= self.up + slack))

    @property
    def relative_width(self) -> Array:
        """(n,) width of the interval cut to the natural range, as a share of that range; 1: nothing is guaranteed."""
        low, high = self.natural
        inside = np.minimum(self.up, high) - np.maximum(self.lo, low)
        return np.clip(inside / max(high - low, 1e-12), 0.0, 1.0)


def certify(
    function_class: FunctionClass,
    known: tuple["Array | Tensor", Array],
    asked: tuple["Array | Tensor", Array],
    *,
    evidence: Evidence | None = None,
    domain: Domain | None = None,
) -> Certificate:
    """Intervals for the asked images from the known ones; pictures count as points with values, not as true extremes.

    Args:
        function_class: what the unit is proved to be.
        known: pictures and exemplars (k, ...), in [0, 1] unless there is a `domain`, and the responses to them (k,).
        asked: further images (n, ...) and their true responses (n,).
        evidence: instead of `known` alone, such as exact extremes of an affine unit.
        domain: of the flattened points, where they are not images but a layer's outputs.

    Raises:
        UsageError: no known image or none to ask about.
        InconsistentEvidenceError: the responses contradict the class: the proof or the model is wrong.
    """
    places, values = np.asarray(known[0], dtype=np.float64), np.asarray(known[1], dtype=np.float64)
    images, truth = np.asarray(asked[0], dtype=np.float64), np.asarray(asked[1], dtype=np.float64)
    if not len(truth) or (not len(values) and evidence is None):
        raise UsageError("expected at least one picture or exemplar, and one further image; give more images")
    where = domain or Box.unit(int(images[0].size))
    noise = 1e-5 * float(np.abs(values).max(initial=0.0))  # responses are computed in float32
    given = evidence or Evidence(where, points=places.reshape(len(values), -1), values=values, noise=noise)
    flat = images.reshape(len(truth), -1)
    lo, up = envelope(function_class, given, flat)
    natural = float(truth.min()), float(truth.max())
    return Certificate(lo, up, truth, natural, _needed(function_class, given, flat, natural))


def _needed(function_class: FunctionClass, evidence: Evidence, x: Array, natural: tuple[float, float]) -> float:
    """up - lo <= 2 L r for the nearest known image at distance r: L = range / (4 median r)."""
    if not isinstance(function_class, Lipschitz) or not len(evidence.points):
        return float("nan")
    lo, up = envelope(Lipschitz(1.0), Evidence(evidence.domain, points=evidence.points, values=0 * evidence.values), x)
    return float((natural[1] - natural[0]) / 2 / max(float(np.median(up - lo)), 1e-12))
