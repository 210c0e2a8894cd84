"""The units of a record, however many: a large record stays on the disk, each unit is read when its card is drawn."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from msgspec.structs import replace

from snellen.base import is_file
from snellen.base.shape import ShapeError
from snellen.jobs.store import Store
from snellen.record.file import NAME, blobs, check, check_blob, decoded, read_record
from snellen.record.schema import Exemplars, JudgementEntry, NaturalEntry, Record, UnitEntry
from snellen.record.versions import upgraded

LARGE = 2**24
"""Bytes of a record from which its units stay on the disk."""
BLOCK = 2**20
_START, _UNIT_END, _END = b'\n "units": [\n', b"\n  }", b"\n ]\n}\n"  # as `encode_json` lays a record out


@dataclass(frozen=True)
class UnitOnDisk:
    """A unit of a record.

    Args:
        brief: what the first page asks of every unit: without exemplars, histories, evidence, and of the quantiles only
            the last.
        place: where all of it is on the disk: the open record, offset and length; None where `brief` is all of it.
    """

    brief: UnitEntry
    place: tuple[BinaryIO, int, int] | None = None

    def whole(self) -> UnitEntry:
        """All that the record says of the unit."""
        if self.place is None:
            return self.brief
        file, start, length = self.place
        file.seek(start)
        return decoded(file.read(length), UnitEntry)


@contextlib.contextmanager
def open_record(run_dir: Path) -> Iterator[tuple[Record, tuple[UnitOnDisk, ...]]]:
    """A record as `read_record` checks it, and its units; every blob is as it was written. Open while units are read.

    Of a large record the first of the two holds of each unit only what is brief.

    Args:
        run_dir: a directory that an audit wrote.

    Raises:
        RecordError: as `read_record`; or a blob has other bytes than were written.
    """
    path = Path(run_dir) / NAME
    with contextlib.ExitStack() as stack:
        found = None
        if is_file(path) and path.stat().st_size > LARGE:
            file = stack.enter_context(open(path, "rb"))
            with contextlib.suppress(ShapeError, ValueError):
                found = _streamed(file)
        if found is None:  # small, laid out otherwise, or damaged: then this says how
            record = read_record(run_dir)
            found = record, tuple(map(UnitOnDisk, record.units)), dict.fromkeys(blobs(record.units))
        else:
            for blob in found[2]:
                check_blob(Path(run_dir), blob)
        store = Store(Path(run_dir) / "blobs")
        for blob in filter(store.carries_digest, found[2]):
            store.blob(blob)
        yield found[:2]


def _streamed(file: BinaryIO) -> tuple[Record, tuple[UnitOnDisk, ...], dict[str, None]]:
    """The record with brief units, the units, and the names of all blobs.

    Raises:
        ShapeError, ValueError: it is laid out otherwise, or damaged.
    """
    reader = _Reader(file)
    record = upgraded(decoded(reader.until(_START).removesuffix(b"[\n") + b"[]}", Record))
    check(record)
    found: list[UnitOnDisk] = []
    names: dict[str, None] = {}
    last = False
    while not last:
        start, text = reader.offset, reader.until(_UNIT_END)
        unit = decoded(text, UnitEntry)
        names |= dict.fromkeys(blobs([unit]))
        found.append(UnitOnDisk(_brief(unit), (file, start, len(text))))
        last = reader.take(2) != b",\n"
    if b"\n " + reader.take(len(_END) - 2) != _END:
        raise ValueError("expected nothing behind the units")
    return replace(record, units=tuple(unit.brief for unit in found)), tuple(found), names


def _brief(unit: UnitEntry) -> UnitEntry:
    natural, judged = unit.natural, unit.judgement
    return replace(
        unit,
        exemplars=Exemplars(),
        pictures=tuple(replace(picture, history=(), history_steps=()) for picture in unit.pictures),
        natural=natural and NaturalEntry(quantiles=natural.quantiles[-1:], count=natural.count, own_class_mean=None),
        judgement=judged and JudgementEntry(judged.verdict, ()),
    )


class _Reader:
    """A file from its start, piece by piece, a block in memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._block, self._base, self._at = file, b"", 0, 0

    @property
    def offset(self) -> int:
        """Where the next piece starts."""
        return self._base + self._at

    def until(self, mark: bytes) -> bytes:
        """What comes next, up to a mark and with it."""
        looked = self._at
        while (found := self._block.find(mark, looked)) < 0:
            looked = max(len(self._block) - len(mark), self._at) - self._at
            self._more()
        return self.take(found + len(mark) - self._at)

    def take(self, count: int) -> bytes:
        """So many bytes."""
        while len(self._block) - self._at < count:
            self._more()
        start, self._at = self._at, self._at + count
        return self._block[start : self._at]

    def _more(self) -> None:
        more = self._file.read(BLOCK)
        if not more:
            raise ValueError("expected more of the record")
        self._base, self._block, self._at = self._base + self._at, self._block[self._at :] + more, 0
