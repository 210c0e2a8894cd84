"""Signs of manipulation: what the page shows of the checks that look for them."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from snellen.record import FindingEntry, GateEntry, Record, Reference
from snellen.reports.ways import way

MOST = 6  # charts of ways
PROOF = 2
SILENT_PAGE = "pages/silent.html"


@dataclass(frozen=True)
class Way:
    """One chart of a way with its caption."""

    unit: str
    chart: Markup
    words: str


@dataclass(frozen=True)
class Sign:
    """One check on the page: with charts where its rows have ways, with gates where its evidence lists some."""

    check: str
    title: str
    claim: str
    verdict: str
    asked: str
    ways: tuple[Way, ...]
    gates: Sequence[GateEntry]


def judging(record: Record) -> list[FindingEntry]:
    """The findings of checks that say something of every unit."""
    return [finding for finding in record.findings if finding.rows is not None]


def reference(record: Record) -> Reference | None:
    """Where the class pictures end on the scale of path similarity, beside honest networks; None where unknown."""
    summary = record.verdict.summary if record.verdict else None
    return summary.paths if summary and summary.paths and summary.paths.last is not None else None


def signs(record: Record) -> tuple[Sign, ...]:
    """The checks that were made, those that found something first."""
    ranked = sorted(judging(record), key=lambda f: f.verdict != "suspicious")
    return tuple(Sign(f.check, f.title, f.claim, f.verdict, f.asks or "", ways(f), gates([f])) for f in ranked)


def ways(finding: FindingEntry) -> tuple[Way, ...]:
    """Charts of the ways with the largest jumps; of the steepest ones where there is no jump."""
    drawn = [(row, row.figure) for row in finding.rows or () if row.figure is not None and len(row.coarse) > 1]
    ranked = [row for row, _ in sorted(drawn, key=lambda pair: (-pair[0].strength, -pair[1]))]
    most = MOST if ranked and ranked[0].strength == PROOF else MOST // 2
    return tuple(Way(r.unit, way(r, jumps=r.strength == PROOF), r.words) for r in ranked[:most])


def gates(findings: Sequence[FindingEntry]) -> Sequence[GateEntry]:
    """Gates with silent channels or switches, from the scan; switches first, then those with most."""
    found = [gate for finding in findings if finding.scan for gate in finding.scan.gates]
    return sorted(found, key=lambda gate: (-gate.switches, -gate.silent / max(gate.channels, 1)))


def scan(record: Record) -> FindingEntry | None:
    """The finding of the scan for silent channels, if the record has one."""
    return next((finding for finding in judging(record) if finding.scan), None)
