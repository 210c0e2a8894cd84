"""What is measured of one trained network: checks on one study, the last layer rebuilt, what is guaranteed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snellen.base import Tell, UsageError, evenly, silence
from snellen.checks.decoding import Decoding
from snellen.checks.finding import Finding, number
from snellen.checks.path_similarity import PathSimilarity
from snellen.checks.rebuilding import Rebuilding
from snellen.images import ImageSet
from snellen.jobs import Store
from snellen.models import Unit
from snellen.pictures.sheet import from_png
from snellen.structures.structure import Structure
from snellen.studies.features import TEXTURES
from snellen.studies.request import MEMORY, Request
from snellen.studies.study import Study, study_of
from snellen.studies.viewers import PIXELS
from snellen.studies.world import Given, World, open_world

PARTS = ("classes", "first", "second")
"""Of a network: its classes, and units of its shallower and its deeper compared layer."""
NETWORK = "network"
VIEWERS = (PIXELS, TEXTURES, NETWORK)
_QUICK_STEPS = 32


@dataclass(frozen=True)
class Look:
    """How a network is looked at.

    Args:
        viewer: the network with whose eyes pictures are looked at.
        channels: units of each compared layer, at most.
        classes: that are certified.
        quick: fewer photographs and resamples.
        seed: of the pictures and of all that is drawn at random.
    """

    viewer: str = "builtin"
    channels: int = 32
    classes: int = 3
    quick: bool = False
    seed: int = 0


def figures(
    folder: Path, structure: Structure, images: ImageSet, look: Look, *, tell: Tell = silence
) -> dict[str, Any]:
    """Everything that a comparison shows of one network.

    Args:
        folder: of a structured network; results of jobs are kept below it.
        structure: which it is of.
        images: held out, with classes.
        look: how.
        tell: told (title, done, all).

    Returns:
        Plain data: "parameters", "accuracy", "decoding" by part and viewer, "told", "paths", "attainment", "rebuilt",
        "conformal", "certified", and the names of "pictures" in the store by part.
    """
    steps = _QUICK_STEPS if look.quick else None
    request = Request(f"structure:{folder}", MEMORY, steps=steps, viewer=look.viewer, quick=look.quick, seed=look.seed)
    world = open_world(request, Given(None, images), progress=tell)
    named = _units(world, structure.inner, look)
    world = replace(world, request=replace(request, units=tuple(named)))
    checks = [check.sized(quick=look.quick) for check in (Decoding, Rebuilding, PathSimilarity)]
    functions = {name: made for check in checks for name, made in check.functions(world).items()}
    store = Store(folder / "blobs")
    study = study_of(world, store, functions=functions, directions=("max", "min"), by_class=True, progress=tell)
    found = [finding for check in checks for finding in check.examine(study)]
    first = {finding.check: finding for finding in reversed(found)}  # of several groups the classes come first
    parts = _parts(world, named, structure.inner)
    return {
        "parameters": world.model.parameters,
        "accuracy": accuracy(world, tell=tell),
        **_decoded(first[Decoding.name], parts),
        "paths": first[PathSimilarity.name].figure if PathSimilarity.name in first else None,
        **_rebuilt(first.get(Rebuilding.name)),
        "certified": certified(structure, world, look, tell=tell),
        "pictures": {part: _names(study, units) for part, units in parts.items()},
    }


def _units(world: World, inner: Sequence[str], look: Look) -> list[str]:
    """All classes, and units of every compared layer at even places; before a closing ReLU where there is one."""
    if world.class_layer is None:
        raise UsageError(f"expected a network with a layer of classes, got {world.model.name}")
    found = [str(Unit(world.class_layer, k)) for k in range(world.outputs)]
    for name in inner:
        layer = world.layer(name)
        found += [str(Unit(name, k, pre=layer.rectified)) for k in evenly(layer.units, min(layer.units, look.channels))]
    return found


def _parts(world: World, named: Sequence[str], inner: Sequence[str]) -> dict[str, list[str]]:
    layers = dict(zip(PARTS, (world.class_layer, *inner), strict=False))
    return {part: [unit for unit in named if Unit.parse(unit).layer == layer] for part, layer in layers.items()}


@torch.no_grad()
def accuracy(world: World, *, tell: Tell = silence) -> float:
    """Share of the held-out images that are put into their class."""
    labels, right = np.array(world.images.labels), 0
    for rows, batch in world.images.batches(world.model.size, 100):
        right += int((world.model(batch.to(world.model.device)).argmax(1).cpu().numpy() == labels[rows]).sum())
        tell("accuracy", rows[-1] + 1, len(labels))
    return right / len(labels)


def _decoded(finding: Finding, parts: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Means over units, by part and viewer; what is told; conformal widths."""
    rows = {row["unit"]: row for row in finding.evidence["units"]}
    found: dict[str, Any] = {"decoding": {}, "told": {}, "conformal": {}}
    for part, units in parts.items():
        own = [rows[unit] for unit in units if rows.get(unit, {}).get("scores")]
        if not own:
            continue
        eyes = {PIXELS: PIXELS, TEXTURES: TEXTURES, NETWORK: _sharper(own)}
        found["decoding"][part] = {
            name: {kind: _mean(own, eye, kind) for kind in ("pictures", "photographs", "others", "ceiling")}
            for name, eye in eyes.items()
            if eye is not None
        }
        told = [row["told"] for row in own if row["told"] is not None]
        found["told"][part] = number(float(np.median(told)), 4) if told else None
        found["conformal"][part] = {
            kind: number(float(np.median([row["certified"][kind] for row in own])), 4)
            for kind in ("width", "constant_width", "coverage")
        }
    return found


def _sharper(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Of the independent network's layers the one through which photographs predict most."""
    names = [name for name in rows[0]["scores"] if ", " in name]
    return max(names, key=lambda name: _mean(rows, name, "photographs") or 0.0) if names else None


def _mean(rows: Sequence[Mapping[str, Any]], eye: str, kind: str) -> float | None:
    scores = [row["scores"][eye][kind] for row in rows]
    values = [score["spearman"] for score in scores if score is not None and score["spearman"] is not None]
    return number(float(np.mean(values)), 4) if values else None


def _rebuilt(finding: Finding | None) -> dict[str, Any]:
    """Of the last layer; nothing where there are too few classes to rebuild."""
    if finding is None:
        return {"rebuilt": None, "attainment": None}
    right, attained = finding.evidence["accuracy"], finding.evidence["attained"]
    reached = [] if attained is None else [rho for rho in attained["attainment"] if rho is not None]
    return {
        "rebuilt": None
        if right is None
        else {
            "network": right["network"]["share"],
            "pictures": right["pictures"]["share"],
            "photographs": right["by_photographs"],
        },
        "attainment": number(float(np.mean(reached)), 4) if reached else None,
    }


def certified(structure: Structure, world: World, look: Look, *, tell: Tell = silence) -> dict[str, Any] | None:
    """What the structure guarantees of a few classes over the image itself; None where nothing is proved."""
    units = [Unit(str(world.class_layer), k) for k in evenly(world.outputs, min(world.outputs, look.classes))]
    told = structure.guarantee(world.model, units, world.images, quick=look.quick, tell=tell)
    if told is None:
        return None
    figures = {"inside": number(told.inside, 6), "width": number(told.width, 4)}
    ladder = [
        {name: number(value, 4) if name != "pictures" else value for name, value in asdict(rung).items()}
        for rung in told.ladder
    ]
    return {"how": told.how, "pictures": told.pictures, **figures, "ladder": ladder}


def _names(study: Study, units: Sequence[str]) -> list[str | None]:
    shown = {entry["unit"]: entry["image"] for entry in study.drawn}
    return [shown.get(unit) for unit in units]


def drawn(folder: Path, names: Sequence[str], size: int) -> Tensor:
    """Pictures of a network's store, (n, 3, size, size)."""
    store = Store(folder / "blobs")
    return torch.stack([from_png(store.blob(name)) for name in names]) if names else torch.empty(0, 3, size, size)
