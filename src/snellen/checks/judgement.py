"""The verdict: one for each unit and one for the model, from all checks, with the evidence in words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from snellen.checks.finding import Finding, UnitVerdict, Verdict, number
from snellen.checks.honest import Honest, known_honest, layer_scores, rows_of
from snellen.checks.rows import PROVES, SUPPORTS
from snellen.models import Unit

PATHS = "path-similarity"
ALL = "all checks"
"""What a reason is ascribed to that no check gives alone."""
TAINTED = 0.25
"""Share of a layer's audited units that must be proven for the others to count as suspicious too."""
LEVEL = 0.05
"""Share of honest networks that may be called suspicious for how rare their units and layers are, half of it each."""
RAREST = 1000
"""One in how many honest networks is said at most: what comes after rests on the tail's form alone."""
HONEST_PATHS = (0.39, 1.16)
"""Similarity of paths of class pictures at the last layer in honest networks, lowest and highest: for reference."""


@dataclass(frozen=True)
class Judgement:
    """What all checks together say of one unit.

    Args:
        unit: its address.
        verdict: "suspicious", else "tells much", "tells something" or "tells nothing"; "unknown" if little is known.
        evidence: (check, sentence) pairs, what weighs most first.
        share: of units of honest networks that look as odd to all checks together.
        scores: by check minus the logarithm of the share of honest units of which it says as much.
    """

    unit: str
    verdict: UnitVerdict
    evidence: tuple[tuple[str, str], ...]
    share: float = 1.0
    scores: Mapping[str, float] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """The judgement as a JSON object."""
        return {
            "verdict": self.verdict,
            "evidence": [{"check": c, "words": w} for c, w in self.evidence],
            "share": number(self.share, 4),
            "scores": {check: number(score, 4) for check, score in self.scores.items()},
        }


@dataclass(frozen=True)
class _Odds:
    """How rare units and layers are among honest ones: shares, and the largest shares that make them suspicious."""

    scores: Mapping[str, Mapping[str, float]]
    units: Mapping[str, float]
    layers: Mapping[str, float]

    @classmethod
    def of(cls, units: Sequence[str], rows: Mapping[str, Mapping[str, Mapping[str, Any]]], honest: Honest) -> "_Odds":
        scores = {unit: honest.scores(rows.get(unit, {})) for unit in units}
        sums = {unit: math.fsum(of.values()) for unit, of in scores.items()}
        layers = {layer: honest.layers.share(score) for layer, score in layer_scores(sums).items()}
        return cls(scores, {unit: honest.units.share(score) for unit, score in sums.items()}, layers)

    def rare(self, unit: str) -> bool:
        """Whether so rare a unit is found in at most half of `LEVEL` of honest networks with as many units."""
        return self.units[unit] * len(self.units) <= LEVEL / 2

    def rare_layer(self, unit: str) -> bool:
        """Whether so rare a layer is found in at most half of `LEVEL` of honest networks with as many layers."""
        share = self.layers.get(Unit.parse(unit).layer)
        return share is not None and share * len(self.layers) <= LEVEL / 2

    @property
    def network(self) -> float:
        """The share of honest networks with a unit or a layer as rare as the rarest here, at most (Bonferroni)."""
        found = [min(of.values()) * len(of) for of in (self.units, self.layers) if of]
        return min(1.0, 2 * min(found, default=1.0))


def judge(
    units: Mapping[str, str], findings: Sequence[Finding], *, honest: Honest | None = None
) -> tuple[tuple[Judgement, ...], Finding]:
    """Judge every unit, then the model.

    A unit is *suspicious* where one row proves manipulation; where all checks together find it so rare that at most one
    honest network in forty, with as many units, has one like it; where its layer, in the mean, is as rare among layers;
    or where the proven ones are at least a quarter of its layer's units: who has tampered with these had the layer in
    hand. Of honest networks at most one in twenty is called suspicious for rarity. Else the verdict is what the picture
    tells (`snellen.checks.Decoding`), *unknown* where that is not known. Whether pictures are processed as photographs
    are is said of layers.

    Args:
        units: address -> name of its group in the path-similarity findings.
        findings: of all checks.
        honest: what honest networks show; None for those that the package knows.
    """
    rows = rows_of(findings)
    paths = {f.evidence["group"]: f for f in findings if f.check == PATHS}
    proven = {unit for unit in units if any(row["strength"] == PROVES for row in rows.get(unit, {}).values())}
    tainted = _tainted(list(units), proven)
    odds = _Odds.of(list(units), rows, honest or known_honest())
    judged = []
    for unit, group in units.items():
        against = _against(unit, odds, proven=unit in proven, tainted=unit in tainted)
        said, scores, share = rows.get(unit, {}), odds.scores[unit], odds.units[unit]
        verdict, evidence = _told(said, scores, against, share=share, path=paths.get(group))
        judged.append(Judgement(unit, verdict, evidence, share, scores))
    return tuple(judged), _model(judged, findings, odds.network, honest or known_honest())


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


def _against(unit: str, odds: _Odds, *, proven: bool, tainted: bool) -> tuple[tuple[str, str], ...] | None:
    """What makes a unit suspicious beyond what single checks say; None where nothing does."""
    if proven:
        return ()
    if odds.rare(unit):
        return ((ALL, f"Together the checks find what {_honest(odds.units[unit], 'unit')}."),)
    if tainted:
        return (("layer", "Other units of its layer are proven to be manipulated."),)
    if odds.rare_layer(unit):
        share = odds.layers[Unit.parse(unit).layer]
        return (("layer", f"Together the units of its layer show what {_honest(share, 'layer')}."),)
    return None


def _told(
    rows: Mapping[str, Mapping[str, Any]],
    scores: Mapping[str, float],
    against: tuple[tuple[str, str], ...] | None,
    *,
    share: float,
    path: Finding | None,
) -> tuple[UnitVerdict, tuple[tuple[str, str], ...]]:
    """The verdict on a unit and its evidence, what weighs most first."""
    ranked = sorted(rows.items(), key=lambda r: (-int(r[1]["strength"]), -scores.get(r[0], 0.0)))
    if against is not None:
        strong = tuple((check, str(row["words"])) for check, row in ranked if row["strength"] >= SUPPORTS)
        return "suspicious", (*against, *strong)
    says = sorted(rows.items(), key=lambda r: ("tells" not in r[1], -int(r[1]["strength"])))
    told = [(check, str(row["words"])) for check, row in says]
    verdict: UnitVerdict = next((row["tells"] for _, row in says if row.get("tells")), "unknown")
    if path is not None:
        told.append((PATHS, path.claim))
    if scores:
        told.append((ALL, f"Together the checks find what {_honest(share, 'unit')}."))
    return verdict, tuple(told)


def _honest(share: float, what: str) -> str:
    """Such as "about one in 200 layers of honest networks shows"."""
    if share > 0.5:
        return f"most {what}s of honest networks show"
    return f"{_one_in(share)} {what}s of honest networks shows"


def _model(judged: Sequence[Judgement], findings: Sequence[Finding], share: float, honest: Honest) -> Finding:
    counts = {v: sum(j.verdict == v for j in judged) for v in get_args(UnitVerdict)}
    proved = list(dict.fromkeys(f.check for f in findings for row in f.rows if row["strength"] == PROVES))
    verdict = _verdict(counts, findings, proved=bool(proved))
    reasons = [f.claim for f in findings if f.rows and f.verdict == "suspicious"]
    return Finding(
        "judgement",
        "Has anybody tampered with this network, and can its pictures be trusted?",
        _claim(verdict, counts, len(judged), share=share, proved=proved),
        verdict,
        round(counts["suspicious"] / len(judged), 4) if judged else None,
        None,
        {
            "counts": counts,
            "reasons": reasons,
            "suspicious": [j.unit for j in judged if j.verdict == "suspicious"],
            "paths": {"last": _last(findings), "honest": list(HONEST_PATHS)},
            "honest": {"networks": honest.networks, "share": number(share, 4)},
        },
    )


def _last(findings: Sequence[Finding]) -> float | None:
    """How similar the paths of the class pictures are at the last layer; None where that is not known."""
    paths = [f for f in findings if f.check == PATHS and f.evidence["group"] == "classes"]
    series = paths[0].evidence.get("curves", {}).get("spearman", {}).get("s", []) if paths else []
    return series[-1] if series else None


def _verdict(counts: Mapping[str, int], findings: Sequence[Finding], *, proved: bool) -> Verdict:
    if counts["suspicious"] or proved:
        return "suspicious"
    paths = [f for f in findings if f.check == PATHS]
    main = next((f for f in paths if f.evidence["group"] == "classes"), paths[0] if paths else None)
    return main.verdict if main else "unknown"


def _claim(verdict: Verdict, counts: Mapping[str, int], total: int, *, share: float, proved: Sequence[str]) -> str:
    if not total:
        return "No unit was examined."
    if verdict != "suspicious":
        looks = "as most honest networks" if share > 0.5 else f"as {_one_in(share)} honest networks"
        return f"No evidence of manipulation in any of {total} units; it looks {looks} do."
    why = "manipulation is proven" if proved else f"{_one_in(share)} honest networks look like this"
    return f"Evidence of manipulation in {counts['suspicious']} of {total} units; {why}."


def _one_in(share: float) -> str:
    return f"fewer than one in {RAREST}" if share < 1 / RAREST else f"about one in {round(1 / share)}"
