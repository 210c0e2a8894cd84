"""From units and classes to jobs. Batches are part of the plan, so that a resumed run computes the same ones."""

import json
from collections.abc import Iterator, Sequence

from snellen.base import canonical
from snellen.jobs import Job
from snellen.models import Unit
from snellen.studies.choice import Chosen
from snellen.studies.drawings import BACKWARD, settings_of
from snellen.studies.world import World, spread

ASKED = 2000  # images of classes that the network is asked about


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
    return Job("draw", spec, names, title, BACKWARD * len(batch) * settings.steps)


def _batches(world: World, chosen: Chosen) -> Iterator[tuple[Unit, ...]]:
    for part in (chosen.classes, chosen.inner):
        for address in dict.fromkeys(unit.address for unit in part):
            units = [u for u in part if u.address == address]
            for start in range(0, len(units), world.pictures):
                yield tuple(units[start : start + world.pictures])
