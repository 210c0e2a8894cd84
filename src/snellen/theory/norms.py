"""Spectral norms of matrices and convolutions, from above (docs/theory.md, section 10)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_ROUNDING = 1 + 1e-9
"""LAPACK's singular values are off by less than this factor in float64."""

_MOST = 3e8
"""Work (frequencies x entries of a kernel's matrix x the smaller of its sides) up to which one is diagonalized."""


def matrix_norm(weight: Tensor) -> float:
    """||W||_2, rounded up; for large W the smaller of sqrt(||W||_1 ||W||_inf) and a Gram bound, both above it.

    Args:
        weight: (rows, ...), the rest flattened.
    """
    exact = weight.detach().flatten(1).double()
    if not exact.numel():
        return 0.0
    if min(exact.shape) <= 2048:
        return float(torch.linalg.matrix_norm(exact, 2)) * _ROUNDING
    gram = exact @ exact.T if exact.shape[0] <= exact.shape[1] else exact.T @ exact
    cheap = math.sqrt(float(exact.abs().sum(0).max()) * float(exact.abs().sum(1).max()))
    return min(cheap, math.sqrt(float(torch.linalg.matrix_norm(gram)))) * _ROUNDING


@dataclass(frozen=True, eq=False)
class Kernel:
    """A convolution's weights, (out, in / groups, *sides), and its steps.

    Args:
        stride, dilation: one number a side.
    """

    weight: Tensor
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1


def convolution_norm(kernel: Kernel, size: tuple[int, ...]) -> float:
    """An upper bound on the l2 norm of a zero-padded convolution of inputs of `size`, whatever the padding.

    The least of: sqrt(m) ||W||_2 for W as a matrix (out, in k k), with m windows over one pixel; the sum over kernel
    entries of ||W[:, :, i, j]||_2; and the largest norm of the kernel's transform over the frequencies of a torus so
    large that nothing wraps around: there the zero-padded convolution is a part of the circular one.
    """
    return max(_group_norm(group, kernel, size) for group in kernel.weight.detach().double().chunk(kernel.groups))


def windows(side: int, stride: int, dilation: int) -> int:
    """In how many windows of a side one entry can lie: taps of a window that are a multiple of the stride apart."""
    return math.ceil(side * math.gcd(stride, dilation) / stride)


def _group_norm(weight: Tensor, kernel: Kernel, size: tuple[int, ...]) -> float:
    sides = weight.shape[2:]
    count = math.prod(windows(*steps) for steps in zip(sides, kernel.stride, kernel.dilation, strict=True))
    unfolded = math.sqrt(count) * matrix_norm(weight)
    bound = min(unfolded, sum(matrix_norm(entry) for entry in weight.flatten(2).unbind(2)))
    torus = [n + (k - 1) * d for n, k, d in zip(size, sides, kernel.dilation, strict=True)]
    if math.prod(torus) * weight.shape[0] * weight.shape[1] * min(weight.shape[:2]) <= _MOST:
        bound = min(bound, _torus_norm(weight, kernel.dilation, torus))
    return bound


def _torus_norm(weight: Tensor, dilation: tuple[int, ...], torus: list[int]) -> float:
    """max over frequencies of the spectral norm of the kernel's transform, in float64."""
    spread = weight.new_zeros((*weight.shape[:2], *torus))
    spread[:, :, *(slice(0, (k - 1) * d + 1, d) for k, d in zip(weight.shape[2:], dilation, strict=True))] = weight
    symbols = torch.fft.rfftn(spread, dim=tuple(range(2, weight.dim()))).flatten(2).permute(2, 0, 1)
    return float(torch.linalg.matrix_norm(symbols, 2).max()) * _ROUNDING
