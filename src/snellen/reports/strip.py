"""The response strip: natural responses as a density on one axis, and where the pictures lie on it."""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from markupsafe import Markup

from snellen.reports import svg
from snellen.reports.axis import Axis, axis
from snellen.reports.words import number

WIDTH, LEFT, RIGHT = 340.0, 16.0, 324.0
FLOOR, PEAK = 62.0, 32.0  # the axis, and how high the density rises
MARK = 22.0  # the row of the pictures' marks
SAMPLES = 60


@dataclass(frozen=True)
class Mark:
    """A picture's response on the strip, drawn as a triangle that points up (max) or down (min)."""

    direction: str
    response: float


def strip(quantiles: Sequence[float], marks: Sequence[Mark], own_class_mean: float | None) -> Markup:
    """The strip of one unit.

    Args:
        quantiles: 101 natural responses, at 0 to 100 %.
        marks: the pictures' responses.
        own_class_mean: the mean response to images of the unit's own class.
    """
    own = [own_class_mean] if own_class_mean is not None else []
    scale = axis((quantiles[0], quantiles[-1]), [m.response for m in marks] + own)
    items = [svg.area(_density(quantiles, scale), "density"), *_axis(scale), *_range(quantiles, scale)]
    items += [_mark(mark, scale) for mark in marks]
    if own_class_mean is not None:
        items.append(_own(own_class_mean, scale))
    items += _numbers(quantiles, scale)
    return svg.picture((WIDTH, 102.0 if own else 84.0), _description(quantiles, marks, own_class_mean), items, "strip")


def _x(scale: Axis, response: float) -> float:
    return LEFT + (RIGHT - LEFT) * scale(response)


def _density(quantiles: Sequence[float], scale: Axis) -> list[svg.Point]:
    """A Gaussian kernel estimate over the quantiles, its peak at full height, at even steps of the drawn axis."""
    start, end = _x(scale, quantiles[0]), _x(scale, quantiles[-1])
    places = [_x(scale, q) for q in quantiles[::2]]
    ranked = places[5:46]
    width = max(2.5, 0.12 * (ranked[-1] - ranked[0]))
    xs = [start + (end - start) * i / (SAMPLES - 1) for i in range(SAMPLES)] if end > start else [start]
    heights = [_height(x, places, width) for x in xs]
    top = max(heights)
    curve = [(x, FLOOR - PEAK * h / top) for x, h in zip(xs, heights, strict=True)]
    return [(start - 1, FLOOR), *curve, (end + 1, FLOOR)]


def _height(x: float, places: Sequence[float], width: float) -> float:
    """The sum of the kernels of all places, rising; those more than five widths away add nothing that can be seen."""
    near = places[bisect.bisect_left(places, x - 5 * width) : bisect.bisect_right(places, x + 5 * width)]
    sharp = -0.5 / width**2
    return sum([exp((apart := x - place) * apart * sharp) for place in near], 0.0)


def _axis(scale: Axis) -> list[Markup]:
    items = [svg.line([(LEFT - 10, FLOOR), (RIGHT + 10, FLOOR)], "axis")]
    for position in scale.broken:
        x = LEFT + (RIGHT - LEFT) * position + (8 if position > 0.5 else -8)
        items.append(svg.area([(x - 5, FLOOR + 5), (x - 1, FLOOR - 5), (x + 5, FLOOR - 5), (x + 1, FLOOR + 5)], "gap"))
        items += [svg.line([(x + d - 2, FLOOR + 5), (x + d + 2, FLOOR - 5)], "axis") for d in (-3, 3)]
    return items


def _range(quantiles: Sequence[float], scale: Axis) -> list[Markup]:
    """From the weakest to the strongest natural response, with a tick at the median."""
    low, median, high = (_x(scale, quantiles[i]) for i in (0, 50, 100))
    ends = svg.line([(low - 1, FLOOR), (high + 1, FLOOR)], "range")
    return [ends, svg.line([(median, FLOOR), (median, FLOOR - 7)], "median")]


def _numbers(quantiles: Sequence[float], scale: Axis) -> list[Markup]:
    """The weakest and the strongest natural response, as one label where they are close."""
    low, high = _x(scale, quantiles[0]), _x(scale, quantiles[100])
    if high - low < 60:
        both = f"{number(quantiles[0])} to {number(quantiles[100])}"
        return [svg.text((_inside((low + high) / 2, both), FLOOR + 18), both, "natural-label", "middle")]
    told = [(x, number(value)) for x, value in ((low, quantiles[0]), (high, quantiles[100]))]
    return [svg.text((_inside(x, words), FLOOR + 18), words, "natural-label", "middle") for x, words in told]


def _mark(mark: Mark, scale: Axis) -> Markup:
    x = _x(scale, mark.response)
    up = mark.direction == "max"
    tip, base = (MARK - 5, MARK + 5) if up else (MARK + 5, MARK - 5)
    words = f"{mark.direction} {number(mark.response)}"
    return svg.group(
        [
            svg.line([(x, MARK + 6), (x, FLOOR)], "drop"),
            svg.area([(x - 6, base), (x + 6, base), (x, tip)], "mark"),
            svg.text((_inside(x, words), MARK - 10), words, "picture-label", "middle"),
        ],
        "drawn",
    )


def _own(mean: float, scale: Axis) -> Markup:
    x = _x(scale, mean)
    words = f"own class {number(mean)}"
    diamond = [(x, FLOOR - 6), (x + 5, FLOOR), (x, FLOOR + 6), (x - 5, FLOOR)]
    return svg.group(
        [
            svg.area(diamond, "mark"),
            svg.line([(x, FLOOR + 6), (x, FLOOR + 24)], "drop"),
            svg.text((_inside(x, words), FLOOR + 35), words, "own-label", "middle"),
        ],
        "own",
    )


def _inside(x: float, words: str) -> float:
    """Where centred words must stand to stay inside the drawing."""
    half = 3.4 * len(words)
    return min(max(x, half), WIDTH - half)


def _description(quantiles: Sequence[float], marks: Sequence[Mark], own: float | None) -> str:
    parts = [f"Responses on one axis: photographs from {number(quantiles[0])} to {number(quantiles[100])}"]
    parts.append(f"median {number(quantiles[50])}")
    parts += [f"{mark.direction} picture {number(mark.response)}" for mark in marks]
    parts += [f"mean of its own class {number(own)}"] if own is not None else []
    return ", ".join(parts) + "."
