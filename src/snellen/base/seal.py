"""Results that notice damage: JSON with the SHA-256 of its own text."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snellen.base.errors import RecordError
from snellen.base.writer import is_file, is_folder

_SEALED = re.compile(rb'\{"sha256": "([0-9a-f]{64})",\n"value": (.*)\}\n', re.DOTALL)


def digest(data: bytes) -> str:
    """SHA-256, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def encode_json(value: Any) -> bytes:
    """The one JSON text of a value, indented for people, keys sorted, ending in a newline; NaN is refused."""
    return (json.dumps(value, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()


def seal(value: Any) -> bytes:
    """A value's JSON text with its digest: {"sha256": ..., "value": ...}; floats keep every bit."""
    text = encode_json(value)
    return b'{"sha256": "%s",\n"value": %s}\n' % (digest(text).encode(), text)


def unseal(data: bytes) -> Any:
    """The value that `seal` was given.

    Raises:
        RecordError: a byte of it has changed, or it never was sealed.
    """
    sealed = _SEALED.fullmatch(data)
    if sealed is None or digest(sealed[2]) != sealed[1].decode():
        raise RecordError("expected a result as it was written, got damaged text; run the same command again")
    return json.loads(sealed[2])


def stamp(record: Mapping[str, Any]) -> bytes:
    """The JSON text of a record that people read, with the digest of everything else in it as "sha256"."""
    return encode_json({**record, "sha256": digest(encode_json({**record, "sha256": None}))})


def read_stamped(path: Path) -> dict[str, Any] | None:
    """A record that `stamp` wrote; None where there is none, or something in it has changed since."""
    try:
        record = json.loads(path.read_bytes()) if is_file(path) else None
        whole = isinstance(record, dict) and record.get("sha256") == digest(encode_json({**record, "sha256": None}))
    except (OSError, ValueError, RecursionError):
        return None
    return record if whole else None


def altered(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Names of files in a folder that are gone or not what their digests say; links are not followed.

    Args:
        folder: that they lie in.
        files: name with forward slashes -> digest.
    """
    return [name for name, known in files.items() if not _as_written(folder, Path(name), known)]


def _as_written(folder: Path, name: Path, known: str) -> bool:
    if name.is_absolute() or ".." in name.parts or not is_file(folder / name):
        return False
    if not all(is_folder(folder / above) for above in list(name.parents)[:-1]):
        return False
    try:
        return digest((folder / name).read_bytes()) == known
    except OSError:
        return False
