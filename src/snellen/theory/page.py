"""The table and its pictures as a page: one folder, opens from disk, asks nothing of the network."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from snellen.base import DependencyError, OutputError, write_atomic
from snellen.theory.classes import describe
from snellen.theory.growth import Growth, growth
from snellen.theory.pictures import draw_growth, draw_line, image_png
from snellen.theory.planes import WIDTHS, draw_planes
from snellen.theory.table import EPS, Row
from snellen.theory.thresholds import IMAGE_SIZES, window
from snellen.theory.twins import Twins

if TYPE_CHECKING:
    from markupsafe import Markup

LINE = "{title} in one dimension: the shaded envelope, the lower and the upper witness, x_min, x_max, x marked."


def write_page(
    rows: tuple[Row, ...],
    out: Path,
    *,
    twins: Twins | None = None,
    progress: Callable[[str, int], None] | None = None,
) -> Path:
    """Write OUT/index.html and OUT/pictures/*.png.

    Args:
        rows: of `table`.
        out: a folder, made if missing.
        twins: two networks with one pair of pictures, to be shown.
        progress: called with what is drawn next and how many classes are drawn already.

    Raises:
        OutputError: the folder cannot be written to.
    """
    try:
        (out / "pictures").mkdir(parents=True, exist_ok=True)
        sections = []
        say = progress or (lambda _what, _done: None)
        for number, row in enumerate(rows):
            say(f"drawing {row.entry.name}", number)
            sections.append(_section(row, out))
        say("what would help", len(rows))
        curves = growth() if len(rows) > 1 else ()
        charts = [_save(draw_growth(curve), out, f"growth-{n}") for n, curve in enumerate(curves)]
        shown = None if twins is None else _twins(twins, out)
        page = out / "index.html"
        write_atomic(page, _render(rows, sections, list(zip(curves, charts, strict=True)), shown).encode("utf-8"))
    except OSError as error:
        raise OutputError(f"expected a writable folder, got {out}: {error.strerror}; choose another --out") from None
    return page


def _section(row: Row, out: Path) -> dict[str, object]:
    name, title = row.entry.name, row.entry.title
    planes = draw_planes(row.entry) if max(row.entry.dims) > 1 else ()
    return {
        "row": row,
        "assumed": describe(row.function_class),
        "line": _save(draw_line(row.entry), out, f"{name}-1d"),
        "alt": LINE.format(title=title),
        "planes": [(what, _save(picture, out, f"{name}-2d-{n}")) for n, (what, picture) in enumerate(planes)],
    }


def _twins(twins: Twins, out: Path) -> dict[str, object]:
    named = {"photograph": twins.photograph, "max": twins.x_max, "min": twins.x_min}
    for number, pictures in enumerate(twins.drawn):
        named |= {f"{number}-{way}": picture for way, picture in zip(("max", "min"), pictures, strict=True)}
    return {"of": twins, "files": {key: _save(image_png(v), out, f"twins-{key}") for key, v in named.items()}}


def _save(picture: bytes, out: Path, name: str) -> str:
    file = f"pictures/{name}-{hashlib.sha256(picture).hexdigest()[:8]}.png"
    write_atomic(out / file, picture, sync=False)
    return file


def _render(
    rows: tuple[Row, ...],
    sections: list[dict[str, object]],
    curves: list[tuple[Growth, str]],
    twins: dict[str, object] | None,
) -> str:
    try:
        import jinja2
    except ImportError:
        raise DependencyError("expected jinja2 for the page, it is not installed; pip install jinja2") from None
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": percent, "symbols": symbols, "errors": errors}
    windows = [(px, window(3 * px * px)) for px in IMAGE_SIZES]
    return environment.get_template("theory.html").render(
        rows=rows, sections=sections, curves=curves, twins=twins, windows=windows, eps=EPS, widths=WIDTHS
    )


def percent(share: float) -> str:
    """0.004 -> "<1 %": a share that sampled points estimate is never said to be 0 %."""
    if share < 0.01:
        return "<1 %"
    return f"{min(share * 100, 99.0) if share < 1 else 100.0:.0f} %"


def errors(worst: tuple[float, ...]) -> str:
    """Worst errors in all dimensions of a row, once where they are the same."""
    return ", ".join(dict.fromkeys(f"{w:.2f}\u00a0D" for w in worst))


_SYMBOLS = (
    (r"&lt;=", "≤"),
    (r"&gt;=", "≥"),
    (r"\|\|_1", "||<sub>1</sub>"),
    (r"\bx_(\w+)", r"x<sub>\1</sub>"),
    (r"\bs_i\b", "s<sub>i</sub>"),
    (r"\^\(([^)]*)\)", r"<sup>\1</sup>"),
    (r"\^(-?\w+)", r"<sup>\1</sup>"),
    (r"\bsqrt\(", "√("),
    (r"\brho\b", "ρ"),
    (r"\beps\b", "ε"),
    (r"(?<=\s)-(?=\s)|(?<=>)-(?=\w)", "−"),
)


def symbols(text: str) -> "Markup":
    """What the terminal shows as x_min, 2^-d, sqrt(d), <= and eps, as a page can show it."""
    from markupsafe import Markup, escape

    shown = str(escape(text))
    for pattern, replacement in _SYMBOLS:
        shown = re.sub(pattern, replacement, shown)
    return Markup(shown)
