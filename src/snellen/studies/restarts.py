"""Short drawings that start elsewhere: from pictures of one colour, where a unit's own starts from grey."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from snellen.base import Seed, evenly
from snellen.jobs import Context, Function, Job
from snellen.models import Unit
from snellen.pictures import render
from snellen.pictures.canvas import generator
from snellen.pictures.sheet import png
from snellen.studies.drawings import BACKWARD, settings_of
from snellen.studies.features import by_layer
from snellen.studies.natural import Counter
from snellen.studies.study import Entry, Study
from snellen.studies.world import World

RESTART = "restart"
"""Name of the jobs."""


def restarts(study: Study, starts: int, most: int) -> dict[str, list[str]]:
    """Of each unit's further drawings the names of those that went well, in order; checks that ask alike share them.

    Args:
        study: whose units.
        starts: drawings of each.
        most: units of a layer, spread evenly, at most.
    """
    world, found = study.world, dict[str, list[str]]()
    width = max(1, world.pictures // starts)
    for layer, members in by_layer(study.entries).items():
        chosen: list[Entry] = [members[i] for i in evenly(len(members), most)]
        for first in range(0, len(chosen), width):
            units = tuple(entry["unit"] for entry in chosen[first : first + width])
            spec = {
                "world": world.identity,
                "units": list(units),
                "starts": starts,
                "steps": steps_of(world),
                "seed": world.request.seed,
            }
            cost = restart_cost(world, starts, len(units))
            told = study.do(Job(RESTART, spec, units, f"{layer} drawn from other starts", cost))
            found |= {unit: told[unit]["blobs"]["starts"] for unit in units}
    return found


def restart(world: World) -> Function:
    """A job's function: a few units drawn from colours; a part for each unit."""

    def function(spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
        units, count = [Unit.parse(unit) for unit in spec["units"]], spec["starts"]
        roots = [Seed(spec["seed"]).fork(RESTART, str(unit), k) for unit in units for k in range(count)]
        drawn = render(
            world.model,
            [unit for unit in units for _ in range(count)],
            settings_of(world, steps=spec["steps"]),
            seeds=roots,
            start=torch.cat([colour(root).expand(1, 3, *world.model.size) for root in roots]),
            batch=len(roots),
            progress=Counter(len(roots) * spec["steps"], context.tick).more,
        )
        if "interrupted" in drawn.status:
            raise KeyboardInterrupt
        for i, unit in enumerate(map(str, units)):
            fine = [k for k in range(i * count, (i + 1) * count) if drawn.status[k] == "ok"]
            names = [context.store.put_blob(context.keys[unit], ".png", png(drawn.images[k])) for k in fine]
            yield unit, {"blobs": {"starts": names}}

    return function


def colour(seed: Seed) -> Float[Tensor, "1 3 1 1"]:
    """One of all colours, each as likely."""
    return torch.rand(1, 3, 1, 1, generator=generator(seed.fork("colour")))


def steps_of(world: World) -> int:
    """An eighth of the pictures' own steps: enough to say where a drawing goes."""
    return max(16, settings_of(world).steps // 8)


def restart_cost(world: World, starts: int, units: int) -> float:
    """In forward passes."""
    return BACKWARD * starts * units * steps_of(world)
