"""Viewers: feature spaces in which somebody who knows nothing of a unit may look at its pictures and at photographs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from snellen.measures import textures
from snellen.models import Model, main_layers, observe, responses
from snellen.models.survey import survey
from snellen.studies.features import TEXTURES
from snellen.studies.natural import batched, batches
from snellen.studies.world import World

PIXELS = "pixels"
_SIDE = 16  # of the pixels that a viewer of pixels sees
_DEPTHS = (0.6, 1.0)


@dataclass(frozen=True, eq=False)
class View:
    """What a viewer sees.

    Args:
        name: "pixels", "textures", a layer of the audited network, or "NETWORK, LAYER" of another one.
        natural: (n, d) of photographs.
        pictures: (p, d) of pictures.
    """

    name: str
    natural: Float[np.ndarray, "n d"]
    pictures: Float[np.ndarray, "p d"]


def views(
    world: World,
    other: Model | None,
    natural: Sequence[int],
    pictures: Float[Tensor, "p 3 h w"],
    *,
    own: Sequence[str],
    tick: Callable[[float], None],
) -> tuple[View, ...]:
    """Photographs and pictures as every viewer sees them.

    Args:
        world: the audited network and photographs.
        other: an independent network; None for none.
        natural: indices of photographs.
        pictures: RGB in [0, 1].
        own: layers of the audited network.
        tick: told the fraction that is done.
    """
    device, total, done = world.model.device, (1 + (other is not None)) * len(natural) + len(pictures), 0

    def counted(images: Iterable[Tensor]) -> Iterable[Tensor]:
        nonlocal done
        for batch in images:
            yield batch
            done += len(batch)
            tick(min(done / total, 1.0))

    found = _gathered(counted(images for _, images in batches(world, natural)), world.model, own, outside=True)
    drawn = _gathered(counted(batched(world, pictures)), world.model, own, outside=True)
    if other is not None:
        layers = viewer_layers(other)
        loaded = (images.to(device) for _, images in world.images.batches(other.size, world.batch, natural))
        resized = (_resized(batch, other.size) for batch in batched(world, pictures))
        names = {layer: f"{other.name}, {layer}" for layer in layers}
        found |= {names[k]: v for k, v in _gathered(counted(loaded), other, layers, outside=False).items()}
        drawn |= {names[k]: v for k, v in _gathered(resized, other, layers, outside=False).items()}
    return tuple(View(name, found[name], drawn[name]) for name in found)


def viewer_layers(model: Model) -> tuple[str, ...]:
    """Of another network: a layer past its middle, and the last before its classes."""
    inner = [name for name in main_layers(model) if name != survey(model).class_layer]
    return tuple(dict.fromkeys(inner[round(depth * (len(inner) - 1))] for depth in _DEPTHS)) if inner else ()


def _gathered(images: Iterable[Tensor], model: Model, layers: Sequence[str], *, outside: bool) -> dict[str, np.ndarray]:
    """By space: means over positions at layers; and, seen from outside, textures and pixels."""
    found: dict[str, list[Tensor]] = {}
    for batch in images:
        seen = observe(model, batch, layers) if layers else {}
        for name in layers:
            found.setdefault(name, []).append(responses(seen[name]).double().cpu())
        if outside:
            small = batch.float().cpu()
            found.setdefault(TEXTURES, []).append(textures(small).double())
            size = (min(_SIDE, small.shape[2]), min(_SIDE, small.shape[3]))
            found.setdefault(PIXELS, []).append(F.adaptive_avg_pool2d(small, size).flatten(1).double())
    return {name: torch.cat(parts).numpy() for name, parts in found.items()}


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(images, size, mode="bilinear", antialias=True).clamp(0, 1)
