"""Writing pages: each one whole or not at all, the first page last, pages of an earlier build removed."""

import os
import re
import tempfile
from pathlib import Path

from snellen.base import OutputError

OURS = re.compile(r"(group-\d+-\d+|silent)\.html")


def write(run_dir: Path, pages: dict[str, str]) -> Path:
    """Write pages into a run directory, in order.

    Args:
        run_dir: an existing directory.
        pages: path in the directory -> text; the last one is the first page.

    Returns:
        The path of the last page.

    Raises:
        OutputError: a page cannot be written; pages that exist are whole, of this build or the one before.
    """
    try:
        for name, text in pages.items():
            _replace(run_dir / name, text.encode("utf-8"))
        for old in (run_dir / "pages").glob("*.html"):
            if OURS.fullmatch(old.name) and f"pages/{old.name}" not in pages:
                old.unlink()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(f"expected to write the report into {run_dir}, got {reason}; choose another place") from None
    return run_dir / next(reversed(pages))


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".report-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
