"""Cards: what the pages show of one unit, read from its record."""

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from snellen.record import NaturalEntry, PictureEntry, UnitEntry
from snellen.reports.panels import history
from snellen.reports.strip import Mark, strip
from snellen.reports.words import number, rough

ABSENT = {
    "dead": "Dead: no gradient ever reached the picture, so there is nothing to show.",
    "diverged": "Diverged: the optimization left the range of numbers, so there is nothing to show.",
    "interrupted": "Interrupted before there was a picture; run the audit again to go on.",
    "ok": "No picture was kept.",
}
VERBS = {"max": "maximize", "min": "minimize"}
HEADINGS = {"max": "Drives it up", "min": "Drives it down"}
ENDS = {"max": "top", "min": "bottom"}
MOST = {"max": "most", "min": "least"}


@dataclass(frozen=True)
class Drawing:
    """A picture, or the sentence in its place."""

    image: str | None
    alt: str
    response: str
    remark: str
    history: Markup | None
    seed: str


@dataclass(frozen=True)
class Photograph:
    """A natural image beside a picture."""

    image: str | None
    alt: str
    response: str


@dataclass(frozen=True)
class Column:
    """One direction: its pictures and, beneath, the photographs at the same end."""

    heading: str
    drawings: tuple[Drawing, ...]
    photographs: tuple[Photograph, ...]
    caption: str
    end: str = ""


@dataclass(frozen=True)
class Card:
    """One unit: who it is, its verdict with the evidence, its two columns, its strip and how to read it."""

    anchor: str
    title: str
    named: bool
    address: str
    columns: tuple[Column, ...]
    strip: Markup | None
    reading: tuple[str, ...]
    verdict: str = ""
    evidence: tuple[str, ...] = ()


def card(unit: UnitEntry, names: Mapping[int, str], told: Mapping[str, Sequence[str]] | None = None) -> Card:
    """The card of a unit of the record.

    Args:
        unit: of the record.
        names: of classes, by channel.
        told: by address what its pictures tell, in sentences.
    """
    title = title_of(unit, names)
    judged = unit.judgement
    who = f"{title} ({unit.unit})" if title else unit.unit
    return Card(
        anchor=anchor_of(unit),
        title=title or f"channel {unit.channel}",
        named=bool(title),
        address=unit.unit,
        columns=_columns(unit, who),
        strip=_strip(unit),
        reading=(*_reading(unit), *(told or {}).get(unit.unit, ())),
        verdict=judged.verdict if judged else "",
        evidence=tuple(item.words for item in judged.evidence) if judged else (),
    )


def title_of(unit: UnitEntry, names: Mapping[int, str]) -> str | None:
    """What a unit is called, where it has a name."""
    return unit.label or (names.get(unit.channel) if unit.role == "class" else None)


def anchor_of(unit: UnitEntry) -> str:
    """Where its card is on a page."""
    return "unit-" + "".join(c if c.isalnum() and c.isascii() else f"-{ord(c):x}-" for c in unit.unit)


def reached(unit: UnitEntry, direction: str) -> list[float]:
    """The responses to the unit's pictures of one direction that were really drawn."""
    drawn = [p for p in unit.pictures if p.direction == direction and p.status in ("ok", "interrupted") and p.image]
    return [p.response for p in drawn if p.response is not None]


def _columns(unit: UnitEntry, who: str) -> tuple[Column, ...]:
    """Pictures above photographs for two directions; beside them where there are pictures of only one."""
    drawn = {way: tuple(_drawing(p, who) for p in unit.pictures if p.direction == way) for way in HEADINGS}
    shown = {way: _photographs(unit, way, who) for way in HEADINGS}
    captions = {way: f"Photographs that excite it {MOST[way]}" for way in HEADINGS}
    if all(drawn.values()):
        columns = [Column(HEADINGS[way], drawn[way], shown[way], captions[way], ENDS[way]) for way in HEADINGS]
    else:
        columns = [Column(HEADINGS[way], drawn[way], (), "") for way in HEADINGS]
        columns += [Column(captions[way], (), shown[way], captions[way]) for way in HEADINGS]
    return tuple(column for column in columns if column.drawings or column.photographs)


def _photographs(unit: UnitEntry, direction: str, who: str) -> tuple[Photograph, ...]:
    shown_ones = unit.exemplars.top if direction == "max" else unit.exemplars.bottom
    return tuple(
        Photograph(
            image=shown.image,
            alt=f"Photograph {shown.id}, number {rank} of those that excite {who} {MOST[direction]}, "
            f"response {number(shown.response)}",
            response=number(shown.response),
        )
        for rank, shown in enumerate(shown_ones, start=1)
    )


def _drawing(picture: PictureEntry, who: str) -> Drawing:
    kept = picture.image is not None and picture.status in ("ok", "interrupted")
    response = number(picture.response)
    remark = "" if kept else ABSENT[picture.status]
    if kept and picture.status == "interrupted":
        remark = "Stopped before the last step."
    return Drawing(
        image=picture.image if kept else None,
        alt=f"Picture optimized to {VERBS[picture.direction]} {who}, response {response}",
        response=response,
        remark=remark,
        history=history(picture.history_steps, picture.history) if kept else None,
        seed=str(picture.seed),
    )


def _strip(unit: UnitEntry) -> Markup | None:
    natural = unit.natural
    if natural is None:
        return None
    marks = [Mark(way, response) for way in HEADINGS for response in reached(unit, way)]
    return strip(natural.quantiles, marks, natural.own_class_mean)


def _reading(unit: UnitEntry) -> list[str]:
    natural = unit.natural
    if natural is None:
        return []
    said = [
        sentence(direction, max(drawn, key=abs), natural)
        for direction in HEADINGS
        if (drawn := reached(unit, direction))
    ]
    if natural.own_class_mean is not None:
        said.append(f"Photographs of its own class reach {number(natural.own_class_mean)} on average.")
    return said


def sentence(direction: str, response: float, natural: NaturalEntry) -> str:
    """Where a picture's response lies among the natural ones, in words."""
    quantiles, count = natural.quantiles, natural.count
    low, high = quantiles[0], quantiles[-1]
    if direction == "max" and response > high:
        times = (
            f", {rough(response / high)} times the strongest"
            if high > 0 and response >= 1.05 * high
            else ", above the strongest"
        )
        return f"The picture drives it to {number(response)}{times} of {count:,} photographs ({number(high)})."
    if direction == "min" and response <= low:
        than = "as low as" if response == low else "below"
        return f"The opposite picture drives it to {number(response)}, {than} the weakest photograph ({number(low)})."
    beaten = share(response, quantiles)
    if direction == "max":
        return f"The picture drives it only to {number(response)}; {100 - beaten} % of the photographs excite it more."
    return f"The opposite picture drives it only to {number(response)}; {beaten} % of the photographs excite it less."


def share(response: float, quantiles: Sequence[float]) -> int:
    """How many in a hundred natural responses lie below a response."""
    return min(max(bisect.bisect_left(quantiles, response), 0), 100)
