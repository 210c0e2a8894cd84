"""The sanity check as a job: pictures and natural images through the network, side by side."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from snellen.base import Seed
from snellen.findings import Group, Grouping, Paths, measure_paths, path_similarity
from snellen.jobs import Context
from snellen.models import observe
from snellen.studies.natural import Counter, batches, fast
from snellen.studies.stored import stacked
from snellen.studies.world import World


class Activations:
    """What a check reads: natural images first, then pictures, numbered on.

    Args:
        world: model and images.
        natural: which natural images, in order.
        pictures: (p, 3, h, w).
        progress: called with the number of images just seen.
    """

    def __init__(
        self, world: World, natural: Sequence[int], pictures: Tensor, progress: Callable[[int], None] | None = None
    ) -> None:
        self._world, self._natural, self._pictures = world, list(natural), pictures
        self._progress = progress

    @property
    def sizes(self) -> Mapping[str, int]:
        """How many numbers one image's activation has, by layer."""
        return {layer.name: math.prod(layer.shape) for layer in self._world.layers}

    def activations(
        self, layers: Sequence[str], indices: Sequence[int]
    ) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
        """Activations in batches, every index once; the forward pass stops at the deepest layer."""
        with fast(self._world):
            for numbers, images in self._images(indices):
                yield numbers, observe(self._world.model, images, layers)
                if self._progress is not None:
                    self._progress(len(numbers))

    def _images(self, indices: Sequence[int]) -> Iterator[tuple[list[int], Tensor]]:
        first_picture, batch = len(self._natural), self._world.batch
        natural = [i for i in indices if i < first_picture]
        start = 0
        for chunk, images in batches(self._world, [self._natural[i] for i in natural], batch):
            yield natural[start : start + len(chunk)], images
            start += len(chunk)
        drawn = [i for i in indices if i >= first_picture]
        for start in range(0, len(drawn), batch):
            numbers = drawn[start : start + batch]
            chosen = self._pictures[[i - first_picture for i in numbers]]
            yield numbers, chosen.to(self._world.model.device)


def compare_paths(world: World) -> Callable[[Mapping[str, Any], Context], Iterator[tuple[str, Any]]]:
    """A job's function: measures all images at all layers once; a finding for every group (a part each)."""

    def function(spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
        names = spec["pictures"]
        drawn = stacked(context, names) if names else torch.empty(0, 3, *world.model.size)
        total = len(spec["natural"]) + len(names)
        source = Activations(world, spec["natural"], drawn, Counter(2 * total, context.tick).more)
        paths = measure_paths(source, spec["layers"], total)
        for group in spec["groups"]:
            members = tuple(Group(tuple(g["images"]), tuple(g["pictures"])) for g in group["groups"])
            upto = Paths(tuple(group["layers"]), {name: paths.matrices[name] for name in group["layers"]})
            finding = path_similarity(
                upto,
                Grouping(group["name"], members),
                seed=Seed(spec["seed"]).fork("paths", group["name"]),
                resamples=spec["resamples"],
            )
            yield group["name"], finding.as_data()

    return function
