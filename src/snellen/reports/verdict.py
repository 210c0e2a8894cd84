"""The verdict in plain words: a headline, what the figures say, and what a reader may and may not conclude."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snellen.reports.cards import alive
from snellen.reports.signs import judgement
from snellen.reports.words import count, listing, middle, rough

Record = Mapping[str, Any]
HEADLINES = {
    "consistent": "The pictures of {model} are processed much like photographs",
    "unreliable here": "The pictures of {model} are processed like photographs {where}",
    "suspicious": "The pictures of {model} carry signs of manipulation",
    "unknown": "What the units of {model} look for, on too few photographs to judge",
}
PLAIN = "What the units of {model} look for"
SCALE = (
    "Similarity is 1 where pictures are as much like {same} as these are like each other, and 0 where they are no more "
    "like them than {other} are."
)
KINDS = {
    "classes": ("photographs of their class", "photographs of other classes"),
    "units": ("the photographs that excite their unit", "photographs that excite other units"),
}
ONLY = {
    "consistent": "That a picture shows everything its unit responds to: it is one optimum of many, and a similar path "
    "is a necessary condition for trusting it, not a sufficient one.",
    "unknown": "Anything about how the network processes these pictures: too little was measured.",
}


@dataclass(frozen=True)
class Verdict:
    """What the report opens with."""

    headline: str
    claims: tuple[str, ...]
    scale: str
    may: tuple[str, ...]
    may_not: tuple[str, ...]


def main_finding(record: Record) -> Record | None:
    """The path-similarity finding that the report opens with: that of the classes, else the first."""
    found = paths(record)
    return next((f for f in found if f["evidence"]["group"] == "classes"), found[0] if found else None)


def paths(record: Record) -> list[Record]:
    """All findings of the path-similarity check."""
    return [f for f in record["findings"] if f["check"] == "path-similarity"]


def verdict(record: Record) -> Verdict:
    """The verdict on a record; without a finding, what was drawn and that nothing was checked."""
    main, whole, name = main_finding(record), judgement(record), record["model"]["name"]
    decided = whole if whole and whole["verdict"] == "suspicious" else main
    where = _where(main["evidence"]) if main else ""
    headline = (HEADLINES.get(decided["verdict"], PLAIN) if decided else PLAIN).format(model=name, where=where)
    none = "No check was run" if record["status"] == "complete" else "The checks have not run yet"
    claims = [main["claim"] if main else f"{none}, so nothing is known about how far to trust the pictures."]
    if whole and whole is decided:
        claims = [whole["claim"], *whole["evidence"]["reasons"], *(c for c in claims if main)]
    elif whole:
        claims.append(whole["claim"])
    said = (*claims, *_folders(record), *_units(record))
    return Verdict(headline, said, _scale(main), tuple(_may(record, main)), tuple(_may_not(record, main)))


def _scale(main: Record | None) -> str:
    """What the similarity in the first claim means."""
    if main is None:
        return ""
    same, other = KINDS["classes" if main["evidence"]["group"] == "classes" else "units"]
    return SCALE.format(same=same, other=other)


def _where(evidence: Record) -> str:
    """In which layers pictures are processed like photographs, for a headline."""
    layers, start, reached = evidence["layers"], evidence["trusted_from"], len(alike(evidence))
    if start in layers:
        last = len(layers) - layers.index(start)
        return f"only in its last {last} of {len(layers)} layers" if last > 1 else "only in its last layer"
    return f"in only {reached} of {count(len(layers), 'layer')}" if reached else "in none of its layers"


def alike(evidence: Record) -> list[str]:
    """The layers where similarity reaches the threshold."""
    values = evidence["curves"]["spearman"]["s"]
    reached = zip(evidence["layers"], values, strict=True)
    return [layer for layer, s in reached if s is not None and s >= evidence["threshold"]]


def _folders(record: Record) -> list[str]:
    """That the photographs' folders do not fit the network; records of earlier versions do not say."""
    fit = record["images"].get("fit")
    return [] if fit is None or fit.get("good") is True else [fit["words"]]


def _units(record: Record) -> list[str]:
    """How many units were drawn, and how many could not be."""
    wanted = [u for u in record["units"] if u["pictures"]]
    said = []
    for status, words in (("dead", "gave no gradient and has no picture"), ("diverged", "diverged and has no picture")):
        lost = [u["unit"] for u in wanted if any(p["status"] == status for p in u["pictures"])]
        if lost:
            plural = words.replace("has", "have") if len(lost) > 1 else words
            said.append(f"Of {count(len(wanted), 'unit')} drawn, {len(lost):,} {plural} ({listing(lost)}).")
    if record["status"] == "partial":
        said.append("The audit was stopped before its end: this report shows what exists so far.")
    return said


def _may(record: Record, main: Record | None) -> list[str]:
    said = []
    factors = reach(record)
    if len(factors) > 1:
        above = sum(f > 1 for f in factors)
        said.append(
            f"How far the pictures reach: {above} of {len(factors)} excite their unit more than any of "
            f"{record['images']['count']:,} photographs does, at the median {rough(middle(factors))} times as much."
        )
    if main and main["evidence"]["trusted_from"]:
        start, layers = main["evidence"]["trusted_from"], main["evidence"]["layers"]
        late = layers[layers.index(start) :] if start in layers else [start]
        said.append(
            f"That from {start} on (the last {len(late)} of {count(len(layers), 'layer')}), a picture causes "
            "activations about as similar to those of its photographs as theirs are to each other."
        )
    said.append("Which of these photographs excite each unit most and least: they stand under every picture.")
    return said


def _may_not(record: Record, main: Record | None) -> list[str]:
    said = []
    if main and main["verdict"] in ONLY:
        said.append(ONLY[main["verdict"]])
    if main and (early := _early(main["evidence"])):
        said.append(
            f"That a picture explains how the network processes photographs in {early}: there its activations are not "
            "like those of the photographs that it should stand for."
        )
    said.append("That a unit responds to a photograph because it contains what the picture shows.")
    return [*said, *_tampered(judgement(record))]


def _tampered(whole: Record | None) -> list[str]:
    """What the checks against manipulation leave open."""
    if whole is None:
        return ["That nobody tampered with the network: manipulated units can be made to show any picture."]
    if whole["verdict"] == "suspicious":
        return ["Anything about the suspicious units from their pictures: these may show what somebody chose."]
    return ["That nobody can have tampered with the network: the checks know the constructions that are published."]


def _early(evidence: Record) -> str:
    """The layers before the trusted ones, in words; "" where there are none."""
    layers, start = evidence["layers"], evidence["trusted_from"]
    if start is None:
        apart = len(layers) - len(alike(evidence))
        return f"{apart} of its {len(layers)} layers" if apart < len(layers) else "any of its layers" if layers else ""
    before = layers.index(start) if start in layers else 0
    return f"the {count(before, 'layer')} before {start}" if before > 1 else f"{layers[0]}" if before else ""


def reach(record: Record) -> list[float]:
    """Each unit's best picture's response over its strongest natural one, where that is a positive number."""
    factors = []
    for unit in record["units"]:
        drawn = [p["response"] for p in alive(unit, "max")]
        if drawn and unit["natural"] and unit["natural"]["quantiles"][-1] > 0:
            factors.append(max(drawn) / unit["natural"]["quantiles"][-1])
    return factors
