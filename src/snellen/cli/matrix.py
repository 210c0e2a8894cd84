"""snellen matrix: what the checks say of networks, honest and manipulated in every way that `deceive` knows."""

from pathlib import Path
from typing import Annotated

import typer

from snellen.cli import options


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
        typer.Option(
            "--kind",
            metavar="NAME",
            help="A column, such as honest or permuted; default: all.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the table and of all cells.")] = Path("matrix"),
    units: Annotated[int, typer.Option(min=1, help="Audited units of a manipulated layer, at most.")] = 20,
    steps: Annotated[
        int, typer.Option(min=1, callback=options.steps_in_reach, help="Optimization steps of each picture.")
    ] = 64,
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
        from snellen.verbs.matrix import matrix as run

        page = run(
            case=case,
            kind=kind,
            out=out,
            units=units,
            steps=steps,
            seed=seed,
            quick=quick,
            alike=alike,
            progress=tell,
            note=lambda line: told.print(f"snellen: {line}", markup=False, soft_wrap=True),
        )
    typer.echo(f"table: {page.with_name('matrix.json')}")
    typer.echo(f"page: {page}")
