"""The verdict in plain words: a headline, what the figures say, and what a reader may and may not conclude."""

from dataclasses import dataclass

from snellen.record import FindingEntry, PathEvidence, Record
from snellen.reports.cards import reached
from snellen.reports.words import count, listing, middle, rough

HEADLINES = {
    "consistent": "The pictures of {model} are processed much like photographs",
    "unreliable here": "The pictures of {model} are processed like photographs {where}",
    "suspicious": "The pictures of {model} carry signs of manipulation",
    "unknown": "What the units of {model} look for, on too few photographs to judge",
}
MOST_OF = 0.75
"""Of what photographs tell, from which on pictures tell most of it."""
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


def main_finding(record: Record) -> FindingEntry | None:
    """The path-similarity finding that the report opens with: that of the classes, else the first."""
    found = paths(record)
    return next((f for f in found if f.paths and f.paths.group == "classes"), found[0] if found else None)


def paths(record: Record) -> list[FindingEntry]:
    """All findings of the path-similarity check."""
    return [finding for finding in record.findings if finding.paths]


def verdict(record: Record) -> Verdict:
    """The verdict on a record; without a finding, what was drawn and that nothing was checked."""
    main, whole, name = main_finding(record), record.verdict, record.model.name
    path = main.paths if main else None
    decided = whole if whole and whole.verdict == "suspicious" else main
    where = _where(path) if path else ""
    headline = (HEADLINES.get(decided.verdict, PLAIN) if decided else PLAIN).format(model=name, where=where)
    none = "No check was run" if record.status == "complete" else "The checks have not run yet"
    claims = [main.claim if main else f"{none}, so nothing is known about how far to trust the pictures."]
    if whole and whole.summary and whole is decided:
        claims = [whole.claim, *whole.summary.reasons, *(c for c in claims if main)]
    elif whole:
        claims.append(whole.claim)
    tells = _tells(record)
    first = (*claims, *tells) if whole and whole is decided else (*tells, *claims)
    said = (*first, *_apart(record, main), *_folders(record), *_units(record))
    return Verdict(headline, said, _scale(path), tuple(_may(record, path)), tuple(_may_not(record, main)))


def _tells(record: Record) -> list[str]:
    """What the pictures tell."""
    return [finding.claim for finding in record.findings if finding.decoding and finding.figure is not None]


def _apart(record: Record, main: FindingEntry | None) -> list[str]:
    """That pictures are processed unlike photographs and tell most of what these tell all the same."""
    shares = [t.told for f in record.findings if f.decoding for t in f.decoding.units if t.told is not None]
    if main is None or main.verdict != "unreliable here" or not shares or middle(shares) < MOST_OF:
        return []
    return [
        "Both hold at once: the pictures are processed unlike photographs, and the median one tells "
        f"{100 * middle(shares):.0f} % of what as many photographs tell."
    ]


def _scale(path: PathEvidence | None) -> str:
    """What the similarity in the first claim means."""
    if path is None:
        return ""
    same, other = KINDS["classes" if path.group == "classes" else "units"]
    return SCALE.format(same=same, other=other)


def _where(evidence: PathEvidence) -> str:
    """In which layers pictures are processed like photographs, for a headline."""
    layers, start, near = evidence.layers, evidence.trusted_from, len(alike(evidence))
    if start in layers:
        last = len(layers) - layers.index(start)
        return f"only in its last {last} of {len(layers)} layers" if last > 1 else "only in its last layer"
    return f"in only {near} of {count(len(layers), 'layer')}" if near else "in none of its layers"


def alike(evidence: PathEvidence) -> list[str]:
    """The layers where similarity reaches the threshold."""
    values = evidence.curves["spearman"].s
    similar = zip(evidence.layers, values, strict=True)
    return [layer for layer, s in similar if s is not None and s >= evidence.threshold]


def _folders(record: Record) -> list[str]:
    """That the photographs' folders do not fit the network; records of earlier versions do not say."""
    fit = record.images.fit
    return [] if fit is None or fit.good is True else [fit.words]


def _units(record: Record) -> list[str]:
    """How many units were drawn, and how many could not be."""
    wanted = [u for u in record.units if u.pictures]
    said = []
    for status, words in (("dead", "gave no gradient and has no picture"), ("diverged", "diverged and has no picture")):
        lost = [u.unit for u in wanted if any(p.status == status for p in u.pictures)]
        if lost:
            plural = words.replace("has", "have") if len(lost) > 1 else words
            said.append(f"Of {count(len(wanted), 'unit')} drawn, {len(lost):,} {plural} ({listing(lost)}).")
    if record.status == "partial":
        said.append("The audit was stopped before its end: this report shows what exists so far.")
    return said


def _may(record: Record, path: PathEvidence | None) -> list[str]:
    said = []
    factors = reach(record)
    if len(factors) > 1:
        above = sum(f > 1 for f in factors)
        said.append(
            f"How far the pictures reach: {above} of {len(factors)} excite their unit more than any of "
            f"{record.images.count:,} photographs does, at the median {rough(middle(factors))} times as much."
        )
    if path and path.trusted_from:
        start, layers = path.trusted_from, path.layers
        late = layers[layers.index(start) :] if start in layers else [start]
        said.append(
            f"That from {start} on (the last {len(late)} of {count(len(layers), 'layer')}), a picture causes "
            "activations about as similar to those of its photographs as theirs are to each other."
        )
    said.append("Which of these photographs excite each unit most and least: they stand under every picture.")
    return said


def _may_not(record: Record, main: FindingEntry | None) -> list[str]:
    said = []
    if main and main.verdict in ONLY:
        said.append(ONLY[main.verdict])
    if main and main.paths and (early := _early(main.paths)):
        said.append(
            f"That a picture explains how the network processes photographs in {early}: there its activations are not "
            "like those of the photographs that it should stand for."
        )
    said.append("That a unit responds to a photograph because it contains what the picture shows.")
    return [*said, *_tampered(record.verdict)]


def _tampered(whole: FindingEntry | None) -> list[str]:
    """What the checks against manipulation leave open."""
    if whole is None:
        return ["That nobody tampered with the network: manipulated units can be made to show any picture."]
    if whole.verdict == "suspicious":
        return ["Anything about the suspicious units from their pictures: these may show what somebody chose."]
    return ["That nobody can have tampered with the network: the checks know the constructions that are published."]


def _early(evidence: PathEvidence) -> str:
    """The layers before the trusted ones, in words; "" where there are none."""
    layers, start = evidence.layers, evidence.trusted_from
    if start is None:
        apart = len(layers) - len(alike(evidence))
        return f"{apart} of its {len(layers)} layers" if apart < len(layers) else "any of its layers" if layers else ""
    before = layers.index(start) if start in layers else 0
    return f"the {count(before, 'layer')} before {start}" if before > 1 else f"{layers[0]}" if before else ""


def reach(record: Record) -> list[float]:
    """Each unit's best picture's response over its strongest natural one, where that is a positive number."""
    factors = []
    for unit in record.units:
        drawn = reached(unit, "max")
        if drawn and unit.natural and unit.natural.quantiles[-1] > 0:
            factors.append(max(drawn) / unit.natural.quantiles[-1])
    return factors
