"""What a check says of one unit, and how a check's rows become one finding."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from snellen.base import UsageError
from snellen.checks.finding import Verdict

NOTHING, SUPPORTS, PROVES = 0, 1, 2
"""Strength of evidence of manipulation: none; what honest networks rarely show; what they never show."""


@dataclass(frozen=True)
class UnitRow:
    """One check's outcome for one unit.

    Args:
        unit: its address.
        words: one plain sentence with the figure.
        figure: the check's number for this unit; None where it cannot be had.
        interval: its 95 % interval; None where there is none.
        strength: of the evidence of manipulation: `NOTHING`, `SUPPORTS` or `PROVES`.
        details: plain finite JSON data.

    Raises:
        UsageError: a strength that is none of the three.
    """

    unit: str
    words: str
    figure: float | None = None
    interval: tuple[float, float] | None = None
    strength: int = NOTHING
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.strength not in (NOTHING, SUPPORTS, PROVES):
            raise UsageError(f"expected a strength of 0, 1 or 2, got {self.strength}; choose one of them")

    def as_data(self) -> dict[str, Any]:
        """The row as a JSON object."""
        return {
            "unit": self.unit,
            "words": self.words,
            "figure": self.figure,
            "interval": None if self.interval is None else list(self.interval),
            "strength": self.strength,
            **self.details,
        }


def verdict_of(rows: Sequence[UnitRow]) -> Verdict:
    """Of a check over all its units: "suspicious" where one row proves manipulation or more than a third support it.

    "unknown" where no row has a figure; else "consistent".
    """
    known = [row for row in rows if row.figure is not None]
    if not known:
        return "unknown"
    proved = any(row.strength == PROVES for row in known)
    supported = sum(row.strength >= SUPPORTS for row in known)
    return "suspicious" if proved or 3 * supported > len(known) else "consistent"


def extreme(rows: Sequence[UnitRow], *, largest: bool = True) -> UnitRow | None:
    """The row with the most telling figure; None where no row has one."""
    known = [row for row in rows if row.figure is not None]
    if not known:
        return None
    return (max if largest else min)(known, key=lambda row: row.figure if row.figure is not None else 0.0)


def spans(low: float, high: float) -> tuple[float, float] | None:
    """An interval for a row, rounded; None where an end is not finite."""
    if not (abs(low) < float("inf") and abs(high) < float("inf")):
        return None
    return float(f"{low:.6g}"), float(f"{high:.6g}")
