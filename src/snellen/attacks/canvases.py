"""A canvas that no detector is trained on: it is there to measure what a detector does with an unknown one."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from snellen.base import Seed
from snellen.pictures.canvas import Canvas, generator


@dataclass(frozen=True)
class Pyramid(Canvas):
    """State: planes of 1/1, 1/2, 1/4, ... of the size, side by side; picture = sigmoid(C sum of the enlarged planes).

    Args:
        levels: how many planes, at most; the smallest has at least 2 pixels a side.
        spread: standard deviation of the first state.
    """

    levels: int = 6
    spread: float = 0.01

    def start(self, size: tuple[int, int], seeds: Sequence[Seed]) -> Float[Tensor, "u 3 k"]:
        count = sum(h * w for h, w in self._sizes(size))
        return torch.stack([torch.randn(3, count, generator=generator(s)) for s in seeds]) * self.spread

    def plane(self, state: Float[Tensor, "u 3 k"], size: tuple[int, int]) -> Float[Tensor, "u 3 h w"]:
        sizes = self._sizes(size)
        planes = state.split([h * w for h, w in sizes], 2)
        total = torch.zeros(len(state), 3, *size, dtype=state.dtype, device=state.device)
        for plane, (h, w) in zip(planes, sizes, strict=True):
            total = total + F.interpolate(plane.unflatten(2, (h, w)), size, mode="bilinear", align_corners=False)
        return total

    def fit(self, images: Float[Tensor, "u 3 h w"]) -> Float[Tensor, "u 3 k"]:
        size = (images.shape[2], images.shape[3])
        finest = self.unmixed(images).flatten(2)
        rest = sum(h * w for h, w in self._sizes(size)[1:])
        return torch.cat([finest, finest.new_zeros(len(images), 3, rest)], 2)

    def _sizes(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        shapes = [(-(-size[0] // 2**level), -(-size[1] // 2**level)) for level in range(self.levels)]
        return [shape for i, shape in enumerate(shapes) if i == 0 or min(shape) >= 2]
