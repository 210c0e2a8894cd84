"""Reversible edits of a network: while a context is open it is changed, after it everything is as it was."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@contextlib.contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """No weight asks for gradients, so backward passes do not compute or accumulate any."""
    asking = [p for p in module.parameters() if p.requires_grad]
    for parameter in asking:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)


@contextlib.contextmanager
def streamlined(module: nn.Module, *, dtype: torch.dtype = torch.float32) -> Iterator[None]:
    """The same function, faster: weights channels-last, local response norms as banded 1x1 convolutions.

    With bfloat16 the weights of convolutions and linear layers are also held in it (use with autocast); that is not the
    same function. The original tensors are kept, not converted back, so nothing is rounded when the context closes.

    Args:
        module: the network; also edited while this context is open.
        dtype: torch.float32 or torch.bfloat16.
    """
    kept: list[tuple[nn.Parameter, Tensor]] = []
    swapped: list[tuple[nn.Module, str, nn.Module]] = []
    try:
        for part in list(module.modules()):
            for name, child in list(part.named_children()):
                if type(child) is nn.LocalResponseNorm:
                    swapped.append((part, name, child))
                    part._modules[name] = BandedResponseNorm(child)
            if isinstance(part, nn.Conv2d | nn.Linear):
                for parameter in part.parameters(recurse=False):
                    if parameter.dtype is torch.float32:
                        kept.append((parameter, parameter.data))
                        parameter.data = _laid_out(parameter.data.to(dtype))
        yield
    finally:
        for parameter, data in reversed(kept):  # layers may share a parameter
            parameter.data = data
        for part, name, child in swapped:
            part._modules[name] = child


def _laid_out(weight: Tensor) -> Tensor:
    return weight.contiguous(memory_format=torch.channels_last) if weight.dim() == 4 else weight


class BandedResponseNorm(nn.Module):
    """`nn.LocalResponseNorm` for (n, c, h, w) with its sum over neighbouring channels as a banded 1x1 convolution.

    y = x (k + alpha / size * sum over |j - i| <= size / 2 of x_j^2)^-beta (Krizhevsky et al. 2012, section 3.3). For
    even sizes the window leans as PyTorch's does.

    Args:
        norm: the layer it stands in for.
    """

    def __init__(self, norm: nn.LocalResponseNorm) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = norm.size, norm.alpha, norm.beta, norm.k
        self._bands: dict[tuple[int, torch.dtype, torch.device], tuple[Tensor, Tensor]] = {}

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4:
            return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k)
        band, transposed = self._band(x)
        y: Tensor = _ResponseNorm.apply(x, band, transposed, self.k, self.beta)
        return y

    def _band(self, x: Tensor) -> tuple[Tensor, Tensor]:
        found = self._bands.get((x.shape[1], x.dtype, x.device))
        if found is None:
            index = torch.arange(x.shape[1], device=x.device)
            offset = index[None, :] - index[:, None]
            near = (offset >= -(self.size // 2)) & (offset <= (self.size - 1) // 2)
            band = (near.to(x.dtype) * (self.alpha / self.size))[:, :, None, None]
            found = (_laid_out(band), _laid_out(band.transpose(0, 1)))
            self._bands[x.shape[1], x.dtype, x.device] = found
        return found


class _ResponseNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *constants: Any) -> Tensor:
        band, transposed, k, beta = constants
        total = F.conv2d(x * x, band).add_(k)
        gain = torch.rsqrt(total * total.sqrt()) if beta == 0.75 else total.pow(-beta)
        y = x * gain
        ctx.save_for_backward(x, total, gain, y, transposed)
        ctx.beta = beta
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        # dL/dx = g s^-beta - 2 beta x B'(g y / s), with s the total and B' the transposed band
        x, total, gain, y, transposed = ctx.saved_tensors
        spread = F.conv2d((grads[0] * y).div_(total), transposed)
        return (grads[0] * gain).addcmul_(spread, x, value=-2.0 * ctx.beta), None, None, None, None
