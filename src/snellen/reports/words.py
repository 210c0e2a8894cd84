"""Numbers and counts as a reader meets them in a sentence."""

import math
from collections.abc import Sequence
from datetime import datetime


def number(value: float | None) -> str:
    """Three significant digits with a true minus sign: 35.2, 0.700, −0.0312, 1,240, 3.1×10⁻⁶; "unknown" for None."""
    if value is None or not math.isfinite(value):
        return "unknown"
    size = abs(value)
    if size == 0:
        text = "0"
    elif size >= 1e6 or size < 1e-3:
        digits, _, power = f"{size:.1e}".partition("e")
        text = f"{digits}×10{_superscript(int(power))}"
    else:
        text = f"{size:,.{max(0, 2 - math.floor(math.log10(size)))}f}"
    return f"−{text}" if value < 0 and text.strip("0.") else text


def rough(value: float) -> str:
    """Two significant digits, no idle zeros, for prose: 6.04 -> "6", 2.23 -> "2.2", 0.7 -> "0.7", 13.8 -> "14"."""
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.2g}".replace("-", "−")


def fixed(value: float | None) -> str:
    """Two decimals with a true minus sign, for columns of a table; "unknown" for None."""
    return "unknown" if value is None else f"{value:.2f}".replace("-", "−")


def count(value: int, one: str, many: str = "") -> str:
    """A count with its noun: "1 layer", "12 layers", "1,000 units"."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def listing(names: Sequence[str], most: int = 4) -> str:
    """Names as a phrase: "a, b and c"; beyond `most`, "a, b, c and 7 more"."""
    shown = list(names) if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} more"]
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1] if shown else "none"


def date(stamp: str) -> str:
    """An ISO time as "27 July 2026"; the text itself where it is none."""
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return stamp
    return f"{moment.day} {MONTHS[moment.month - 1]} {moment.year}"


def middle(values: Sequence[float]) -> float:
    """The median of at least one value."""
    ranked = sorted(values)
    half = len(ranked) // 2
    return ranked[half] if len(ranked) % 2 else (ranked[half - 1] + ranked[half]) / 2


def short(text: str, most: int) -> str:
    """A text of at most `most` characters, its middle left out: "backbone…conv2"."""
    if len(text) <= most:
        return text
    tail = (most - 1) * 2 // 3
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"


MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def _superscript(power: int) -> str:
    return str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
