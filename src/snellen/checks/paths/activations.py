"""Activations of natural images and pictures, on demand."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from torch import Tensor

from snellen.models import observe
from snellen.studies.natural import batches, fast
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
