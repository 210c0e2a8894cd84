"""How much single layers can stretch a difference, from above: one factor a kind of layer."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from snellen.base import ModelError, UsageError
from snellen.theory.norms import convolution_norm, matrix_norm

_ONE = (nn.ReLU, nn.ReLU6, nn.Identity, nn.Dropout, nn.Dropout2d, nn.Flatten, nn.Tanh, nn.Softplus, nn.Hardtanh)
_SLOPES: dict[type[nn.Module], float] = {nn.Sigmoid: 0.25, nn.GELU: 1.13, nn.SiLU: 1.1}

ENTRYWISE = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Identity, nn.Dropout, nn.Dropout2d, nn.BatchNorm1d, nn.BatchNorm2d,
             nn.Sigmoid, nn.GELU, nn.SiLU, nn.Tanh, nn.Softplus, nn.Hardtanh)  # fmt: skip
"""Layers whose output channel depends on the same input channel alone."""


def module_factor(module: nn.Module, shape: tuple[int, ...], *, only: int | None = None) -> tuple[float, bool]:
    """(an upper bound on the module's l2 Lipschitz constant, whether it is affine).

    Args:
        shape: of its input, (n, c, ...).
        only: count one output channel alone.

    Raises:
        ModelError: no bound is known for this kind of module.
    """
    if isinstance(module, nn.Linear):
        if len(shape) > 3:
            raise ModelError("expected a linear layer over vectors or tokens, got one over maps; no bound is proved")
        weight = module.weight if only is None else module.weight[only : only + 1]
        return matrix_norm(weight), True
    if isinstance(module, nn.Conv2d):
        return convolution_norm(module, shape[2:], only=only), True
    if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d) and module.running_var is not None and not module.training:
        gain = torch.rsqrt(module.running_var.double() + module.eps)
        gain = gain if module.weight is None else gain * module.weight.double().abs()
        return float(gain.max() if only is None or len(shape) == 3 else gain[only]), True
    pooled = _POOLS.get(type(module))
    if pooled is not None:
        return pooled(module, shape)
    if isinstance(module, nn.LeakyReLU):
        return max(1.0, abs(module.negative_slope)), False
    if type(module) in _SLOPES:
        return _SLOPES[type(module)], False
    if isinstance(module, _ONE):
        return 1.0, isinstance(module, nn.Identity | nn.Dropout | nn.Dropout2d | nn.Flatten)
    raise ModelError(
        f"expected layers with a proved Lipschitz constant, got {type(module).__name__}; none is known for it"
    )


def _pairs(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


def _overlap(module: Any) -> float:
    """In how many windows one entry can lie."""
    sides = zip(_pairs(module.kernel_size), _pairs(module.stride or module.kernel_size), strict=True)
    return float(math.prod(math.ceil(k / s) for k, s in sides))


def _max_pool(module: Any, _: tuple[int, ...]) -> tuple[float, bool]:
    if _pairs(module.dilation) != (1, 1):
        raise UsageError("expected max pooling without dilation, got one with; no bound is proved")
    return math.sqrt(_overlap(module)), False


def _average_pool(module: Any, _: tuple[int, ...]) -> tuple[float, bool]:
    whole = module.count_include_pad or _pairs(module.padding) == (0, 0)
    if module.divisor_override or module.ceil_mode or not whole:  # windows over the edge are divided by less
        raise UsageError("expected average pooling that divides by its whole window; no bound is proved")
    return math.sqrt(_overlap(module) / math.prod(_pairs(module.kernel_size))), True


def _adaptive(module: Any, shape: tuple[int, ...]) -> tuple[float, bool]:
    out = _pairs(module.output_size)
    if any(side is None or size % side for size, side in zip(shape[2:], out, strict=True)):
        raise UsageError("expected adaptive pooling to windows of one size; no bound is proved otherwise")
    return math.sqrt(math.prod(out) / math.prod(shape[2:])), True


_POOLS: dict[type[nn.Module], Callable[[Any, tuple[int, ...]], tuple[float, bool]]] = {
    nn.MaxPool2d: _max_pool,
    nn.AvgPool2d: _average_pool,
    nn.AdaptiveAvgPool2d: _adaptive,
}
