"""Building the site: the pages of a record, each rendered in memory and written whole before the next one."""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from snellen.base import is_file
from snellen.record import Record, UnitOnDisk, open_record
from snellen.reports import curve, panels, words
from snellen.reports.cards import Card, anchor_of, card, title_of
from snellen.reports.decoding import panel, readings
from snellen.reports.frieze import Pair, frieze
from snellen.reports.signs import SILENT_PAGE, gates, judging, reference, scan, signs
from snellen.reports.verdict import main_finding, paths, verdict
from snellen.reports.write import write

TEMPLATES = Path(__file__).parent / "templates"
WHOLE = 48  # as many cards fit on the first page; of more units it shows a choice
CHOICE = 24  # cards of that choice, shared by the groups
FEWEST = 4  # cards of each group, however many groups there are
PAGE = 40  # cards on each further page
NEAR = 10  # pages on either side that a further page links to


@dataclass(frozen=True)
class Group:
    """The units of one layer: cards for the first page, and further pages where there are more."""

    name: str
    anchor: str
    classes: bool
    units: tuple[UnitOnDisk, ...]
    shown: int

    @cached_property
    def pages(self) -> tuple[str, ...]:
        """Paths of the further pages; none where the first page shows all units."""
        if self.shown == len(self.units):
            return ()
        return tuple(f"pages/{self.anchor}-{i + 1}.html" for i in range(-(-len(self.units) // PAGE)))


def build(run_dir: Path) -> Path:
    """Write the report of a run: RUN_DIR/index.html and, for many units, RUN_DIR/pages/.

    A pure function of audit.json and its blobs: the same record gives the same bytes. Where the folder holds further
    pages (`RELATED`), the report links to them.

    Args:
        run_dir: a directory that an audit wrote.

    Returns:
        The path of index.html.

    Raises:
        RecordError: the record is missing, damaged, of another version, or misses a blob.
        OutputError: the pages cannot be written.
    """
    run_dir = Path(run_dir)
    related = {path: title for path, title in RELATED.items() if is_file(run_dir / path)}
    with open_record(run_dir) as (record, units):
        return write(run_dir, _pages(record, units, related))


def groups(record: Record, units: Sequence[UnitOnDisk]) -> tuple[Group, ...]:
    """The record's units by layer: classes first, then in the order of the layers."""
    order = {layer.name: i for i, layer in enumerate(record.layers)}
    gathered: dict[tuple[bool, str], list[UnitOnDisk]] = {}
    for unit in units:
        gathered.setdefault((unit.brief.role != "class", unit.brief.layer), []).append(unit)
    ranked = sorted(gathered.items(), key=lambda item: (item[0][0], order.get(item[0][1], len(order))))
    whole = len(units) <= WHOLE
    most = max(FEWEST, CHOICE // max(len(ranked), 1))
    return tuple(
        Group(layer, f"group-{i + 1}", not inner, tuple(own), len(own) if whole else min(len(own), most))
        for i, ((inner, layer), own) in enumerate(ranked)
    )


def turns(page: int, count: int) -> list[int | None]:
    """The pages that a page of a group links to: all of a few, else the nearest, every hundredth, the ends.

    None stands for a gap.

    Args:
        page: counted from 0.
        count: of pages.
    """
    if count <= 2 * NEAR:
        return list(range(count))
    near = range(max(page - NEAR, 0), min(page + NEAR + 1, count))
    kept = sorted({0, count - 1, *range(99, count, 100), *near})
    return [n for i, number in enumerate(kept) for n in ([None] if i and number > kept[i - 1] + 1 else []) + [number]]


def page(template: str, told: Mapping[str, object], *, styles: tuple[str, ...] = ()) -> str:
    """A page of its own in the report's style; `styles` names further style sheets."""
    return _environment().get_template(template).render(**_safe(styles), root="", words=words, **told)


RELATED = {
    "beside.html": "This network beside one that deceives",
    "theory/index.html": "What pictures can tell in theory",
    "structures/index.html": "What structure does to pictures",
}


def _pages(record: Record, units: Sequence[UnitOnDisk], related: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Paths in the run directory and texts of all pages, the first page last."""
    found = groups(record, units)
    names = {c.unit: c.label or c.name for c in record.images.classes if c.unit is not None}
    told = readings(record)
    common = {"record": record, **_safe(), "words": words}
    for group in found:
        for i, path in enumerate(group.pages):
            cards = [card(unit.whole(), names, told) for unit in group.units[i * PAGE : (i + 1) * PAGE]]
            here = {"group": group, "cards": cards, "page": i, "root": "../"}
            here["turns"] = turns(i, len(group.pages))
            yield path, _environment().get_template("units.html").render(common | here)
    if found_gates := gates(judging(record)):
        here = {"root": "../", "gates": found_gates, "scan": scan(record)}
        yield SILENT_PAGE, _environment().get_template("silent.html").render(common | here)
    cards_of: dict[str, list[Card]] = {
        group.anchor: [card(unit.whole(), names, told) for unit in group.units[: group.shown]] for group in found
    }
    view = {
        "groups": found,
        "cards_of": cards_of,
        "frieze": _opening(found, cards_of),
        "suspicious": _suspicious(found, names),
        "decoding": next((finding for finding in record.findings if finding.decoding), None),
        "tells": panel(record, names),
        "related": related,
    }
    yield "index.html", _environment().get_template("index.html").render(common | view | _told(record))


def _suspicious(found: tuple[Group, ...], names: Mapping[int, str]) -> list[dict[str, str]]:
    """Every unit under suspicion, with the place of its card."""
    listed = []
    for group in found:
        for i, unit in enumerate(group.units):
            if unit.brief.verdict == "suspicious":
                page = "" if i < group.shown else group.pages[i // PAGE]
                name = title_of(unit.brief, names) or unit.brief.unit
                listed.append({"href": f"{page}#{anchor_of(unit.brief)}", "name": name})
    return listed


def _opening(found: tuple[Group, ...], cards_of: Mapping[str, list[Card]]) -> tuple[Pair, ...]:
    """The frieze of the first group, or of all where the first has too few."""
    every = [c for group in found for c in cards_of[group.anchor]]
    return frieze(cards_of[found[0].anchor] if found else ()) or frieze(every)


def _told(record: Record) -> dict[str, object]:
    """The verdict, the findings, the charts and the tables of the first page."""
    main, known = main_finding(record), paths(record)
    network = msgspec.to_builtins(record.model, order="sorted")
    del network["name"]
    made = {"seed": record.settings.get("seed"), "network": record.model.fingerprint}
    made |= {"photographs": record.images.digest}
    return {
        "root": "",
        "verdict": verdict(record),
        "main": main,
        "more": [f for f in known if f is not main],
        "others": [
            f for f in record.findings if not (f.paths or f.decoding) and f.rows is None and f is not record.verdict
        ],
        "signs": signs(record),
        "reference": reference(record),
        "silent_page": SILENT_PAGE,
        "charts": curve,
        "panels": panels,
        "details": [
            ("What identifies this run", made | {"finished": record.created}, True),
            ("Settings", record.settings, False),
            ("Versions and machine", record.environment, False),
            ("Network", network, False),
        ],
    }


@lru_cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": words.number,
        "listing": words.listing,
        "date": words.date,
        "rows": rows,
        "fixed": words.fixed,
        "rough": words.rough,
    }
    return environment


@lru_cache
def _safe(further: tuple[str, ...] = ()) -> dict[str, Markup]:
    """The style sheets and script, and the policy that allows these and nothing else."""
    style = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in ("report.css", *further))
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    allowed = {
        "default-src": "'none'",
        "img-src": "'self' file: data:",
        "style-src": _digest(style),
        "script-src": _digest(script),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    policy = "; ".join(f"{name} {value}" for name, value in allowed.items())
    return {"style": Markup(style), "script": Markup(script), "policy": Markup(policy)}


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def rows(data: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """Nested plain data as (dotted name, text) rows."""
    found = []
    for name, value in data.items():
        if isinstance(value, Mapping):
            found += rows(value, f"{prefix}{name}.")
        else:
            text = (
                ", ".join(map(str, value))
                if isinstance(value, list | tuple)
                else "none"
                if value is None
                else str(value)
            )
            found.append((prefix + name, text))
    return found
