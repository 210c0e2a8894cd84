"""Natural images through the network: what the model takes them for, and how strongly each excites each unit."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from snellen.base import ModelError, key
from snellen.jobs import Context
from snellen.models import Unit
from snellen.models.edits import frozen, streamlined
from snellen.pictures import exemplars
from snellen.studies.world import World

THUMBNAIL = 224


def predict(world: World) -> Callable[[Mapping[str, Any], Context], Iterator[tuple[str, Any]]]:
    """A job's function: the model's top class for every image of the job's."""

    def function(spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
        top: list[int] = []
        with fast(world), torch.no_grad():
            for chunk, images in batches(world, spec["images"]):
                said = world.model(images).flatten(1)
                if not said.isfinite().all():
                    odd = world.images.ids[chunk[int((~said.isfinite()).any(1).nonzero()[0])]]
                    raise ModelError(
                        f"expected finite outputs for natural images, got others for {odd}; mend the network"
                    )
                top += said.argmax(1).tolist()
                context.tick(len(top) / len(spec["images"]))
        yield "result", top

    return function


def find_exemplars(world: World) -> Callable[[Mapping[str, Any], Context], Iterator[tuple[str, Any]]]:
    """A job's function: for every unit (a part each) all natural responses, and its top and bottom images as blobs."""

    def function(spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
        units, shown = [Unit.parse(text) for text in spec["units"]], spec["shown"]
        count = Counter(len(world.images), context.tick)
        with fast(world):
            found = exemplars(
                world.model, world.images, units, most=spec["most"], batch=world.batch, progress=count.more
            )
        thumbnail = cache(partial(_thumbnail, world, context))
        rows = zip(found.responses.tolist(), found.top.tolist(), found.bottom.tolist(), strict=True)
        for unit, (responses, top, bottom) in zip(units, rows, strict=True):
            ends = {"top": top[:shown], "bottom": bottom[:shown]}
            blobs = {end: [thumbnail(i) for i in picked] for end, picked in ends.items()}
            yield str(unit), {"responses": responses, "top": top, "shown": ends, "blobs": blobs}

    return function


class Counter:
    """Turns "so many more" into a fraction of a total.

    Args:
        total: what the whole comes to.
        tick: told the fraction.
    """

    def __init__(self, total: int, tick: Callable[[float], None]) -> None:
        self._done, self._total, self._tick = 0, total, tick

    def more(self, count: int) -> None:
        """So many more are done."""
        self._done += count
        self._tick(self._done / self._total)

    def through(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """Batches, each counted when the next one is asked for."""
        for batch in batches:
            yield batch
            self.more(len(batch))


def batches(
    world: World, indices: Sequence[int] | None = None, batch: int | None = None
) -> Iterator[tuple[list[int], Tensor]]:
    """Natural images on the model's device."""
    for chunk, images in world.images.batches(world.model.size, batch or world.batch, indices):
        yield chunk, images.to(world.model.device)


def batched(world: World, pictures: Tensor) -> Iterator[Tensor]:
    """Pictures on the model's device, as many at once as natural images."""
    for start in range(0, len(pictures), world.batch):
        yield pictures[start : start + world.batch].to(world.model.device)


@contextlib.contextmanager
def fast(world: World) -> Iterator[None]:
    """The same network, with its slow pieces lowered while the context is open."""
    with frozen(world.model.module), streamlined(world.model.module):
        yield


def _thumbnail(world: World, context: Context, index: int) -> str:
    name = key({"thumbnail": world.images.ids[index], "px": THUMBNAIL, "images": world.identity["images"]})
    return context.store.put_blob(name, ".jpg", world.images.thumbnail(index, THUMBNAIL))
