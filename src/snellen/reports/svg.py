"""Drawing primitives: SVG as escaped markup, styled by the page, so charts follow light, dark and print."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain

from markupsafe import Markup, escape

Number = int | float
Point = tuple[Number, Number]
_known = lru_cache(1024, typed=True)(escape)  # classes and the like come again and again


def element(name: str, attributes: Mapping[str, object], inside: object = "") -> Markup:
    """One element; values and text are escaped, numbers are rounded to a tenth of a unit.

    Args:
        name: the element's name, trusted.
        attributes: names trusted, with `_` for `-`; values of any kind; None leaves the attribute out.
        inside: text, or markup that is kept as it is.
    """
    told = [
        f' {key.replace("_", "-")}="{_short(value) if isinstance(value, float) else _known(value)}"'
        for key, value in attributes.items()
        if value is not None
    ]
    return Markup(f"<{name}{''.join(told)}>{escape(inside)}</{name}>")


def group(items: Iterable[Markup], css: str) -> Markup:
    """Elements in a group of one class."""
    return element("g", {"class": css}, Markup("".join(items)))


def line(points: Sequence[Point], css: str) -> Markup:
    """A line through points."""
    return _path(css, path(points))


def area(points: Sequence[Point], css: str) -> Markup:
    """A filled polygon."""
    return _path(css, path(points) + "Z")


def text(at: Point, words: str, css: str, anchor: str = "start") -> Markup:
    """A line of text: the anchor says which of its ends ("start", "middle", "end") is at the point."""
    return element("text", {"x": at[0], "y": at[1], "class": css, "text_anchor": anchor}, words)


def rect(corner: Point, size: Point, css: str) -> Markup:
    """A rectangle from its upper left corner."""
    return element("rect", {"x": corner[0], "y": corner[1], "width": size[0], "height": size[1], "class": css})


def path(points: Sequence[Point]) -> str:
    """The data of a path through points."""
    text = "%.1f %.1fL" * len(points) % tuple(chain.from_iterable(points))
    short = text.replace(".0 ", " ").replace(".0L", "L")
    return "M" + short.replace("-0 ", "0 ").replace("-0L", "0L")[:-1]


def picture(size: Point, name: str, items: Iterable[Markup], css: str = "") -> Markup:
    """A drawing that scales with its column; `name` says to those who cannot see it what it shows."""
    box = f"0 0 {plain(size[0])} {plain(size[1])}"
    attributes = {"viewBox": box, "role": "img", "class": css or None, "aria_label": name}
    return element("svg", attributes, Markup("".join(items)))


def plain(value: object) -> object:
    """A float as short text: 3.14159 -> "3.1", 2.0 -> "2"; anything else as it is."""
    return _short(value) if isinstance(value, float) else value


def _short(value: float) -> str:
    rounded = f"{value:.1f}".removesuffix(".0")
    return "0" if rounded == "-0" else rounded


def _path(css: str, data: str) -> Markup:
    """A path; written out, for it is most of a page of cards."""
    return Markup(f'<path class="{_known(css)}" d="{data}"></path>')
