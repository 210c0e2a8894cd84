"""snellen report: the pages of a record, built anew; works where torch is not installed."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="A folder that `snellen audit` wrote.")],
    *,
    beside: Annotated[
        Path | None,
        typer.Option("--beside", metavar="RUN_DIR", help="Also a page with another run's pictures side by side."),
    ] = None,
) -> None:
    """Rebuild the pages from the record of a run."""
    from snellen.verbs.report import report as build

    page = build(run_dir, beside=beside)
    if beside is not None:
        typer.echo(f"side by side: {page.with_name('beside.html')}")
    typer.echo(f"report: {page}")
