"""The record: everything an audit knows, in one file that needs nothing else but its blobs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snellen.base import canonical, encode_json, is_file, write_atomic
from snellen.images.classes import Classes
from snellen.measures import quantiles
from snellen.models import Unit
from snellen.studies.choice import Chosen
from snellen.studies.drawings import settings_of
from snellen.studies.world import World, preprocess_data

SCHEMA = "snellen.audit/1"
NAME = "audit.json"


@dataclass(frozen=True, eq=False)
class Results:
    """What is stored so far.

    Args:
        seen: by unit, from the exemplar job.
        pictures: by unit, from the drawing jobs, in the order of the plan.
        findings: in order.
        verdicts: by unit, from the last step.
        complete: whether nothing is missing.
        keys: by unit, under which its results of the exemplar job are stored.
    """

    seen: Mapping[str, Mapping[str, Any]]
    pictures: Mapping[str, Sequence[Mapping[str, Any]]]
    findings: Sequence[Mapping[str, Any]]
    verdicts: Mapping[str, Mapping[str, Any]]
    complete: bool
    keys: Mapping[str, str]


def make_record(world: World, chosen: Chosen, classes: Classes, results: Results) -> dict[str, Any]:
    """The record but for its time."""
    request = world.request
    return {
        "schema": SCHEMA,
        "status": "complete" if results.complete else "partial",
        "command": request.command(),
        "model": _model(world),
        "images": _images(world, classes),
        "settings": _settings(world),
        "environment": dict(world.environment),
        "layers": _layers(world, chosen),
        "units": [_unit(world, unit, chosen, (classes, results)) for unit in chosen.all],
        "findings": list(results.findings),
    }


def write_record(folder: Path, record: Mapping[str, Any], *, created: str) -> bool:
    """Write RUN/audit.json whole or not at all; a record that differs in nothing but its time stays as it is.

    So does one that was made with another number of threads, which changes no result.

    Returns:
        Whether a record was there that is damaged.

    Raises:
        OutputError: it cannot be written.
    """
    path, damaged = folder / NAME, False
    if path.exists():
        try:
            old = json.loads(path.read_bytes()) if is_file(path) else None
            if not isinstance(old, dict):
                damaged = True
            elif _lasting(old) == json.loads(encode_json(_lasting(record))):
                return False
        except (ValueError, OSError, RecursionError):
            damaged = True
    write_atomic(path, encode_json({**record, "created": created}))
    return damaged


def _lasting(record: Mapping[str, Any]) -> dict[str, Any]:
    environment = record.get("environment")
    known = {**environment, "threads": None} if isinstance(environment, Mapping) else None
    return {**record, "created": None, "environment": known}


def _model(world: World) -> dict[str, Any]:
    model = world.model
    return {
        "spec": world.request.model,
        "name": model.name,
        "kind": type(model.module).__name__,
        "size": list(model.size),
        "parameters": model.parameters,
        "fingerprint": world.identity["model"],
        "provenance": dict(model.provenance),
        "preprocess": preprocess_data(model),
    }


def _images(world: World, classes: Classes) -> dict[str, Any]:
    labels = world.model.labels
    listed = []
    for k, (name, unit) in enumerate(zip(classes.names, classes.units, strict=True)):
        entry: dict[str, Any] = {"name": name, "unit": unit, "label": _label(labels, unit), "count": classes.count(k)}
        if classes.purity:
            entry["purity"] = round(classes.purity[k], 4)
        listed.append(entry)
    return {
        "spec": world.request.images or "builtin",
        "name": world.images.name,
        "count": len(world.images),
        "classes": listed,
        "labels_from": classes.source,
        "fit": None if classes.fit is None else asdict(classes.fit),
        "digest": world.identity["images"],
        "skipped": [{"name": s.name, "reason": s.reason} for s in world.skipped],
    }


def _settings(world: World) -> dict[str, Any]:
    request = world.request
    settings = settings_of(world)
    plain = {**json.loads(canonical(settings)), "rate": settings.learning_rate(0)}
    plain.pop("type", None)
    scale = request.scale
    return {
        **plain,
        "seed": request.seed,
        "quick": request.quick,
        "batch": world.pictures,
        "images_batch": world.batch,
        "images_compared": scale.compared,
        "images_own": scale.own,
        "resamples": scale.resamples,
    }


def _layers(world: World, chosen: Chosen) -> list[dict[str, Any]]:
    wanted = {*world.curve, *(unit.layer for unit in chosen.all)}
    return [
        {"name": layer.name, "kind": layer.kind, "shape": list(layer.shape), "units": layer.units}
        for layer in world.layers
        if layer.name in wanted
    ]


def _unit(world: World, unit: Unit, chosen: Chosen, known: tuple[Classes, Results]) -> dict[str, Any]:
    classes, results = known
    is_class = unit in chosen.classes
    seen = results.seen.get(str(unit))
    own = classes.of_unit(unit.channel) if is_class else []
    return {
        "unit": str(unit),
        "layer": unit.layer,
        "channel": unit.channel,
        "label": _label(world.model.labels, unit.channel) if is_class else None,
        "role": "class" if is_class else "unit",
        "pictures": list(results.pictures.get(str(unit), ())),
        "exemplars": {end: _shown(world, classes, seen, end) for end in ("top", "bottom")},
        "natural": None if seen is None else {**_natural(seen["responses"], own), "key": results.keys[str(unit)]},
        "judgement": results.verdicts.get(str(unit)),
    }


def _shown(world: World, classes: Classes, seen: Mapping[str, Any] | None, end: str) -> list[dict[str, Any]]:
    if seen is None:
        return []
    found = []
    for index, blob in zip(seen["shown"][end], seen["blobs"][end], strict=True):
        member = classes.members[index]
        shown = {"image": blob, "id": world.images.ids[index], "response": seen["responses"][index]}
        found.append({**shown, "class": None if member is None else classes.names[member]})
    return found


def _natural(responses: Sequence[float], own: Sequence[int]) -> dict[str, Any]:
    values = np.asarray(responses, np.float64)
    return {
        "quantiles": quantiles(values),
        "mean": float(values.mean()),
        "std": float(values.std()),
        "count": len(values),
        "own_class_mean": float(values[list(own)].mean()) if own else None,
    }


def _label(labels: Sequence[str], unit: int | None) -> str | None:
    return labels[unit] if unit is not None and unit < len(labels) else None
