"""Natural images through the network: what the model takes them for, and how strongly each excites each unit."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from snellen.audit.world import World
from snellen.base import key
from snellen.jobs import Context
from snellen.models import Unit, observe, response
from snellen.models.edits import frozen, streamlined

THUMBNAIL = 224


def predict(world: World) -> Callable[[Mapping[str, Any], Context], Iterator[tuple[str, Any]]]:
    """A job's function: the model's top class for every image."""

    def function(_spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
        top: list[int] = []
        with fast(world), torch.no_grad():
            for chunk, images in batches(world):
                top += world.model(images).argmax(1).tolist()
                context.tick((chunk[-1] + 1) / len(world.images))
        yield "result", top

    return function


def find_exemplars(world: World) -> Callable[[Mapping[str, Any], Context], Iterator[tuple[str, Any]]]:
    """A job's function: for every unit (a part each) all natural responses, and its top and bottom images as blobs."""

    def function(spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
        units = [Unit.parse(text) for text in spec["units"]]
        found = _responses(world, units, context)
        for unit, values in zip(units, found, strict=True):
            order = sorted(range(len(values)), key=lambda i: (-values[i], i))
            shown = {"top": order[: spec["shown"]], "bottom": order[::-1][: spec["shown"]]}
            blobs = {end: [_thumbnail(world, i, context) for i in picked] for end, picked in shown.items()}
            yield str(unit), {"responses": values, "top": order[: spec["most"]], "shown": shown, "blobs": blobs}

    return function


def batches(
    world: World, indices: Sequence[int] | None = None, batch: int | None = None
) -> Iterator[tuple[list[int], Tensor]]:
    """Natural images on the model's device."""
    for chunk, images in world.images.batches(world.model.size, batch or world.batch, indices):
        yield chunk, images.to(world.model.device)


@contextlib.contextmanager
def fast(world: World) -> Iterator[None]:
    """The same network, with its slow pieces lowered while the context is open."""
    with frozen(world.model.module), streamlined(world.model.module):
        yield


def _responses(world: World, units: Sequence[Unit], context: Context) -> list[list[float]]:
    addresses = list(dict.fromkeys(unit.address for unit in units))
    found: list[list[float]] = [[] for _ in units]
    with fast(world):
        for chunk, images in batches(world):
            activations = observe(world.model, images, addresses)
            for values, unit in zip(found, units, strict=True):
                values += response(activations[unit.address], unit).float().tolist()
            context.tick((chunk[-1] + 1) / len(world.images))
    return found


def _thumbnail(world: World, index: int, context: Context) -> str:
    name = key({"thumbnail": world.images.ids[index], "px": THUMBNAIL, "images": world.identity["images"]})
    if not context.store.has(name, ".jpg"):
        context.store.put(name, ".jpg", world.images.thumbnail(index, THUMBNAIL))
    return context.store.name(name, ".jpg")
