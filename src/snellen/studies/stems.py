"""The first layers of a network: the pixels under each of their places, and what they make of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from snellen.base import Seed, evenly
from snellen.models import observe
from snellen.studies.world import World

FIRST = 3
"""Convolutions that are tried: a detector's own may run before the network's."""
BEHIND = 3
"""Layers behind each that are looked at, too: a norm after a convolution is one with it."""
WIDEST = 1024
"""Pixels under a kernel, times colours; photographs do not suffice for more."""
CHANNELS = 32
"""Of a layer that are looked at."""
_COLOURS = 3


@dataclass(frozen=True)
class Stem:
    """A convolution near the pixels, and the layers behind it.

    Args:
        layers: names, the convolution's first.
        kernel: height and width in taps.
        stride: of its places.
        dilation: of its taps.
        padding: rows above and columns to the left of the first pixel.
    """

    layers: tuple[str, ...]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int]

    @property
    def wide(self) -> int:
        """How many numbers lie under a place."""
        return _COLOURS * self.kernel[0] * self.kernel[1]

    def shifted(self) -> Iterator["Stem"]:
        """The same, as it may lie where the network pads or crops by itself: in the order of trying."""
        yield self
        for margin in range(max(self.kernel)):
            if (margin, margin) != self.padding:
                yield replace(self, padding=(margin, margin))

    def framed(self, entered: Float[Tensor, "n c h w"], grid: tuple[int, int]) -> Float[Tensor, "n c+1 y x"]:
        """What enters the network and a plane of ones, in a frame of zeros that is as wide as all places need.

        A convolution of this is an affine map at the edge, too, whatever constant it is that the network pads with.

        Args:
            entered: of the network.
            grid: rows and columns of places.
        """
        frame: list[int] = []
        for side, count, k, s, d, p in zip(
            entered.shape[2:], grid, self.kernel, self.stride, self.dilation, self.padding, strict=True
        ):
            frame = [p, (count - 1) * s + d * (k - 1) + 1 - p - side, *frame]  # below 0 where the last are in no place
        return F.pad(torch.cat([entered, torch.ones_like(entered[:, :1])], 1), frame)


@dataclass(frozen=True, eq=False)
class Patches:
    """Places of images.

    Args:
        pixels: (n, r, d) under each of r places of every image.
        said: by layer (n, r, k): its channels there.
    """

    pixels: Float[np.ndarray, "n r d"]
    said: Mapping[str, Float[np.ndarray, "n r k"]]


def stems(world: World) -> tuple[Stem, ...]:
    """The first convolutions that take pixels for all we know: of as many channels as a picture has."""
    modules = dict(world.model.module.named_modules())
    names = [layer.name for layer in world.layers]
    found = []
    for place, name in enumerate(names):
        module = modules[name]
        if isinstance(module, nn.Conv2d) and module.in_channels in (1, _COLOURS):
            found.append(_stem(tuple(names[place : place + 1 + BEHIND]), module))
    return tuple(stem for stem in found[:FIRST] if stem.wide <= WIDEST)


def _stem(layers: tuple[str, ...], module: nn.Conv2d) -> Stem:
    def two(values: Sequence[int]) -> tuple[int, int]:
        return int(values[0]), int(values[1])

    size, dilation, padding = two(module.kernel_size), two(module.dilation), module.padding
    if isinstance(padding, str):
        same = (dilation[0] * (size[0] - 1) // 2, dilation[1] * (size[1] - 1) // 2)
        padding = same if padding == "same" else (0, 0)
    return Stem(layers, size, two(module.stride), dilation, two(padding))


def patches(world: World, stem: Stem, images: Iterable[Tensor], *, places: int, seed: Seed) -> Patches | None:
    """Some places of every image, chosen at random among those whose pixels all lie inside.

    Args:
        world: the network.
        stem: where; its layers that have another grid than the first are left out.
        images: batches of them, RGB in [0, 1].
        places: of each image, at most.
        seed: of the choice, the same for all images.

    Returns:
        None where the convolution is no map or no place of it lies inside.
    """
    pixels: list[Tensor] = []
    said: dict[str, list[Tensor]] = {}
    for batch in images:
        read = observe(world.model, batch, stem.layers)
        grid = read[stem.layers[0]].shape[2:]
        if len(grid) != 2 or not len(spots := _spots(stem, tuple(batch.shape[2:]), tuple(grid))):
            return None
        chosen = np.random.default_rng(seed.value).choice(len(spots), min(places, len(spots)), replace=False)
        where = torch.tensor(spots[np.sort(chosen)], device=batch.device)
        pixels.append(under(stem, batch, where).double().cpu())
        for name, values in read.items():
            if values.shape[2:] == grid:
                channels = values[:, evenly(values.shape[1], CHANNELS)]
                there = channels[:, :, where[:, 0], where[:, 1]].permute(0, 2, 1)
                said.setdefault(name, []).append(there.double().cpu())
    if not pixels:
        return None
    return Patches(torch.cat(pixels).numpy(), {name: torch.cat(parts).numpy() for name, parts in said.items()})


def _spots(stem: Stem, size: tuple[int, ...], grid: tuple[int, ...]) -> np.ndarray:
    """Rows and columns of the places all of whose pixels lie inside."""
    axes = []
    for side, count, k, s, d, p in zip(size, grid, stem.kernel, stem.stride, stem.dilation, stem.padding, strict=True):
        start = np.arange(count) * s - p
        axes.append(np.flatnonzero((start >= 0) & (start + d * (k - 1) < side)))
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)


def everywhere(
    stem: Stem, size: tuple[int, int], grid: tuple[int, int], *, places: int, seed: Seed
) -> Int[np.ndarray, "r 2"]:
    """Rows and columns of places: some at random, and one of every way to hang over the edge.

    Args:
        stem: where.
        size: height and width of the pictures.
        grid: rows and columns of all places.
        places: at random, at most.
        seed: of the choice.
    """
    kinds = []
    for side, count, k, s, d, p in zip(size, grid, stem.kernel, stem.stride, stem.dilation, stem.padding, strict=True):
        taps = np.arange(count)[:, None] * s - p + d * np.arange(k)
        kinds.append(np.unique((taps >= 0) & (taps < side), axis=0, return_index=True)[1])
    edge = np.stack(np.meshgrid(*kinds, indexing="ij"), -1).reshape(-1, 2)
    total = grid[0] * grid[1]
    chosen = np.random.default_rng(seed.value).choice(total, min(places, total), replace=False)
    return np.unique(np.concatenate([edge, np.stack(np.divmod(chosen, grid[1]), -1)]), axis=0)


def under(stem: Stem, batch: Float[Tensor, "n c h w"], where: Tensor) -> Float[Tensor, "n r d"]:
    """The pixels under places.

    Args:
        stem: where.
        batch: pictures, or what enters the network.
        where: (r, 2) rows and columns of places, all of whose pixels lie inside.
    """
    axes = []
    for axis in (0, 1):
        taps = torch.arange(stem.kernel[axis], device=batch.device) * stem.dilation[axis]
        axes.append(where[:, axis, None] * stem.stride[axis] - stem.padding[axis] + taps)
    found = batch[:, :, axes[0][:, :, None], axes[1][:, None, :]]
    return found.permute(0, 2, 1, 3, 4).flatten(2)


def dithered(images: Float[Tensor, "n 3 h w"], numbers: torch.Generator) -> Float[Tensor, "n 3 h w"]:
    """Photographs as they may have been before their pixels were rounded to bytes.

    No network has a reason to mind; and what is fitted on them is fitted in every direction, also in those in which
    photographs that were enlarged or smoothed have no spread at all.

    Args:
        images: in [0, 1].
        numbers: a generator on the CPU.
    """
    noise = torch.rand(images.shape, generator=numbers).to(images)
    return (images + (noise - 0.5) / 255).clamp(0, 1)
