"""Units drawn in other ways as jobs: another canvas, optimizer or start."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from snellen.base import Seed
from snellen.jobs import Context
from snellen.pictures import Settings, canvas_named, render
from snellen.pictures.gallery import finite
from snellen.pictures.sheet import png
from snellen.studies.drawings import settings_of
from snellen.studies.natural import Counter
from snellen.studies.world import World


def vary(world: World) -> Callable[[Mapping[str, Any], Context], Iterator[tuple[str, Any]]]:
    """A job's function: renders a batch of units in one way; a part for each unit."""

    def function(spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
        units = [entry["unit"] for entry in spec["units"]]
        settings = changed(settings_of(world), spec["changes"], spec["steps"])
        drawn = render(
            world.model,
            units,
            settings,
            seeds=Seed(spec["seed"]).fork("variant", spec["variant"]),
            start=_start(world, spec),
            batch=len(units),
            progress=Counter(len(units) * settings.steps, context.tick).more,
        )
        if "interrupted" in drawn.status:
            raise KeyboardInterrupt
        for i, unit in enumerate(units):
            image = None
            if drawn.status[i] == "ok":
                image = context.store.put_blob(context.keys[unit], ".png", png(drawn.images[i]))
            yield unit, {"image": image, "status": drawn.status[i], "response": finite(float(drawn.responses[i]))}

    return function


def changed(settings: Settings, changes: Mapping[str, str], steps: int) -> Settings:
    """The settings of a variant: other canvas or optimizer, and so many steps."""
    settings = replace(settings, steps=steps)
    if "canvas" in changes:
        settings = replace(settings, canvas=canvas_named(changes["canvas"]))
    if "optimizer" in changes:
        settings = replace(settings, optimizer=changes["optimizer"])  # type: ignore[arg-type]
    return settings


def _start(world: World, spec: Mapping[str, Any]) -> Tensor | None:
    start = spec["changes"].get("start")
    if start == "photograph":
        return torch.stack([world.images.load(entry["from"], world.model.size) for entry in spec["units"]])
    return torch.full((len(spec["units"]), 3, *world.model.size), 0.5) if start == "grey" else None
