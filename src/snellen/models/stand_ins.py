"""Layers that compute what PyTorch's do, exactly and faster; `streamlined` puts them in and takes them out again."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def laid_out(weight: Tensor) -> Tensor:
    """A convolution's weight channels-last, anything else as it is."""
    return weight.contiguous(memory_format=torch.channels_last) if weight.dim() == 4 else weight


def is_hooked(module: nn.Module) -> bool:
    """Whether something is attached to a layer that a stand-in would not run."""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(hooks)


class StridedStem(nn.Module):
    """A network's first convolution (stride 2, few input channels) with a fast gradient to its input.

    Backward passes to three channels at stride 2 are what convolution libraries do worst. Seen on pixels packed two by
    two (space to depth), the same gradient is a plain convolution at stride 1 with four times the channels.

    Args:
        conv: the layer it stands in for; its parameters are shared.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self._packed: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    @staticmethod
    def fits(conv: nn.Conv2d) -> bool:
        """Whether the layer is of this kind and has nothing attached that a stand-in would lose."""
        plain = conv.groups == 1 and conv.dilation == (1, 1) and conv.padding_mode == "zeros"
        return (
            plain and not is_hooked(conv) and conv.stride == (2, 2) and conv.in_channels <= 4 and conv.padding != "same"
        )

    def __getattr__(self, name: str) -> Any:
        """Networks that ask their first layer for its weight, stride and the like get the convolution's."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("conv"), name)

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        bias = self.conv.bias
        y: Tensor = _StemConvolution.apply(x, self.conv.weight, bias, self._weight(x), _pads(self.conv))
        return y

    def _weight(self, x: Tensor) -> Tensor:
        """(4 in, out, kh', kw'): the packed kernel, flipped and transposed."""
        found = self._packed.get((x.dtype, x.device))
        if found is None:
            weight, (top, left) = self.conv.weight.detach(), _pads(self.conv)
            odd = (left % 2, top % 2)
            kernel = (weight.shape[2] + odd[1], weight.shape[3] + odd[0])
            weight = F.pad(weight, (odd[0], kernel[1] % 2, odd[1], kernel[0] % 2))
            packed = F.pixel_unshuffle(weight, 2)
            found = laid_out(packed.flip(2, 3).transpose(0, 1).to(x.dtype))
            self._packed[x.dtype, x.device] = found
        return found


def _pads(conv: nn.Conv2d) -> tuple[int, int]:
    return (0, 0) if isinstance(conv.padding, str) else (conv.padding[0], conv.padding[1])


class _StemConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *constants: Any) -> Tensor:
        weight, bias, packed, pads = constants
        ctx.save_for_backward(packed)
        ctx.size, ctx.pads = x.shape[2:], pads
        return F.conv2d(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype), stride=2, padding=pads)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        (packed,) = ctx.saved_tensors
        rows, columns = packed.shape[2:]
        spread = F.conv2d(grads[0].to(packed.dtype), packed, padding=(rows - 1, columns - 1))
        wanted = [-(-s // 2) for s in ctx.size]
        first = [-(-p // 2) for p in ctx.pads]
        short = [max(f + w - s, 0) for f, w, s in zip(first, wanted, spread.shape[2:], strict=True)]
        spread = F.pad(spread, (0, short[1], 0, short[0])) if any(short) else spread
        packed_gradient = spread[:, :, first[0] : first[0] + wanted[0], first[1] : first[1] + wanted[1]]
        gradient = F.pixel_shuffle(packed_gradient, 2)[:, :, : ctx.size[0], : ctx.size[1]]
        return gradient, None, None, None, None


class BandedResponseNorm(nn.Module):
    """`nn.LocalResponseNorm` for (n, c, h, w), its sum over neighbouring channels as a product with a banded matrix.

    y = x (k + alpha / size * sum over |j - i| <= size / 2 of x_j^2)^-beta (Krizhevsky et al. 2012, section 3.3). For
    even sizes the window leans as PyTorch's does. The matrix is cut into blocks of columns, each with the rows that
    reach it, so that its zeros are not multiplied.

    Args:
        norm: the layer it stands in for.
    """

    def __init__(self, norm: nn.LocalResponseNorm) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = norm.size, norm.alpha, norm.beta, norm.k
        self._bands: dict[tuple[int, torch.dtype, torch.device], tuple[Blocks, Blocks]] = {}

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4:
            return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k)
        y: Tensor = _ResponseNorm.apply(x, *self.band(x), self.k, self.beta)
        return y

    def band(self, x: Float[Tensor, "n c h w"]) -> "tuple[Blocks, Blocks]":
        """The matrix and its transpose for a tensor's channels, in blocks."""
        found = self._bands.get((x.shape[1], x.dtype, x.device))
        if found is None:
            index = torch.arange(x.shape[1], device=x.device)
            offset = index[:, None] - index[None, :]
            near = (offset >= -(self.size // 2)) & (offset <= (self.size - 1) // 2)
            band = near.to(x.dtype) * (self.alpha / self.size)
            found = (_blocks(band, self.size // 2), _blocks(band.T, self.size // 2))
            self._bands[x.shape[1], x.dtype, x.device] = found
        return found


Blocks = tuple[tuple[slice, slice, Tensor], ...]
_WIDE = 96  # columns of a block
_CACHED = 2 << 20  # bytes


def _blocks(band: Tensor, reach: int) -> Blocks:
    """(rows, columns, their part) of a band (c, c) that is zero further than `reach` from its diagonal."""
    count = len(band)
    columns = [slice(i, min(i + _WIDE, count)) for i in range(0, count, _WIDE)]
    rows = [slice(max(0, c.start - reach), min(count, c.stop + reach)) for c in columns]
    return tuple((r, c, band[r, c].contiguous()) for r, c in zip(rows, columns, strict=True))


def spread(x: Float[Tensor, "m c"], blocks: Blocks, out: Float[Tensor, "m c"]) -> Float[Tensor, "m c"]:
    """The sum over channels j of x_j B_ji at every position: (m, c) -> (m, c), into `out`."""
    for rows, columns, part in blocks:
        torch.mm(x[:, rows], part, out=out[:, columns])
    return out


def flat(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "m c"]:
    """(n, c, h, w) as (n h w, c); a view where x is channels-last."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def unflat(rows: Float[Tensor, "m c"], like: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Undoes `flat`: a channels-last tensor of the shape of another one."""
    n, c, h, w = like.shape
    return rows.view(n, h, w, c).permute(0, 3, 1, 2)


def _chunks(*flat: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The same rows of several (m, c), as many at a time as a processor's cache holds."""
    size = flat[0].element_size() * flat[0].shape[1]
    rows = max(_CACHED // size, 1) if flat[0].device.type == "cpu" else len(flat[0])
    return zip(*(t.split(rows) for t in flat), strict=True)


class _ResponseNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *constants: Any) -> Tensor:
        blocks, transposed, k, beta = constants
        total, gain, y = (torch.empty_like(x, memory_format=torch.channels_last) for _ in range(3))
        for part, sums, gains, out in _chunks(*(flat(t) for t in (x, total, gain, y))):
            square = part * part
            spread(square, blocks, sums).add_(k)
            if beta == 0.75:
                torch.rsqrt(torch.sqrt(sums, out=square).mul_(sums), out=gains)
            else:
                torch.pow(sums, -beta, out=gains)
            torch.mul(part, gains, out=out)
        ctx.save_for_backward(x, total, gain)  # a later layer may overwrite y
        ctx.transposed, ctx.beta = transposed, beta
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        # dL/dx = g s^-beta - 2 beta x B'(g x s^-beta / s), with s the total and B' the transposed band
        result = torch.empty_like(ctx.saved_tensors[0], memory_format=torch.channels_last)
        parts = (flat(t) for t in (grads[0], *ctx.saved_tensors, result))
        for gradient, x, total, gain, out in _chunks(*parts):
            through = torch.mul(gradient, gain, out=out)
            relative = (through * x).div_(total)
            back = spread(relative, ctx.transposed, torch.empty_like(relative))
            through.addcmul_(back, x, value=-2.0 * ctx.beta)
        return result, None, None, None, None
