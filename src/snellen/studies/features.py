"""Features of pictures and photographs, read before the layer in question."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from snellen.measures import textures
from snellen.models import Unit, observe, responses
from snellen.studies.world import World

TEXTURES = "textures"
Features = dict[str, np.ndarray]
Entry = Mapping[str, Any]


def features(world: World, layer: str | None, images: Iterable[Tensor]) -> Features:
    """By space: every channel's mean over positions at the layer, if there is one before; and textures."""
    inside, outside = [], []
    for batch in images:
        if layer is not None:
            inside.append(responses(observe(world.model, batch, [layer])[layer]).double().cpu().numpy())
        outside.append(textures(batch.cpu().float()).double().numpy())
    found = {} if layer is None else {layer: np.concatenate(inside)}
    return {**found, TEXTURES: np.concatenate(outside)}


def space_of(world: World, layer: str) -> str | None:
    """The main layer that ends last before a layer ends and is no part of it; None before the first one."""
    before: str | None = None
    for known in world.layers:
        if known.name == layer:
            break
        if known.main and not known.name.startswith(f"{layer}."):
            before = known.name
    return before


def by_layer(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Entries of units by layer, in order."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(Unit.parse(entry["unit"]).layer, []).append(entry)
    return found
