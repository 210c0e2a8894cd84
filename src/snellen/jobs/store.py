"""The store: results and their pictures addressed by key, each written once and whole, each noticing its own damage."""

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snellen.base import (
    OutputError,
    RecordError,
    cannot_write,
    digest,
    is_file,
    is_folder,
    seal,
    sweep,
    unseal,
    write_atomic,
)
from snellen.base.files import why

_KEY = re.compile(r"[0-9a-f]{3,}")
_BLOB = re.compile(r"(?P<key>[0-9a-f]{3,})-(?P<digest>[0-9a-f]{32})\.\w+", re.ASCII)


@dataclass(frozen=True)
class Store:
    """A folder of write-once files: results `root/ab/abcd....json`, and blobs `root/ab/abcd...-DIGEST.suffix`.

    A file appears under its name complete and synced to the disk, or not at all; of several writers of one key the
    first wins. A result holds the digest of its own text, a blob's name that of its bytes: whatever is read is what was
    written, or an error that names it. Only regular files count, and no link leads out of the folder.

    Args:
        root: the folder; made by the first `put`.
    """

    root: Path

    def path(self, key: str) -> Path:
        """Where a key's result lies (or would lie)."""
        return self._folder(key) / f"{key}.json"

    def has(self, key: str) -> bool:
        """Whether a result is stored, be it damaged."""
        path = self.path(key)
        return self._within(path) and is_file(path)

    def put(self, key: str, value: Any) -> None:
        """Store plain data as JSON; a key that is stored already keeps its value. Floats keep every bit.

        Raises:
            OutputError: the folder cannot be written to, or the disk is full; nothing is left behind.
        """
        if not self.has(key):
            self._write(self.path(key), seal(value))

    def get(self, key: str) -> Any:
        """The plain data stored under a key.

        Raises:
            RecordError: nothing is stored under this key, or what is there is not what was written.
        """
        path = self.path(key)
        try:
            return unseal(self._read(path))
        except RecordError as error:
            raise RecordError(f"{path}: {error}") from None

    def put_blob(self, key: str, suffix: str, data: bytes) -> str:
        """Store bytes that belong to a key, such as a picture, and return their name.

        Args:
            key: several blobs may belong to it.
            suffix: such as ".png".
            data: the bytes.

        Returns:
            Where they lie as seen from the folder that the store is in, with forward slashes: for results and records.

        Raises:
            OutputError: as in `put`.
        """
        path = self._folder(key) / f"{key}-{digest(data)[:32]}{suffix}"
        name = path.relative_to(self.root.parent).as_posix()
        if not self.intact(name):
            self._write(path, data)
        return name

    def blob(self, name: str) -> bytes:
        """The bytes that a name stands for.

        Raises:
            RecordError: it is no blob's name, nothing readable is there, or other bytes than were written.
        """
        path = self.root.parent / name
        known = _BLOB.fullmatch(path.name)
        if known is None or path != self._folder(known["key"]) / path.name:
            raise RecordError(f'expected the name of a blob in {self.root}, got "{name}"')
        data = self._read(path)
        if digest(data)[:32] != known["digest"]:
            raise RecordError(f"expected {path} as it was written, got other bytes; run the same command again")
        return data

    def intact(self, name: str) -> bool:
        """Whether a blob is there with every byte as it was written."""
        try:
            self.blob(name)
        except RecordError:
            return False
        return True

    def carries_digest(self, name: str) -> bool:
        """Whether a name says what bytes belong to it."""
        return _BLOB.fullmatch(name.rpartition("/")[2]) is not None

    def discard(self, key: str) -> None:
        """Forget a result, so that it is computed again; only for the holder of the folder's lock.

        Raises:
            OutputError: the folder cannot be written to.
        """
        _remove(self.path(key))

    def sweep(self) -> int:
        """Remove what killed writers left unfinished and return how many; only for the holder of the folder's lock."""
        folders = [self._folder(f"{first:02x}0") for first in range(256)] if is_folder(self.root) else []
        return sum(sweep(folder) for folder in folders)

    def _folder(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f'expected a hexadecimal key, got "{key}"')
        return self.root / key[:2]

    def _within(self, path: Path) -> bool:
        return is_folder(path.parent) and is_folder(self.root)

    def _read(self, path: Path) -> bytes:
        if not (self._within(path) and is_file(path)):
            raise RecordError(f"expected a stored file at {path}, got none; run the same command again")
        try:
            return path.read_bytes()
        except OSError as error:
            raise RecordError(f"expected a stored file at {path}, got {why(error)}") from error

    def _write(self, path: Path, data: bytes) -> None:
        for folder in (self.root, path.parent):
            if folder.is_symlink():
                raise OutputError(f"expected a folder at {folder}, got a link; choose another --out")
        if path.is_symlink() or path.exists():  # damaged, or no file at all
            _remove(path)
        write_atomic(path, data, replace=False)


def _remove(path: Path) -> None:
    try:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    except OSError as error:
        raise cannot_write(path, error) from error
