"""What the pictures tell, unit by unit: beside what as many photographs tell, other units' pictures, and a read-out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from snellen.record import DecodingEvidence, Record, Told, UnitEntry
from snellen.reports import svg
from snellen.reports.cards import title_of
from snellen.reports.words import fixed, number, short

MOST = 40
"""Units of a chart."""
WIDTH, LEFT, RIGHT, TOP, ROW = 720.0, 210.0, 696.0, 34.0, 19.0
LOW, HIGH = -0.4, 1.0
EYES = {"pixels": "that see pixels", "textures": "that see textures"}


@dataclass(frozen=True)
class Line:
    """A unit in the chart and the table: its name and what is told of it."""

    title: str
    address: str
    told: Told


@dataclass(frozen=True)
class Panel:
    """The section of the page: its chart, its table, and whose eyes are shown."""

    chart: Markup
    lines: tuple[Line, ...]
    eyes: str
    left_out: int


def panel(record: Record, names: Mapping[int, str]) -> Panel | None:
    """The section on what the pictures tell; None where the record has no figures on it."""
    evidence = decoding(record)
    if evidence is None:
        return None
    units = {unit.unit: unit for unit in record.units}
    lines = [_line(told, units.get(told.unit), names) for told in evidence.units if told.figure is not None]
    if not lines:
        return None
    shown = lines[:MOST]
    viewers = list(dict.fromkeys(evidence.shown.values()))
    eyes = "; ".join(f"at {layer} the eyes {_eyes(name)}" for layer, name in evidence.shown.items())
    if len(viewers) == 1:
        eyes = f"the eyes {_eyes(viewers[0])}"
    return Panel(_chart(shown), tuple(lines), eyes, len(lines) - len(shown))


def decoding(record: Record) -> DecodingEvidence | None:
    """What the pictures tell, where the record says."""
    return next((finding.decoding for finding in record.findings if finding.decoding), None)


def readings(record: Record) -> dict[str, list[str]]:
    """By address what a card says of what its pictures tell: the sentence of the check, and what is guaranteed."""
    evidence = decoding(record)
    if evidence is None:
        return {}
    return {told.unit: _reading(told, evidence.level) for told in evidence.units if told.figure is not None}


def _reading(told: Told, level: float) -> list[str]:
    if told.certified is None or told.certified.radius is None or told.certified.constant is None:
        return [told.words]
    return [
        told.words,
        f"For {100 * level:.0f} % of photographs like these the response lies within ±{number(told.certified.radius)} "
        f"of what the pictures predict; one guess for all photographs needs ±{number(told.certified.constant)}.",
    ]


def _eyes(name: str) -> str:
    return EYES.get(name, f"of {name}")


def _line(told: Told, unit: UnitEntry | None, names: Mapping[int, str]) -> Line:
    title = title_of(unit, names) if unit else None
    return Line(title or told.unit, told.unit, told)


def _chart(lines: Sequence[Line]) -> Markup:
    height = TOP + ROW * len(lines) + 26
    items = [*_scale(height)]
    for i, line in enumerate(lines):
        items += _marks(line, TOP + ROW * (i + 0.5))
    name = "Chart of rank correlations: " + "; ".join(
        f"{line.title} pictures {fixed(line.told.figure)}, photographs "
        f"{fixed(line.told.scores[line.told.viewer].photographs.spearman)}"
        for line in lines
    )
    return svg.picture((WIDTH, height), name + ".", items, "decoding")


def _x(value: float) -> float:
    return LEFT + (RIGHT - LEFT) * (min(max(value, LOW), HIGH) - LOW) / (HIGH - LOW)


def _scale(height: float) -> Iterable[Markup]:
    for tenth in range(-4, 11, 2):
        x = _x(tenth / 10)
        yield svg.line([(x, TOP - 8), (x, height - 22)], "reference" if tenth in (0, 10) else "level")
        words = {0: "0: no order", 8: "", 10: "1: the unit’s own"}.get(tenth, f"{tenth / 10:g}".replace("-", "−"))
        yield svg.text((x, TOP - 14), words, "tick", "end" if tenth == 10 else "middle")


def _marks(line: Line, y: float) -> Iterable[Markup]:
    """One row: its name, a tick for the read-out, a ring for others' pictures, a diamond and a triangle."""
    scores = line.told.scores[line.told.viewer]
    yield svg.text((LEFT - 14, y + 4), short(line.title, 28), "unit", "end")
    yield svg.line([(LEFT, y), (RIGHT, y)], "level")
    if (best := scores.ceiling.spearman) is not None:
        yield svg.line([(_x(best), y - 6), (_x(best), y + 6)], "best")
    if scores.others is not None and scores.others.spearman is not None:
        yield svg.element("circle", {"cx": _x(scores.others.spearman), "cy": y, "r": 3.5, "class": "others"})
    photographs = scores.photographs
    if photographs.spearman is not None:
        if photographs.lo is not None and photographs.hi is not None:
            yield svg.line([(_x(photographs.lo), y), (_x(photographs.hi), y)], "natural-whisker")
        x = _x(photographs.spearman)
        yield svg.area([(x, y - 5.5), (x + 5.5, y), (x, y + 5.5), (x - 5.5, y)], "natural-mark")
    if line.told.interval is not None:
        yield svg.line([(_x(end), y) for end in line.told.interval], "picture-whisker")
    if line.told.figure is not None:
        x = _x(line.told.figure)
        yield svg.area([(x - 6, y + 5), (x + 6, y + 5), (x, y - 6)], "picture-mark")
