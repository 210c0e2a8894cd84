"""Signs of manipulation: what the page shows of the checks that look for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from snellen.reports.record import FIRST
from snellen.reports.ways import way

Record = Mapping[str, Any]
JUDGED = "judgement"
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
    gates: Sequence[Record]


def judgement(record: Record) -> Record | None:
    """The finding that sums up all checks, if the record has one."""
    return next((f for f in record["findings"] if f["check"] == JUDGED), None)


def judging(record: Record) -> list[Record]:
    """The findings of checks that say something of every unit."""
    return [f for f in record["findings"] if f["check"] != JUDGED and "units" in f["evidence"]]


def reference(record: Record) -> Record | None:
    """Where the class pictures end on the scale of path similarity, beside honest networks; None where unknown."""
    paths = (judgement(record) or {}).get("evidence", {}).get("paths")
    return paths if paths and paths["last"] is not None else None


def signs(record: Record) -> tuple[Sign, ...]:
    """The checks that were made, those that found something first."""
    ranked = sorted(judging(record), key=lambda f: f["verdict"] != "suspicious")
    return tuple(Sign(f["check"], f["title"], f["claim"], f["verdict"], _asks(f), ways(f), gates([f])) for f in ranked)


def _asks(finding: Record) -> str:
    return finding.get("asks") or FIRST.get(finding["check"], "")


def ways(finding: Record) -> tuple[Way, ...]:
    """Charts of the ways with the largest jumps; of the steepest ones where there is no jump."""
    rows = [row for row in finding["evidence"]["units"] if "coarse" in row]
    drawn = [row for row in rows if row["figure"] is not None and len(row["coarse"]) > 1]
    ranked = sorted(drawn, key=lambda row: (-row["strength"], -row["figure"]))
    most = MOST if ranked and ranked[0]["strength"] == PROOF else MOST // 2
    return tuple(Way(r["unit"], way(r, jumps=r["strength"] == PROOF), r["words"]) for r in ranked[:most])


def gates(findings: Sequence[Record]) -> Sequence[Record]:
    """Gates with silent channels or switches, from the scan; switches first, then those with most."""
    found = [gate for finding in findings for gate in finding["evidence"].get("gates", ())]
    return sorted(found, key=lambda gate: (-gate["switches"], -gate["silent"] / max(gate["channels"], 1)))


def scan(record: Record) -> Record | None:
    """The finding of the scan for silent channels, if the record has one."""
    return next((finding for finding in judging(record) if "gates" in finding["evidence"]), None)
