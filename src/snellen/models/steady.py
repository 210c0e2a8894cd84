"""A network held steady: a forward pass leaves nothing behind and starts from the same random numbers.

Networks remember things. They are in train mode because somebody is training them, keep features of the last call in a
list, count calls, draw random numbers. A pass that only looks must not move any of it.
"""

import contextlib
import random
import warnings
import weakref
from collections import deque
from collections.abc import Iterator, MutableMapping, MutableSequence, MutableSet
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

_OPEN: ContextVar[tuple[int, ...]] = ContextVar("snellen_steady", default=())
_MOVING: "weakref.WeakSet[nn.Module]" = weakref.WeakSet()  # networks whose forward pass moves their weights
_LARGEST = 1 << 26  # numbers in buffers that are kept twice
_OURS = frozenset(nn.Module().__dict__)  # what every module has: its parameters, hooks and the like
_DEPTH = 3  # of lists in lists
Container = MutableSequence[Any] | MutableMapping[Any, Any] | MutableSet[Any]


@contextlib.contextmanager
def steady(module: nn.Module, *, seed: int = 0) -> Iterator[None]:
    """While open, the network is in eval mode and global generators start from a seed; afterwards all is as it was.

    Modes, buffers, lists and attributes of its modules that a forward pass changed are put back. Within itself it does
    nothing more, so it costs once, however many passes run inside.

    Args:
        module: the network.
        seed: of the global generators of PyTorch (on the network's device), numpy and Python.
    """
    if id(module) in _OPEN.get():
        yield
        return
    token = _OPEN.set((*_OPEN.get(), id(module)))
    try:
        with warnings.catch_warnings(), seeded(seed, _device(module)):
            warnings.simplefilter("ignore")  # what a network has to say about itself is not news here
            with _evaluating(module), _remembering(module, weights=module in _MOVING), _precisely(module):
                yield
    finally:
        _OPEN.reset(token)


@contextlib.contextmanager
def watched(module: nn.Module) -> Iterator[None]:
    """While open, the network is held steady and its weights are kept, too; if it moves them, they are from now on."""
    before = [(p, p.data_ptr(), _version(p)) for p in module.parameters() if _is_kept(p)]
    with undone(module), steady(module):
        yield
        if any(p.data_ptr() != place or _version(p) != version for p, place, version in before):
            _MOVING.add(module)


@contextlib.contextmanager
def undone(module: nn.Module) -> Iterator[None]:
    """What passes change while it is open is put back when it closes, also within `steady`."""
    with _remembering(module, weights=True):
        yield


def _version(tensor: Tensor) -> int:
    return tensor._version


@contextlib.contextmanager
def _precisely(module: nn.Module) -> Iterator[None]:
    """Whatever autocast the caller has on is off."""
    device = _device(module)
    with torch.autocast("cpu" if device is None else device.type, enabled=False):
        yield


@contextlib.contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """While open, global generators start from a seed; afterwards they are as before.

    Args:
        seed: 0 or more.
        device: of CUDA, whose generator is included; None for the CPU alone.
    """
    devices = [device] if device is not None and device.type == "cuda" else []
    python, arrays = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=devices):
        try:
            random.seed(seed)
            np.random.seed(seed)
            torch.default_generator.manual_seed(seed)
            if devices:
                torch.cuda.manual_seed(seed)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(arrays)


Numbers = tuple[Any, ...]
"""Where global generators stand."""


def generators() -> Numbers:
    """Where the global generators of PyTorch (on the CPU), numpy and Python stand."""
    arrays: Any = np.random.get_state()
    return torch.get_rng_state(), arrays[1:3], random.getstate()


def same(now: Numbers, before: Numbers) -> bool:
    """Whether no random number was drawn in between."""
    arrays = all(np.array_equal(a, b) for a, b in zip(now[1], before[1], strict=True))
    return torch.equal(now[0], before[0]) and arrays and now[2] == before[2]


def _device(module: nn.Module) -> torch.device | None:
    return next((p.device for p in module.parameters()), None)


@contextlib.contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    training = [part for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


@contextlib.contextmanager
def _remembering(module: nn.Module, *, weights: bool) -> Iterator[None]:
    parts = [part for part in module.modules() if not isinstance(part, torch.jit.ScriptModule)]
    attributes = [(p, {k: v for k, v in p.__dict__.items() if k not in _OURS}) for p in parts]
    contents = [(held, _copied(held)) for _, own in attributes for v in own.values() for held in _containers(v)]
    tensors = _tensors(attributes, weights=weights)
    try:
        yield
    finally:
        moved = {id(part) for part, kept in tensors if kept.restore()}
        for part, own in attributes:
            _restore_attributes(part, own, flags=id(part) in moved)
        for held, kept in contents:
            _restore(held, kept)


class _Kept:
    """A tensor in a dictionary of a module, and its numbers."""

    def __init__(self, held: MutableMapping[str, Any], name: str) -> None:
        self._held, self._name, self._tensor = held, name, held[name]
        self._data = self._tensor.data
        self._numbers = self._data.clone()

    def restore(self) -> bool:
        """Puts tensor and numbers back; True where they had changed."""
        changed = self._held.get(self._name) is not self._tensor
        if changed:
            self._held[self._name] = self._tensor
        if self._tensor.data_ptr() != self._data.data_ptr():
            self._tensor.data, changed = self._data, True
        if not _same(self._tensor, self._numbers):
            self._tensor.data.copy_(self._numbers)
            changed = True
        return changed


def _tensors(attributes: list[tuple[nn.Module, dict[str, Any]]], *, weights: bool) -> list[tuple[nn.Module, _Kept]]:
    """Buffers and tensors in attributes, and weights if asked for, as they are."""
    found = []
    for part, own in attributes:
        mine: list[tuple[MutableMapping[str, Any], str]] = [(part._buffers, name) for name in part._buffers]
        mine += [(part._parameters, name) for name in part._parameters] if weights else []
        mine += [(part.__dict__, name) for name in own]
        found += [(part, held, name) for held, name in mine if _is_kept(held[name])]
    if not weights and sum(held[name].numel() for _, held, name in found) > _LARGEST:
        return []
    return [(part, _Kept(held, name)) for part, held, name in found]


def _is_kept(value: Any) -> bool:
    plain = isinstance(value, Tensor) and value.layout is torch.strided and value.device.type != "meta"
    return plain and not value.is_inference() and not value.is_quantized and not is_lazy(value)


def _same(tensor: Tensor, kept: Tensor) -> bool:
    """To the last bit, where NaN equals NaN."""
    if tensor.shape != kept.shape or tensor.dtype != kept.dtype:
        return True  # resized in place: nothing that can be copied back
    with torch.no_grad():
        return bool(((tensor == kept) | ((tensor != tensor) & (kept != kept))).all())


def _restore_attributes(part: nn.Module, own: dict[str, Any], *, flags: bool) -> None:
    """Puts back numbers and what holds tensors.

    Flags and what a network set up once, at its first call, stay, unless tensors of the same module are put back.
    """
    now = part.__dict__
    for name in [k for k in now if k not in _OURS and k not in own and _holds_tensors(now[k])]:
        del now[name]
    for name, value in own.items():
        if now.get(name) is value:
            continue
        if _holds_tensors(now.get(name)) or _is_number(value) or (flags and isinstance(value, bool)):
            now[name] = value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _containers(value: Any, depth: int = _DEPTH) -> Iterator[Container]:
    if not isinstance(value, list | dict | set | deque) or not depth:
        return
    yield value
    for inner in value.values() if isinstance(value, dict) else value:
        yield from _containers(inner, depth - 1)


def _copied(held: Container) -> Any:
    return dict(held) if isinstance(held, MutableMapping) else list(held)


def _restore(held: Container, kept: Any) -> None:
    now = _copied(held)
    if _identical(now, kept) or not (_holds_tensors(now) or _holds_tensors(kept) or _holds_numbers(now, kept)):
        return
    held.clear()
    if isinstance(held, MutableMapping):
        held.update(kept)
    elif isinstance(held, MutableSet):
        for item in kept:
            held.add(item)
    else:
        held.extend(kept)


def _identical(now: Any, kept: Any) -> bool:
    if len(now) != len(kept):
        return False
    if isinstance(now, dict):
        return all(k in kept and v is kept[k] for k, v in now.items())
    return all(a is b for a, b in zip(now, kept, strict=True))


def _holds_numbers(now: Any, kept: Any) -> bool:
    """Whether it holds numbers and nothing else, as a counter or a history does."""
    values = [v for held in (now, kept) for v in (held.values() if isinstance(held, dict) else held)]
    return bool(values) and all(map(_is_number, values))


def _holds_tensors(value: Any, depth: int = _DEPTH) -> bool:
    if isinstance(value, Tensor):
        return True
    if not isinstance(value, list | dict | set | tuple | deque) or not depth:
        return False
    return any(_holds_tensors(v, depth - 1) for v in (value.values() if isinstance(value, dict) else value))
