"""Files that somebody else may have written: regular ones only, bounded, and JSON of a known shape.

A pipe or a device in place of a file would block or never end; a link could lead anywhere. Every reason for a refusal
is an `OSError` with its words in `strerror`, or a `ShapeError`: whoever reads can say which file and what to do.
"""

import errno
import json
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from snellen.base.shape import ShapeError, match

SMALL = 64 * 2**20
"""Bytes of a description, a list of names, a receipt or a table, at most."""
LARGE = 2 * 2**30
"""Bytes of a record, at most."""

_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_FOLDER = getattr(os, "O_DIRECTORY", 0)
_STAY = getattr(os, "O_NOFOLLOW", 0)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def open_regular(path: Path, *, within: Path | None = None) -> BinaryIO:
    """Open a regular file for reading; what is something else is refused at once, never waited for.

    Args:
        path: the file.
        within: a folder that `path` lies in. No link below it is followed, so what is read lies in it.

    Raises:
        OSError: no such file, no right to read it, not a regular file, or a link below `within`.
    """
    try:
        descriptor = os.open(path, _READ) if within is None else _open_below(within, path.relative_to(within).parts)
    except ValueError as error:  # a name that no file can have
        raise OSError(errno.EINVAL, "no name of a file", str(path)) from error
    file = open(descriptor, "rb")  # noqa: SIM115 - whoever asked closes it
    kind = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(kind):
        file.close()
        what = "is a directory" if stat.S_ISDIR(kind) else "not a regular file"
        raise OSError(errno.EISDIR if stat.S_ISDIR(kind) else errno.EINVAL, what, str(path))
    return file


def read_file(path: Path, *, most: int = SMALL, within: Path | None = None) -> bytes:
    """The bytes of a regular file.

    Args:
        path: the file.
        most: its size in bytes, at most.
        within: as `open_regular` takes it.

    Raises:
        OSError: as `open_regular`, or the file is larger.
    """
    with open_regular(path, within=within) as file:
        data = file.read(most + 1) if os.fstat(file.fileno()).st_size <= most else None
    if data is None or len(data) > most:
        raise OSError(errno.EFBIG, f"larger than {most / 2**20:.0f} MB", str(path))
    return data


def read_json(path: Path, shape: Any, *, most: int = SMALL, within: Path | None = None) -> Any:
    """The JSON of a regular file, if it has a shape.

    Args:
        path: the file.
        shape: as `snellen.base.shape.match` takes it.
        most: the file's size in bytes, at most.
        within: as `open_regular` takes it.

    Raises:
        OSError: as `read_file`.
        ShapeError: it is no JSON, or of another shape.
    """
    return parse_json(read_file(path, most=most, within=within), shape)


def parse_json(data: bytes, shape: Any) -> Any:
    """What a JSON text in UTF-8 says, if it has a shape.

    Raises:
        ShapeError: it is no JSON (NaN and Infinity are none, nor are halves of surrogate pairs), or of another shape.
    """
    try:
        value = json.loads(data.decode("utf-8-sig"), parse_constant=_no_constant)
        if _SURROGATE.search(data):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ShapeError("expected JSON, got objects and lists far too deep inside each other") from None
    except ValueError as error:
        raise ShapeError(f"expected JSON, got {' '.join(str(error).split())[:120]}") from None
    match(value, shape)
    return value


def home(path: str | Path) -> Path:
    """A path with `~` replaced, where there is such a home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def why(error: OSError) -> str:
    """Why a file cannot be used, as the operating system says it, in lower case."""
    return (error.strerror or str(error) or type(error).__name__).lower()


def _open_below(root: Path, parts: Sequence[str]) -> int:
    if ".." in parts or not parts:
        raise OSError(errno.EINVAL, "leads out of the folder", str(root.joinpath(*parts)))
    if os.open not in os.supports_dir_fd:
        return _resolved_below(root, parts)
    folder = os.open(root, os.O_RDONLY | _FOLDER)
    try:
        for depth, part in enumerate(parts):
            flags = _READ | _STAY | (_FOLDER if depth < len(parts) - 1 else 0)
            try:
                inner = os.open(part, flags, dir_fd=folder)
            except OSError as error:
                if not _is_link(part, folder):
                    raise
                told = str(root.joinpath(*parts))
                raise OSError(errno.ELOOP, "a link, which is not followed", told) from error
            os.close(folder)
            folder = inner
    except OSError:
        os.close(folder)
        raise
    return folder


def _is_link(name: str, folder: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _resolved_below(root: Path, parts: Sequence[str]) -> int:
    path = root.joinpath(*parts)
    if os.path.islink(path) or os.path.realpath(path) != os.path.join(os.path.realpath(root), *parts):
        raise OSError(errno.ELOOP, "a link, which is not followed", str(path))
    return os.open(path, _READ)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name}, which is not JSON")
