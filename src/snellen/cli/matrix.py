"""snellen matrix: what the checks say of networks, honest and manipulated in every way that `deceive` knows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snellen.cli import options

if TYPE_CHECKING:
    from snellen.audits.cells import Case


def matrix(
    *,
    case: Annotated[
        list[str] | None,
        typer.Option(
            "--case",
            metavar="MODEL[=IMAGES[=ATTACKER]]",
            help="A network, the auditor's and the attacker's photographs; several times; default: builtin.",
        ),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="NAME", help="honest, permuted, picture or silent; default: all four."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the table and of all cells.")] = Path("matrix"),
    units: Annotated[int, typer.Option(min=1, help="Audited units of a manipulated layer, at most.")] = 20,
    steps: Annotated[int, typer.Option(min=1, help="Optimization steps of each picture.")] = 64,
    seed: options.Seed = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer units and smaller audits.")] = False,
    alike: Annotated[
        bool, typer.Option("--alike", help="Networks with large inputs get as many units and steps as small ones.")
    ] = False,
) -> None:
    """Audit networks, honest and manipulated, and count who is called suspicious.

    The folder that it writes can be continued: after a crash or Ctrl-C the same command goes on where it was.
    """
    from snellen.cli.progress import bar, console

    told = console()
    with bar("loading") as tell:
        from snellen.audits.cells import KINDS, Size
        from snellen.audits.matrix import Matrix, run_matrix
        from snellen.reports.matrix import build_matrix

        size = Size(min(units, 8), min(steps, 48), 200, 4, quick=True, alike=alike) if quick else None
        asked = Matrix(
            tuple(_case(word) for word in case or ["builtin"]),
            size or Size(units=units, steps=steps, alike=alike),
            seed,
            tuple(kind or KINDS),
        )
        table = run_matrix(
            asked,
            out,
            tell=tell,
            wrote=lambda folder: _pages(out, folder),
            note=lambda line: told.print(f"snellen: {line}", markup=False, soft_wrap=True),
        )
        for cell in asked.cells:
            _unfinished_pages(out / "cells" / cell.name)
        page = build_matrix(out)
    typer.echo(f"table: {table}")
    typer.echo(f"page: {page}")


def _case(word: str) -> "Case":
    from snellen.audits.cells import Case
    from snellen.base import UsageError

    parts = word.split("=")
    if not all(parts) or len(parts) > 3:
        raise UsageError(f'expected --case MODEL, MODEL=IMAGES or MODEL=IMAGES=ATTACKER, got "{word}"')
    return Case(*parts)


def _pages(out: Path, cell: Path) -> None:
    """The pages of a finished cell, then the table's."""
    from snellen.reports import build
    from snellen.reports.matrix import build_matrix
    from snellen.reports.receipt import build_receipt

    build(cell / "audit")
    if (cell / "model").is_dir():
        build_receipt(cell / "model")
    build_matrix(out)


def _unfinished_pages(cell: Path) -> None:
    """Those that a kill between a cell and its pages left unwritten."""
    from snellen.reports import build
    from snellen.reports.receipt import build_receipt

    for folder, write in ((cell / "audit", build), (cell / "model", build_receipt)):
        if folder.is_dir() and not (folder / "index.html").is_file():
            write(folder)
