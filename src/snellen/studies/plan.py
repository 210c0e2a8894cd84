"""From units and classes to jobs. Batches are part of the plan, so that a resumed run computes the same ones."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from snellen.base import canonical
from snellen.images.classes import Classes
from snellen.jobs import Job
from snellen.models import Unit
from snellen.studies.choice import Chosen
from snellen.studies.drawings import settings_of
from snellen.studies.world import World, spread

ASKED = 2000  # images of classes that the network is asked about
_BACKWARD = 3.0  # cost of a step of a picture, in forward passes


def prediction_job(world: World) -> Job:
    """What the model takes the images for; of images with classes so many that it is known which unit a class is."""
    groups: list[list[int]] = [[] for _ in world.images.class_names]
    for index, label in enumerate(world.images.labels or ()):
        groups[label].append(index)
    asked = spread(groups, ASKED) if groups else list(range(len(world.images)))
    return Job("predict", {"world": world.identity, "images": asked}, title="predictions", cost=float(len(asked)))


def exemplar_job(world: World, chosen: Chosen) -> Job:
    """One pass over all natural images."""
    names = tuple(str(unit) for unit in chosen.all)
    scale = world.request.scale
    most = max(scale.exemplars, scale.own)
    spec = {"world": world.identity, "units": names, "shown": scale.exemplars, "most": most}
    return Job("exemplars", spec, names, title="natural images", cost=float(len(world.images)))


def drawing_jobs(world: World, chosen: Chosen) -> tuple[Job, ...]:
    """Pictures in fixed batches: largest first for every unit, then smallest; units of one layer together."""
    return tuple(_drawing(world, batch, direction) for direction in ("max", "min") for batch in _batches(world, chosen))


def path_job(world: World, chosen: Chosen, classes: Classes, drawn: Sequence[Mapping[str, Any]]) -> Job | None:
    """The similarity of paths, for the classes and for the units of every inner layer; None where nothing was drawn.

    Args:
        world: model and images.
        chosen: the audited units.
        classes: of the images.
        drawn: results of the exemplar job and of the drawing jobs with direction "max", merged: by unit
            {"top": indices, "image": blob or None, "status"}.
    """
    by_unit = {entry["unit"]: entry for entry in drawn}
    shown = [u for u in chosen.all if by_unit[str(u)]["status"] == "ok"]
    if not shown or not world.curve:
        return None
    natural = _compared(world, chosen, classes, by_unit)
    number = {index: i for i, index in enumerate(natural)}
    picture = {unit: len(natural) + i for i, unit in enumerate(shown)}
    groups = []
    if chosen.classes:
        groups.append(_class_group(world, classes, number, {u: picture[u] for u in chosen.classes if u in picture}))
    for layer in dict.fromkeys(unit.layer for unit in chosen.inner):
        units = [u for u in chosen.inner if u.layer == layer]
        groups.append(_unit_group(world, layer, number, [(by_unit[str(u)], picture.get(u)) for u in units]))
    spec = {
        "world": world.identity,
        "layers": list(world.curve),
        "natural": natural,
        "pictures": [by_unit[str(u)]["image"] for u in shown],
        "groups": groups,
        "seed": world.request.seed,
        "resamples": world.request.scale.resamples,
    }
    return Job("paths", spec, tuple(g["name"] for g in groups), "similarity of paths", 2.0 * len(natural) + len(shown))


def _drawing(world: World, batch: Sequence[Unit], direction: str) -> Job:
    names = tuple(str(unit) for unit in batch)
    settings = settings_of(world)
    spec = {
        "world": {k: v for k, v in world.identity.items() if k != "images"},
        "units": names,
        "direction": direction,
        "settings": json.loads(canonical(settings)),
        "seed": world.request.seed,
    }
    title = f"{direction} pictures of {batch[0].layer}"
    return Job("draw", spec, names, title, _BACKWARD * len(batch) * settings.steps)


def _batches(world: World, chosen: Chosen) -> Iterator[tuple[Unit, ...]]:
    for part in (chosen.classes, chosen.inner):
        for address in dict.fromkeys(unit.address for unit in part):
            units = [u for u in part if u.address == address]
            for start in range(0, len(units), world.pictures):
                yield tuple(units[start : start + world.pictures])


def _compared(world: World, chosen: Chosen, classes: Classes, by_unit: Mapping[str, Mapping[str, Any]]) -> list[int]:
    """Natural images of the audited classes, then the top images of the inner units; in rising order."""
    scale = world.request.scale
    own = [classes.of_unit(u.channel) for u in chosen.classes]
    top = [i for u in chosen.inner for i in by_unit[str(u)]["top"][: scale.own]]
    return sorted({*spread(own, scale.compared), *top})


def _class_group(
    world: World, classes: Classes, number: Mapping[int, int], picture: Mapping[Unit, int]
) -> dict[str, Any]:
    groups = []
    for unit, drawn in picture.items():
        images = [number[i] for i in classes.of_unit(unit.channel) if i in number]
        groups.append({"images": images, "pictures": [drawn]})
    return {"name": "classes", "layers": list(world.curve), "groups": groups}


def _unit_group(
    world: World, layer: str, number: Mapping[int, int], units: Sequence[tuple[Mapping[str, Any], int | None]]
) -> dict[str, Any]:
    own = world.request.scale.own
    order = {known.name: i for i, known in enumerate(world.layers)}
    upto = [name for name in world.curve if order[name] <= order[layer]] or list(world.curve[:1])
    groups = [
        {"images": sorted(number[i] for i in entry["top"][:own]), "pictures": [] if drawn is None else [drawn]}
        for entry, drawn in units
    ]
    return {"name": f"{layer} units", "layers": upto, "groups": groups}
