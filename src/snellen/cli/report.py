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
    from snellen.reports import build
    from snellen.reports.beside import build_beside

    if beside is not None:
        typer.echo(f"side by side: {build_beside(run_dir, beside)}")
    typer.echo(f"report: {build(run_dir)}")
