"""Everything in a network that can be off: rectifiers, thresholds and modules, seen or switched as they run."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from snellen.models.unit import channel_axis, is_channels_last

Visit = Callable[[str, Tensor], Tensor | None]
GATES = frozenset(
    {
        *("relu", "relu_", "relu6", "hardtanh", "hardtanh_", "threshold", "threshold_", "hardsigmoid", "hardswish"),
        *("clamp", "clamp_", "clamp_min", "clamp_min_", "clamp_max", "clamp_max_", "clip", "clip_"),
        *("maximum", "minimum", "where", "heaviside", "sign", "sgn", "round", "floor", "ceil"),
        *("gt", "ge", "lt", "le", "__gt__", "__ge__", "__lt__", "__le__", "greater", "less"),
    }
)


class _Watch(TorchFunctionMode):
    """Calls `visit` with the output of every function in `GATES` and takes what it returns in the output's place."""

    def __init__(self, visit: Visit, where: list[str]) -> None:
        super().__init__()
        self._visit, self._where = visit, where
        self.calls: dict[str, int] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name not in GATES or not isinstance(output, Tensor):
            return output
        place = f"{self._where[-1]}/{name.strip('_')}" if self._where[-1] else name.strip("_")
        number = self.calls[place] = self.calls.get(place, 0) + 1
        changed = self._visit(place if number == 1 else f"{place}#{number}", output)
        if changed is None:
            return output
        in_place = name.endswith("_") and not name.endswith("__")
        return output.copy_(changed) if in_place or kwargs.get("inplace", False) else changed


@contextlib.contextmanager
def gates(module: nn.Module, visit: Visit) -> Iterator[None]:
    """While open, one forward pass shows every gate to `visit`, in the order in which they run.

    A gate is a rectifying or thresholding function, however it is called, or a module without children. Its name is the
    path of the module that it runs in, and for functions what they are called: "layer3.1/relu", of several "/relu#2".

    Args:
        module: the network.
        visit: takes a gate's name and its output; returns what is to stand in its place, or None to leave it.
    """
    where = [""]
    watch = _Watch(visit, where)
    handles = []
    try:
        for name, part in module.named_modules():
            if name:
                handles.append(part.register_forward_pre_hook(_entering(where, name)))
                leaf = not any(True for _ in part.children())
                handles.append(part.register_forward_hook(_leaving(where, name, visit if leaf else None)))
        with watch:
            yield
    finally:
        for handle in handles:
            handle.remove()


def by_channel(output: Tensor, size: tuple[int, int], images: int) -> Tensor | None:
    """A gate's output as (n, c, positions); None where its first axis does not count images or it holds no numbers.

    Args:
        output: of any shape.
        size: height and width of the pictures.
        images: how many went in.
    """
    if not output.dim() or output.shape[0] != images or output.is_complex():
        return None
    if output.dim() == 1:
        return output[:, None, None]
    shape = tuple(output.shape[1:])
    axis = 3 if is_channels_last(shape, size) else channel_axis(shape) + 1
    return output.movedim(axis, 1).flatten(2) if output.dim() > 2 else output[:, :, None]


def along(values: Tensor, output: Tensor, size: tuple[int, int]) -> Tensor:
    """One number a channel, (c,), shaped to broadcast over a gate's output."""
    if output.dim() < 2:
        return values
    shape = tuple(output.shape[1:])
    axis = 3 if is_channels_last(shape, size) else channel_axis(shape) + 1
    return values.view([-1 if d == axis else 1 for d in range(output.dim())])


def _entering(where: list[str], name: str) -> Any:
    def hook(_module: nn.Module, _inputs: Any) -> None:
        where.append(name)

    return hook


def _leaving(where: list[str], name: str, visit: Visit | None) -> Any:
    def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        where.pop()
        return visit(name, output) if visit is not None and isinstance(output, Tensor) else None

    return hook
