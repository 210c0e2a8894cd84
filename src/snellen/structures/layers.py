"""Layers that carry a structure, and the plain residual block that carries none."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

MIDDLE = 0.5
"""Grey, from which structures without biases count pixels: RGB in [0, 1] becomes [-0.5, 0.5]."""


class Residual(nn.Module):
    """Two normalized 3 x 3 convolutions beside a shortcut, each followed by a ReLU.

    Args:
        channels: in and out.
        stride: of the first convolution and the shortcut.
    """

    def __init__(self, channels: tuple[int, int], stride: int) -> None:
        super().__init__()
        into, out = channels
        self.conv1 = nn.Conv2d(into, out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(out)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(out)
        self.shortcut = nn.Conv2d(into, out, 1, stride, bias=False)
        self.relu2 = nn.ReLU()

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o y x"]:
        """Features of one depth from those of the one before."""
        inner = self.relu1(self.norm1(self.conv1(x)))
        return self.relu2(self.norm2(self.conv2(inner)) + self.shortcut(x))


class ResidualBody(nn.Module):
    """A stem, two residual blocks that halve the size, one that does not: (n, 96) features of RGB in [0, 1]."""

    WIDTH = 96

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 24, 3, 1, 1, bias=False), nn.BatchNorm2d(24), nn.ReLU())
        self.block1 = Residual((24, 48), 2)
        self.block2 = Residual((48, self.WIDTH), 2)
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 96"]:
        """Means over positions of the last block."""
        return self.pool(self.block2(self.block1(self.stem(4 * (images - MIDDLE))))).flatten(1)


class UncentredNorm(nn.Module):
    """Channels over the root of their mean square: a gain each, no shift, so that 0 stays 0 (Böhle et al. 2022).

    Args:
        channels: of the input.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.register_buffer("square", torch.ones(channels))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """The input times a gain a channel; in training by the batch's own mean squares."""
        square = self.get_buffer("square")
        if self.training:
            found = x.float().square().mean((0, 2, 3))
            with torch.no_grad():
                square.lerp_(found, 0.1)
            square = found
        return x * (self.gain * torch.rsqrt(square + 1e-6)).to(x.dtype)[:, None, None]


class CosineConv(nn.Module):
    """B-cos convolution, B = 2: w.p |cos(w, p)| of every patch p, |w| = 1, without bias (Böhle et al., CVPR 2022).

    Args:
        channels: in and out.
        side: of the kernel.
        stride: of the kernel.
        gain: one number that all units are multiplied with, before training; None for none.
    """

    def __init__(self, channels: tuple[int, int], side: int = 3, stride: int = 1, *, gain: float | None = None) -> None:
        super().__init__()
        into, out = channels
        self.weight = nn.Parameter(torch.randn(out, into, side, side) / math.sqrt(into * side * side))
        self.gain = None if gain is None else nn.Parameter(torch.tensor(gain))
        self.side, self.stride = side, stride

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o y x"]:
        """Of degree 1 in the patch; edges are patches with zeros."""
        directions = self.weight / self.weight.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
        linear = F.conv2d(x, directions, stride=self.stride, padding=self.side // 2)
        squares = F.avg_pool2d(
            x.square().sum(1, keepdim=True), self.side, self.stride, self.side // 2, divisor_override=1
        )
        found = linear * linear.abs() * torch.rsqrt(squares + 1e-6)
        return found if self.gain is None else self.gain * found


class BoundedConv(nn.Module):
    """A convolution of norm at most 1: almost orthogonal Lipschitz weights (Prach & Lampert, ECCV 2022).

    W D^(-1/2) with D_i = sum_j sum_shifts |W_i * W_j| never stretches a difference.

    Args:
        channels: in and out.
        side: of the kernel.
        padding: zeros around the input.
    """

    def __init__(self, channels: tuple[int, int], side: int = 3, padding: int = 1) -> None:
        super().__init__()
        into, out = channels
        self.weight = nn.Parameter(torch.empty(out, into, side, side))
        nn.init.dirac_(self.weight)  # loses no length, where random kernels lose half of it a layer
        with torch.no_grad():
            self.weight.add_(torch.randn_like(self.weight), alpha=0.1 / math.sqrt(into * side * side))
        self.bias = nn.Parameter(torch.zeros(out))
        self.padding = padding

    def bounded(self) -> Float[Tensor, "o i k k"]:
        """The weights of norm at most 1: columns (input channels) over their root sums."""
        columns = self.weight.transpose(0, 1)
        gram = F.conv2d(columns, columns, padding=self.weight.shape[-1] - 1).abs().sum((1, 2, 3))
        return self.weight * torch.rsqrt(gram + 1e-12)[None, :, None, None]

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o y x"]:
        """Moves by at most as much as its input does."""
        return F.conv2d(x, self.bounded(), self.bias, padding=self.padding)
