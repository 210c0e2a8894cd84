"""RUN/audit.json: written whole or not at all; read where it is of its schema and every blob that it names is there.

Whoever wrote a file, what is read of it fits the types: numbers are bounded, nothing is nested without end, no blob
lies outside the run's folder, and no link is followed.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from snellen.base import RecordError, brief, encode_json, is_file, write_atomic
from snellen.base.files import LARGE, open_regular, read_file, why
from snellen.base.shape import ShapeError, bounded
from snellen.record.schema import SCHEMA, FindingEntry, Record, UnitEntry
from snellen.record.versions import upgraded

NAME: Final = "audit.json"
BLOB: Final = re.compile(r"blobs(/\w[\w.-]*)+", re.ASCII)
MAGIC: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_KNOWN: Final = (SCHEMA, "snellen.audit/1")
_PLACED = re.compile(r"(.*) - at `\$\.?(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_KIND = re.compile(r"Expected `([\w| ]+)`, got `(\w+)`")
_OWN = re.compile(r"expected (.*)")
_WORDS = {"object": "an object", "array": "a list", "str": "text", "int": "a whole number", "float": "a number"}

T = TypeVar("T", bound=Struct)


class _Head(Struct):
    schema: object = None


def read_record(run_dir: Path) -> Record:
    """The record of a run, checked: its schema, its types, and that every blob it names is there and is an image.

    Args:
        run_dir: a directory that an audit wrote.

    Returns:
        A record of the newest schema; one of an earlier schema is brought up to date.

    Raises:
        RecordError: there is no record, or it is damaged, of another version, or misses a blob.
    """
    path = Path(run_dir) / NAME
    try:
        data = read_file(path, most=LARGE, within=Path(run_dir))
        schema = decoded(data, _Head).schema
        if schema not in _KNOWN:
            raise RecordError(
                f"expected a record of {SCHEMA} in {path}, got {brief(ascii(schema))}; use the snellen that wrote it"
            )
        record = upgraded(decoded(data, Record))
        check(record)
    except (FileNotFoundError, NotADirectoryError):
        raise RecordError(f"expected a run with {NAME} in {run_dir}, got none; run `snellen audit` first") from None
    except OSError as error:
        raise RecordError(f"expected to read {NAME} in {brief(str(run_dir))}: {why(error)}") from None
    except ShapeError as error:
        raise RecordError(f"{path} is damaged: {error}; run the audit again") from None
    for blob in dict.fromkeys(blobs(record.units)):
        check_blob(Path(run_dir), blob)
    return record


def write_record(folder: Path, record: Record, *, created: str) -> bool:
    """Write RUN/audit.json whole or not at all; a record that differs in nothing but its time stays as it is.

    So does one that was made with another number of threads, which changes no result.

    Returns:
        Whether a record was there that is damaged.

    Raises:
        OutputError: it cannot be written.
    """
    path, damaged = folder / NAME, False
    if path.exists():
        try:
            old = decoded(path.read_bytes(), Record) if is_file(path) else None
            if old == msgspec.convert(msgspec.to_builtins(_like(record, old)), Record):
                return False
            damaged = old is None
        except (ShapeError, OSError):
            damaged = True
    write_atomic(path, encoded(replace(record, created=created)))
    return damaged


def encoded(record: Record) -> bytes:
    """The one JSON text of a record."""
    return encode_json(msgspec.to_builtins(record))


def blobs(units: Iterable[UnitEntry]) -> Iterator[str]:
    """Every blob that units name, in document order."""
    for unit in units:
        yield from (picture.image for picture in unit.pictures if picture.image is not None)
        yield from (shown.image for shown in unit.exemplars.both if shown.image is not None)


def decoded(data: bytes, kind: type[T]) -> T:
    """A value of a type from strict JSON: neither NaN nor infinities nor halves of surrogate pairs.

    Raises:
        ShapeError: it is no JSON, or of another form.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except RecursionError:
        raise ShapeError("expected JSON, got objects and lists far too deep inside each other") from None
    except msgspec.ValidationError as error:
        raise ShapeError(_line(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # the latter where a text is no UTF-8
        raise ShapeError(f"expected JSON, got {brief(str(error))}") from None


def check(record: Record) -> None:
    """What the types do not say: plain data is bounded, evidence is of the forms that are read.

    Raises:
        ShapeError: it is not.
    """
    model, images = record.model, record.images
    bounded(
        {"provenance": model.provenance, "preprocess": model.preprocess, "others": images.fit and images.fit.others}
    )
    bounded({"settings": record.settings, "environment": record.environment})
    for i, finding in enumerate(record.findings):
        where = f"findings[{i}].evidence"
        try:
            bounded(finding.evidence)
        except ShapeError as error:
            raise error.below(where) from None
        _check_evidence(finding, where)


def _check_evidence(finding: FindingEntry, where: str) -> None:
    try:
        _ = finding.paths, finding.decoding, finding.summary, finding.rows, finding.scan
    except msgspec.ValidationError as error:
        raise ShapeError(_line(str(error), where)) from None


def check_blob(run_dir: Path, blob: str) -> None:
    """That a blob lies in the run and is an image.

    Raises:
        RecordError: it does not, or is none.
    """
    if not BLOB.fullmatch(blob):
        raise RecordError(
            f"{run_dir / NAME} is damaged: expected blobs inside blobs/, got {blob!r}; run the audit again"
        )
    try:
        with open_regular(run_dir / blob, within=run_dir) as file:
            head = file.read(8)
    except OSError as error:
        raise RecordError(
            f"expected the blob {blob} in {run_dir}, got {why(error)}; run the audit again to restore it"
        ) from None
    if not head.startswith(MAGIC):
        raise RecordError(f"expected {run_dir / blob} to be a PNG or JPEG, got other bytes; run the audit again")


def _line(told: str, where: str = "") -> str:
    """Where a record departs from its types and how, in words of one line."""
    placed = _PLACED.fullmatch(told)
    what, place = (placed[1], _path(where, placed[2])) if placed else (told, where)
    if missing := _MISSING.fullmatch(what):
        return f"expected {_path(place, missing[1])}, got nothing"
    if own := _OWN.fullmatch(what):
        return f"expected {_path(place, own[1])}"
    place = place or "the file"
    if kind := _KIND.fullmatch(what):
        return f"expected {place} to be {_named(kind[1])}, got {_named(kind[2])}"
    return f"expected {place} as its schema says, got: {brief(ascii(what)[1:-1].replace('`', ''))}"


def _named(kinds: str) -> str:
    return " or ".join(_WORDS.get(kind, kind) for kind in kinds.split(" | "))


def _path(*parts: str) -> str:
    return ".".join(part for part in parts if part).replace(".[", "[")


def _like(record: Record, old: Record | None) -> Record:
    """The record, had it been made when and with as many threads as the old one."""
    if old is None:
        return record
    threads = {"threads": old.environment["threads"]} if "threads" in old.environment else {}
    return replace(record, created=old.created, environment={**record.environment, **threads})
