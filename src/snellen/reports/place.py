"""Where a label stands at its line: the place that the curves leave free."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from snellen.reports import svg
from snellen.reports.frame import Frame, Values

WIDE, HIGH = 7.0, 13.0  # of a letter, at 13 px
ABOVE, BELOW = -7.0, 17.0  # from the line to the label's baseline
SAMPLES = 12  # points of a curve looked at between two layers


@dataclass(frozen=True)
class Place:
    """Where a label's baseline starts or ends, and which."""

    point: svg.Point
    anchor: str


def free_place(frame: Frame, level: float, text: str, curves: Sequence[Values]) -> Place:
    """The place above or below the line of a level, at its left or right end, that the curves cross least.

    Args:
        frame: of a wide chart.
        level: the value whose line the label names.
        text: the label.
        curves: values by layer, the most important curve first.
    """
    (left, y), (right, _) = frame.level(level)
    places = [Place((x, y + off), anchor) for off in (ABOVE, BELOW) for x, anchor in ((left, "start"), (right, "end"))]
    return min(places, key=lambda place: _crossed(frame, place, text, curves))


def _crossed(frame: Frame, place: Place, text: str, curves: Sequence[Values]) -> int:
    (x, y), width = place.point, WIDE * len(text)
    start = x if place.anchor == "start" else x - width
    hits = [
        sum(start - 8 <= px <= start + width + 8 and y - HIGH - 3 <= py <= y + 5 for px, py in _along(frame, values))
        for values in curves
    ]
    return sum(count * (3 if i == 0 else 1) for i, count in enumerate(hits))


def _along(frame: Frame, values: Values) -> Iterable[svg.Point]:
    """Points of a curve, close together."""
    for i, (a, b) in enumerate(pairwise(values)):
        if a is not None and b is not None:
            for k in range(SAMPLES + 1):
                yield frame.at(i + k / SAMPLES, a + (b - a) * k / SAMPLES)
