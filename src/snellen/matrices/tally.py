"""What a cell of the matrix comes to: the audit of its network, and its figures."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snellen.audits.suite import run_audit
from snellen.base import Note, Seed, Tell, digest, silence, write_atomic
from snellen.matrices.cell import HONEST, Cell, audited
from snellen.matrices.recovery import compared, foretold, recover
from snellen.models.sources import load_model
from snellen.pictures.sheet import png
from snellen.record import FindingEntry, JudgementEntry, Record, read_record
from snellen.studies.drawings import settings_of
from snellen.studies.request import Request
from snellen.studies.world import open_world

RECOVERED = "recovered"


def examine(cell: Cell, spec: str, folder: Path, tell: Tell, *, note: Note = silence) -> Record:
    """Audit a cell's network in folder/audit, or go on with it, and return the record.

    Args:
        cell: which.
        spec: of its network.
        folder: of the cell.
        tell: told (title, done, all) of the cell.
        note: told what was damaged and is made again.
    """
    request = asking(cell, spec)
    half = 0.0 if cell.kind == HONEST else 0.5

    def progress(title: str, done: float | int, total: float | int) -> None:
        tell(f"{cell.name}: {title}", half + (1 - half) * min(done / max(total, 1e-9), 1), 1)

    run = run_audit(request, out=folder / "audit", progress=progress, note=note)
    return read_record(run)


def asking(cell: Cell, spec: str) -> Request:
    """The audit of a cell's network."""
    model = load_model(cell.case.model)
    size = cell.size.fit(model)
    units = tuple(map(str, audited(cell, model)))
    base = None if cell.kind == HONEST else cell.case.model  # whoever asks for the case trusts its code
    return Request(spec, cell.case.images, units, steps=size.steps, seed=cell.seed, quick=size.quick, base=base)


def recovered(cell: Cell, folder: Path, receipt: Mapping[str, Any], tell: Tell) -> dict[str, Any] | None:
    """Draw the units of the receipt in spite of the circuit, into folder/recovered; None where it shows no unit.

    Returns:
        How near they came; as "foretold" how near those came that photographs alone tell, None where there are none;
        and the digests of the pictures as "files".
    """
    shown = receipt["gallery"]["entries"]
    if not shown:
        return None
    tell(f"{cell.name}: recovered pictures", 1, 1)
    world, honest = open_world(asking(cell, str(folder / "model"))), load_model(cell.case.model)
    units = [f"{receipt['layer']}:{entry['unit']}" for entry in shown]
    found = recover(world, units, settings_of(world), seed=Seed(cell.seed).fork("recovered")).images
    told = foretold(world, units, settings_of(world), seed=Seed(cell.seed).fork("foretold"))
    kinds = {"unit": found} if told is None else {"unit": found, "told": told.images}
    files = {}
    for kind, images in kinds.items():
        for entry, image in zip(shown, images, strict=True):
            name, data = f"{RECOVERED}/{kind}-{entry['unit']}.png", png(image)
            write_atomic(folder / name, data)
            files[name] = digest(data)
    counts = {kind: compared(images, folder / "model", receipt, honest) for kind, images in kinds.items()}
    return {**counts["unit"], "foretold": counts.get("told"), "files": files}


def tally(cell: Cell, record: Record, receipt: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a cell comes to, as plain data.

    Args:
        cell: which.
        record: of its audit.
        receipt: of its manipulation; None for an honest network.
    """
    judged = {unit.unit: unit.judgement for unit in record.units if unit.judgement is not None}
    suspicious = [name for name, told in judged.items() if told.verdict == "suspicious"]
    return {
        "name": cell.name,
        "case": cell.case.name,
        "kind": cell.kind,
        "status": "done",
        "layers": list(dict.fromkeys(unit.layer for unit in record.units)),
        "units": len(record.units),
        "suspicious": len(suspicious),
        "model": record.verdict.verdict if record.verdict else "unknown",
        "checks": _checks(record.findings),
        "by layer alone": sum(judged[name].evidence[0].check == "layer" for name in suspicious),
        "verdicts": dict(Counter(told.verdict for told in judged.values())),
        "rows": [_row(name, told) for name, told in judged.items()],
        "behaviour": None if receipt is None else _behaviour(receipt["behaviour"]["held-out"]),
        "pictures": None if receipt is None else _pictures(receipt["gallery"]),
    }


def _checks(findings: Sequence[FindingEntry]) -> dict[str, dict[str, int]]:
    """By check: units of which it proves manipulation, and those where it supports suspicion."""
    found = {}
    for finding in findings:
        if finding.rows:
            strengths = [row.strength for row in finding.rows]
            found[finding.check] = {"proves": strengths.count(2), "supports": strengths.count(1)}
    return found


def _row(unit: str, told: JudgementEntry) -> dict[str, Any]:
    """What is said of a unit; its share is None, and its scores are none, where the audit is of an earlier version."""
    said = {"unit": unit, "verdict": told.verdict, "evidence": _said(told)}
    return {**said, "share": told.share, "scores": dict(told.scores)}


def _said(told: JudgementEntry) -> list[str]:
    return [reason.check for reason in told.evidence] if told.verdict == "suspicious" else []


def _behaviour(seen: Mapping[str, Any]) -> dict[str, Any]:
    return {name: seen[name] for name in ("count", "top1", "top5", "changed", "differing", "largest")}


def _pictures(gallery: Mapping[str, Any]) -> dict[str, Any]:
    return {"drawn": len(gallery["entries"]), "nearer to the decoy": sum(e["fooled"] for e in gallery["entries"])}
