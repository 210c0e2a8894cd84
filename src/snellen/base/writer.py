"""Files that are whole or not there: the one writer of everything that is kept, and what it takes back after a kill.

A file is written under a name of its own beside its place, synced, and renamed. Whoever is killed in between leaves
that temporary, whose name says whose it is: `.NAME.0123456789ab.snellen-part`. `sweep` removes such names, no others.
"""

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from snellen.base.errors import OutputError
from snellen.base.files import why

_TEMPORARY = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{12}\.snellen-part")


def write_atomic(path: Path, data: bytes, *, replace: bool = True, sync: bool = True) -> None:
    """Write a file whole or not at all: a temporary beside it, synced, then renamed.

    Args:
        path: the file; missing folders above it are made.
        data: its whole content.
        replace: False keeps a file that is there already.
        sync: False for what is made of other files that are kept: faster, and after a power cut it may be missing.

    Raises:
        OutputError: the folder cannot be written to, or the disk is full; nothing is left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _temporary(path, data, sync=sync) as written:
            _publish(written, path, replace=replace)
        if sync:
            _sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> OutputError:
    """The one line for a place that the operating system refuses."""
    return OutputError(f"cannot write {path}: {why(error)}; free the place or choose another")


def try_folder(folder: Path) -> None:
    """See that a folder can be made and written to, before the work whose result goes there; leaves nothing.

    Raises:
        OutputError: it cannot.
    """
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _temporary(folder / "place", b"-"):
            pass
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {why(error)}; choose another --out") from error
    finally:
        for place in missing:
            with contextlib.suppress(OSError):
                place.rmdir()


def sweep(folder: Path, whose: Iterable[str] | Callable[[str], bool] | None = None) -> int:
    """Remove the temporaries that killed writers left in a folder (not below it) and return how many there were.

    Only for who alone writes these files: the temporary of a writer that is still at work has the same kind of name.

    Args:
        folder: links are not followed.
        whose: names of the files that were being written, or which names count; None for any.
    """
    ours = whose if callable(whose) else (lambda _: True) if whose is None else frozenset(whose).__contains__
    found = 0
    if not is_folder(folder):
        return found
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            left = _TEMPORARY.fullmatch(entry.name)
            if left is not None and ours(left["name"]) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)
                    found += 1
    return found


def is_file(path: Path) -> bool:
    """Whether a regular file is there, which a pipe, a device and a link are not."""
    return _is(path, stat.S_ISREG)


def is_folder(path: Path) -> bool:
    """Whether a folder is there, and no link to one."""
    return _is(path, stat.S_ISDIR)


def _is(path: Path, kind: Callable[[int], bool]) -> bool:
    try:
        return kind(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def _temporary(path: Path, data: bytes, *, sync: bool = False) -> Iterator[Path]:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.snellen-part")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        yield temporary
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _publish(temporary: Path, path: Path, *, replace: bool) -> None:
    if replace:
        os.replace(temporary, path)
        return
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        if not path.exists():
            os.replace(temporary, path)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every system lets a folder be synced
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
