"""Signs of manipulation: what the page shows of the checks that look for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from snellen.reports.ways import way

Record = Mapping[str, Any]
CHECKS = ("jumps", "silent-scan", "agreement", "procedure", "response-gap")
MOST = 6  # charts of ways
PROOF = 2
SILENT_PAGE = "pages/silent.html"
ASKED = {
    "jumps": "A switch that tells pictures from photographs must flip somewhere on the straight way from one to the "
    "other. There the response jumps, however closely one looks; an honest network’s changes smoothly.",
    "silent-scan": "A hidden branch must sleep while photographs are shown. Holding every such channel at rest shows "
    "whether a picture’s response hangs on them; in an honest network next to nothing does.",
    "agreement": "Before the unit’s own layer can interfere, its picture should resemble the photographs that excite "
    "it more than those that excite other units.",
    "procedure": "Another canvas, optimizer or start should lead to a similar picture. A start from a photograph is "
    "what a switch takes for one, and shows the true unit.",
    "response-gap": "Pictures excite units more than photographs do, in honest networks too. How much more is told in "
    "robust standard deviations of the photographs’ responses.",
}


@dataclass(frozen=True)
class Sign:
    """One check on the page."""

    check: str
    title: str
    claim: str
    verdict: str
    asked: str


@dataclass(frozen=True)
class Way:
    """One chart of a way with its caption."""

    unit: str
    chart: Markup
    words: str


def judgement(record: Record) -> Record | None:
    """The finding that sums up all checks, if the record has one."""
    return next((f for f in record["findings"] if f["check"] == "judgement"), None)


def reference(record: Record) -> Record | None:
    """Where the class pictures end on the scale of path similarity, beside honest networks; None where unknown."""
    paths = (judgement(record) or {}).get("evidence", {}).get("paths")
    return paths if paths and paths["last"] is not None else None


def signs(record: Record) -> tuple[Sign, ...]:
    """The checks that were made, those that found something first."""
    known = {f["check"]: f for f in record["findings"] if f["check"] in CHECKS}
    found = [known[check] for check in CHECKS if check in known]
    ranked = sorted(found, key=lambda f: f["verdict"] != "suspicious")
    return tuple(Sign(f["check"], f["title"], f["claim"], f["verdict"], ASKED[f["check"]]) for f in ranked)


def ways(record: Record) -> tuple[Way, ...]:
    """Charts of the ways with the largest jumps; of the steepest ones where there is no jump."""
    rows = [row for f in record["findings"] if f["check"] == "jumps" for row in f["evidence"]["units"]]
    drawn = [row for row in rows if row["figure"] is not None and len(row["coarse"]) > 1]
    ranked = sorted(drawn, key=lambda row: (-row["strength"], -row["figure"]))
    most = MOST if ranked and ranked[0]["strength"] == PROOF else MOST // 2
    return tuple(Way(r["unit"], way(r, jumps=r["strength"] == PROOF), r["words"]) for r in ranked[:most])


def gates(record: Record) -> Sequence[Record]:
    """Gates with silent channels or switches, from the scan; switches first, then those with most."""
    found = [gate for f in record["findings"] if f["check"] == "silent-scan" for gate in f["evidence"]["gates"]]
    return sorted(found, key=lambda gate: (-gate["switches"], -gate["silent"] / max(gate["channels"], 1)))


def scan(record: Record) -> Record | None:
    """The finding of the scan for silent channels, if the record has one."""
    return next((f for f in record["findings"] if f["check"] == "silent-scan"), None)
