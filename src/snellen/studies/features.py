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


def features(world: World, layers: Sequence[str], images: Iterable[Tensor]) -> Features:
    """By space: every channel's mean over positions at layers, and textures.

    Args:
        world: the network.
        layers: addresses.
        images: batches.
    """
    found: dict[str, list[np.ndarray]] = {name: [] for name in (*layers, TEXTURES)}
    for batch in images:
        seen = observe(world.model, batch, layers) if layers else {}
        for name in layers:
            found[name].append(responses(seen[name]).double().cpu().numpy())
        found[TEXTURES].append(textures(batch.cpu().float()).double().numpy())
    return {name: np.concatenate(parts) for name, parts in found.items()}


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
