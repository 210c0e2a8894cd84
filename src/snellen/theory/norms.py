"""Spectral norms of matrices and convolutions, from above (docs/theory.md, section 10)."""

import math

import torch
from torch import Tensor, nn

from snellen.base import UsageError

_ROUNDING = 1 + 1e-9
"""LAPACK's singular values are off by less than this factor in float64."""

_MOST = 3e7
"""Work (frequencies x entries of a kernel's matrix) up to which a convolution is diagonalized."""


def matrix_norm(weight: Tensor) -> float:
    """||W||_2, rounded up; for large W the smaller of sqrt(||W||_1 ||W||_inf) and a Gram bound, both above it."""
    exact = weight.detach().flatten(1).double()
    if min(exact.shape) <= 2048:
        return float(torch.linalg.matrix_norm(exact, 2)) * _ROUNDING
    gram = exact @ exact.T if exact.shape[0] <= exact.shape[1] else exact.T @ exact
    cheap = math.sqrt(float(exact.abs().sum(0).max()) * float(exact.abs().sum(1).max()))
    return min(cheap, math.sqrt(float(torch.linalg.matrix_norm(gram)))) * _ROUNDING


def convolution_norm(conv: nn.Conv2d, size: tuple[int, ...], *, only: int | None = None) -> float:
    """An upper bound on the l2 norm of a zero-padded convolution of inputs of `size` (h, w).

    The least of: sqrt(m) ||W||_2 for W as a matrix (out, in k k), with m windows over one pixel; the sum over kernel
    entries of ||W[:, :, i, j]||_2; and the largest norm of the kernel's transform over the frequencies of a torus so
    large that nothing wraps around: there the zero-padded convolution is a part of the circular one.

    Args:
        only: one output channel alone.

    Raises:
        UsageError: padding other than zeros.
    """
    if conv.padding_mode != "zeros":
        raise UsageError(f'expected padding with zeros, got "{conv.padding_mode}"; no bound is proved')
    weight = conv.weight.detach().double()
    groups = weight.chunk(conv.groups)
    if only is not None:
        groups = (weight[only : only + 1],)
    return max(_group_norm(g, conv, size) for g in groups)


def _group_norm(weight: Tensor, conv: nn.Conv2d, size: tuple[int, ...]) -> float:
    steps = zip(conv.kernel_size, conv.stride, conv.dilation, strict=True)
    windows = math.prod(k if d > 1 else math.ceil(k / s) for k, s, d in steps)
    unfolded = math.sqrt(windows) * matrix_norm(weight)
    shifts = sum(matrix_norm(weight[:, :, i, j]) for i in range(weight.shape[2]) for j in range(weight.shape[3]))
    bound = min(unfolded, shifts)
    torus = [n + (k - 1) * d for n, k, d in zip(size, conv.kernel_size, conv.dilation, strict=True)]
    if math.prod(torus) * weight.shape[0] * weight.shape[1] * min(weight.shape[:2]) <= _MOST * 10:
        bound = min(bound, _torus_norm(weight, conv, torus))
    return bound


def _torus_norm(weight: Tensor, conv: nn.Conv2d, torus: list[int]) -> float:
    """max over frequencies of the spectral norm of the kernel's transform, in float64."""
    spread = weight.new_zeros((*weight.shape[:2], *torus))
    rows = torch.arange(weight.shape[2]) * conv.dilation[0]
    columns = torch.arange(weight.shape[3]) * conv.dilation[1]
    spread[:, :, rows[:, None], columns[None]] = weight
    symbols = torch.fft.rfft2(spread).permute(2, 3, 0, 1).reshape(-1, *weight.shape[:2])
    return float(torch.linalg.matrix_norm(symbols, 2).max()) * _ROUNDING
