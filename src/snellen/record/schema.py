"""The types of a record. Field by field they are the JSON of RUN/audit.json; the JSON Schema is made of them."""

from collections.abc import Iterable
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from snellen.record.evidence import DecodingEvidence, PathEvidence, Row, Rows, Scan, Summary
from snellen.record.numbers import Count, Json, Number, Whole

SCHEMA: Final = "snellen.audit/2"
PATHS, DECODING, JUDGEMENT = "path-similarity", "decoding", "judgement"
"""The findings that a report opens with: how pictures are processed, what they tell, and the verdict."""
_OWN = (PATHS, DECODING, JUDGEMENT)


class ModelEntry(Struct, frozen=True, kw_only=True):
    """The network.

    Args:
        name: for a reader.
        kind: its class.
        size: height and width of its input, in pixels.
        parameters: that it has.
        fingerprint: of its weights and code.
        spec: what it was asked for by; None where it was in memory, and in records of the first versions.
        provenance: what is known of where it comes from; its "notes" are lines for a reader.
        preprocess: how photographs become its input.
    """

    name: str
    kind: str
    size: tuple[Whole, Whole]
    parameters: Count
    fingerprint: str
    spec: str | None = None
    provenance: dict[str, Json] = {}
    preprocess: Json = None

    def __post_init__(self) -> None:
        notes = self.provenance.get("notes", [])
        if not isinstance(notes, list | tuple) or not all(isinstance(line, str) for line in notes):
            raise ValueError("expected provenance.notes to be a list of texts, got something else")

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader has to know of how the network was loaded, guesses among it."""
        notes = self.provenance.get("notes", ())
        return tuple(map(str, notes)) if isinstance(notes, Iterable) else ()


class ClassEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A class of images.

    Args:
        name: of its folder.
        unit: of the network's classes; None where none is known.
        label: the network's name of that unit.
        count: of its images.
        purity: share of its images that the network takes for that unit.
    """

    name: str
    unit: Whole | None
    label: str | None
    count: Count
    purity: Number | None = None


class FitEntry(Struct, frozen=True, kw_only=True):
    """How well classes of images fit the network's answers; see `snellen.images.classes.Fit`."""

    words: str
    good: bool | None = None
    source: str | None = None
    images: Count | None = None
    rate: Number | None = None
    chance: Number | None = None
    agreeing: Count | None = None
    classes: Count | None = None
    others: Json = None


class SkippedEntry(Struct, frozen=True):
    """An image that was left out, and why."""

    name: str
    reason: str


class ImagesEntry(Struct, frozen=True, kw_only=True):
    """The natural images.

    Args:
        name: for a reader.
        count: of images.
        classes: of images.
        labels_from: what told which unit is a class's.
        digest: of the images.
        skipped: images that were left out.
        spec: what they were asked for by.
        fit: of their classes; None where there is none to speak of.
    """

    name: str
    count: Count
    classes: tuple[ClassEntry, ...]
    labels_from: str | None = None
    digest: str
    skipped: tuple[SkippedEntry, ...]
    spec: str | None = None
    fit: FitEntry | None = None


class LayerEntry(Struct, frozen=True, kw_only=True):
    """A layer: its name, its module's class, the shape of its output but for the batch, its units."""

    name: str
    kind: str
    shape: tuple[Whole, ...]
    units: Count


class PictureEntry(Struct, frozen=True, kw_only=True):
    """A picture.

    Args:
        direction: whether it excites its unit most or least.
        image: the blob; None where there is nothing to show.
        status: how the optimization ended.
        response: of the unit; None where it is not finite.
        history: responses on the way.
        history_steps: their steps.
        seed: of its start.
        note: on its status.
    """

    direction: Literal["max", "min"]
    image: str | None
    status: Literal["ok", "dead", "diverged", "interrupted"]
    response: Number | None
    history: tuple[Number | None, ...]
    history_steps: tuple[Count, ...]
    seed: Whole = 0
    note: str = ""


class ExemplarEntry(Struct, frozen=True, kw_only=True, rename={"folder": "class"}):
    """A natural image at one end of a unit's responses: its thumbnail's blob, its name, its class, the response."""

    image: str | None
    id: str
    folder: str | None
    response: Number | None


class Exemplars(Struct, frozen=True):
    """Natural images that excite a unit most and least, the most extreme first."""

    top: tuple[ExemplarEntry, ...] = ()
    bottom: tuple[ExemplarEntry, ...] = ()

    @property
    def both(self) -> tuple[ExemplarEntry, ...]:
        """Those of one end, then those of the other."""
        return self.top + self.bottom


class NaturalEntry(Struct, frozen=True, kw_only=True):
    """A unit's responses to natural images.

    Args:
        quantiles: 101 of them, at 0 to 100 %.
        count: of images.
        own_class_mean: mean response to images of the unit's own class.
        mean, std: of all.
        key: under which all of them are stored.
    """

    quantiles: Annotated[tuple[Number, ...], Meta(min_length=101, max_length=101)]
    count: Count
    own_class_mean: Number | None
    mean: Number | None = None
    std: Number | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        if any(a > b for a, b in pairwise(self.quantiles)):
            raise ValueError("expected quantiles in rising order, got others")


class Reason(Struct, frozen=True):
    """What one check has to say of a unit."""

    check: str
    words: str


class JudgementEntry(Struct, frozen=True):
    """The verdict on one unit and what it rests on, what weighs most first.

    Args:
        verdict: "suspicious", or what its picture tells.
        evidence: what checks say.
        share: of units of honest networks that look as odd to all checks together; None in records that do not say.
        scores: by check minus the logarithm of the share of honest units of which it says as much.
    """

    verdict: str
    evidence: tuple[Reason, ...]
    share: Number | None = None
    scores: dict[str, Number] = {}


class UnitEntry(Struct, frozen=True, kw_only=True):
    """A unit.

    Args:
        unit: its address.
        layer, channel: the parts of the address.
        label: the network's name of its class.
        role: whether it is a class or an inner unit.
        pictures: of it.
        exemplars: natural images at both ends.
        natural: its responses to natural images; None where they are not known yet.
        judgement: None where it has no picture, or nobody has judged yet.
    """

    unit: str
    layer: str
    channel: Whole
    label: str | None
    role: Literal["class", "unit"]
    pictures: tuple[PictureEntry, ...]
    exemplars: Exemplars
    natural: NaturalEntry | None
    judgement: JudgementEntry | None = None

    @property
    def verdict(self) -> str | None:
        """On this unit; None where nobody has judged it."""
        return self.judgement.verdict if self.judgement else None


class FindingEntry(Struct, frozen=True, kw_only=True, dict=True):
    """What a check found; see `snellen.checks.finding.Finding`. Its evidence is plain data, and typed where it is read.

    Raises:
        msgspec.ValidationError: on looking at evidence that is of another form than its readers know.
    """

    check: str
    title: str
    claim: str
    verdict: str
    figure: Number | None = None
    interval: tuple[Number, Number] | None = None
    evidence: dict[str, Json]
    asks: str | None = None

    @cached_property
    def paths(self) -> PathEvidence | None:
        """Of the similarity of paths; None of other findings."""
        return msgspec.convert(self.evidence, PathEvidence) if self.check == PATHS else None

    @cached_property
    def decoding(self) -> DecodingEvidence | None:
        """Of what the pictures tell; None of other findings."""
        return msgspec.convert(self.evidence, DecodingEvidence) if self.check == DECODING else None

    @cached_property
    def summary(self) -> Summary | None:
        """Of the verdict; None of other findings."""
        return msgspec.convert(self.evidence, Summary) if self.check == JUDGEMENT else None

    @cached_property
    def rows(self) -> tuple[Row, ...] | None:
        """What the check says of every unit; None where it judges none."""
        if self.check in _OWN or "units" not in self.evidence:
            return None
        return msgspec.convert(self.evidence, Rows).units

    @cached_property
    def scan(self) -> Scan | None:
        """Of the gates; None where it lists none."""
        if self.check in _OWN or "gates" not in self.evidence:
            return None
        return msgspec.convert(self.evidence, Scan)


class Record(Struct, frozen=True, kw_only=True):
    """Everything that an audit knows.

    Args:
        schema: which version of this type; what is read is of the newest.
        status: "partial" while something is missing.
        command: that makes it again.
        model, images: what was audited, on what.
        settings: of the pictures and the comparison.
        environment: versions and machine.
        layers: that the units and curves are of.
        units: that were audited.
        findings: of all checks, the verdict last.
        created: when, as ISO 8601 says it; "" before it is written.
    """

    schema: Literal["snellen.audit/1", "snellen.audit/2"] = SCHEMA
    status: Literal["complete", "partial"]
    command: str
    model: ModelEntry
    images: ImagesEntry
    settings: dict[str, Json]
    environment: dict[str, Json]
    layers: tuple[LayerEntry, ...]
    units: tuple[UnitEntry, ...]
    findings: tuple[FindingEntry, ...]
    created: str = ""

    @property
    def verdict(self) -> FindingEntry | None:
        """The finding that sums up all checks; None where there is none."""
        return next((finding for finding in self.findings if finding.check == JUDGEMENT), None)


def json_schema() -> dict[str, Json]:
    """The JSON Schema (2020-12) of a record, and under "$defs" also that of evidence in the forms that are read."""
    kinds = [Record, PathEvidence, DecodingEvidence, Summary, Scan, Rows]
    (record, *_), parts = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The record of an audit by snellen: RUN/audit.json",
        **record,
        "$defs": parts,
    }
