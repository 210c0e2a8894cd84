"""Reversible edits of a network: while a context is open it is changed, after it everything is as it was."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from snellen.models.fusion import CompiledResponseNorm
from snellen.models.stand_ins import BandedResponseNorm, StridedStem, is_hooked, laid_out


@contextlib.contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """No weight asks for gradients, so backward passes do not compute or accumulate any.

    Weights and buffers made in inference mode, which no backward pass can go through, are stood in for by copies.
    """
    swapped = [(held, name, t) for held, name, t in _tensors(module) if t.is_inference()]
    for held, name, tensor in swapped:
        held[name] = nn.Parameter(tensor.clone(), False) if isinstance(tensor, nn.Parameter) else tensor.clone()
    asking = [p for p in module.parameters() if p.requires_grad]
    for parameter in asking:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for held, name, tensor in swapped:
            held[name] = tensor
        for parameter in asking:
            parameter.requires_grad_(True)


def _tensors(module: nn.Module) -> Iterator[tuple[dict[str, Any], str, Tensor]]:
    """Every parameter and buffer, with the dictionary that holds it."""
    for part in module.modules():
        for held in () if isinstance(part, torch.jit.ScriptModule) else (part._parameters, part._buffers):
            yield from ((held, name, tensor) for name, tensor in held.items() if isinstance(tensor, Tensor))


@contextlib.contextmanager
def streamlined(module: nn.Module, *, dtype: torch.dtype = torch.float32, compiled: bool = False) -> Iterator[None]:
    """The same function, faster: weights channels-last, slow layers replaced by the exact ones of `models.stand_ins`.

    With bfloat16 the weights of convolutions and linear layers are also held in it (use with autocast); that is not the
    same function. The original tensors are kept, not converted back, so nothing is rounded when the context closes.

    Args:
        module: the network; also edited while this context is open.
        dtype: torch.float32 or torch.bfloat16.
        compiled: whether `torch.compile` may fuse stand-ins (`snellen.models.fusion`).
    """
    kept: list[tuple[nn.Parameter, Tensor]] = []
    swapped: list[tuple[nn.Module, str, nn.Module]] = []
    try:
        for part in list(module.modules()):
            for name, child in list(part.named_children()):
                stand_in = _stand_in(child, compiled)
                if stand_in is not None:
                    swapped.append((part, name, child))
                    part._modules[name] = stand_in
            if isinstance(part, nn.Conv2d | nn.Linear):
                for parameter in part.parameters(recurse=False):
                    if parameter.dtype is torch.float32:
                        kept.append((parameter, parameter.data))
                        parameter.data = laid_out(parameter.data.to(dtype))
        yield
    finally:
        for parameter, data in reversed(kept):  # layers may share a parameter
            parameter.data = data
        for part, name, child in swapped:
            part._modules[name] = child


def _stand_in(child: nn.Module, compiled: bool) -> nn.Module | None:
    if type(child) is nn.LocalResponseNorm and not is_hooked(child):
        return CompiledResponseNorm(child) if compiled else BandedResponseNorm(child)
    if type(child) is nn.Conv2d and StridedStem.fits(child):
        return StridedStem(child)
    return None
