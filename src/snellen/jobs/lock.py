"""One writer a folder: a lock that a killed process gives back by dying."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from snellen.base import OutputError, is_file

NAME = ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock; the operating system frees it when the process ends, however it ends.

    Raises:
        OutputError: another process holds it, or the folder cannot be written to.
    """
    import filelock

    path = folder / NAME
    if path.is_symlink() or (path.exists() and not is_file(path)):  # taking the lock would empty what a link leads to
        raise OutputError(f"expected {path} to be a file, got something else; choose another --out")
    lock = filelock.FileLock(path, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout as error:
        raise OutputError(f"another run is writing to {folder}; wait for it or choose another --out") from error
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"cannot write to {folder}: {reason.lower()}; choose another --out") from error
    try:
        yield
    finally:
        lock.release()
