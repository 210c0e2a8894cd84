"""The page of the matrix: a heat table of networks and manipulations, its words beside its colours."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from markupsafe import Markup
from msgspec import Struct

from snellen.base import RecordError
from snellen.base.files import read_json, why
from snellen.base.shape import Each, Maybe, Named, OneOf, Option, ShapeError, Text, Whole, match
from snellen.reports import roc, svg
from snellen.reports.site import page
from snellen.reports.write import write

NAME = "matrix.json"
FORMAT = 1
_COUNT = Whole(0, 100_000)
_KIND = Text(100, r"[\w.-]+", "a name")
_CELL = {
    "name": Text(400, r"[\w.-]+", "a name"),
    "kind": _KIND,
    "status": OneOf(("open", "done")),
}
_DONE = {
    "case": str,
    "units": _COUNT,
    "suspicious": _COUNT,
    "checks": Named({"proves": _COUNT, "supports": _COUNT}),
    "by layer alone": _COUNT,
    "behaviour": Maybe({"count": Whole(0), "changed": Whole(0), "differing": Whole(0)}),
    "pictures": Maybe({"drawn": _COUNT, "nearer to the decoy": _COUNT}),
    "recovered": Option(Maybe({"drawn": _COUNT, "nearer": _COUNT})),
    "met": bool,
}
_TABLE = {
    "format": Whole(FORMAT, FORMAT),
    "bars": {"caught": float, "spared": float},
    "settings": {"units": int, "steps": int, "quick": bool, "seed": int},
    "versions": {"snellen": str, "torch": str},
    "cases": Each({"name": str, "images": str}),
    "checks": Option(Named(Text(100))),
    "kinds": Each(_KIND),
    "columns": Option(Each({"kind": _KIND, "title": Text(), "words": Text()})),
    "cells": Each(_CELL),
    "suite": Option(Whole(1, 100_000)),
    "departures": Option(Each(Text(200))),
    "separation": Option(roc.SHAPE),
}


class Counted(Struct, frozen=True):
    """Units of a cell in which a check proves manipulation, and in which it supports suspicion."""

    proves: int
    supports: int


class Behaviour(Struct, frozen=True):
    """What became of photographs: how many there were, changed their class, have other outputs."""

    count: int
    changed: int
    differing: int


class Shown(Struct, frozen=True, rename={"nearer": "nearer to the decoy"}):
    """Pictures of a manipulated network."""

    drawn: int
    nearer: int


class Recovered(Struct, frozen=True):
    """Pictures that were drawn in spite of a manipulation."""

    drawn: int
    nearer: int


class Cell(Struct, frozen=True, kw_only=True, rename={"by_layer": "by layer alone"}):
    """A network of the table; of one that is not finished only name, kind and status are known."""

    name: str
    kind: str
    status: str
    case: str = ""
    units: int = 0
    suspicious: int = 0
    checks: dict[str, Counted] = {}
    by_layer: int = 0
    behaviour: Behaviour | None = None
    pictures: Shown | None = None
    recovered: Recovered | None = None
    met: bool = False


class Case(Struct, frozen=True):
    """A row of the table: an honest network and its photographs."""

    name: str
    images: str


class Titled(Struct, frozen=True):
    """A column of the table in words."""

    kind: str
    title: str
    words: str


class Table(Struct, frozen=True, kw_only=True):
    """What `snellen matrix` wrote, as far as its page shows it.

    The first tables have neither checks nor columns; those before the first suite neither it nor how scores separate.
    """

    bars: dict[str, float]
    settings: dict[str, object]
    versions: dict[str, object]
    cases: tuple[Case, ...]
    kinds: tuple[str, ...]
    cells: tuple[Cell, ...]
    checks: dict[str, str] = {}
    columns: tuple[Titled, ...] = ()
    suite: int | None = None
    departures: tuple[str, ...] = ()
    separation: tuple[roc.Separation, ...] = ()


SIDE, GAP, ACROSS = 9, 3, 10  # squares of the units, in drawing units


def build_matrix(folder: Path) -> Path:
    """Write FOLDER/index.html from FOLDER/matrix.json: a pure function of it and of which cells have pages.

    Args:
        folder: that `snellen matrix` wrote.

    Returns:
        The path of index.html.

    Raises:
        RecordError: the table is missing, damaged or of another version.
        OutputError: the page cannot be written.
    """
    folder = Path(folder)
    table = _read(folder)
    done = [cell for cell in table.cells if cell.status == "done"]
    shorts, columns = _shorts(table), _columns(table)
    titles = {kind: title for kind, title, _ in columns}
    separated = roc.named(table.separation, {**table.checks, **shorts})
    told = {
        "table": table,
        "record": {"environment": table.versions},
        "kinds": columns,
        "cases": table.cases,
        "cells": {cell.name: _view(cell, folder, shorts) for cell in table.cells},
        "summary": _summary(done),
        "checks": shorts,
        "done": done,
        "panels": roc.panels(table.separation, titles),
        "separated": separated,
        "lines": roc.lines(table.separation, titles, list(separated)),
    }
    return write(folder, [("index.html", page("matrix.html", told, styles=("receipt.css", "matrix.css")))])


def _shorts(table: Table) -> dict[str, str]:
    """What the checks are called, in the order in which they are made; their names where the table does not say."""
    known, made = table.checks, [name for cell in table.cells for name in cell.checks]
    return {name: known.get(name, name) for name in (*known, *made) if name in made}


def _columns(table: Table) -> list[tuple[str, str, str]]:
    """Kind, title and words of every column; tables of earlier versions have no words."""
    told = {column.kind: (column.title, column.words) for column in table.columns}
    return [(kind, *told.get(kind, (kind, ""))) for kind in table.kinds]


def _summary(done: Sequence[Cell]) -> dict[str, int]:
    """How many units of which kind were examined and how many of them called suspicious."""
    honest = [cell for cell in done if cell.kind == "honest"]
    lying = [cell for cell in done if cell.kind != "honest"]
    return {
        "honest": sum(c.units for c in honest),
        "accused": sum(c.suspicious for c in honest),
        "lying": sum(c.units for c in lying),
        "caught": sum(c.suspicious for c in lying),
        "cells": len(done),
        "missed": sum(not c.met for c in done),
    }


def _view(cell: Cell, folder: Path, shorts: Mapping[str, str]) -> dict[str, object]:
    """A cell as the page shows it."""
    if cell.status != "done":
        return {"open": True}
    honest, met = cell.kind == "honest", cell.met
    word = ("spared" if met else "wrongly accused") if honest else ("caught" if met else "missed")
    return {
        "open": False,
        "word": word,
        "css": f"{'honest' if honest else 'lying'} {'met' if met else 'failed'}",
        "figure": f"{cell.suspicious} of {cell.units}",
        "units": _squares(cell),
        "said": _said(cell, shorts),
        "kept": _kept(cell.behaviour),
        "pictures": cell.pictures,
        "recovered": cell.recovered,
        "links": _links(cell.name, folder),
    }


def _squares(cell: Cell) -> Markup:
    """A square for every unit, full where it is suspicious, in rows of ten."""
    full = cell.suspicious
    items = []
    for i in range(cell.units):
        corner = ((i % ACROSS) * (SIDE + GAP) + 1, (i // ACROSS) * (SIDE + GAP) + 1)
        items.append(svg.rect(corner, (SIDE, SIDE), "full" if i < full else "empty"))
    height = -(-max(cell.units, 1) // ACROSS) * (SIDE + GAP)
    name = f"{full} of {cell.units} units are called suspicious"
    return svg.picture((ACROSS * (SIDE + GAP), height), name, items, "squares")


def _said(cell: Cell, shorts: Mapping[str, str]) -> list[str]:
    """Which checks prove suspicion, a line for each, and which support it; those of most units first."""
    counts = {short: cell.checks[check] for check, short in shorts.items() if check in cell.checks}
    proven = sorted(((c.proves, short) for short, c in counts.items() if c.proves), key=lambda one: -one[0])
    supported = sorted(((c.supports, short) for short, c in counts.items() if c.supports), key=lambda one: -one[0])
    found = [f"{short}: {units} proven" for units, short in proven]
    if supported:
        found.append("supported by " + ", ".join(f"{short} ({units})" for units, short in supported))
    if cell.by_layer:
        found.append(f"by their layer alone: {cell.by_layer}")
    return found


def _kept(behaviour: Behaviour | None) -> str | None:
    """Natural behaviour in words; None of an honest network."""
    if behaviour is None:
        return None
    changed, count = behaviour.changed, behaviour.count
    if not behaviour.differing:
        return f"all {count} photographs: same outputs to the last bit"
    return f"{count - changed} of {count} photographs keep their class"


def _links(name: str, folder: Path) -> list[tuple[str, str]]:
    places = (("audit", f"cells/{name}/audit/index.html"), ("receipt", f"cells/{name}/model/index.html"))
    return [(word, place) for word, place in places if (folder / place).is_file()]


def _read(folder: Path) -> Table:
    path = folder / NAME
    try:
        table = dict(read_json(path, _TABLE, within=folder))
        for i, cell in enumerate(table["cells"]):
            if cell["status"] == "done":
                match(cell, _DONE, f"cells[{i}]")
        names = {cell["name"] for cell in table["cells"]}
        missing = [f"{c['name']}-{kind}" for c in table["cases"] for kind in table["kinds"]]
        missing = [name for name in missing if name not in names]
        if missing:
            raise ShapeError(f"expected a cell {missing[0][:60]!r}, got none")
        return msgspec.convert(table, Table)
    except OSError as error:
        raise RecordError(f"expected a table at {path}, got {why(error)}; run snellen matrix again") from None
    except (ShapeError, msgspec.ValidationError) as error:
        of_another = isinstance(error, ShapeError) and error.where == "format"
        told = f"{path} of another version" if of_another else f"{path}, which is damaged: {error}"
        raise RecordError(f"expected a table of format {FORMAT}, got {told}; run snellen matrix again") from None
