"""Stand-ins that `torch.compile` fuses: fewer passes over memory, after a first call that takes some twenty seconds."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from snellen.base import UsageError
from snellen.models.stand_ins import BandedResponseNorm, flat, spread, unflat

_WIDEST = 9  # channels in a window that is summed one by one; a wider one costs less as a product with its band
T = TypeVar("T")


class CompiledResponseNorm(BandedResponseNorm):
    """A `BandedResponseNorm` in fused kernels: one forward, and two around the product with the band on the way back.

    The m positions of a channels-last tensor are the rows of one array (m, c), so a channel's neighbour j channels away
    is the same array read j numbers further on; what belongs to the row before or after is left out. Only the first and
    the last row would read beyond the array: their sums are products with the band. The kernels compute in float32.

    Raises:
        UsageError: by the first call, where nothing can be compiled.
    """

    def forward(self, x: Float[Tensor, "n c *size"]) -> Float[Tensor, "n c *size"]:
        if x.dim() != 4 or self.size > _WIDEST or self.size // 2 > x.shape[1] or x[:, 0].numel() < 3:
            return super().forward(x)
        window = _window(self.size, x.shape[1], x.device)
        y: Tensor = _ResponseNorm.apply(x, *self.band(x), window, kernels(self.alpha / self.size, self.k, self.beta))
        return y


class _ResponseNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *constants: Any) -> Tensor:
        blocks, transposed, window, kernel = constants
        result = torch.empty_like(x, memory_format=torch.channels_last)
        rows, y = flat(x.detach()).contiguous(), flat(result)
        total = torch.empty_like(rows)
        kernel.inner(y[1:-1], total[1:-1], _shifted(rows, list(window)), list(window.values()))
        ends = rows[[0, -1]]
        sums = spread(ends * ends, blocks, torch.empty_like(ends))
        y[[0, -1]], total[[0, -1]] = kernel.scaled(ends, sums), sums
        ctx.save_for_backward(x, total)
        ctx.rest = transposed, kernel
        return result

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        (x, total), (transposed, kernel) = ctx.saved_tensors, ctx.rest
        rows = flat(x)
        through, change = kernel.relative(flat(grads[0]), rows, total)
        back = spread(change, transposed, torch.empty_like(change))
        return unflat(kernel.combined(through, rows, back), x), None, None, None, None


def _shifted(rows: Float[Tensor, "m c"], shifts: Sequence[int]) -> list[Tensor]:
    """All rows but the first and the last, read some numbers further on: (m - 2, c) for each shift."""
    count, channels = rows.shape
    start = rows.storage_offset() + channels
    return [rows.as_strided((count - 2, channels), (channels, 1), start + shift) for shift in shifts]


@functools.lru_cache(16)
def _window(size: int, channels: int, device: torch.device) -> dict[int, Float[Tensor, " c"]]:
    """By how much every neighbour in the window is shifted, and 1 at the channels that have it, else 0."""
    index = torch.arange(channels, device=device)
    shifts = range(-(size // 2), (size - 1) // 2 + 1)
    return {shift: ((index + shift >= 0) & (index + shift < channels)).float() for shift in shifts}


class Kernels(NamedTuple):
    """The steps of a response norm; the formulas are in `lowered`, totals are sums times alpha over the window's size.

    Args:
        inner: (output to write, totals to write, the input shifted, who has such a neighbour); compiled.
        scaled: (input, totals) -> output.
        relative: (gradient, input, totals) -> the gradient through one channel alone, and what is spread; compiled.
        combined: (gradient through one channel, input, what was spread) -> the gradient to the input; compiled.
    """

    inner: Callable[[Tensor, Tensor, Sequence[Tensor], Sequence[Tensor]], None]
    scaled: Callable[[Tensor, Tensor], Tensor]
    relative: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
    combined: Callable[[Tensor, Tensor, Tensor], Tensor]


@functools.cache
def kernels(scale: float, k: float, beta: float) -> Kernels:
    """Of a response norm.

    Args:
        scale: alpha over the size of the window.
        k: the constant in the sum.
        beta: the exponent.
    """

    def gain(total: Tensor) -> Tensor:
        s = total + k
        return torch.rsqrt(torch.sqrt(s) * s) if beta == 0.75 else s**-beta

    def inner(y: Tensor, totals: Tensor, near: Sequence[Tensor], inside: Sequence[Tensor]) -> None:
        total = torch.zeros_like(near[0], dtype=_wide(near[0]).dtype)
        for x, has in zip(near, inside, strict=True):
            total = total + torch.where(has > 0, _wide(x).square(), 0.0)
        total = total * scale
        y.copy_(_wide(near[len(near) // 2]) * gain(total))
        totals.copy_(total)

    def scaled(x: Tensor, total: Tensor) -> Tensor:
        return (_wide(x) * gain(_wide(total))).to(x.dtype)

    def relative(gradient: Tensor, x: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
        through = _wide(gradient) * gain(_wide(total))
        return through.to(x.dtype), (through * _wide(x) / (_wide(total) + k)).to(x.dtype)

    def combined(through: Tensor, x: Tensor, back: Tensor) -> Tensor:
        return (_wide(through) - 2.0 * beta * _wide(back) * _wide(x)).to(x.dtype)

    return Kernels(compile_step(inner), scaled, compile_step(relative), compile_step(combined))


def compile_step(step: Callable[..., T]) -> Callable[..., T]:
    """A function of tensors of any size, compiled at its first call; as it is once it was compiled for too many kinds.

    Raises:
        UsageError: by that call; a compiler that is missing or fails becomes one line.
    """
    # without the option, what was compiled for small tensors, perhaps by another process, keeps to one thread for all
    options: dict[str, Any] = {"cpp.dynamic_threads": True}
    return functools.partial(_run, torch.compile(step, dynamic=True, options=options))


def _wide(x: Tensor) -> Tensor:
    return x if x.dtype is torch.float64 else x.float()


def _run(kernel: Callable[..., T], *rows: Any) -> T:
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
