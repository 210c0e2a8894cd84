"""The matrix: networks, honest and manipulated in every way we know, and what the checks say of each."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from snellen import __version__
from snellen.attacks.folder import PICTURES, read_receipt
from snellen.attacks.group import columns
from snellen.audits.folder import other_world, read_identity
from snellen.base import (
    LayerError,
    Note,
    Seed,
    Tell,
    UsageError,
    altered,
    encode_json,
    read_stamped,
    silence,
    stamp,
    sweep,
    write_atomic,
)
from snellen.checks.group import checks_for
from snellen.images import open_images
from snellen.jobs import locked
from snellen.matrices.cell import HONEST, Case, Cell, Size, kinds
from snellen.matrices.manipulation import deceive
from snellen.matrices.separation import separations
from snellen.matrices.tally import RECOVERED, examine, recovered, tally
from snellen.studies.request import Request
from snellen.studies.world import open_world

TABLE, ASKED, DONE = "matrix.json", "asked.json", "cell.json"
FORMAT = 1
SUITE = 1
"""The version of the benchmark: tables of one version, of the same sizes and seed, compare.

It freezes the columns of the house with the defaults of their attacks; seed 0; how much work goes into a cell, which
is `SIZES`, and half of it for networks that take more than 96 px; and the networks with their photographs, which are
those of docs/matrix.md. It is raised when one of these changes, or when an attack or the choice of units makes other
cells of the same settings. It is not raised for a check, a threshold or a verdict: these are what it measures. Nor for
columns of other packages, which come after those of the house.
"""
SIZES = Size(units=10)
"""How much work the benchmark puts into a cell."""
DEPARTING = {"natural": "photographs of the attacker", "shown": "units of the receipt"}
"""What sizes are called where their names do not say it."""
CAUGHT, SPARED = 0.95, 0.05
"""The least share of manipulated units, and the largest of honest ones, that shall be called suspicious."""


@dataclass(frozen=True)
class Matrix:
    """What is asked for.

    Args:
        cases: networks with their photographs; names of different cases differ.
        size: how much work goes into a cell.
        seed: root of all random numbers.
        kinds: columns.

    Raises:
        UsageError: nothing to do, or two cases of one name.
    """

    cases: tuple[Case, ...] = (Case(),)
    size: Size = field(default_factory=Size)
    seed: int = 0
    kinds: tuple[str, ...] = field(default_factory=kinds)

    def __post_init__(self) -> None:
        names = [case.name for case in self.cases]
        twice = [name for name in names if names.count(name) > 1]
        if not names or twice:
            got = f'"{twice[0]}" twice' if twice else "none"
            raise UsageError(f"expected networks of different names, got {got}; give each factory a name of its own")
        known = kinds()
        if not self.kinds or not set(self.kinds) <= set(known):
            raise UsageError(f"expected columns among {', '.join(known)}, got {', '.join(self.kinds) or 'none'}")
        if self.size.units < 1 or self.size.steps < 1:
            raise UsageError(f"expected at least one unit and one step, got {self.size.units} and {self.size.steps}")

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells in the order in which they are worked on."""
        return tuple(Cell(case, kind, self.size, self.seed) for case in self.cases for kind in self.kinds)


def run_matrix(
    matrix: Matrix,
    out: Path,
    *,
    tell: Tell = silence,
    wrote: Callable[[Path], None] = silence,
    note: Note = silence,
) -> Path:
    """Work on all cells and return the table, OUT/matrix.json, which is written anew after each.

    What OUT holds is not made again: finished cells are read, a manipulated network is audited, a begun audit goes on.
    What is damaged is made again. A cell whose network has no place for the attack is left out.

    Args:
        matrix: what is asked for.
        out: the folder; cells go to OUT/cells/NAME.
        tell: told (title, cells done, all cells).
        wrote: told the folder of every cell that is finished, once the table is written.
        note: told what was damaged and is made again, and which cells are left out, line by line.

    Raises:
        UsageError: OUT holds a cell of this name that was asked for otherwise, or made of other weights, images or by
            other versions; or it holds somebody else's files.
        SnellenError: whatever loading, attacks and audits raise.
    """
    with locked(out):
        return _run(matrix, out, tell=tell, wrote=wrote, note=note)


def _run(matrix: Matrix, out: Path, *, tell: Tell, wrote: Callable[[Path], None], note: Note) -> Path:
    cells, worlds = matrix.cells, {}
    if not (out / TABLE).exists() and not (out / "cells").exists() and (out / "index.html").exists():
        raise UsageError(f"expected a folder for a matrix, got {out} with another index.html; choose another --out")
    for case in matrix.cases:
        worlds[case.name] = _identity(case, lambda title: tell(title, 0, len(cells)))
    for cell in cells:
        _claim(cell, out / "cells" / cell.name, worlds[cell.case.name])
    sweep(out, (TABLE, "index.html"))
    found: dict[str, dict[str, Any]] = {c.name: known for c in cells if (known := _finished(out, c, note)) is not None}
    for number, cell in enumerate(cells):
        if cell.name not in found:
            try:
                found[cell.name] = work(cell, out / "cells" / cell.name, _part(tell, number, len(cells)), note=note)
            except LayerError as error:  # the network has no place for this attack; others may
                note(f"{cell.name} is left out: {error}")
                continue
            write_table(out, matrix, found)
            wrote(out / "cells" / cell.name)
    return write_table(out, matrix, found)


def work(cell: Cell, folder: Path, tell: Tell, *, note: Note = silence) -> dict[str, Any]:
    """Make, audit and count one cell; its record is written last, whole or not at all.

    Args:
        cell: which.
        folder: its own.
        tell: told (title, done, all) of the cell.
        note: told what was damaged and is made again.
    """
    honest = cell.kind == HONEST
    spec = cell.case.model if honest else str(deceive(cell, folder, tell, note=note))
    record = examine(cell, spec, folder, tell, note=note)
    receipt = None if honest else read_receipt(folder / "model")
    counted = tally(cell, record, receipt)
    counted["met"] = meets(counted)
    counted["recovered"] = None if receipt is None else recovered(cell, folder, receipt, tell)
    write_atomic(folder / DONE, stamp(counted))
    return dict(json.loads((folder / DONE).read_bytes()))


def meets(cell: Mapping[str, Any]) -> bool:
    """Whether a cell reaches its bar: an honest one is spared, a manipulated one caught."""
    share = cell["suspicious"] / max(cell["units"], 1)
    return share <= SPARED if cell["kind"] == HONEST else share >= CAUGHT


def departures(matrix: Matrix) -> list[str]:
    """Where a matrix is of other sizes or another seed than the benchmark, in words, such as "units 4, not 10"."""
    usual, asked = {**asdict(SIZES), "seed": 0}, {**asdict(matrix.size), "seed": matrix.seed}
    return [_departure(name, asked[name], usual[name]) for name in usual if asked[name] != usual[name]]


def _departure(name: str, asked: int | bool, usual: int | bool) -> str:
    if isinstance(usual, bool):
        return name if asked else f"not {name}"
    return f"{DEPARTING.get(name, name)} {asked}, not {usual}"


def write_table(out: Path, matrix: Matrix, found: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write OUT/matrix.json: all cells of the matrix, those that are not finished yet as "open"."""
    size, cells = matrix.size, [found.get(c.name) or _open(c) for c in matrix.cells]
    table = {
        "format": FORMAT,
        "suite": SUITE,
        "departures": departures(matrix),
        "bars": {"caught": CAUGHT, "spared": SPARED},
        "settings": {"units": size.units, "steps": size.steps, "quick": size.quick, "seed": matrix.seed},
        "versions": {"snellen": __version__, "torch": str(torch.__version__)},
        "cases": [{"name": c.name, "model": c.model, "images": c.images or "builtin"} for c in matrix.cases],
        "kinds": list(matrix.kinds),
        "checks": {check.name: check.short for check in checks_for(quick=False)},
        "columns": [_column(kind) for kind in matrix.kinds],
        "separation": separations(cells, Seed(matrix.seed)),
        "cells": cells,
    }
    write_atomic(out / TABLE, encode_json(table))
    return out / TABLE


def _column(kind: str) -> dict[str, str]:
    if kind == HONEST:
        return {"kind": kind, "title": "honest", "words": "nobody touched it"}
    _, column = columns()[kind]
    return {"kind": kind, "title": column.title, "words": column.words}


def _open(cell: Cell) -> dict[str, Any]:
    return {"name": cell.name, "case": cell.case.name, "kind": cell.kind, "status": "open"}


def _identity(case: Case, say: Callable[[str], None]) -> dict[str, Any]:
    """What every cell of a case depends on beside what is asked for: network, photographs, versions."""

    def checked(*_told: object) -> None:
        say(f"{case.name}: checking images")

    say(f"{case.name}: loading")
    world = open_world(Request(case.model, case.images), progress=checked)
    attacker = None if case.attacker is None else open_images(case.attacker, progress=checked).digest()
    return {**world.identity, "attacker": attacker}


def _claim(cell: Cell, folder: Path, world: Mapping[str, Any]) -> None:
    """Mark a folder as this cell's, or find that it is."""
    path = folder / ASKED
    mine = json.loads(encode_json({"cell": cell.asked(), "world": world}))
    held = read_identity(path)
    if held is None:
        sweep(folder, (ASKED,))
        write_atomic(path, encode_json(mine))
        return
    if held != mine:
        other = other_world(held.get("world"), mine["world"]) if held.get("cell") == mine["cell"] else "other settings"
        got = other or "other photographs of the attacker"
        raise UsageError(f"expected {folder} to be empty or of this matrix, got {got}; choose another --out")
    sweep(folder, (DONE,))
    for below in ("model", f"model/{PICTURES}", RECOVERED):
        sweep(folder / below)


def _finished(out: Path, cell: Cell, note: Note) -> dict[str, Any] | None:
    """The record of a cell, if it is finished; one that is damaged is made again."""
    folder = out / "cells" / cell.name
    path = folder / DONE
    if not path.exists():
        return None
    known = read_stamped(path)
    lost = [DONE] if known is None else altered(folder, (known["recovered"] or {}).get("files", {}))
    if lost:
        note(f"{folder}: damaged or gone, and made again: {', '.join(lost)}")
    return None if lost else known


def _part(tell: Tell, number: int, cells: int) -> Tell:
    """Of a cell that counts from 0 to its own total, for whoever counts cells."""

    def told(title: str, done: int | float, total: int | float) -> None:
        tell(title, number + done / total, cells)

    return told
