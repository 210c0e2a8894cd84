"""Lipschitz constants of functions of tensors, proved from their operations (docs/theory.md, section 10)."""

import math
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from snellen.base import LayerError, ModelError, SnellenError
from snellen.theory.agreement import agree
from snellen.theory.factors import (
    BENT,
    CHANNELWISE,
    CONSTANT,
    CURVES,
    JOINS,
    MATRICES,
    ONE_SIGNED,
    SELECTIONS,
    SPLITTING,
    SUMS,
    Call,
    Rule,
    one_signed,
)
from snellen.theory.graph import EMPTY, Traced, aten, trace

_ROUNDING = 1 + 1e-9
_LINEAR: dict[Any, Rule] = {**dict.fromkeys(ONE_SIGNED, one_signed), **MATRICES, **CHANNELWISE}
_FACTORS: dict[Any, Rule] = {**_LINEAR, **CURVES, **SELECTIONS}


@dataclass(frozen=True)
class Proof:
    """An upper bound on the l2 Lipschitz constant of a unit as a function of its input, and what it is made of.

    Args:
        bound: L.
        affine: whether every operation on the way is affine, so that the unit is an affine function of its input; then
            L is the length of its slope.
        factors: (name of the layer or operation, its factor), in order of execution.
    """

    bound: float
    affine: bool
    factors: tuple[tuple[str, float], ...]


def prove(
    function: Callable[..., Tensor],
    start: Tensor,
    *,
    beside: Tensor | None = None,
    module: nn.Module | None = None,
    over: str | None = None,
) -> Proof:
    """A proved l2 Lipschitz constant of a function of tensors.

    The function is traced for one example, and what was traced is compared with the function on others. Chains multiply
    factors, sums add them, concatenations add their squares; of what is affine at the end, the slope is taken exactly.

    Args:
        function: of batches (n, ...), to (n,) or (n, ...); its first argument is the input x.
        start: an example of x, a batch of one.
        beside: an example of its second argument, on which the result must not depend.
        module: whose submodules name the operations.
        over: what x is called.

    Raises:
        ModelError: the function cannot be traced, is not what was traced, an operation on the way has no bound here (it
            is named), or the result also depends on what bypasses the start.
        LayerError: the result does not depend on the start.
    """
    inputs = (start,) if beside is None else (start, beside)
    held = [] if module is None else [*module.parameters(), *module.buffers()]
    versions = {id(t): t._version for t in held if not t.is_inference()}
    with torch.no_grad():
        traced = trace(function, inputs, module)
        with _one_line("running its operations in float64 failed"):
            walk = _Walk(traced, traced.run(inputs), over)
        walk.judge_all()
        if traced.end not in walk.known and over is not None:
            raise LayerError(f'expected a unit that depends on the output of "{over}", got one that does not; '
                             "choose others")  # fmt: skip
        with _one_line("running it on other images failed"):
            agree(traced, function, inputs)
    if any(versions.get(id(t), t._version) != t._version for t in traced.constants() if not t.is_inference()):
        raise ModelError("expected a network that leaves its weights and buffers as they are, got one that writes over "
                         "those it computes with")  # fmt: skip
    if traced.end not in walk.known:
        return Proof(0.0, True, ())
    bound, affine = walk.known[traced.end]
    if walk.values[traced.end].numel() == 1:
        with _one_line("no slope was found for the operations at its end"):
            bound = min(bound, walk.tail())
    return Proof(bound, affine, tuple(walk.factors))


@contextmanager
def _one_line(told: str) -> Iterator[None]:
    try:
        yield
    except (SnellenError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise ModelError(f"expected a network of operations on plain tensors, {told}: {reason}") from None


class _Walk:
    """What is known of every value on the way from the start to the end: a constant, and whether it is affine."""

    def __init__(self, traced: Traced, values: dict[fx.Node, Any], over: str | None) -> None:
        self.traced, self.values, self.over = traced, values, over
        self.known: dict[fx.Node, tuple[float, bool]] = {traced.inputs[0]: (1.0, True)}
        self.bypassing = set(traced.inputs[1:])
        self.unwritten: set[fx.Node] = set()  # memory of which not everything has been written yet
        self.straight: set[fx.Node] = set()
        self.factors: list[tuple[str, float]] = []

    def judge_all(self) -> None:
        for node in self.traced.nodes:
            if node.op == "placeholder":
                continue
            with _one_line(f"no bound was found for {self.call(node).title}"):  # operands that no rule has thought of
                self.judge(node)

    def judge(self, node: fx.Node) -> None:
        call = self.call(node)
        passing = [n for n in node.all_input_nodes if n in self.bypassing]
        if passing and call.live:
            raise ModelError(
                f'expected a unit that sees the image through "{self.over}" alone, but {call.title} also takes what '
                "bypasses it; choose a layer that everything passes through"
            )
        if passing:
            self.bypassing.add(node)
            return
        self.settled(call)
        if call.live and node.target not in (*CONSTANT, *EMPTY):
            factor, affine = self.stretch(call)
            if not math.isfinite(factor):
                raise ModelError(f"expected finite weights, got {call.title} with a factor of {factor}")
            self.known[node] = factor, affine

    def settled(self, call: Call) -> None:
        """Refuses what is not finite, what is drawn at random, and live values that are no numbers with a fraction."""
        node, target = call.node, call.node.target
        if isinstance(target, torch._ops.OpOverload) and torch.Tag.nondeterministic_seeded in target.tags:
            raise ModelError(_UNKNOWN.format(f"{call.title}, which may draw at random"))
        values = call.output if isinstance(call.output, list | tuple) else [call.output]
        tensors = [v for v in values if isinstance(v, Tensor)]
        if not all(bool(torch.isfinite(t).all()) for t in tensors if t.is_floating_point()):
            unwritten = target in EMPTY or any(n in self.unwritten for n in node.all_input_nodes)
            if not unwritten or node is self.traced.end:
                where = f"of {call.title}" if node.op == "call_function" else "among the weights"
                raise ModelError(f"expected finite numbers, got infinite ones or NaN {where}; no bound is proved")
            self.unwritten.add(node)
        kept = node.meta.get("val")
        if call.live and isinstance(kept, Tensor) and kept.dtype in (torch.float16, torch.bfloat16):
            raise ModelError(f"expected values of float32 or float64, got {kept.dtype} from {call.title}")
        if call.live and len(tensors) == 1 and not tensors[0].is_floating_point():
            named = self.call(node.all_input_nodes[0]) if target is operator.getitem else call
            raise ModelError(_UNKNOWN.format(named.title))

    def call(self, node: fx.Node, channels: Tensor | None = None) -> Call:
        live = frozenset(n for n in node.all_input_nodes if n in self.known)
        return Call(node, self.traced, self.values, live, channels)

    def stretch(self, call: Call) -> tuple[float, bool]:
        node, target = call.node, call.node.target
        bounds = [self.known[n] for n in call.moving]
        affine = all(b[1] for b in bounds)
        if target is operator.getitem:
            return self.taken(call)
        if target in SUMS:
            total = sum(self.known[n][0] * size for n, size in self.summands(call))
            self.straight.add(node)
            return total, affine
        if target in JOINS:
            return self.joined(call), affine and target not in BENT and self.kept(node)
        if target is aten.copy.default:
            moving = [n for n in call.moving if n is node.args[1]]
            self.straight.add(node)
            return sum(self.known[n][0] * self.spread(call, n) for n in moving), affine
        if target is aten._local_scalar_dense.default:
            raise ModelError("expected values that stay in the network, got one that leaves it as a number (`item`)")
        if target not in _FACTORS:
            raise ModelError(_UNKNOWN.format(call.title))
        factor = _FACTORS[target](call)
        if factor != 1.0 or target in MATRICES:
            path, _ = self.traced.names.get(node, ("", ""))
            self.factors.append((path or node.name, factor))
        linear = target in _LINEAR and self.kept(node)
        return bounds[0][0] * factor, affine and linear

    def kept(self, node: fx.Node) -> bool:
        self.straight.add(node)
        return True

    def taken(self, call: Call) -> tuple[float, bool]:
        """One of several results: a piece, or the first, which alone is a value (the others are places)."""
        source, place = call.moving[0], call.node.args[1]
        if place != 0 and source.target not in SPLITTING:
            raise ModelError(_UNKNOWN.format(self.call(source).title))
        self.straight.add(call.node)
        return self.known[source]

    def summands(self, call: Call) -> list[tuple[fx.Node, float]]:
        """Live summands with the factor of each; what is broadcast counts once a place."""
        args, kwargs = call.node.args, call.node.kwargs
        alpha = kwargs.get("alpha", args[2] if len(args) > 2 else 1)
        pairs = self.placed(call, 0, 1)
        if not isinstance(alpha, int | float):
            raise ModelError(_UNKNOWN.format(call.title))
        scaled = 0 if call.node.target in (aten.rsub.Tensor, aten.rsub.Scalar) else 1
        return [(n, (abs(alpha) if i == scaled else 1) * self.spread(call, n)) for i, n in pairs]

    def placed(self, call: Call, *places: int) -> list[tuple[int, fx.Node]]:
        """The live inputs with their places among the arguments; there must be no others."""
        args = call.node.args
        found = [(i, args[i]) for i in places if i < len(args)]
        pairs = [(i, n) for i, n in found if isinstance(n, fx.Node) and n in call.live]
        if len(pairs) != len(call.moving):
            raise ModelError(_UNKNOWN.format(call.title))
        return pairs

    def spread(self, call: Call, source: fx.Node) -> float:
        size = self.values[source].numel()
        return math.sqrt(call.output.numel() / size) if size else 0.0

    def joined(self, call: Call) -> float:
        """Pieces side by side, or one of two values in each place."""
        target = call.node.target
        if target in (aten.cat.default, aten.stack.default):
            return math.sqrt(sum(self.known[n][0] ** 2 for n in call.moving)) * _ROUNDING
        pairs = self.placed(call, *((1, 2) if target is aten.where.self else (0, 1)))
        broad = target not in (aten.select_scatter.default, aten.slice_scatter.default)
        sizes = [self.known[n][0] * (self.spread(call, n) if broad else 1.0) for _, n in pairs]
        return math.sqrt(sum(s**2 for s in sizes)) * _ROUNDING

    def tail(self) -> float:
        """A bound from the affine operations at the end together: their slope at what is not, times its bound."""
        end, leaves, tail, open_ = self.traced.end, [], set(), [self.traced.end]
        while open_:
            node = open_.pop()
            if node in tail or node in leaves:
                continue
            if node not in self.straight or node.op == "placeholder":
                leaves.append(node)
                continue
            tail.add(node)
            open_ += [n for n in node.all_input_nodes if n in self.known]
        if end in leaves:
            return math.inf
        values = dict(self.values)
        with torch.enable_grad():
            for leaf in leaves:
                if not isinstance(values[leaf], Tensor):
                    return math.inf
                values[leaf] = values[leaf].detach().requires_grad_()
            for node in self.traced.nodes:
                if node in tail:
                    values[node] = self.traced.value(node, values)
            slopes = torch.autograd.grad(values[end].sum(), [values[n] for n in leaves], allow_unused=True)
        pairs = [(n, s) for n, s in zip(leaves, slopes, strict=True) if s is not None]
        return sum(float(s.norm()) * self.along(n, s) for n, s in pairs) * _ROUNDING

    def along(self, node: fx.Node, slope: Tensor) -> float:
        """A bound on those channels of a value where a slope is not 0."""
        channels = slope.transpose(0, 1).flatten(1).any(1).nonzero()[:, 0] if slope.dim() > 1 else None
        return self.narrowed(node, channels)

    def narrowed(self, node: fx.Node, channels: Tensor | None) -> float:
        bound = self.known[node][0]
        call = self.call(node, channels)
        moving = call.moving
        if channels is not None and not len(channels):
            return 0.0
        if channels is None or len(moving) != 1 or not bound:
            return bound
        if node.target is operator.getitem:
            return min(bound, self.narrowed(moving[0], channels))
        if node.target in MATRICES:
            return min(bound, MATRICES[node.target](call) * self.known[moving[0]][0])
        rule = CHANNELWISE.get(node.target) or CURVES.get(node.target)
        inner = self.values[moving[0]]
        if rule is None or not isinstance(inner, Tensor) or inner.dim() < 2:
            return bound
        if isinstance(call.output, Tensor) and inner.shape != call.output.shape:
            return bound
        return min(bound, rule(call) * self.narrowed(moving[0], channels))


_UNKNOWN = "expected operations with a known Lipschitz constant, got {}; none is proved"
