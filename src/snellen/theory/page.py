"""The table and its pictures as a page: one folder, opens from disk, asks nothing of the network."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from snellen.base import DependencyError, OutputError
from snellen.theory.classes import describe
from snellen.theory.growth import Growth, growth
from snellen.theory.pictures import draw_growth, draw_line, draw_plane
from snellen.theory.table import EPS, Row
from snellen.theory.thresholds import IMAGE_SIZES, window

if TYPE_CHECKING:
    from markupsafe import Markup

ALTS = {
    "line": "{title} in one dimension: the shaded envelope, the lower and the upper witness, x_min, x_max, x marked.",
    "plane": "{title} in two dimensions: the width of the envelope, then the lower and the upper witness as maps.",
}


def write_page(rows: tuple[Row, ...], out: Path, *, progress: Callable[[str, int], None] | None = None) -> Path:
    """Write OUT/index.html and OUT/pictures/*.png.

    Args:
        rows: of `table`.
        out: a folder, made if missing.
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
        chart = _save(draw_growth(curves), out, "growth") if curves else ""
        page = out / "index.html"
        page.write_text(_render(rows, sections, curves, chart), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"expected a writable folder, got {out}: {error.strerror}; choose another --out") from None
    return page


def _section(row: Row, out: Path) -> dict[str, object]:
    one = _save(draw_line(row.entry), out, f"{row.entry.name}-1d")
    two = _save(draw_plane(row.entry), out, f"{row.entry.name}-2d") if max(row.entry.dims) > 1 else ""
    alts = {name: text.format(title=row.entry.title) for name, text in ALTS.items()}
    return {"row": row, "assumed": describe(row.function_class), "line": one, "plane": two, "alts": alts}


def _save(picture: bytes, out: Path, name: str) -> str:
    file = f"pictures/{name}-{hashlib.sha256(picture).hexdigest()[:8]}.png"
    (out / file).write_bytes(picture)
    return file


def _render(rows: tuple[Row, ...], sections: list[dict[str, object]], curves: tuple[Growth, ...], chart: str) -> str:
    try:
        import jinja2
    except ImportError:
        raise DependencyError("expected jinja2 for the page, it is not installed; pip install jinja2") from None
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": percent, "symbols": symbols}
    windows = [(px, window(3 * px * px)) for px in IMAGE_SIZES]
    return environment.get_template("theory.html").render(
        rows=rows, sections=sections, curves=curves, chart=chart, windows=windows, eps=EPS
    )


def percent(share: float) -> str:
    """0.004 -> "<1 %": a share that sampled points estimate is never said to be 0 %."""
    if share < 0.01:
        return "<1 %"
    return f"{min(share * 100, 99.0) if share < 1 else 100.0:.0f} %"


_SYMBOLS = (
    (r"&lt;=", "≤"),
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
