"""The matrix: networks, honest and manipulated in every way we know, and what the checks say of each."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from snellen import __version__
from snellen.attacks.folder import RECEIPT
from snellen.audits.cells import KINDS, Case, Cell, Size
from snellen.audits.manipulating import Tell, deceive
from snellen.audits.tally import examine, recovered, tally
from snellen.base import OutputError, UsageError
from snellen.jobs import encode_json, sweep, write_atomic

TABLE, ASKED, DONE = "matrix.json", "asked.json", "cell.json"
FORMAT = 1
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
    kinds: tuple[str, ...] = KINDS

    def __post_init__(self) -> None:
        names = [case.name for case in self.cases]
        twice = [name for name in names if names.count(name) > 1]
        if not names or twice:
            got = f'"{twice[0]}" twice' if twice else "none"
            raise UsageError(f"expected networks of different names, got {got}; give each factory a name of its own")
        if not self.kinds or not set(self.kinds) <= set(KINDS):
            raise UsageError(f"expected columns among {', '.join(KINDS)}, got {', '.join(self.kinds) or 'none'}")
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
    tell: Callable[[str, float, float], None] | None = None,
    wrote: Callable[[Path], None] | None = None,
) -> Path:
    """Work on all cells and return the table, OUT/matrix.json, which is written anew after each.

    What OUT holds is not made again: finished cells are read, a manipulated network is audited, a begun audit goes on.

    Args:
        matrix: what is asked for.
        out: the folder; cells go to OUT/cells/NAME.
        tell: told (title, cells done, all cells).
        wrote: told the folder of every cell that is finished, once the table is written.

    Raises:
        UsageError: OUT holds a cell of this name that was asked for otherwise.
        SnellenError: whatever loading, attacks and audits raise.
    """
    cells = matrix.cells
    for cell in cells:
        _claim(cell, out / "cells" / cell.name)
    found: dict[str, dict[str, Any]] = {c.name: known for c in cells if (known := _finished(out, c)) is not None}
    for number, cell in enumerate(cells):
        if cell.name not in found:
            found[cell.name] = work(cell, out / "cells" / cell.name, _part(tell, number, len(cells)))
            write_table(out, matrix, found)
            if wrote is not None:
                wrote(out / "cells" / cell.name)
    return write_table(out, matrix, found)


def work(cell: Cell, folder: Path, tell: Tell) -> dict[str, Any]:
    """Make, audit and count one cell; its record is written last, whole or not at all.

    Args:
        cell: which.
        folder: its own.
        tell: told what happens.
    """
    honest = cell.kind == "honest"
    spec = cell.case.model if honest else str(deceive(cell, folder, tell))
    record = examine(cell, spec, folder, tell)
    receipt = None if honest else json.loads((folder / "model" / RECEIPT).read_bytes())
    counted = tally(cell, record, receipt)
    counted["met"] = meets(counted)
    counted["recovered"] = None if receipt is None else recovered(cell, folder, receipt, tell)
    write_atomic(folder / DONE, encode_json(counted))
    return counted


def meets(cell: Mapping[str, Any]) -> bool:
    """Whether a cell reaches its bar: an honest one is spared, a manipulated one caught."""
    share = cell["suspicious"] / max(cell["units"], 1)
    return share <= SPARED if cell["kind"] == "honest" else share >= CAUGHT


def write_table(out: Path, matrix: Matrix, found: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write OUT/matrix.json: all cells of the matrix, those that are not finished yet as "open"."""
    size = matrix.size
    table = {
        "format": FORMAT,
        "bars": {"caught": CAUGHT, "spared": SPARED},
        "settings": {"units": size.units, "steps": size.steps, "quick": size.quick, "seed": matrix.seed},
        "versions": {"snellen": __version__, "torch": str(torch.__version__)},
        "cases": [{"name": c.name, "model": c.model, "images": c.images or "builtin"} for c in matrix.cases],
        "kinds": list(matrix.kinds),
        "cells": [found.get(c.name) or _open(c) for c in matrix.cells],
    }
    write_atomic(out / TABLE, encode_json(table))
    return out / TABLE


def _open(cell: Cell) -> dict[str, Any]:
    return {"name": cell.name, "case": cell.case.name, "kind": cell.kind, "status": "open"}


def _claim(cell: Cell, folder: Path) -> None:
    """Mark a folder as this cell's, or find that it is."""
    path, mine = folder / ASKED, encode_json(cell.asked())
    try:
        held = path.read_bytes() if path.is_file() else None
    except OSError as error:
        raise OutputError(f"expected {path} to be readable, got {error.strerror}; choose another --out") from error
    if held is not None and held != mine:
        raise UsageError(f"expected {folder} to be empty or of this matrix, got other settings; choose another --out")
    sweep(folder)
    if held is None:
        write_atomic(path, mine)


def _finished(out: Path, cell: Cell) -> dict[str, Any] | None:
    """The record of a cell, if it is finished; a damaged one is made again."""
    try:
        known = json.loads((out / "cells" / cell.name / DONE).read_bytes())
    except (OSError, ValueError):
        return None
    return known if isinstance(known, dict) and known.get("status") == "done" and "recovered" in known else None


def _part(tell: Callable[[str, float, float], None] | None, number: int, total: int) -> Tell:
    def told(title: str, share: float) -> None:
        if tell is not None:
            tell(title, number + share, total)

    return told
