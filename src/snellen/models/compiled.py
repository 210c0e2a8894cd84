"""Stand-ins that `torch.compile` fuses: fewer passes over memory, after a first call that takes some twenty seconds."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from snellen.base import UsageError
from snellen.models.lowered import BandedResponseNorm, flat, spread, unflat


class CompiledResponseNorm(BandedResponseNorm):
    """A `BandedResponseNorm` whose elementwise steps are three fused kernels around the products with the band.

    Only the input and its totals are kept for the backward pass. The kernels compute in float32 and round once, so that
    in bfloat16 the last bit may differ.

    Raises:
        UsageError: by the first call, where nothing can be compiled.
    """

    def forward(self, x: Float[Tensor, "n c *size"]) -> Float[Tensor, "n c *size"]:
        if x.dim() != 4:
            return super().forward(x)
        y: Tensor = _ResponseNorm.apply(x, *self.band(x), kernels(self.k, self.beta))
        return y


class _ResponseNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *constants: Any) -> Tensor:
        blocks, transposed, (scaled, relative, combined) = constants
        rows = flat(x)
        total = spread(rows * rows, blocks, torch.empty_like(rows))
        ctx.save_for_backward(x, total)
        ctx.rest = transposed, relative, combined
        return unflat(_run(scaled, rows, total), x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (x, total), (transposed, relative, combined) = ctx.saved_tensors, ctx.rest
        rows, gradient = flat(x), flat(grads[0])
        change = _run(relative, gradient, rows, total)
        back = spread(change, transposed, torch.empty_like(change))
        return unflat(_run(combined, gradient, rows, total, back), x), None, None, None


Kernel = Callable[..., Tensor]


@functools.cache
def kernels(k: float, beta: float) -> tuple[Kernel, Kernel, Kernel]:
    """The output, what a gradient is spread of, and the gradient to the input; the formulas are in `lowered`.

    Args:
        k: of the response norm.
        beta: of the response norm.
    """

    def power(total: Tensor) -> Tensor:
        s = total + k
        return torch.rsqrt(torch.sqrt(s) * s) if beta == 0.75 else s**-beta

    def scaled(x: Tensor, total: Tensor) -> Tensor:
        return (_wide(x) * power(_wide(total))).to(x.dtype)

    def relative(gradient: Tensor, x: Tensor, total: Tensor) -> Tensor:
        s = _wide(total)
        return (_wide(gradient) * _wide(x) * power(s) / (s + k)).to(x.dtype)

    def combined(gradient: Tensor, x: Tensor, total: Tensor, back: Tensor) -> Tensor:
        return (_wide(gradient) * power(_wide(total)) - 2.0 * beta * _wide(back) * _wide(x)).to(x.dtype)

    compiled = [torch.compile(step, dynamic=True, fullgraph=True) for step in (scaled, relative, combined)]
    return compiled[0], compiled[1], compiled[2]


def _wide(x: Tensor) -> Tensor:
    return x if x.dtype is torch.float64 else x.float()


def _run(kernel: Kernel, *rows: Tensor) -> Tensor:
    """A compiled kernel's result; a compiler that is missing or fails becomes one line."""
    try:
        return kernel(*rows)
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        reason = lines[1 if lines[0].endswith("raised:") and len(lines) > 1 else 0].strip()[:120]
        raise UsageError(
            f"expected a C++ compiler that torch.compile can use, got: {reason}; install one (g++) or do not compile"
        ) from error
