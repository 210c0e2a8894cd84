"""`snellen.matrix`: what the checks say of networks, honest and manipulated in every way that `deceive` knows."""

from collections.abc import Iterable
from pathlib import Path

from snellen.base import Note, UsageError, silence
from snellen.matrices.cell import Case, Size, kinds
from snellen.matrices.matrix import Matrix, run_matrix
from snellen.progress import Watch, told
from snellen.reports import build
from snellen.reports.matrix import build_matrix
from snellen.reports.receipt import build_receipt


def matrix(
    *,
    case: Iterable[str] | None = None,
    kind: Iterable[str] | None = None,
    out: str | Path = "matrix",
    units: int = 20,
    steps: int = 64,
    seed: int = 0,
    quick: bool = False,
    alike: bool = False,
    progress: Watch = True,
    note: Note | None = None,
) -> Path:
    """Audit networks, honest and manipulated, and count who is called suspicious.

    The folder that it writes can be continued: after a crash or Ctrl-C the same call goes on where it was.

    Args:
        case: networks with the auditor's and the attacker's photographs, each "MODEL[=IMAGES[=ATTACKER]]"; None for the
            built-in network.
        kind: columns, such as "honest", "permuted", "picture" or "silent"; None for all that there are.
        out: folder of the table and of all cells.
        units: audited units of a manipulated layer, at most.
        steps: optimization steps of each picture.
        seed: root of all random numbers.
        quick: fewer units and smaller audits.
        alike: networks with large inputs get as many units and steps as small ones.
        progress: False for no bar; or called with (title, done, total).
        note: told what was damaged and is made again, line by line.

    Returns:
        The path of the page; the table is matrix.json beside it.

    Examples:
        >>> page = snellen.matrix(kind="gradients", units=2, steps=8, quick=True, out="table", progress=False)
        >>> page.name
        'index.html'

    Raises:
        SnellenError: a bad argument, network or folder.
    """
    folder = Path(out)
    size = Size(min(units, 8), min(steps, 48), 200, 4, quick=True, alike=alike) if quick else None
    cases = tuple(_case(word) for word in ([case] if isinstance(case, str) else case or ["builtin"]))
    wanted = (kind,) if isinstance(kind, str) else tuple(kind or kinds())
    asked = Matrix(cases, size or Size(units=units, steps=steps, alike=alike), seed, wanted)
    with told(progress, "loading") as tell:
        run_matrix(asked, folder, tell=tell, wrote=lambda cell: _pages(folder, cell), note=note or silence)
        for cell in asked.cells:
            _unfinished_pages(folder / "cells" / cell.name)
        return build_matrix(folder)


def _case(word: str) -> Case:
    parts = word.split("=")
    if not all(parts) or len(parts) > 3:
        raise UsageError(f'expected --case MODEL, MODEL=IMAGES or MODEL=IMAGES=ATTACKER, got "{word}"')
    return Case(*parts)


def _pages(out: Path, cell: Path) -> None:
    """The pages of a finished cell, then the table's."""
    build(cell / "audit")
    if (cell / "model").is_dir():
        build_receipt(cell / "model")
    build_matrix(out)


def _unfinished_pages(cell: Path) -> None:
    """Those that a kill between a cell and its pages left unwritten."""
    for folder, write in ((cell / "audit", build), (cell / "model", build_receipt)):
        if folder.is_dir() and not (folder / "index.html").is_file():
            write(folder)
