"""HTML for notebooks: elements whose text is escaped, and images inside the page."""

import base64
import html


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


def picture(data: bytes, *, alt: str, width: int, kind: str = "png") -> Markup:
    """An image as part of the page.

    Args:
        data: of the file.
        alt: what it shows, in words.
        width: in CSS pixels; small images are enlarged with sharp pixels.
        kind: "png" or "jpeg".
    """
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return element("img", src=source, alt=alt, width=str(width), style="image-rendering:auto;border-radius:3px")
