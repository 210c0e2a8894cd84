"""The verdict: one for each unit and one for the model, from all checks, with the evidence in words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from snellen.checks.finding import Finding, UnitVerdict, Verdict
from snellen.checks.rows import PROVES, SUPPORTS
from snellen.models import Unit

PATHS = "path-similarity"
TAINTED = 0.25
"""Share of a layer's audited units that must be proven for the others to count as suspicious too."""
HONEST_SHARE = 0.05
"""Share of an honest network's units that may be suspicious."""
LEVEL = 0.05
"""Share of honest networks that may be called suspicious for the number of such units, where nothing is proved."""
HONEST_PATHS = (0.39, 1.16)
"""Similarity of paths of class pictures at the last layer in honest networks, lowest and highest: for reference."""


@dataclass(frozen=True)
class Judgement:
    """What all checks together say of one unit.

    Args:
        unit: its address.
        verdict: "suspicious", else "tells much", "tells something" or "tells nothing"; "unknown" if little is known.
        evidence: (check, sentence) pairs, what weighs most first.
    """

    unit: str
    verdict: UnitVerdict
    evidence: tuple[tuple[str, str], ...]

    def as_data(self) -> dict[str, Any]:
        """The judgement as a JSON object."""
        return {"verdict": self.verdict, "evidence": [{"check": c, "words": w} for c, w in self.evidence]}


def judge(units: Mapping[str, str], findings: Sequence[Finding]) -> tuple[tuple[Judgement, ...], Finding]:
    """Judge every unit, then the model.

    A unit is *suspicious* where one row proves manipulation, where two checks support it, or where the proven ones are
    at least a quarter of its layer's units: who has tampered with these had the layer in hand. Else the verdict is what
    its picture tells (`snellen.checks.Decoding`), *unknown* where that is not known. Whether pictures are processed as
    photographs are is said of layers.

    Args:
        units: address -> name of its group in the path-similarity findings.
        findings: of all checks.
    """
    rows: dict[str, list[tuple[str, Mapping[str, Any]]]] = {unit: [] for unit in units}
    for finding in findings:
        for row in finding.rows:
            rows.setdefault(row["unit"], []).append((finding.check, row))
    paths = {f.evidence["group"]: f for f in findings if f.check == PATHS}
    proven = {unit for unit in units if any(row["strength"] == PROVES for _, row in rows[unit])}
    tainted = _tainted(list(units), proven)
    judged = tuple(_unit(unit, rows[unit], paths.get(group), unit in tainted) for unit, group in units.items())
    return judged, _model(judged, findings)


def _tainted(units: Sequence[str], proven: set[str]) -> set[str]:
    """Units of layers of which enough units are proven."""
    layers: dict[str, list[str]] = {}
    for unit in units:
        layers.setdefault(Unit.parse(unit).layer, []).append(unit)
    return {
        unit
        for members in layers.values()
        if len(proven.intersection(members)) >= max(1, TAINTED * len(members))
        for unit in members
    }


def _unit(unit: str, rows: Sequence[tuple[str, Mapping[str, Any]]], path: Finding | None, tainted: bool) -> Judgement:
    ranked = sorted(rows, key=lambda r: -int(r[1]["strength"]))
    strong = [(check, str(row["words"])) for check, row in ranked if row["strength"] >= SUPPORTS]
    supports = len({check for check, _ in strong})
    proved = any(row["strength"] == PROVES for _, row in rows)
    if proved or supports >= 2:
        return Judgement(unit, "suspicious", tuple(strong))
    if tainted:
        words = "Other units of its layer are proven to be manipulated."
        return Judgement(unit, "suspicious", (("layer", words), *strong))
    says = sorted(ranked, key=lambda r: "tells" not in r[1])
    told = tuple((check, str(row["words"])) for check, row in says)
    verdict: UnitVerdict = next((row["tells"] for _, row in says if row.get("tells")), "unknown")
    return Judgement(unit, verdict, told if path is None else (*told, (PATHS, path.claim)))


def _model(judged: Sequence[Judgement], findings: Sequence[Finding]) -> Finding:
    counts = {v: sum(j.verdict == v for j in judged) for v in get_args(UnitVerdict)}
    share = counts["suspicious"] / max(len(judged), 1)
    verdict = _verdict(counts, len(judged), findings)
    reasons = [f.claim for f in findings if f.rows and f.verdict == "suspicious"]
    return Finding(
        "judgement",
        "Has anybody tampered with this network, and can its pictures be trusted?",
        _claim(verdict, counts, len(judged)),
        verdict,
        round(share, 4) if judged else None,
        None,
        {
            "counts": counts,
            "reasons": reasons,
            "suspicious": [j.unit for j in judged if j.verdict == "suspicious"],
            "paths": {"last": _last(findings), "honest": list(HONEST_PATHS)},
        },
    )


def _last(findings: Sequence[Finding]) -> float | None:
    """How similar the paths of the class pictures are at the last layer; None where that is not known."""
    paths = [f for f in findings if f.check == PATHS and f.evidence["group"] == "classes"]
    series = paths[0].evidence.get("curves", {}).get("spearman", {}).get("s", []) if paths else []
    return series[-1] if series else None


def _verdict(counts: Mapping[str, int], total: int, findings: Sequence[Finding]) -> Verdict:
    if counts["suspicious"] and _beyond_chance(counts["suspicious"], total):
        return "suspicious"
    proved = any(row["strength"] == PROVES for f in findings for row in f.rows)
    if proved:
        return "suspicious"
    paths = [f for f in findings if f.check == PATHS]
    main = next((f for f in paths if f.evidence["group"] == "classes"), paths[0] if paths else None)
    return main.verdict if main else "unknown"


def _beyond_chance(suspicious: int, units: int) -> bool:
    """Whether so many units are suspicious in at most one of twenty networks of the honest share (binomial)."""
    fewer = sum(
        math.exp(
            math.lgamma(units + 1)
            - math.lgamma(k + 1)
            - math.lgamma(units - k + 1)
            + k * math.log(HONEST_SHARE)
            + (units - k) * math.log1p(-HONEST_SHARE)
        )
        for k in range(suspicious)
    )
    return 1 - fewer <= LEVEL + 1e-12


def _claim(verdict: Verdict, counts: Mapping[str, int], total: int) -> str:
    if not total:
        return "No unit was examined."
    if verdict == "suspicious":
        return f"Evidence of manipulation in {counts['suspicious']} of {total} units."
    if counts["suspicious"]:
        out = counts["suspicious"]
        return f"No evidence of manipulation beyond what honest networks show ({out} of {total} units stand out)."
    return f"No evidence of manipulation in any of {total} units."
