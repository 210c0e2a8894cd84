"""The plane of a chart over layers: depth one way, similarity the other; wide for a page, tall for a phone."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from snellen.reports import svg

Values = Sequence[svg.Number | None]


@dataclass(frozen=True)
class Frame:
    """Where a layer's value lies in the drawing.

    Args:
        size: width and height of the drawing.
        inset: room around the plane: left, top, right, bottom.
        limits: the values at the lower and upper end.
        count: how many layers.
        tall: layers run down and values run right; else layers run right and values run up.
    """

    size: svg.Point
    inset: tuple[float, float, float, float]
    limits: tuple[float, float]
    count: int
    tall: bool = False

    @property
    def corners(self) -> tuple[svg.Point, svg.Point]:
        """The upper left and the lower right corner of the plane."""
        left, top, right, bottom = self.inset
        return (left, top), (self.size[0] - right, self.size[1] - bottom)

    def at(self, layer: svg.Number, value: svg.Number) -> svg.Point:
        """The point of a value at a layer (0 is the first); values beyond the limits stay at the edge."""
        (left, top), (right, bottom) = self.corners
        low, high = self.limits
        along = layer / (self.count - 1) if self.count > 1 else 0.5
        up = min(max((value - low) / (high - low), 0.0), 1.0)
        if self.tall:
            return left + (right - left) * up, top + (bottom - top) * along
        return left + (right - left) * along, bottom - (bottom - top) * up

    def level(self, value: svg.Number) -> list[svg.Point]:
        """The two ends of the line on which the value is the same at every layer."""
        if self.count > 1:
            return [self.at(0, value), self.at(self.count - 1, value)]
        (left, top), (right, bottom) = self.corners
        x, y = self.at(0, value)
        return [(x, top), (x, bottom)] if self.tall else [(left, y), (right, y)]


def limits(series: Iterable[Values], *, include: tuple[float, float], most: tuple[float, float]) -> tuple[float, float]:
    """Limits that hold the series, rounded out to tenths.

    Args:
        series: values, None where there is none.
        include: values that must be inside.
        most: limits that are never exceeded.
    """
    known = [v for values in series for v in values if v is not None]
    low, high = min([*known, include[0]]), max([*known, include[1]])
    return max(math.floor(low * 10 - 0.5) / 10, most[0]), min(math.ceil(high * 10 + 0.5) / 10, most[1])


def runs(values: Values) -> list[list[int]]:
    """Stretches of layers that have values: [1, 2, None, 3] -> [[0, 1], [3]]."""
    found: list[list[int]] = [[]]
    for i, value in enumerate(values):
        if value is None:
            found.append([])
        else:
            found[-1].append(i)
    return [run for run in found if run]


def curve(frame: Frame, values: Values, css: str) -> Markup:
    """A line through the values, broken where one is missing, a dot at each layer, a triangle where it is beyond."""
    items = []
    for run in runs(values):
        points = [frame.at(i, value) for i in run if (value := values[i]) is not None]
        items.append(svg.line(points, "line"))
        items += [_dot(frame, point, values[i]) for i, point in zip(run, points, strict=True)]
    return svg.group(items, css)


def beyond(frame: Frame, values: Values) -> bool:
    """Whether some value lies beyond the frame's limits."""
    return any(v is not None and not frame.limits[0] <= v <= frame.limits[1] for v in values)


def _dot(frame: Frame, point: svg.Point, value: svg.Number | None) -> Markup:
    x, y = point
    if not beyond(frame, [value]):
        return svg.element("circle", {"cx": x, "cy": y, "r": 3})
    out = 7 if value is not None and value > frame.limits[1] else -7
    if frame.tall:
        return svg.area([(x, y - 6), (x, y + 6), (x + out, y)], "beyond")
    return svg.area([(x - 6, y), (x + 6, y), (x, y - out)], "beyond")


def band(frame: Frame, ends: tuple[Values, Values], css: str) -> Markup:
    """The area between two series, where both have values."""
    low, high = ends
    both = [a if b is not None else None for a, b in zip(low, high, strict=True)]
    items = []
    for run in runs(both):
        upper = [frame.at(i, value) for i in run if (value := high[i]) is not None]
        lower = [frame.at(i, value) for i in reversed(run) if (value := low[i]) is not None]
        if len(run) == 1:
            items.append(svg.line([upper[0], lower[0]], "whisker"))
        else:
            items.append(svg.area([*upper, *lower], "band"))
    return svg.group(items, css)


def apart(places: Sequence[float], least: float) -> list[float]:
    """Places for labels, in the given order, moved no more than needed to be `least` apart."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = list(places)
    for before, after in pairwise(order):
        moved[after] = max(moved[after], moved[before] + least)
    shift = sum(m - p for m, p in zip(moved, places, strict=True)) / max(len(places), 1)
    return [m - shift for m in moved]
