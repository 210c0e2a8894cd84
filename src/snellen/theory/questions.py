"""The three questions a picture could answer: the exact value, the value within eps, nearer to which extreme."""

import dataclasses
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from torch import Tensor

from snellen.base import UsageError
from snellen.theory.classes import (
    Cosine,
    FittedReLUNetwork,
    FunctionClass,
    Lipschitz,
    PatchAdditive,
    Quadratic,
    Radial,
    Smooth,
)
from snellen.theory.domain import Array
from snellen.theory.envelope import Envelope, envelope
from snellen.theory.evidence import Evidence

Question: TypeAlias = Literal["exact", "within", "nearer"]
QUESTIONS: tuple[Question, ...] = ("exact", "within", "nearer")


@dataclass(frozen=True, eq=False)
class Answers:
    """Where a question has one answer for every member of the class with the evidence.

    Args:
        question: which.
        decided: (n,) whether the answer is the same for all of them.
        prediction: (n,) the value, or for "nearer" +1 (maximum), -1 (minimum), 0 (both equally); NaN where undecided.
    """

    question: Question
    decided: npt.NDArray[np.bool_]
    prediction: Array

    @property
    def share(self) -> float:
        """The share of the points at which the question is decided."""
        return float(self.decided.mean()) if len(self.decided) else 0.0


def answers(
    question: Question,
    function_class: FunctionClass,
    evidence: Evidence,
    x: "npt.ArrayLike | Tensor",
    *,
    eps: float | None = None,
) -> Answers:
    """Which answers the evidence forces, at each x.

    "exact": lo = up (to 1e-6 of the range of the known values). "within": up - lo <= 2 eps, so that the middle errs by
    at most eps.
    "nearer": lo >= m or up <= m, m = (value_min + value_max) / 2. Unlike the others, "nearer" needs no values: where
    neither is known it is asked of the classes that scaling maps to themselves as if they were 0 and 1.

    Args:
        x: (n, ...) points.
        eps: for "within", >= 0.

    Raises:
        UsageError: eps is missing, or the values that the question needs are.
    """
    if question not in QUESTIONS:
        raise UsageError(f'expected a question of "exact", "within", "nearer", got "{question}"')
    if question == "nearer":
        evidence = _scaled(function_class, evidence)
    return judge(question, envelope(function_class, evidence, x), evidence, eps=eps)


def judge(question: Question, bounds: Envelope, evidence: Evidence, *, eps: float | None = None) -> Answers:
    """`answers` from an envelope at hand."""
    if question == "nearer":
        return _nearer(bounds, evidence)
    if question == "within" and (eps is None or not eps >= 0):
        raise UsageError(f'expected eps >= 0 for the question "within", got {eps}; say how near is near')
    room = 2 * eps if question == "within" and eps is not None else 0.0
    with np.errstate(invalid="ignore"):
        decided = np.asarray(bounds.up - bounds.lo <= room + 1e-6 * evidence.extent + evidence.slack)
        middle = np.where(decided, (bounds.lo + bounds.up) / 2, np.nan)
    return Answers(question, decided, middle)


def _scaled(function_class: FunctionClass, evidence: Evidence) -> Evidence:
    bare = evidence.value_min is None and evidence.value_max is None and not len(evidence.values)
    if bare and evidence.x_min is not None and evidence.x_max is not None:
        scale = _scale(function_class)
        if scale:
            raise UsageError(f"expected the values of x_min and x_max: {scale}; give them")
        if isinstance(function_class, Cosine):
            return dataclasses.replace(evidence, value_min=-1.0, value_max=1.0)
        return dataclasses.replace(evidence, value_min=0.0, value_max=1.0)
    if not np.isfinite(evidence.spread):
        raise UsageError('expected both values, or none, for the question "nearer"; give value_min and value_max')
    return evidence


def _scale(function_class: FunctionClass) -> str:
    """Why scaling and shifting do not map the class to itself; "" where they do, or scaling fixes all that counts."""
    match function_class:
        case FittedReLUNetwork():
            return "training data fixes a scale"
        case Lipschitz() | Smooth():
            return "L fixes a scale"
        case Radial():
            return "the profile fixes a scale"
        case Quadratic():
            return "f is 0 at the centre, which fixes where their middle is"
        case PatchAdditive(bound=bound, weights=weights) if bound is not None or weights is not None:
            return "L fixes a scale" if bound is not None else "shared functions may not be shifted"
    return ""


def _nearer(bounds: Envelope, evidence: Evidence) -> Answers:
    middle = ((evidence.value_min or 0.0) + (evidence.value_max or 0.0)) / 2
    slack = 1e-6 * evidence.spread
    high, low = bounds.lo >= middle - slack, bounds.up <= middle + slack
    side = np.where(high & low, 0.0, np.where(high, 1.0, np.where(low, -1.0, np.nan)))
    return Answers("nearer", np.asarray(high | low), side)
