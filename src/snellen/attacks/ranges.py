"""What natural images do to a layer: its inputs, and the range of every unit's responses."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from snellen.base import Tell, UsageError, silence
from snellen.images import ImageSet
from snellen.models import Model
from snellen.models.circuits import Branch
from snellen.models.edits import frozen
from snellen.models.taps import entering


@dataclass(frozen=True, eq=False)
class Range:
    """Every unit's least, mean and largest value over images (and positions).

    Args:
        low, mean, high: (o,).
    """

    low: Float[Tensor, " o"]
    mean: Float[Tensor, " o"]
    high: Float[Tensor, " o"]

    @property
    def room(self) -> tuple[Float[Tensor, " o"], Float[Tensor, " o"]]:
        """From the mean to either end, and more than rounding where a unit says one thing only."""
        least = 1e-6 + 1e-4 * torch.maximum(self.high.abs(), self.low.abs())
        return torch.maximum(self.mean - self.low, least), torch.maximum(self.high - self.mean, least)

    def wider(self, margin: float) -> tuple[Float[Tensor, " o"], Float[Tensor, " o"]]:
        """Both ends, moved out by `margin` times their distance from the mean."""
        below, above = self.room
        return self.low - margin * below, self.high + margin * above

    def margins(self, values: Float[Tensor, "n o p"], *, below: bool = False) -> Float[Tensor, " n"]:
        """For each image the margin by which the range would have to be wider to hold it; negative inside.

        Args:
            values: of images, units and positions.
            below: whether leaving it at the lower end counts.
        """
        down, up = self.room
        found = ((values - self.high[:, None]) / up[:, None]).flatten(1).amax(1)
        if not below:
            return found
        return torch.maximum(found, ((self.low[:, None] - values) / down[:, None]).flatten(1).amax(1))


def natural_ranges(
    model: Model, name: str, circuit: Branch, images: ImageSet, *, tell: Tell = silence
) -> tuple[Range, Range]:
    """The ranges of a silent branch at all positions, borders with the layer's own padding, and of its layer's means.

    Args:
        model: the honest network.
        name: of the layer.
        circuit: whose branch reads what enters the layer.
        images: natural.
        tell: told (title, done, all).

    Raises:
        UsageError: there are no images.
    """
    seen: list[_Extremes] = [_Extremes(), _Extremes()]
    for values in responses(model, name, circuit, images):
        for extremes, part in zip(seen, values, strict=True):
            extremes.add(part)
        tell("calibration", seen[0].count, len(images))
    if not seen[0].count:
        raise UsageError("expected natural images to calibrate on, got none")
    return seen[0].range, seen[1].range


class _Extremes:
    def __init__(self) -> None:
        self.count = 0
        self.low = self.high = self.total = torch.zeros(())

    def add(self, values: Float[Tensor, "n o p"]) -> None:
        low, high = values.amin((0, 2)), values.amax((0, 2))
        self.low = torch.minimum(self.low, low) if self.count else low
        self.high = torch.maximum(self.high, high) if self.count else high
        self.total = self.total + values.mean(2).sum(0)
        self.count += len(values)

    @property
    def range(self) -> Range:
        return Range(self.low, self.total / self.count, self.high)


def responses(model: Model, name: str, circuit: Branch, images: ImageSet) -> Iterator[tuple[Tensor, Tensor]]:
    """For each batch what the branch says at all positions, (n, o, p), and the means of its layer, (n, o, 1)."""
    layer = model.module.get_submodule(name)
    for _, batch in images.batches(model.size, 16):
        with torch.no_grad(), frozen(model.module):
            features = entering(model, name, batch)
            said, means = circuit.branch(features), circuit.means(layer(features))
        rows = said.flatten(2) if said.dim() == 4 else said.reshape(len(said), -1, said.shape[-1]).transpose(1, 2)
        yield rows, means[..., None]
