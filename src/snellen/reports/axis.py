"""The axis of a response strip: natural responses keep room however far away the pictures lie."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDEST = 1.5  # natural ranges that one side may span before its axis is broken
BREAK = 0.3  # share of the width that a broken side gets
LEAST = 1e-300  # of a range; a smaller one cannot be divided by


@dataclass(frozen=True)
class Axis:
    """A piecewise linear map from responses to [0, 1].

    Args:
        stops: (response, position) pairs, both increasing, at least two.
        broken: positions at which the scale changes, to be marked as breaks.
    """

    stops: tuple[tuple[float, float], ...]
    broken: tuple[float, ...] = ()

    def __call__(self, response: float) -> float:
        """The position of a response; those beyond the ends stay at the ends."""
        (low, start), *others = self.stops
        if response <= low:
            return start
        for high, end in others:
            if response <= high:
                return start + (end - start) * (response - low) / (high - low)
            low, start = high, end
        return start


def axis(natural: tuple[float, float], marks: Sequence[float]) -> Axis:
    """An axis over the natural range and all marks.

    Linear where both sides reach at most `WIDEST` natural ranges beyond it; a side that reaches further is broken at
    the end of the natural range and squeezed into `BREAK` of the width: the natural range never becomes a sliver.

    Args:
        natural: the lowest and highest natural response.
        marks: further responses that must be on the axis.
    """
    low, high = natural
    span = (high - low) or abs(high) or 1.0
    if high - low < LEAST:
        span = max(span, LEAST)
        low, high = low - span / 2, high + span / 2
    least, most = min([low, *marks]), max([high, *marks])
    left, right = low - least > WIDEST * span, most - high > WIDEST * span
    near, far = (low if left else least), (high if right else most)
    start, end = (BREAK if left else 0.0), 1 - (BREAK if right else 0.0)
    stops = [(near, start), (far, end)]
    stops = ([(least, 0.0)] if left else []) + stops + ([(most, 1.0)] if right else [])
    return Axis(tuple(stops), tuple(p for p, broken in ((start, left), (end, right)) if broken))
