"""The store: results addressed by key, each written once and whole or not at all."""

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snellen.base import OutputError, RecordError

_TEMPORARY = ".part"


@dataclass(frozen=True)
class Store:
    """A folder of write-once files, `root/ab/abcd....suffix`.

    A file appears under its name complete and synced to the disk, or not at all; of several writers of one key the
    first wins and the others' bytes are dropped. Nothing is ever changed in place.

    Args:
        root: the folder; made by the first `put`.
    """

    root: Path

    def path(self, key: str, suffix: str) -> Path:
        """Where a key's result lies (or would lie); suffix such as ".png"."""
        if len(key) < 3 or not all(c in "0123456789abcdef" for c in key):
            raise ValueError(f'expected a hexadecimal key, got "{key}"')
        return self.root / key[:2] / f"{key}{suffix}"

    def name(self, key: str, suffix: str) -> str:
        """Where it lies as seen from the folder that the store is in, with forward slashes: for records."""
        return self.path(key, suffix).relative_to(self.root.parent).as_posix()

    def has(self, key: str, suffix: str) -> bool:
        """Whether the result is stored."""
        return self.path(key, suffix).is_file()

    def put(self, key: str, suffix: str, data: bytes) -> Path:
        """Store bytes under a key and return their path; a key that is stored already keeps its bytes.

        Raises:
            OutputError: the folder cannot be written to, or the disk is full; nothing is left behind.
        """
        path = self.path(key, suffix)
        if not path.is_file():
            write_atomic(path, data, replace=False)
        return path

    def discard(self, key: str, suffix: str) -> None:
        """Forget a result, so that it is computed again; only for the holder of the folder's lock.

        Raises:
            OutputError: the folder cannot be written to.
        """
        path = self.path(key, suffix)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"cannot remove {path}: {_reason(error)}") from error

    def get(self, key: str, suffix: str) -> bytes:
        """The bytes of a stored result.

        Raises:
            RecordError: nothing readable is stored under this key.
        """
        path = self.path(key, suffix)
        try:
            return path.read_bytes()
        except OSError as error:
            raise RecordError(f"expected a stored result at {path}, got {_reason(error)}") from error

    def put_json(self, key: str, value: Any) -> Path:
        """Store plain data as JSON with sorted keys; floats keep every bit."""
        return self.put(key, ".json", encode_json(value))

    def get_json(self, key: str) -> Any:
        """The plain data stored under a key."""
        try:
            return json.loads(self.get(key, ".json"))
        except ValueError as error:
            raise RecordError(f"expected JSON in {self.path(key, '.json')}, got damaged text; delete it") from error

    def sweep(self) -> int:
        """Remove what killed writers left unfinished and return how many; only for the holder of the folder's lock."""
        return sweep(self.root)


def encode_json(value: Any) -> bytes:
    """The one JSON text of a value, indented for people, keys sorted, ending in a newline; NaN is refused."""
    return (json.dumps(value, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()


def write_atomic(path: Path, data: bytes, *, replace: bool = True) -> None:
    """Write a file whole or not at all: a temporary beside it, synced, then renamed.

    Args:
        path: the file; missing folders above it are made.
        data: its whole content.
        replace: False keeps a file that is there already.

    Raises:
        OutputError: the folder cannot be written to, or the disk is full; nothing is left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _temporary(path, data) as written:
            _publish(written, path, replace=replace)
        _sync_folder(path.parent)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {_reason(error)}; free the place or choose another --out") from error


def sweep(root: Path) -> int:
    """Remove the temporaries that killed writers left under a folder; return how many there were."""
    stale = list(root.rglob(f".*{_TEMPORARY}")) if root.is_dir() else []
    for path in stale:
        with contextlib.suppress(OSError):
            path.unlink()
    return len(stale)


@contextlib.contextmanager
def _temporary(path: Path, data: bytes) -> Iterator[Path]:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}{_TEMPORARY}")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
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


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
