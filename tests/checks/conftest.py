"""Activations that are already there, handed out in any batches, order and memory format."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch


@dataclass
class Held:
    """A source over tensors in memory that notes what it was asked for."""

    layers: dict
    batch: int = 4
    shuffled: bool = False
    formats: tuple = (torch.contiguous_format,)  # taken in turn, batch by batch
    change: Callable = lambda chosen, found: (chosen, found)
    asked: list = field(default_factory=list)
    batches: int = 0

    @property
    def sizes(self):
        return {name: t[0].numel() for name, t in self.layers.items()}

    def activations(self, layers, indices):
        self.asked.append((tuple(layers), tuple(indices)))
        order = np.random.default_rng(0).permutation(indices) if self.shuffled else indices
        for start in range(0, len(order), self.batch):
            chosen = [int(i) for i in order[start : start + self.batch]]
            self.batches += 1
            yield self.change(chosen, {name: self._formatted(self.layers[name][chosen]) for name in layers})

    def _formatted(self, tensor):
        wanted = self.formats[self.batches % len(self.formats)]
        return tensor.contiguous(memory_format=wanted) if tensor.dim() == 4 else tensor


def _network(images, seed=0, shapes=((6, 9, 7), (8, 5, 5), (11, 13), (40,))):
    """Random activations of four layers: rectified maps, maps, tokens, a vector."""
    g = torch.Generator().manual_seed(seed)
    layers = {f"layer{i}": torch.randn(images, *shape, generator=g) for i, shape in enumerate(shapes)}
    layers["layer0"] = layers["layer0"].relu()
    return layers


@pytest.fixture(scope="session")
def held():
    """The class of sources over tensors in memory."""
    return Held


@pytest.fixture(scope="session")
def network():
    """Makes random activations of a number of images."""
    return _network
