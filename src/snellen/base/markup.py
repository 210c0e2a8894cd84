"""HTML for notebooks: elements whose text is escaped, and images inside the page."""

import base64
import html
from collections.abc import Iterable


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, *children: str, **attributes: str) -> Markup:
    """An element; children that are no `Markup`, and all attributes, are escaped.

    Args:
        name: of the element, such as "div"; "img" and "br" are closed at once.
        children: text or elements.
        attributes: by name.
    """
    told = "".join(f' {key}="{html.escape(value)}"' for key, value in attributes.items())
    if name in ("img", "br"):
        return Markup(f"<{name}{told}>")
    inside = "".join(child if isinstance(child, Markup) else html.escape(child) for child in children)
    return Markup(f"<{name}{told}>{inside}</{name}>")


def picture(data: bytes, *, alt: str, width: int) -> Markup:
    """A PNG as part of the page.

    Args:
        data: of the file.
        alt: what it shows, in words.
        width: in CSS pixels.
    """
    source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return element("img", src=source, alt=alt, width=str(width), style="border-radius:3px;display:block")


def figure(data: bytes | None, *lines: str, width: int) -> Markup:
    """A picture with lines below it; a grey square where there is none.

    Args:
        data: of a PNG; None for no picture.
        lines: text or elements.
        width: of the picture in CSS pixels.
    """
    empty = element("div", style=f"width:{width}px;height:{width}px;background:#8883;border-radius:3px")
    shown = empty if data is None else picture(data, alt=", ".join(str(line) for line in lines[:1]), width=width)
    told = [element("div", line, style="overflow-wrap:anywhere") for line in lines if line]
    return element("div", shown, *told, style=f"width:{width}px;font-size:12px;line-height:1.35")


def grid(figures: Iterable[str]) -> Markup:
    """Figures side by side, as many in a row as there is room for."""
    return element("div", *figures, style="display:flex;flex-wrap:wrap;gap:12px;margin:6px 0")
