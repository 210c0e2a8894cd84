"""Reading a run directory: audit.json of the schema this package knows, and every blob that it names."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from snellen.base import RecordError, brief
from snellen.base.files import LARGE, open_regular, read_json, why
from snellen.base.shape import Each, Maybe, OneOf, Option, ShapeError, Whole, match

SCHEMA: Final = "snellen.audit/1"
BLOB: Final = re.compile(r"blobs(/\w[\w.-]*)+", re.ASCII)
MAGIC: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")

_SHOWN = {"image": Maybe(str), "id": str, "class": Maybe(str), "response": Maybe(float)}
_PICTURE = {
    "direction": OneOf(("max", "min")),
    "image": Maybe(str),
    "status": OneOf(("ok", "dead", "diverged", "interrupted")),
    "response": Maybe(float),
    "history": Each(Maybe(float)),
    "history_steps": Each(Whole(0)),
}
_UNIT = {
    "unit": str,
    "layer": str,
    "channel": int,
    "label": Maybe(str),
    "role": OneOf(("class", "unit")),
    "pictures": Each(_PICTURE),
    "exemplars": {"top": Each(_SHOWN), "bottom": Each(_SHOWN)},
    "natural": Maybe({"quantiles": Each(float, 101), "count": Whole(0), "own_class_mean": Maybe(float)}),
}
_CLASS = {"name": str, "unit": Maybe(int), "label": Maybe(str), "count": Whole(0)}
_RECORD = {
    "schema": OneOf((SCHEMA,)),
    "created": str,
    "status": OneOf(("complete", "partial")),
    "command": str,
    "model": {"name": str, "kind": str, "size": Each(int, 2), "parameters": Whole(0), "fingerprint": str}
    | {"provenance": Option({"notes": Option(Each(str))})},
    "images": {
        "name": str,
        "count": Whole(0),
        "classes": Each(_CLASS),
        "labels_from": Option(str),
        "digest": str,
        "skipped": Each({"name": str, "reason": str}),
    },
    "settings": dict,
    "environment": dict,
    "layers": Each({"name": str, "kind": str, "shape": Each(int), "units": int}),
    "units": Each(_UNIT),
    "findings": Each(
        {"check": str, "title": str, "claim": str, "verdict": str, "evidence": dict, "asks": Option(Maybe(str))}
    ),
}
_FIT = {"words": str}
_PATHS = {
    "group": str,
    "layers": Each(str),
    "curves": {"spearman": dict},
    "raw": dict,
    "ceiling": dict,
    "images": Whole(0),
    "classes": Option(Maybe(Whole(0))),
    "resamples": Option(Whole(0)),
    "trusted_from": Maybe(str),
    "threshold": float,
}
_WHOLE = {"reasons": Each(str), "paths": Option(Maybe({"last": Maybe(float), "honest": Each(float, 2)}))}
_JUDGEMENT = {"verdict": str, "evidence": Each({"check": str, "words": str})}
_ROWS = {"units": Each({"unit": str, "words": str, "figure": Maybe(float), "strength": int})}
_GATE = {"gate": str, "channels": Whole(0), "silent": Whole(0), "switches": Whole(0), "listed": Each(Whole(0))}
_GATE |= {"rests_at": Maybe(float), "reaches": Maybe(float)}
_SCAN = {"gates": Each(_GATE), "images": Whole(0), "pictures": Whole(0)}
_WAY = {"coarse": Each(float), "place": float}
FIRST = {
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
"""The first checks that judged units, and what they ask: records of their time do not say it themselves."""
_SERIES = {"curves": ("s", "lo", "hi"), "raw": ("picture", "same", "other"), "ceiling": ("mean", "lo", "hi")}


def read_record(run_dir: Path) -> dict[str, Any]:
    """The record of a run, checked: its schema, its shape, and that every blob it names is there and is an image.

    Args:
        run_dir: a directory that an audit wrote.

    Raises:
        RecordError: there is no record, or it is damaged, of another version, or misses a blob.
    """
    path = Path(run_dir) / "audit.json"
    try:
        record = dict(read_json(path, dict, most=LARGE, within=Path(run_dir)))
        if record.get("schema") != SCHEMA:
            got = ascii(record.get("schema"))[:60]
            raise RecordError(f"expected a record of {SCHEMA} in {path}, got {got}; use the snellen that wrote it")
        _check(record)
    except (FileNotFoundError, NotADirectoryError):
        raise RecordError(f"expected a run with audit.json in {run_dir}, got none; run `snellen audit` first") from None
    except OSError as error:
        raise RecordError(f"expected to read audit.json in {brief(str(run_dir))}: {why(error)}") from None
    except ShapeError as error:
        raise _damaged(path, str(error)) from None
    for blob in dict.fromkeys(blobs(record)):
        _check_blob(Path(run_dir), blob)
    return record


def blobs(record: dict[str, Any]) -> Iterator[str]:
    """Every blob that a record names, in document order."""
    for unit in record["units"]:
        shown = [*unit["pictures"], *unit["exemplars"]["top"], *unit["exemplars"]["bottom"]]
        yield from (item["image"] for item in shown if item["image"] is not None)


def _check(record: Any) -> None:
    match(record, _RECORD)
    match(record["images"].get("fit"), Maybe(_FIT), "images.fit")
    for i, folder in enumerate(record["images"]["classes"]):
        match(folder.get("purity"), Maybe(float), f"images.classes[{i}].purity")
    for i, unit in enumerate(record["units"]):
        match(unit.get("judgement"), Maybe(_JUDGEMENT), f"units[{i}].judgement")
        quantiles = unit["natural"]["quantiles"] if unit["natural"] else []
        if any(a > b for a, b in pairwise(quantiles)):
            raise ShapeError(f"expected units[{i}].natural.quantiles in rising order, got others")
    for i, finding in enumerate(record["findings"]):
        _check_evidence(finding["check"], finding["evidence"], f"findings[{i}].evidence")


def _check_evidence(check: str, evidence: dict[str, Any], where: str) -> None:
    """What the page reads of evidence, by what there is, whichever check it is of."""
    if check == "path-similarity":
        return _check_paths(evidence, where)
    if check == "judgement":
        return match(evidence, _WHOLE, where)
    if "gates" in evidence:
        match(evidence, _SCAN, where)
    if "units" in evidence or check in FIRST:
        match(evidence, _ROWS, where)
        for k, row in enumerate(evidence["units"]):
            if not _WAY.keys().isdisjoint(row) and row["figure"] is not None:
                match(row, _WAY, f"{where}.units[{k}]")


def _check_paths(evidence: dict[str, Any], where: str) -> None:
    match(evidence, _PATHS, where)
    count = len(evidence["layers"])
    for field, parts in _SERIES.items():
        for metric, values in evidence[field].items():
            match(values, {part: Each(Maybe(float), count) for part in parts}, f"{where}.{field}.{metric}")


def _check_blob(run_dir: Path, blob: str) -> None:
    if not BLOB.fullmatch(blob):
        raise _damaged(run_dir / "audit.json", f"expected blobs inside blobs/, got {blob!r}")
    try:
        with open_regular(run_dir / blob, within=run_dir) as file:
            head = file.read(8)
    except OSError as error:
        raise RecordError(
            f"expected the blob {blob} in {run_dir}, got {why(error)}; run the audit again to restore it"
        ) from None
    if not head.startswith(MAGIC):
        raise RecordError(f"expected {run_dir / blob} to be a PNG or JPEG, got other bytes; run the audit again")


def _damaged(path: Path, what: str) -> RecordError:
    return RecordError(f"{path} is damaged: {what}; run the audit again")
