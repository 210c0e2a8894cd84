"""Records of earlier versions, brought up to date."""

from msgspec.structs import replace

from snellen.record.schema import SCHEMA, FindingEntry, Record

_ASKED = {
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
"""What the checks ask that `snellen.audit/1` knew: its findings did not say it themselves."""


def upgraded(record: Record) -> Record:
    """The record as one of the newest version; fields that its version did not know have their defaults already."""
    if record.schema == SCHEMA:
        return record
    return replace(record, schema=SCHEMA, findings=tuple(map(_asking, record.findings)))


def _asking(finding: FindingEntry) -> FindingEntry:
    return replace(finding, asks=finding.asks or _ASKED.get(finding.check))
