"""`snellen.report`: the pages of a record, built anew; needs no PyTorch."""

import os
from pathlib import Path

from snellen.reports.beside import build_beside
from snellen.reports.site import build


def report(run_dir: str | os.PathLike[str], *, beside: str | os.PathLike[str] | None = None) -> Path:
    """Rebuild the pages from the record of a run.

    Args:
        run_dir: a folder that an audit wrote, or the `Audit`.
        beside: also write beside.html, with the pictures of this other run side by side.

    Returns:
        The path of index.html.

    Examples:
        >>> snellen.report("first").name  # of `snellen.audit`'s example
        'index.html'

    Raises:
        RecordError: a record is missing, damaged or of another version.
        OutputError: the pages cannot be written.
    """
    if beside is not None:
        build_beside(Path(run_dir), Path(beside))
    return build(Path(run_dir))
