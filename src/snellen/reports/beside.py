"""Two audits side by side: the units that both drew, under the photographs that excite them, with both verdicts."""

import base64
import os
from dataclasses import dataclass
from pathlib import Path

from snellen.base import RecordError, evenly
from snellen.jobs.store import Store
from snellen.record import Record, UnitEntry, read_record
from snellen.reports.site import page
from snellen.reports.words import count, rough
from snellen.reports.write import write

NAME = "beside.html"
MOST = 6


@dataclass(frozen=True)
class Triple:
    """One unit: data URIs of the photograph that excites it most and of its two pictures, and its two verdicts."""

    title: str
    photograph: str
    pictures: tuple[str, str]
    verdicts: tuple[str, str]


def build_beside(run_dir: Path, other: Path) -> Path:
    """Write RUN_DIR/beside.html, which holds its images itself.

    Args:
        run_dir: an audit, as a rule of the honest network.
        other: an audit of the same units of another network, as a rule one that `snellen deceive` made.

    Returns:
        The path of the page.

    Raises:
        RecordError: a record is missing or damaged, or no unit was drawn in both.
        OutputError: the page cannot be written.
    """
    folders = Path(run_dir), Path(other)
    records = read_record(folders[0]), read_record(folders[1])
    pairs = _pairs(records)
    if not pairs:
        raise RecordError(f"expected units that both {run_dir} and {other} drew, got none; audit the same units")
    shown = [pairs[i] for i in evenly(len(pairs), MOST)]
    told = {
        "record": records[0],
        "triples": [_triple(pair, folders) for pair in shown],
        "alike": _alike(pairs, records[0]),
        "sides": [_side(record) for record in records],
        "links": ("index.html", Path(os.path.relpath(folders[1] / "index.html", folders[0])).as_posix()),
    }
    return write(folders[0], [(NAME, page("beside.html", told))])


def _pairs(records: tuple[Record, Record]) -> list[tuple[UnitEntry, UnitEntry]]:
    """Units that both records drew and that photographs excite, in the order of the first."""
    others = {unit.unit: unit for unit in records[1].units if _drawn(unit)}
    return [(u, others[u.unit]) for u in records[0].units if _drawn(u) and u.unit in others]


def _drawn(unit: UnitEntry) -> str | None:
    """The blob of the unit's first picture, where it also has a photograph."""
    drawn = [p.image for p in unit.pictures if p.direction == "max" and p.status == "ok" and p.image]
    seen = [e.image for e in unit.exemplars.top if e.image]
    return drawn[0] if drawn and seen else None


def _triple(pair: tuple[UnitEntry, UnitEntry], folders: tuple[Path, Path]) -> Triple:
    unit = pair[0]
    photograph = next(e.image for e in unit.exemplars.top if e.image)
    drawn = [_uri(folder, str(_drawn(u))) for folder, u in zip(folders, pair, strict=True)]
    verdicts = [u.verdict or "not judged" for u in pair]
    return Triple(
        unit.label or unit.unit, _uri(folders[0], photograph), (drawn[0], drawn[1]), (verdicts[0], verdicts[1])
    )


def _uri(folder: Path, blob: str) -> str:
    store = Store(folder / "blobs")
    data = store.blob(blob) if store.carries_digest(blob) else (folder / blob).read_bytes()
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _alike(pairs: list[tuple[UnitEntry, UnitEntry]], record: Record) -> str:
    """How far photographs excite the units of both alike."""
    same, gap = 0, 0.0
    for pair in pairs:
        tops = [[(e.id, e.response or 0.0) for e in unit.exemplars.top] for unit in pair]
        same += [i for i, _ in tops[0]] == [i for i, _ in tops[1]]
        responses = dict(tops[1])
        gap = max([gap, *(abs(r - responses[i]) for i, r in tops[0] if i in responses)])
    most = len(pairs[0][0].exemplars.top)
    return (
        f"Of {count(record.images.count, 'photograph')}, the {most} that excite a unit most are the same in both "
        f"networks for {same} of {count(len(pairs), 'unit')}, and "
        f"{'excite it exactly as much' if gap == 0 else f'their responses differ by at most {rough(gap)}'}."
    )


def _side(record: Record) -> str:
    judged = [u.verdict for u in record.units if u.verdict]
    found = sum(v == "suspicious" for v in judged)
    if not judged:
        return "it was not examined for manipulation"
    return (
        f"{found} of {count(len(judged), 'unit')} suspicious" if found else f"no suspicious one of {len(judged)} units"
    )
