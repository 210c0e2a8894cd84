"""How much single operations can stretch a difference, from above: one rule a kind of operation.

Operations are known by identity: the very overload that PyTorch dispatches to, never a name. What an operation's
settings amount to (strides, edges, modes, divisors) is measured on the operation itself wherever it is linear.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from snellen.base import ModelError
from snellen.theory.graph import Traced, arguments, aten
from snellen.theory.norms import Kernel, convolution_norm, matrix_norm, windows

_ROUNDING = 1 + 1e-9

Known = tuple[float, bool]
"""(l2 Lipschitz constant of a value as a function of the start, whether it is affine)."""


@dataclass(frozen=True, eq=False)
class Call:
    """One operation in the graph.

    Args:
        node: of the graph.
        traced: the graph.
        values: of all nodes before it and of itself, for one example, in float64.
        live: the nodes among its inputs that depend on the start.
        channels: which of its output's entries along axis 1 count, where not all do.
    """

    node: fx.Node
    traced: Traced
    values: dict[fx.Node, Any]
    live: frozenset[fx.Node]
    channels: Tensor | None = None

    @property
    def output(self) -> Any:
        return self.values[self.node]

    @property
    def moving(self) -> list[fx.Node]:
        """Live inputs, each as often as it is used."""
        used: list[fx.Node] = []
        fx.node.map_arg((self.node.args, self.node.kwargs), lambda n: used.append(n) if n in self.live else None)
        return used

    def only(self, *places: int) -> fx.Node:
        """The one live input, which must be the argument at one of `places`.

        Raises:
            ModelError: another argument, or more than one, depends on the image.
        """
        moving = self.moving
        if len(moving) != 1 or not any(len(self.node.args) > i and self.node.args[i] is moving[0] for i in places):
            raise ModelError(f"expected an operation with one argument that depends on the image, got {self.title}")
        return moving[0]

    def get(self, place: int, name: str, default: Any) -> Any:
        """An argument's value."""
        args, kwargs = arguments(self.node, self.values)
        return args[place] if len(args) > place else kwargs.get(name, default)

    @property
    def title(self) -> str:
        """What it is called, and where."""
        path, kind = self.traced.names.get(self.node, ("", ""))
        return f'"{name_of(self.node)}"' + (f" in {path} ({kind})" if path else "")


def name_of(node: fx.Node) -> str:
    """The operation's name, for people."""
    if isinstance(node.target, torch._ops.OpOverload):
        return node.target._schema.name.removeprefix("aten::")
    return getattr(node.target, "__name__", str(node.target))


Rule = Callable[[Call], float]


def one_signed(call: Call) -> float:
    """Linear with coefficients of one sign (copies, means, pooling): sqrt(largest row sum x largest column sum).

    Both sums are those of the operation itself: it is applied to ones, and so is its transpose.
    """
    source = call.only(0)
    with torch.enable_grad():
        ones = torch.ones_like(call.values[source]).requires_grad_()
        args, kwargs = arguments(call.node, {**call.values, source: ones})
        if call.node.target is aten.constant_pad_nd.default:
            args = (*args[:2], 0.0)
        result = call.node.target(*args, **kwargs)  # type: ignore[operator]
        parts = [r for r in (result if isinstance(result, list | tuple) else [result]) if r.numel()]
        if not parts:
            return 0.0
        (columns,) = torch.autograd.grad(sum(r.sum() for r in parts), ones)
    rows = max(float(r.detach().abs().max()) for r in parts)
    size = rows * float(columns.abs().max())
    return 1.0 if size == 1.0 else math.sqrt(size) * _ROUNDING


def _same(_: Call) -> float:
    return 1.0


def _scaled(call: Call) -> float:
    """A product with, or a quotient by, what no image changes: c is read off by applying it to ones."""
    division = call.node.target in (aten.div.Tensor, aten.div.Scalar)
    source = call.only(0) if division else call.only(0, 1)
    x = call.values[source]
    args, kwargs = arguments(call.node, {**call.values, source: torch.ones_like(x)})
    gain = call.node.target(*args, **kwargs)  # type: ignore[operator]
    if gain.shape == x.shape:
        gain = gain if call.channels is None else gain[:, call.channels]
        return float(gain.abs().max()) if gain.numel() else 0.0
    return math.sqrt(float((gain**2).sum_to_size(x.shape).max())) * _ROUNDING


def _matrix(call: Call) -> float:
    """A product with a matrix (or a batch of them, or a vector) that no image changes."""
    source = call.only(0, 1)
    first, second = (call.get(i, "", None) for i in (0, 1))
    return _product(call, source, (first, second), call.node.args[0] is source)


def _product(call: Call, source: fx.Node, factors: tuple[Tensor, Tensor], moving_first: bool) -> float:
    fixed = factors[1] if moving_first else factors[0]
    if fixed.dim() == 1:
        return float(torch.linalg.vector_norm(fixed)) * _ROUNDING
    if moving_first and call.channels is not None and fixed.dim() == 2 and call.output.dim() == 2:
        fixed = fixed[:, call.channels]
    return matrix_norm(fixed) if fixed.dim() == 2 else max((matrix_norm(m) for m in fixed), default=0.0)


def _matrix_and_sum(call: Call) -> float:
    """beta b + alpha A B with fixed b and one fixed matrix."""
    source = call.only(1, 2)
    factors = call.get(1, "mat1", None), call.get(2, "mat2", None)
    return abs(call.get(9, "alpha", 1)) * _product(call, source, factors, call.node.args[1] is source)


def _convolution(call: Call) -> float:
    call.only(0)
    args, _ = arguments(call.node, call.values)
    x, weight, _bias, stride, _padding, dilation, transposed, _out, groups = args[:9]
    size = call.output.shape[2:] if transposed else x.shape[2:]
    if call.channels is not None and not transposed:
        if groups == 1:
            weight = weight[call.channels]
        else:
            chosen = torch.zeros(len(weight), 1, dtype=torch.bool).index_fill_(0, call.channels.cpu(), True)
            weight = weight * chosen.to(weight.device).view(-1, *(1,) * (weight.dim() - 1))
    sides = weight.dim() - 2
    steps = [tuple(s) * (sides if len(s) == 1 else 1) for s in (stride, dilation)]
    return convolution_norm(Kernel(weight, steps[0], steps[1], groups), tuple(size))


def _batch_norm(call: Call) -> float:
    """|weight| / sqrt(variance + eps); in training the statistics are the batch's own."""
    call.only(0)
    quiet = call.node.target is aten._native_batch_norm_legit_no_training.default
    if not quiet and call.get(5, "training", True):
        raise ModelError(f"expected batch normalization with running statistics, got {call.title} in training mode")
    weight, variance, eps = call.get(1, "", None), call.get(4, "", None), call.get(6 if quiet else 7, "eps", None)
    gain = torch.rsqrt(variance + eps) * (1.0 if weight is None else weight.abs())
    gain = gain if call.channels is None else gain[call.channels]
    return float(gain.max()) * _ROUNDING


def _max_pool(call: Call) -> float:
    """sqrt(m), where one entry lies in at most m windows."""
    call.only(0)
    sides = call.get(1, "kernel_size", ())
    stride = call.get(2, "stride", None) or sides
    dilation = call.get(4, "dilation", 1)
    count = call.values[call.moving[0]].dim() - 2 if len(sides) == 1 else len(sides)
    wide = [_each(v, count) for v in (sides, stride, dilation)]
    return math.sqrt(math.prod(windows(k, s, d) for k, s, d in zip(*wide, strict=True)))


def _each(value: Any, count: int) -> tuple[int, ...]:
    found = (value,) if isinstance(value, int) else tuple(value)
    return found * count if len(found) == 1 else found


def _softplus(call: Call) -> float:
    """PyTorch's jumps to x where beta x exceeds the threshold, by log(1 + exp(-threshold)) / beta."""
    beta, threshold = float(call.get(1, "beta", 1)), float(call.get(2, "threshold", 20))
    if not beta or math.exp(min(-threshold, 700.0)) / abs(beta) > 1e-8:
        raise ModelError(f"expected a softplus without a jump, got {call.title} with beta {beta:g} and threshold "
                         f"{threshold:g}; take the default threshold")  # fmt: skip
    return 1.0


def _elu(call: Call) -> float:
    alpha, scale, steep = (float(call.get(i, n, 1)) for i, n in ((1, "alpha"), (2, "scale"), (3, "input_scale")))
    if steep < 0:
        raise ModelError(f"expected a bounded slope, got {call.title} with input scale {steep:g}")
    return abs(scale) * max(1.0, abs(alpha) * steep)


def _celu(call: Call) -> float:
    if float(call.get(1, "alpha", 1)) <= 0:
        raise ModelError(f"expected a bounded slope, got {call.title} with an alpha below 0")
    return 1.0


def _leaky(call: Call) -> float:
    return max(1.0, abs(float(call.get(1, "negative_slope", 0.01))))


def _prelu(call: Call) -> float:
    return max(1.0, float(call.get(1, "weight", None).abs().max()))


def _slope(size: float) -> Rule:
    return lambda _call: size


def entrywise(rule: Rule) -> Rule:
    """Of functions of one entry, whose other arguments no image changes."""

    def checked(call: Call) -> float:
        call.only(0)
        return rule(call)

    return checked


_EVERY = aten
ONE_SIGNED = (
    aten.view.default, aten._unsafe_view.default, aten.permute.default, aten.transpose.int, aten.t.default,
    aten.expand.default, aten.slice.Tensor, aten.select.int, aten.squeeze.default, aten.squeeze.dim, aten.squeeze.dims,
    aten.unsqueeze.default, aten.flip.default, aten.roll.default, aten.repeat.default, aten.unbind.int,
    aten.split.Tensor, aten.split_with_sizes.default, aten.index_select.default, aten.index.Tensor,
    aten.gather.default, aten.diagonal.default, aten.unfold.default, aten.im2col.default, aten.constant_pad_nd.default,
    aten.reflection_pad1d.default, aten.reflection_pad2d.default, aten.reflection_pad3d.default,
    aten.replication_pad1d.default, aten.replication_pad2d.default, aten.replication_pad3d.default,
    aten.pixel_shuffle.default, aten.pixel_unshuffle.default, aten.channel_shuffle.default,
    aten.upsample_nearest1d.default, aten.upsample_nearest2d.default, aten._upsample_nearest_exact2d.default,
    aten.upsample_linear1d.default, aten.upsample_bilinear2d.default, aten.mean.default, aten.mean.dim,
    aten.sum.default, aten.sum.dim_IntList, aten.cumsum.default, aten.avg_pool2d.default, aten.avg_pool3d.default,
    aten._adaptive_avg_pool2d.default, aten._adaptive_avg_pool3d.default,
)  # fmt: skip
SAME = (
    aten.clone.default,
    aten.detach.default,
    aten.alias.default,
    aten.lift_fresh.default,
    aten.neg.default,
    aten._to_copy.default,
)
MATRICES: dict[Any, Rule] = {
    **dict.fromkeys((aten.mm.default, aten.bmm.default, aten.mv.default, aten.dot.default, aten.vdot.default), _matrix),
    **dict.fromkeys((aten.addmm.default, aten.baddbmm.default, aten.addmv.default), _matrix_and_sum),
    **dict.fromkeys((aten.convolution.default, aten._convolution.default), _convolution),
}
"""Linear, every output entry a mixture of channels."""

CHANNELWISE: dict[Any, Rule] = {
    **dict.fromkeys(SAME, entrywise(_same)),
    **dict.fromkeys((aten.mul.Tensor, aten.mul.Scalar, aten.div.Tensor, aten.div.Scalar), _scaled),
    **dict.fromkeys((aten.native_batch_norm.default, aten.cudnn_batch_norm.default), _batch_norm),
    aten._native_batch_norm_legit_no_training.default: _batch_norm,
}
"""Linear, every output entry from the same input entry alone."""

CURVES: dict[Any, Rule] = {
    op: entrywise(rule)
    for op, rule in {
        **dict.fromkeys(
            (aten.relu.default, aten.hardtanh.default, aten.tanh.default, aten.abs.default, aten.clamp.default,
             aten.clamp.Tensor, aten.clamp_min.default, aten.clamp_max.default, aten.clamp_min.Tensor,
             aten.clamp_max.Tensor, aten.sin.default, aten.cos.default, aten.atan.default, aten.asinh.default,
             aten.softshrink.default), _slope(1.0)),
        aten.log_sigmoid_forward.default: _slope(1.0),
        aten.sigmoid.default: _slope(0.25),
        aten.hardsigmoid.default: _slope(0.16667),  # PyTorch divides by 6 in float32
        aten.gelu.default: _slope(1.13),
        aten.silu.default: _slope(1.1),
        aten.mish.default: _slope(1.09),
        aten.hardswish.default: _slope(1.5),
        aten.erf.default: _slope(2 / math.sqrt(math.pi) * _ROUNDING),
        aten.softplus.default: _softplus,
        aten.elu.default: _elu,
        aten.celu.default: _celu,
        aten.leaky_relu.default: _leaky,
        aten._prelu_kernel.default: _prelu,
    }.items()
}  # fmt: skip
"""Functions of one entry: their largest slopes."""

SELECTIONS: dict[Any, Rule] = {
    **dict.fromkeys((aten.sort.default, aten.sort.stable, aten.topk.default, aten.amax.default, aten.amin.default,
                     aten.max.default, aten.min.default, aten.max.dim, aten.min.dim), entrywise(_same)),
    **dict.fromkeys((aten.max_pool2d_with_indices.default, aten.max_pool3d_with_indices.default), _max_pool),
}  # fmt: skip
"""The largest, smallest or sorted entries of groups; the groups overlap in pooling alone."""

SUMS = (aten.add.Tensor, aten.add.Scalar, aten.sub.Tensor, aten.sub.Scalar, aten.rsub.Tensor, aten.rsub.Scalar)
JOINS = (aten.cat.default, aten.stack.default, aten.where.self, aten.select_scatter.default, aten.masked_fill.Scalar,
         aten.slice_scatter.default, aten.maximum.default, aten.minimum.default)  # fmt: skip
BENT = (aten.maximum.default, aten.minimum.default)
CONSTANT = (aten.zeros_like.default, aten.ones_like.default, aten.full_like.default, aten.new_zeros.default,
            aten.new_ones.default, aten.new_full.default, aten.fill.Scalar, aten.zero.default)  # fmt: skip
"""Operations that take nothing but sizes from their input."""

SPLITTING = (aten.unbind.int, aten.split.Tensor, aten.split_with_sizes.default)
