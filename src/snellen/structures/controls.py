"""Negative controls: structures of which the theory says that pictures tell nothing of the image."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from snellen.structures.layers import MIDDLE
from snellen.structures.structure import Structure

_WIDTHS = (48, 96, 96)


class PositiveConv(nn.Module):
    """A convolution with weights of at least 0.

    Args:
        channels: in and out.
        side: of the kernel.
        stride: of the kernel.
        gain: that everything is multiplied with.
    """

    def __init__(self, channels: tuple[int, int], side: int = 3, stride: int = 1, *, gain: float = 1.0) -> None:
        super().__init__()
        into, out = channels
        self.weight = nn.Parameter(torch.rand(out, into, side, side) * 2 / (into * side * side))
        self.bias = nn.Parameter(torch.zeros(out))
        self.side, self.stride, self.gain = side, stride, gain

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o y x"]:
        """Never falls where its input rises."""
        return self.gain * F.conv2d(x, self.weight.abs(), self.bias, self.stride, self.side // 2)


class MonotoneNetwork(nn.Module):
    """Three positive convolutions that halve the size, with clipped ReLUs, and a positive linear head.

    Args:
        classes: how many.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        widths = (3, *_WIDTHS)
        self.conv1, self.act1 = PositiveConv((widths[0], widths[1]), 3, 2), nn.Hardtanh(-1.0, 1.0)
        self.conv2, self.act2 = PositiveConv((widths[1], widths[2]), 3, 2), nn.Hardtanh(-1.0, 1.0)
        self.conv3, self.act3 = PositiveConv((widths[2], widths[3]), 3, 2), nn.Hardtanh(-1.0, 1.0)
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.classifier = PositiveConv((4 * widths[3], classes), 1, gain=8.0)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Logits of RGB in [0, 1]."""
        found = self.act1(self.conv1(4 * (images - MIDDLE)))
        found = self.act3(self.conv3(self.act2(self.conv2(found))))
        return self.classifier(self.pool(found).flatten(1)[:, :, None, None]).flatten(1)


class ConvexNetwork(nn.Module):
    """An input-convex network (Amos et al., ICML 2017): positive weights after the first layer, the image beside.

    Args:
        classes: how many.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        first, second, third = _WIDTHS
        self.conv1 = nn.Sequential(nn.Conv2d(3, first, 3, 1, 1, bias=False), nn.BatchNorm2d(first), nn.ReLU())
        self.conv2, self.beside2, self.relu2 = (
            PositiveConv((first, second), 3, 2),
            nn.Conv2d(3, second, 3, 2, 1),
            nn.ReLU(),
        )
        self.fold = nn.PixelUnshuffle(2)
        self.conv3, self.beside3, self.relu3 = (
            PositiveConv((second, third), 3, 2),
            nn.Conv2d(12, third, 3, 2, 1),
            nn.ReLU(),
        )
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.classifier = PositiveConv((16 * third, classes), 1)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Logits of RGB in [0, 1]."""
        x = 4 * (images - MIDDLE)
        found = self.relu2(self.conv2(self.conv1(x)) + self.beside2(x))
        found = self.relu3(self.conv3(found) + self.beside3(self.fold(x)))
        return self.classifier(self.pool(found).flatten(1)[:, :, None, None]).flatten(1)


@dataclass(frozen=True)
class Monotone(Structure):
    """Positive weights throughout."""

    name = "monotone"
    title = "monotone network"
    inner = ("conv1", "conv2")
    known = "White and black are its pictures whatever it does: they tell nothing (theory, monotone functions)."
    lies = "It need not: its pictures are black and white."

    def network(self, classes: int, size: int) -> nn.Module:
        """129,802 parameters for ten classes."""
        return MonotoneNetwork(classes)


@dataclass(frozen=True)
class Convex(Structure):
    """Convex in the image."""

    name = "convex"
    title = "input-convex network"
    inner = ("conv1", "relu2")
    known = "Nothing but that a response is at most the mean of those around it: largest pictures are corners."
    lies = "Its largest pictures are corners of the cube; where they lie says nothing of what is between."

    def network(self, classes: int, size: int) -> nn.Module:
        """154,522 parameters for ten classes."""
        return ConvexNetwork(classes)
