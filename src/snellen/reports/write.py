"""Writing pages: each one whole or not at all, as soon as it is made, the first page last; old ones are removed."""

import re
from collections.abc import Iterable
from pathlib import Path

from snellen.base import OutputError, is_file, sweep, write_atomic
from snellen.base.files import why

OURS = re.compile(r"(group-\d+-\d+|silent)\.html")


def write(run_dir: Path, pages: Iterable[tuple[str, str]]) -> Path:
    """Write pages into a run directory, in order, each when it comes; one is in memory at a time.

    Args:
        run_dir: an existing directory.
        pages: path in the directory and text; the last one is the first page.

    Returns:
        The path of the last page.

    Raises:
        OutputError: a page cannot be written; pages that exist are whole, of this build or the one before.
    """
    inner, made, last = run_dir / "pages", set(), run_dir
    if inner.is_symlink():
        raise OutputError(f"expected a folder at {inner}, got a link; remove it")
    sweep(inner, lambda name: OURS.fullmatch(name) is not None)
    for name, text in pages:
        last = run_dir / name
        sweep(run_dir, (last.name,))
        write_atomic(last, text.encode("utf-8"), sync=False)
        made.add(name)
    for old in inner.glob("*.html"):
        if OURS.fullmatch(old.name) and f"pages/{old.name}" not in made and is_file(old):
            try:
                old.unlink()
            except OSError as error:
                raise OutputError(f"cannot remove {old}: {why(error)}; remove it") from error
    return last
