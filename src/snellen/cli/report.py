"""snellen report: the pages of a record, built anew; works where torch is not installed."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="A folder that `snellen audit` wrote.")],
) -> None:
    """Rebuild the pages from the record of a run."""
    from snellen.report import build

    typer.echo(f"report: {build(run_dir)}")
