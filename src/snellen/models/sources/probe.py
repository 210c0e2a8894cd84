"""What a network takes, found out by trying: its input size and whether it wants colour."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from snellen.base import ModelError, WeightsError
from snellen.models.model import Model, Preprocess
from snellen.models.passes import SIZES, run, takes


@dataclass(frozen=True)
class Probed:
    """Size and preprocessing that work, and why this size."""

    size: tuple[int, int]
    preprocess: Preprocess
    why: str


def probe(module: nn.Module, *, size: tuple[int, int] | None, preprocess: Preprocess | None) -> Probed:
    """Try sizes, in colour first and in grey if no size works in colour.

    A network that takes 224 pixels gets 224, unless its total stride says that it was made for less: up to 4 means 32
    pixels, up to 8 means 64. One that does not gets the first of the other usual sizes that it takes.

    Args:
        module: the network.
        size: try only this one.
        preprocess: try only this one.

    Raises:
        ModelError: nothing works; the message is the network's own at the first size.
    """
    ways = (preprocess,) if preprocess else (Preprocess(), Preprocess(mean=(0.0,), std=(1.0,), channels="grey"))
    for way in ways:
        model = Model(module, preprocess=way)
        if size is not None and takes(model, size):
            return Probed(size, way, "")
        if size is None and (found := _usual(model)):
            return Probed(found[0], way, found[1])
    first = size or (SIZES[0], SIZES[0])
    runs_at(Model(module, preprocess=ways[0]), first)
    raise ModelError(f"expected the network to do the same twice at {first[0]} px, got an error only the first time")


def _usual(model: Model) -> tuple[tuple[int, int], str] | None:
    largest = (SIZES[0], SIZES[0])
    if takes(model, largest):
        stride = _total_stride(model, largest)
        side = 32 if stride <= 4 else 64 if stride <= 8 else SIZES[0]
        if side == SIZES[0] or takes(model, (side, side)):
            return (side, side), f"total stride {stride}"
        return largest, "the first usual size that the network takes"
    side = next((s for s in SIZES[1:] if takes(model, (s, s))), 0)
    return ((side, side), "the first usual size that the network takes") if side else None


def runs_at(model: Model, size: tuple[int, int]) -> None:
    """Send one picture through.

    Raises:
        ModelError: the network fails at this size.
    """
    with torch.no_grad():
        run(model, _picture(model, size))


def check_finite(module: nn.Module, preprocess: Preprocess) -> None:
    """Nothing that a network computes with may be NaN: from there on every response, and so every check, is one.

    Infinite parameters are refused, too; infinite buffers are not, for masks and unbounded ranges are written so.

    Raises:
        WeightsError: a tensor holds such a number; the message says which.
        ModelError: the preprocessing does.
    """
    numbers = (preprocess.scale, *preprocess.mean, *preprocess.std)
    if not all(math.isfinite(v) for v in numbers):
        raise ModelError(f"expected a finite scale, mean and deviation, got {preprocess}; mend the model")
    for name, tensor in module.named_parameters():
        if not tensor.isfinite().all():
            raise _not_finite(name, int((~tensor.isfinite()).sum()), "NaN or infinite")
    for name, buffer in module.named_buffers():
        if buffer.isnan().any():
            raise _not_finite(name, int(buffer.isnan().sum()), "NaN")


def _not_finite(name: str, count: int, what: str) -> WeightsError:
    return WeightsError(f'expected finite weights, got {count:,} in "{name}" that are {what}; give other weights')


def _picture(model: Model, size: tuple[int, int]) -> Tensor:
    return torch.full((1, 3, *size), 0.5, dtype=model.dtype, device=model.device)


def _total_stride(model: Model, size: tuple[int, int]) -> int:
    sides: list[int] = []
    with _watched(model.module, sides), torch.no_grad():
        model.run(_picture(model, size))
    return size[0] // min((s for s in sides if s > 1), default=1)


@contextlib.contextmanager
def _watched(module: nn.Module, sides: list[int]) -> Iterator[None]:
    def note(_module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.dim() == 4:
            sides.append(output.shape[2])

    handles = [m.register_forward_hook(note) for m in module.modules() if isinstance(m, nn.Conv2d)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
