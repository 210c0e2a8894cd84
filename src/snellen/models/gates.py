"""Every operation of a network that makes numbers, seen or changed as it runs."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from snellen.models.unit import channel_axis, is_channels_last

Visit = Callable[[str, Tensor], Tensor | None]
_NOTHING_NEW = frozenset({"empty_like", "new_empty", "new_empty_strided", "__get__", "copy_", "set_", "requires_grad_"})
"""What makes no numbers: they mean nothing yet, or are another tensor's."""


class _Watch:
    """Where a forward pass is, and who is told what is made there."""

    def __init__(self, visit: Visit) -> None:
        self._told = visit
        self._calls: dict[str, int] = {}
        self.where: list[str] = []
        self.seen_as_one = [True]
        """Whether what runs now is no part of the network, or of something that is seen as a whole."""

    def _visit(self, name: str, output: Tensor) -> Tensor | None:
        self.seen_as_one.append(True)  # what the visitor computes is none of the network's
        try:
            return self._told(name, output)
        finally:
            self.seen_as_one.pop()

    def hidden(self, func: Any, args: Any, kwargs: Any) -> tuple[bool, Any]:
        """Whether an operation is part of something that is seen as one, and what it made."""
        part = self.seen_as_one[-1]
        self.seen_as_one.append(True)
        try:
            return part, func(*args, **kwargs)
        finally:
            self.seen_as_one.pop()

    def made(self, name: str, output: Any, inputs: Sequence[Any], *, in_place: bool = False) -> Any:
        """What stands in the place of what an operation made."""
        if name in _NOTHING_NEW or not isinstance(output, Tensor) or not (in_place or _computed(output, inputs)):
            return output
        name = name.strip("_")
        place = f"{self.where[-1]}/{name}" if self.where[-1] else name
        number = self._calls[place] = self._calls.get(place, 0) + 1
        changed = self._visit(place if number == 1 else f"{place}#{number}", output)
        if changed is None:
            return output
        return output.copy_(changed) if in_place else changed

    def left(self, name: str, output: Any) -> Any:
        """What stands in the place of what a module returned; None for the same."""
        if isinstance(output, Tensor):
            return self._visit(name, output)
        if type(output) not in (tuple, list):
            return None
        parts = [self._visit(f"{name}[{i}]", one) if isinstance(one, Tensor) else None for i, one in enumerate(output)]
        if all(part is None for part in parts):
            return None
        return type(output)(old if new is None else new for old, new in zip(output, parts, strict=True))


class _Functions(TorchFunctionMode):
    """Sees functions, above the gradients: what is put in an output's place has gradients of its own."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self._watch = watch

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        hidden, output = self._watch.hidden(func, args, kwargs)
        if hidden:
            return output
        name = getattr(func, "__name__", "")
        in_place = (name.endswith("_") and not name.endswith("__")) or bool(kwargs.get("inplace", False))
        return self._watch.made(name, output, [*args, *kwargs.values()], in_place=in_place)


class _Operations(TorchDispatchMode):
    """Sees what compiled code does, which calls no function of Python; below the gradients."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self._watch = watch

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        hidden, output = self._watch.hidden(func, args, kwargs)
        if hidden:
            return output
        return self._watch.made(func._schema.name.partition("::")[2], output, [*args, *kwargs.values()])


def _computed(output: Tensor, inputs: Sequence[Any]) -> bool:
    """Whether something made these numbers out of others: no view or copy by name, and no constant from nothing."""
    if not (output.is_floating_point() or output.dtype is torch.bool):
        return False
    given = [one for one in inputs if isinstance(one, Tensor)]
    given += [one for many in inputs if isinstance(many, list | tuple) for one in many if isinstance(one, Tensor)]
    place = output.untyped_storage().data_ptr()
    return bool(given) and all(one.untyped_storage().data_ptr() != place for one in given)


@contextlib.contextmanager
def gates(module: nn.Module, visit: Visit, *, running: bool = False) -> Iterator[None]:
    """While open, one forward pass shows all that could be a gate to `visit`, in the order in which it runs.

    That is whatever makes numbers out of numbers: functions and operators, however they are called; childless modules
    of PyTorch's own as a whole; what any childless module returns, each tensor of several; and the operations of
    modules that torch.jit compiled, which can be seen, but are held without gradients. A name is the path of the module
    that is running, and for functions what they are called: "layer3.1/relu", of several "/relu#2".

    Args:
        module: the network.
        visit: takes a gate's name and its output; returns what is to stand in its place, or None to leave it.
        running: whether that pass has begun.
    """
    watch = _Watch(visit)
    if running:
        watch.where.append("")
        watch.seen_as_one.append(False)
    handles = []
    compiled = False
    try:
        for name, part in module.named_modules():
            if isinstance(part, torch.jit.ScriptModule):  # takes no hooks
                compiled = True
            elif name or not running:
                leaf = bool(name) and not any(True for _ in part.children())
                handles.append(part.register_forward_pre_hook(_entering(watch, name, leaf and _is_torchs(part))))
                handles.append(part.register_forward_hook(_leaving(watch, name, leaf), always_call=True))
        with _Operations(watch) if compiled else contextlib.nullcontext(), _Functions(watch):
            yield
    finally:
        for handle in handles:
            handle.remove()


def _is_torchs(part: nn.Module) -> bool:
    return type(part).__module__.startswith("torch.nn.")


def by_channel(output: Tensor, size: tuple[int, int], images: int) -> Tensor | None:
    """A gate's output as (n, c, positions); None where its first axis does not count images or it holds no numbers.

    Of a single image everything belongs to it: what has another first axis then has its channels there.

    Args:
        output: of any shape.
        size: height and width of the pictures.
        images: how many went in.
    """
    if output.is_complex():
        return None
    if is_folded(output, images):
        return output.reshape(1, *(output.shape[:1] or (1,)), -1) if images == 1 else None
    if output.dim() == 1:
        return output[:, None, None]
    shape = tuple(output.shape[1:])
    axis = 3 if is_channels_last(shape, size) else channel_axis(shape) + 1
    return output.movedim(axis, 1).flatten(2) if output.dim() > 2 else output[:, :, None]


def is_folded(output: Tensor, images: int) -> bool:
    """Whether the first axis of a gate's output counts something else than images."""
    return not output.dim() or output.shape[0] != images


def along(values: Tensor, output: Tensor, size: tuple[int, int], images: int) -> Tensor:
    """One number a channel, (c,), shaped to broadcast over a gate's output, as `by_channel` finds them."""
    if is_folded(output, images):
        return values.view([-1, *[1] * (output.dim() - 1)] if output.dim() else [])
    if output.dim() < 2:
        return values
    shape = tuple(output.shape[1:])
    axis = 3 if is_channels_last(shape, size) else channel_axis(shape) + 1
    return values.view([-1 if d == axis else 1 for d in range(output.dim())])


def _entering(watch: _Watch, name: str, as_one: bool) -> Any:
    def hook(_module: nn.Module, _inputs: Any) -> None:
        watch.where.append(name)
        watch.seen_as_one.append(as_one or (bool(name) and watch.seen_as_one[-1]))

    return hook


def _leaving(watch: _Watch, name: str, leaf: bool) -> Any:
    def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        watch.where.pop()
        watch.seen_as_one.pop()
        return watch.left(name, output) if leaf else None

    return hook
