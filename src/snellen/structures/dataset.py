"""What a network is trained on and measured with: images with classes, in memory, and how they are varied."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from snellen.base import ImageError, Seed, Tell, UsageError, silence
from snellen.images import ImageSet, open_images

_MARGIN = 8
"""Crops are moved by up to an eighth of the side."""
_HELD = 5
"""Every fifth image of each class is held out where nobody says which."""


@dataclass(frozen=True)
class Split:
    """Which images, before they are read.

    Args:
        training: to train on, as `snellen.open_images` takes them.
        held: to measure with; None for a part of `training`.
    """

    training: str = "builtin:train"
    held: str | None = "builtin"

    def open(self, *, tell: Tell = silence) -> tuple[ImageSet, ImageSet]:
        """Both sets: of an .npz file its train and test split; else, where none is held out, every fifth of a class.

        Raises:
            UsageError: the two sets have other classes, or fewer than two.
            ImageError: they cannot be read, or have no classes.
        """
        training, held = self.training, self.held
        if held is None and training.endswith(".npz"):
            training, held = f"{training}:train", f"{training}:test"
        shown = open_images(training, progress=tell)
        if shown.labels is None:
            raise ImageError(
                f"expected images with classes to train on, got {training} without; sort them into folders"
            )
        if held is None:
            asked = [i for own in _by_class(shown) for i in own[_HELD - 1 :: _HELD]]
            told = shown.subset(sorted(asked))
            shown = shown.subset(sorted(set(range(len(shown))) - set(asked)))
        else:
            told = open_images(held, progress=tell)
        if told.class_names != shown.class_names or len(shown.class_names) < 2 or not len(told):
            raise UsageError(
                f"expected images of the same two or more classes to train on and to measure with, got "
                f"{len(shown.class_names)} classes in {training} and {len(told.class_names)} in {held or training}"
            )
        return shown, told


def _by_class(images: ImageSet) -> list[list[int]]:
    labels = images.labels or ()
    return [[i for i, own in enumerate(labels) if own == k] for k in range(len(images.class_names))]


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Images in memory, as bytes.

    Args:
        images: (n, 3, s, s), uint8 RGB.
        labels: (n,).
    """

    images: Tensor
    labels: Int[Tensor, " n"]

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, batch: int, seed: Seed) -> Iterator[tuple[Float[Tensor, "b 3 s s"], Int[Tensor, " b"]]]:
        """All once, in random order, mirrored and moved at random, without a rest that is smaller than the others.

        Args:
            batch: images in each; fewer where there are fewer.
            seed: of the order and of the changes.
        """
        stream = torch.Generator().manual_seed(seed.value)
        order = torch.randperm(len(self), generator=stream)
        size = min(batch, len(self))
        for start in range(0, len(self) - size + 1, size):
            chosen = order[start : start + size]
            yield varied(self.images[chosen].float() / 255, stream), self.labels[chosen]


def varied(images: Float[Tensor, "n 3 s s"], stream: torch.Generator) -> Float[Tensor, "n 3 s s"]:
    """Half of them mirrored, all moved by up to an eighth of their side; what comes in mirrors what is there.

    Args:
        images: RGB.
        stream: random numbers.
    """
    count, side = len(images), images.shape[-1]
    margin = max(side // _MARGIN, 1)
    mirrored = torch.rand(count, generator=stream) < 0.5
    images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    padded = F.pad(images, (margin,) * 4, mode="reflect")
    moved = torch.randint(0, 2 * margin + 1, (count, 2), generator=stream).tolist()
    return torch.stack([padded[i, :, y : y + side, x : x + side] for i, (y, x) in enumerate(moved)])


def read(images: ImageSet, size: int, *, tell: Tell = silence) -> TrainingSet:
    """A whole set at one size.

    Args:
        images: with classes.
        size: side in pixels.
        tell: told (title, read, all).
    """
    found = torch.empty(len(images), 3, size, size, dtype=torch.uint8)
    for rows, batch in images.batches((size, size), 64):
        found[rows[0] : rows[-1] + 1] = (255 * batch).round().to(torch.uint8)
        tell("reading images", rows[-1] + 1, len(images))
    return TrainingSet(found, torch.tensor(images.labels or ()))
