"""ReLUs wherever a network calls them: watched, so that a layer can be read before its closing ReLU, and redirected.

A mode over PyTorch's functions sees modules, nested modules and plain function calls alike, needs no surgery on the
network and leaves nothing behind. (Replacing `nn.ReLU` modules misses every functional call, and replacing only direct
children misses nested ones.)
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

_RELU: tuple[Callable[..., Any], ...] = (F.relu, torch.relu, Tensor.relu)
_RELU_IN_PLACE: tuple[Callable[..., Any], ...] = (F.relu_, torch.relu_, Tensor.relu_)
_RELU6: tuple[Callable[..., Any], ...] = (F.relu6, F.hardtanh)
_GELU: tuple[Callable[..., Any], ...] = (F.gelu,)
_CLAMP: tuple[Callable[..., Any], ...] = (torch.clamp, Tensor.clamp, torch.clamp_min, Tensor.clamp_min)
_CLAMP_IN_PLACE: tuple[Callable[..., Any], ...] = (torch.clamp_, Tensor.clamp_, torch.clamp_min_, Tensor.clamp_min_)


class Rectifiers(TorchFunctionMode):
    """Watches, and if asked redirects, every ReLU, ReLU6 and GELU that runs while the mode is entered.

    Redirected: where a picture gets no gradient at all through a rectifier, the gradient passes wherever it would push
    a closed entry up (or an entry above ReLU6's ceiling down). Other pictures of the batch keep their true gradients.
    The idea is lucid's (Olah, Mordvintsev, Schubert 2017, "Feature Visualization", on ReLU gradients); deciding for
    each picture by itself is what keeps pictures independent of their batch.

    Args:
        watch: remember what entered the latest ReLU, for `entered`.
        redirect: let gradients through dead rectifiers.
    """

    def __init__(self, *, watch: bool = False, redirect: bool = False) -> None:
        super().__init__()
        self.watch = watch
        self.redirect = redirect
        self._latest: tuple[Tensor, Tensor] | None = None

    def entered(self, output: Tensor) -> Tensor | None:
        """What entered the ReLU that made this very tensor, or None where the latest ReLU did not make it."""
        if self._latest is None or self._latest[0] is not output:
            return None
        return self._latest[1]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        bounds = _bounds(func, args, kwargs)
        if bounds is None:
            return func(*args, **kwargs)
        x = args[0] if args else kwargs["input"]
        in_place = func in _RELU_IN_PLACE + _CLAMP_IN_PLACE or kwargs.get("inplace", False)
        entering = x.clone() if in_place and (self.watch or self.redirect) else x
        if self.redirect and entering.requires_grad and entering.dim():
            smooth = kwargs.get("approximate", "none") if func in _GELU else None
            closed = func in _CLAMP + _CLAMP_IN_PLACE
            output = _Redirected.apply(entering, bounds, smooth, closed)
            output = x.copy_(output) if in_place else output
        else:
            output = func(*args, **kwargs)
        if self.watch and func not in _GELU:
            self._latest = (output, entering)
        return output


class _Redirected(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bounds: tuple[float, float | None], *kind: Any) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bounds, (ctx.smooth, ctx.closed) = bounds, kind
        return F.gelu(x, approximate=ctx.smooth) if ctx.smooth else x.clamp(*bounds)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        (x,), grad, (floor, ceiling) = ctx.saved_tensors, grads[0], ctx.bounds
        if ctx.smooth:
            with torch.enable_grad():
                y = x.detach().requires_grad_()
                (true,) = torch.autograd.grad(F.gelu(y, approximate=ctx.smooth), y, grad)
            dead = _rows(true).abs().amax(1) < 1e-6 * _rows(grad).abs().amax(1)
        else:
            true = grad * _passing(x, floor, ceiling, closed=ctx.closed)
            dead = ~_rows(true).any(1)
        if not bool(dead.any()):
            return true, None, None, None, None
        # The optimizer descends: a negative gradient pushes an entry up.
        helpful = (x <= floor) & (grad < 0)
        if ceiling is not None:
            helpful |= (x >= ceiling) & (grad > 0)
        shape = (-1, *(1,) * (x.dim() - 1))
        return torch.where(dead.view(shape), torch.where(helpful, grad, true), true), None, None, None, None


def _rows(x: Tensor) -> Tensor:
    """One for each image, also where a rectifier sees one number of each."""
    return x.reshape(len(x), -1)


def _passing(x: Tensor, floor: float, ceiling: float | None, *, closed: bool) -> Tensor:
    """Where gradients get through; a clamp's do at the very bounds too."""
    if closed:
        return x >= floor if ceiling is None else (x >= floor) & (x <= ceiling)
    return x > floor if ceiling is None else (x > floor) & (x < ceiling)


def _bounds(func: Any, args: Any, kwargs: Any) -> tuple[float, float | None] | None:
    """Floor and ceiling of a rectifier, or None for any other function."""
    if func in _RELU or func in _RELU_IN_PLACE or func in _GELU:
        return (0.0, None)
    if func in _RELU6:
        low = kwargs.get("min_val", args[1] if len(args) > 1 else -1.0) if func is F.hardtanh else 0.0
        high = kwargs.get("max_val", args[2] if len(args) > 2 else 1.0) if func is F.hardtanh else 6.0
        return (0.0, float(high)) if low == 0 else None
    if func in _CLAMP + _CLAMP_IN_PLACE:
        low = kwargs.get("min", args[1] if len(args) > 1 else None)
        high = kwargs.get("max", args[2] if len(args) > 2 else None)
        is_floor = isinstance(low, int | float) and not isinstance(low, bool) and low == 0
        if is_floor and (high is None or isinstance(high, int | float)):
            return (0.0, None if high is None else float(high))
    return None
