"""The command line's `report` as a function."""

from pathlib import Path

from snellen.reports.beside import build_beside
from snellen.reports.site import build


def report(run_dir: str | Path, *, beside: str | Path | None = None) -> Path:
    """Build the pages of a run from its record; needs no PyTorch.

    Args:
        run_dir: a folder that an audit wrote.
        beside: also write beside.html, with the pictures of this other run side by side.

    Returns:
        The path of index.html.

    Raises:
        RecordError: a record is missing, damaged or of another version.
        OutputError: the pages cannot be written.
    """
    if beside is not None:
        build_beside(Path(run_dir), Path(beside))
    return build(Path(run_dir))
