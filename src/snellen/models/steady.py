"""A network held steady: a forward pass leaves nothing behind and starts from the same random numbers.

Networks remember things. They are in train mode because somebody is training them, keep features of the last call in a
list, count calls, draw random numbers. A pass that only looks must not move any of it.
"""

import contextlib
import random
import warnings
from collections import deque
from collections.abc import Iterator, MutableMapping, MutableSequence, MutableSet
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_OPEN: ContextVar[tuple[int, ...]] = ContextVar("snellen_steady", default=())
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
            with _evaluating(module), _remembering(module):
                yield
    finally:
        _OPEN.reset(token)


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
def _remembering(module: nn.Module) -> Iterator[None]:
    parts = [part for part in module.modules() if not isinstance(part, torch.jit.ScriptModule)]
    attributes = [(p, {k: v for k, v in p.__dict__.items() if k not in _OURS}) for p in parts]
    contents = [(held, _copied(held)) for _, own in attributes for v in own.values() for held in _containers(v)]
    buffers = _buffers(parts)
    try:
        yield
    finally:
        for part, name, buffer, kept in buffers:
            if part._buffers.get(name) is not buffer:
                part._buffers[name] = buffer
            if not _same(buffer, kept):
                with torch.no_grad():
                    buffer.copy_(kept)
        for part, own in attributes:
            _restore_attributes(part, own)
        for held, kept in contents:
            _restore(held, kept)


def _buffers(parts: list[nn.Module]) -> list[tuple[nn.Module, str, Tensor, Tensor]]:
    found = [(part, name, b) for part in parts for name, b in part._buffers.items() if isinstance(b, Tensor)]
    if sum(b.numel() for *_, b in found) > _LARGEST:
        return []
    with torch.no_grad():
        return [(part, name, b, b.detach().clone()) for part, name, b in found if not b.is_inference()]


def _same(buffer: Tensor, kept: Tensor) -> bool:
    """To the last bit, where NaN equals NaN."""
    if buffer.shape != kept.shape or buffer.dtype != kept.dtype:
        return True  # resized in place: nothing that can be copied back
    return bool(((buffer == kept) | ((buffer != buffer) & (kept != kept))).all())


def _restore_attributes(part: nn.Module, own: dict[str, Any]) -> None:
    """Puts back numbers and what holds tensors; flags and what a network set up once, at its first call, stay."""
    now = part.__dict__
    for name in [k for k in now if k not in _OURS and k not in own and _holds_tensors(now[k])]:
        del now[name]
    for name, value in own.items():
        if now.get(name) is not value and (_holds_tensors(now.get(name)) or _is_number(value)):
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
    if _identical(now, kept) or not (_holds_tensors(now) or _holds_tensors(kept)):
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


def _holds_tensors(value: Any, depth: int = _DEPTH) -> bool:
    if isinstance(value, Tensor):
        return True
    if not isinstance(value, list | dict | set | tuple | deque) or not depth:
        return False
    return any(_holds_tensors(v, depth - 1) for v in (value.values() if isinstance(value, dict) else value))
