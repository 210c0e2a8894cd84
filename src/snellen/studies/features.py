"""Features of pictures and photographs, read before the layer in question."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from snellen.measures import textures
from snellen.models import Unit, observe, responses
from snellen.studies.natural import batches
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
    parts = [_means(world, layers, b) | {TEXTURES: textures(b.cpu().float()).double().numpy()} for b in images]
    return _joined(parts)


def channel_means(world: World, layers: Sequence[str], images: Iterable[Tensor]) -> Features:
    """Every channel's mean over positions, (n, d), by layer.

    Args:
        world: the network.
        layers: addresses.
        images: batches, at least one.
    """
    return _joined([_means(world, layers, batch) for batch in images])


def natural_means(
    world: World, layers: Sequence[str], chosen: Sequence[int], *, more: Callable[[int], None] = lambda _count: None
) -> Features:
    """The same of natural images, looked at once for all checks that ask for the same ones.

    Args:
        world: the network, as it is: nothing may stand in for a part of it.
        layers: addresses.
        chosen: indices of the images.
        more: told how many more are looked at.
    """
    known = world.means.setdefault(tuple(chosen), {})
    missing = [name for name in layers if name not in known]
    if missing:
        parts = []
        for chunk, images in batches(world, chosen):
            parts.append(_means(world, missing, images))
            more(len(chunk))
        known |= _joined(parts)
    else:
        more(len(chosen))
    return {name: known[name] for name in layers}


def _means(world: World, layers: Sequence[str], batch: Tensor) -> Features:
    seen = observe(world.model, batch, layers) if layers else {}
    return {name: responses(seen[name]).double().cpu().numpy() for name in layers}


def _joined(parts: Sequence[Features]) -> Features:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def spaces_of(world: World, layer: str) -> tuple[str, ...]:
    """The main layers that end before a layer ends and are no part of it, in order."""
    found: list[str] = []
    for known in world.layers:
        if known.name == layer:
            break
        if known.main and not known.name.startswith(f"{layer}."):
            found.append(known.name)
    return tuple(found)


def space_of(world: World, layer: str) -> str | None:
    """The last of the main layers before a layer; None before the first one."""
    return next(reversed(spaces_of(world, layer)), None)


def by_layer(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Entries of units by layer, in order."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(Unit.parse(entry["unit"]).layer, []).append(entry)
    return found
