"""What a check found: one sentence with its figure, a verdict, and the numbers behind them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from snellen.base import UsageError, canonical
from snellen.base.markup import Markup, element

Verdict = Literal["consistent", "unreliable here", "suspicious", "unknown"]
"""On a network, or by one check."""
UnitVerdict = Literal["tells much", "tells something", "tells nothing", "suspicious", "unknown"]
"""On one unit's picture."""
_COLOURS = {"consistent": "#1a7f37", "unreliable here": "#9a6700", "suspicious": "#c1121f"}
_COLOURS |= {"tells much": "#1a7f37", "tells something": "#9a6700"}
_LISTED = 12  # units in a notebook


@dataclass(frozen=True)
class Finding:
    """The outcome of one check, fit for a reader and for a record.

    Args:
        check: name of the check, such as "path-similarity".
        title: what was examined, in a few words.
        claim: one plain sentence with its figure.
        verdict: "consistent": the pictures are processed like natural images from early on; "unreliable here": they are
            not, in a network nobody need have touched; "suspicious": evidence of manipulation; "unknown": too little
            data to tell.
        figure: the number in the claim; None where there is none.
        interval: its 95 % interval; None where there is none.
        evidence: plain JSON data, every number finite, None for what is undefined; where the check judges units, their
            rows under "units".
        asks: what the check asks and why that tells something, for the page; None where it says nothing of that.

    Raises:
        UsageError: the claim is not one line, the verdict is not one of the four, or a number is not finite.
    """

    check: str
    title: str
    claim: str
    verdict: Verdict
    figure: float | None = None
    interval: tuple[float, float] | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    asks: str | None = None

    def __post_init__(self) -> None:
        if not self.claim.strip() or "\n" in self.claim:
            raise UsageError(f"expected a claim of one line, got {self.claim!r}; say it in one sentence")
        if self.verdict not in get_args(Verdict):
            raise UsageError(f'expected a verdict of {get_args(Verdict)}, got "{self.verdict}"; choose one of them')
        try:
            canonical(self.as_data())
        except (TypeError, ValueError) as error:
            raise UsageError(f"expected a finding of plain finite data; {error}; use None where undefined") from error

    def as_data(self) -> dict[str, Any]:
        """The finding as a JSON object, its fields in order."""
        return {
            "check": self.check,
            "title": self.title,
            "claim": self.claim,
            "verdict": self.verdict,
            "figure": self.figure,
            "interval": None if self.interval is None else list(self.interval),
            "evidence": dict(self.evidence),
            "asks": self.asks,
        }

    @property
    def rows(self) -> tuple[Mapping[str, Any], ...]:
        """What it says of every unit; nothing where the check does not judge units."""
        return tuple(self.evidence.get("units", ()))

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Finding":
        """The finding that `as_data` wrote."""
        interval = data["interval"]
        return cls(**{**data, "interval": None if interval is None else (interval[0], interval[1])})

    def __repr__(self) -> str:
        return f"<{self.check}: {self.verdict}. {self.claim}>"

    def _repr_html_(self) -> str:
        rows = self.rows
        listed = [element("li", element("b", str(row["unit"])), f" {row['words']}") for row in rows[:_LISTED]]
        more = [element("li", f"and {len(rows) - _LISTED} more")] if len(rows) > _LISTED else []
        title = element("div", element("b", self.title), " ", badge(self.verdict))
        return element("div", title, element("div", self.claim), element("ul", *listed, *more))


def badge(verdict: str) -> Markup:
    """A verdict in its colour, for notebooks."""
    style = f"color:#fff;background:{_COLOURS.get(verdict, '#6e7781')};border-radius:9px;padding:0 7px;font-size:12px"
    return element("span", verdict, style=style)


def number(value: float, digits: int = 6) -> float | None:
    """A number for evidence: rounded to significant digits, None where it is not finite."""
    value = float(value)
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None
