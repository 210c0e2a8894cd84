"""Lipschitz constants of networks, proved from their layers (docs/theory.md, section 10).

Every factor is an upper bound: no power iteration, which bounds spectral norms from below.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from snellen.base import LayerError, ModelError
from snellen.theory.factors import module_factor
from snellen.theory.tracing import Traced, is_rectifier, pooling, reorders, scale_of, sorts, trace

_SUMS = {"add", "iadd", "sub"}
_PLAIN = (int, float, torch.Size, torch.dtype, torch.device, type(None))

_Known = tuple[float, bool] | None
"""(bound, affine) of a value as a function of the start; None: it depends on the image in another way."""


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
    module: nn.Module,
    image: Tensor,
    layer: str,
    channel: int,
    *,
    position: tuple[int, int] | None = None,
    pre: bool = False,
    over: str | None = None,
) -> Proof:
    """A proved l2 Lipschitz constant of one unit: x -> mean over positions of (layer's output)[channel].

    Chains multiply factors, sums add them, concatenations add their squares.

    Args:
        module: a network in eval mode that torch.fx can trace.
        image: an example input, (1, c, h, w), for the shapes.
        layer: the dotted name of the unit's layer.
        channel: which channel of its output; `position` picks one position instead of the mean.
        pre: read what enters the ReLU that closes the layer.
        over: the dotted name of a layer whose output is the input x; by default x is the network's input.

    Raises:
        ModelError: the network cannot be traced, an operation on the way has no bound here (it is named), or the unit
            also depends on something that bypasses `over`.
        LayerError: a layer is not called on the way, or has no closing ReLU.
    """
    traced = trace(module)
    end = traced.output(layer, pre=pre)
    walk = _Walk(traced, (None if over is None else traced.output(over), end), (over, channel))
    with torch.no_grad():
        walk.run(image)
    if walk.known.get(end.name) is None or walk.shape is None:
        raise LayerError(f'expected a unit that depends on the output of "{over}", got one of "{layer}"; choose others')
    bound, affine = walk.known[end.name] or (0.0, True)
    places = walk.shape[1:2] if len(walk.shape) == 3 else walk.shape[2:]  # tokens, or rows and columns
    count = 1 if position is not None else math.prod(places)
    return Proof(bound / math.sqrt(count), affine, tuple(walk.factors))


class _Walk(fx.Interpreter):
    """Runs the traced network on an example, and keeps what is known of every value on the way to `end`."""

    def __init__(self, traced: Traced, way: tuple[fx.Node | None, fx.Node], what: tuple[str | None, int]) -> None:
        super().__init__(traced.module)
        self.extra_traceback = False  # our errors are one line
        (self.start, self.end), (self.over, self.channel) = way, what
        self.needed = traced.ancestors(self.end)
        self.rows = traced.one_channel(self.end, self.start)
        self.known: dict[str, _Known] = {}
        self.factors: list[tuple[str, float]] = []
        self.shape: tuple[int, ...] | None = None

    def run_node(self, n: fx.Node) -> Any:
        if self.shape is not None:
            return None
        shapes = [tuple(self.env[a].shape) for a in n.all_input_nodes if isinstance(self.env[a], Tensor)]
        held = {a: v._version for a, v in self.env.items() if isinstance(v, Tensor) and a in self.needed}
        value = super().run_node(n)
        if n in self.needed:
            self.known[n.name] = self.judge(n, value, shapes)
        for a in (a for a, version in held.items() if a in self.env and self.env[a]._version != version):
            if n not in self.needed:
                raise ModelError(f'expected values that stay as they are, got "{n.name}" which writes over one')
            self.known[a.name] = self.known[n.name]
        if n is self.end:
            self.shape = tuple(value.shape)
        return value

    def judge(self, n: fx.Node, value: Any, shapes: list[tuple[int, ...]]) -> _Known:
        if n is self.start:
            return 1.0, True
        if n.op == "placeholder":
            return (1.0, True) if self.start is None else None
        inputs = [self.known[a.name] for a in n.all_input_nodes]
        live = [i for i in inputs if i is not None and i[0] > 0]
        if isinstance(value, _PLAIN) or not inputs:
            return 0.0, True
        if None in inputs and live:
            raise ModelError(
                f'expected a unit that sees the image through "{self.over}" alone, but "{n.name}" also takes what '
                "bypasses it; choose a layer that everything passes through"
            )
        if None in inputs or not live:
            return None if None in inputs else (0.0, True)
        size = value.numel() if isinstance(value, Tensor) else 0
        return self.stretch(n, [i for i in inputs if i is not None], (shapes, size))

    def stretch(
        self, n: fx.Node, inputs: list[tuple[float, bool]], sizes: tuple[list[tuple[int, ...]], int]
    ) -> tuple[float, bool]:
        shapes, size = sizes
        affine = all(i[1] for i in inputs)
        layer = self.fetch_attr(str(n.target)) if n.op == "call_module" else pooling(n)
        if layer is not None:
            only = self.channel if n in self.rows else None
            factor, linear = module_factor(layer, shapes[0], only=only)
            self.factors.append((str(n.target) if n.op == "call_module" else n.name, factor))
            return inputs[0][0] * factor, affine and linear
        name = n.target if isinstance(n.target, str) else getattr(n.target, "__name__", str(n.target))
        scale = scale_of(n, name) or self.fixed_gain(n, name, size)
        if scale is not None:
            self.factors.append((n.name, scale))
            return max(i[0] for i in inputs) * scale, affine
        if name in _SUMS and len(n.args) == 2 and not n.kwargs and len(shapes) == len(inputs):
            spread = [math.sqrt(size / math.prod(shape)) for shape in shapes]  # what is broadcast counts repeatedly
            total = sum(i[0] * times for i, times in zip(inputs, spread, strict=True))
            return total * (2 if n.args[0] is n.args[1] else 1), affine
        if name == "mean" and inputs and shapes:
            self.factors.append((n.name, math.sqrt(size / math.prod(shapes[0]))))
            return inputs[0][0] * self.factors[-1][1], affine
        if name in ("cat", "concat"):
            return math.sqrt(sum(i[0] ** 2 for i in inputs)), affine
        if reorders(n, name) or sorts(n, name) or is_rectifier(n, self.module):
            return inputs[0][0], affine and reorders(n, name)
        raise ModelError(
            f'expected operations with a known Lipschitz constant, got "{name}" ({n.name}); none is proved'
        )

    def fixed_gain(self, n: fx.Node, name: str, size: int) -> float | None:
        """The largest |c| for an entrywise product with, or quotient by, a tensor c that no image changes."""
        nodes = [a for a in n.args if isinstance(a, fx.Node)]
        fixed = [a for a in nodes if self.known[a.name] == (0.0, True)]
        if name not in ("mul", "imul", "truediv", "div") or len(nodes) != 2 or len(fixed) != 1 or n.kwargs:
            return None
        if name in ("truediv", "div") and n.args[0] is fixed[0]:
            return None
        by, x = self.env[fixed[0]].abs().double(), self.env[nodes[0] if nodes[1] is fixed[0] else nodes[1]]
        gain = float((by if "mul" in name else 1 / by).max())
        return gain * math.sqrt(size / x.numel()) if math.isfinite(gain) else None
