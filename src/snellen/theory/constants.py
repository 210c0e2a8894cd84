"""Lipschitz constants of networks, proved from their layers (docs/theory.md, section 10).

Every factor is an upper bound: no power iteration, which bounds spectral norms from below.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from snellen.base import LayerError, ModelError, UsageError
from snellen.theory.norms import convolution_norm, matrix_norm

_ONE = (nn.ReLU, nn.ReLU6, nn.Identity, nn.Dropout, nn.Dropout2d, nn.Flatten, nn.Tanh, nn.Softplus, nn.Hardtanh)
_SLOPES: dict[type[nn.Module], float] = {nn.Sigmoid: 0.25, nn.GELU: 1.13, nn.SiLU: 1.1}
_SAME = {torch.relu, torch.flatten, nn.functional.relu, nn.functional.dropout, "relu", "flatten", "view", "reshape"}
_SUMS = {"add", "iadd", "sub"}


@dataclass(frozen=True)
class Proof:
    """An upper bound on the l2 Lipschitz constant of a unit as a function of its input, and what it is made of.

    Args:
        bound: L.
        affine: whether every operation on the way is affine, so that the unit is an affine function of its input.
        factors: (name of the operation, its factor), in order of execution.
    """

    bound: float
    affine: bool
    factors: tuple[tuple[str, float], ...]


def prove_lipschitz(
    module: nn.Module, image: Tensor, layer: str, channel: int, *, position: tuple[int, int] | None = None
) -> Proof:
    """A proved l2 Lipschitz constant of one unit: x -> mean over positions of (layer's output)[channel].

    Chains multiply factors, sums add them, concatenations add their squares.

    Args:
        module: a network in eval mode that torch.fx can trace.
        image: an example input, (1, c, h, w), for the shapes.
        layer: the dotted name of the unit's layer.
        channel: which channel of its output; `position` picks one position instead of the mean.

    Raises:
        ModelError: the network cannot be traced, or an operation on the way has no bound here (it is named).
        LayerError: the layer is not called on the way.
    """
    try:
        graph = fx.symbolic_trace(module)
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise ModelError(f"expected a network whose operations can be read off, tracing failed: {reason}") from None
    walk = _Walk(graph, layer, channel)
    with torch.no_grad():
        walk.run(image)
    if walk.found is None:
        raise LayerError(f'expected "{layer}" on the way from the input, but it is not called as a module; try another')
    bound, affine, shape = walk.found
    places = math.prod(shape[2:]) if len(shape) > 2 and position is None else 1
    return Proof(bound / math.sqrt(places), affine, tuple(walk.factors))


class _Walk(fx.Interpreter):
    """Runs the traced network on an example and keeps (bound, affine) beside every value."""

    def __init__(self, graph: fx.GraphModule, layer: str, channel: int) -> None:
        super().__init__(graph)
        self.layer, self.channel = layer, channel
        self.known: dict[str, tuple[float, bool]] = {}
        self.factors: list[tuple[str, float]] = []
        self.found: tuple[float, bool, tuple[int, ...]] | None = None

    def run_node(self, n: fx.Node) -> Any:
        if self.found is not None:
            return None
        inputs = [self.known[a.name] for a in n.all_input_nodes]
        shapes = [tuple(self.env[a].shape) for a in n.all_input_nodes if isinstance(self.env[a], Tensor)]
        value = super().run_node(n)
        self.known[n.name] = self.judge(n, inputs, shapes)
        if n.op == "call_module" and n.target == self.layer:
            self.found = (*self.known[n.name], tuple(value.shape))
        return value

    def judge(self, n: fx.Node, inputs: list[tuple[float, bool]], shapes: list[tuple[int, ...]]) -> tuple[float, bool]:
        if n.op == "placeholder":
            return 1.0, True
        if n.op in ("get_attr", "output"):
            return 0.0, True
        affine = all(i[1] for i in inputs)
        if n.op == "call_module":
            module = self.fetch_attr(str(n.target))
            only = self.channel if n.target == self.layer else None
            factor, linear = module_factor(module, shapes[0], only=only)
            self.factors.append((str(n.target), factor))
            return inputs[0][0] * factor, affine and linear
        name = n.target if isinstance(n.target, str) else getattr(n.target, "__name__", str(n.target))
        if name in _SUMS and all(isinstance(a, fx.Node) for a in n.args[:2]):
            return sum(i[0] for i in inputs), affine
        if name in ("cat", "concat"):
            return math.sqrt(sum(i[0] ** 2 for i in inputs)), affine
        if n.target in _SAME or name in ("relu", "relu_"):
            return inputs[0][0], affine and name not in ("relu", "relu_")
        raise ModelError(
            f'expected operations with a known Lipschitz constant, got "{name}" ({n.name}); none is proved'
        )


def module_factor(module: nn.Module, shape: tuple[int, ...], *, only: int | None = None) -> tuple[float, bool]:
    """(an upper bound on the module's l2 Lipschitz constant, whether it is affine).

    Args:
        shape: of its input, (n, c, ...).
        only: count one output channel alone.

    Raises:
        ModelError: no bound is known for this kind of module.
    """
    if isinstance(module, nn.Linear):
        weight = module.weight if only is None else module.weight[only : only + 1]
        return matrix_norm(weight), True
    if isinstance(module, nn.Conv2d):
        return convolution_norm(module, shape[2:], only=only), True
    if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d) and module.running_var is not None and not module.training:
        gain = torch.rsqrt(module.running_var.double() + module.eps)
        gain = gain if module.weight is None else gain * module.weight.double().abs()
        return float(gain.max() if only is None else gain[only]), True
    pooled = _POOLS.get(type(module))
    if pooled is not None:
        return pooled(module, shape)
    if isinstance(module, nn.LeakyReLU):
        return max(1.0, abs(module.negative_slope)), False
    if type(module) in _SLOPES:
        return _SLOPES[type(module)], False
    if isinstance(module, _ONE):
        return 1.0, isinstance(module, nn.Identity | nn.Dropout | nn.Dropout2d | nn.Flatten)
    if type(module).__name__ in ("GroupSort", "MaxMin"):
        return 1.0, False
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
    if module.divisor_override or not (module.count_include_pad or _pairs(module.padding) == (0, 0)):
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
