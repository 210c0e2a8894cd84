"""What photographs leave at rest in a network, and the network while that is held there."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from snellen.measures import Rest
from snellen.models import Model, Unit, response
from snellen.models.gates import along, by_channel, gates
from snellen.models.passes import run
from snellen.models.survey import survey
from snellen.models.taps import observe
from snellen.studies.world import World

SHAKE = 5.0
"""Noise in standard deviations of a gate's output."""
Held = Mapping[str, tuple[Tensor, Tensor]]
"""By gate which channels are held, (c,) of bool, and at which values, (c,)."""


def rests(world: World, images: Iterable[Tensor], *, shake: torch.Generator | None = None) -> dict[str, Rest]:
    """What all images leave at rest, gate by gate in the order in which they run; memory: one batch and c numbers.

    Args:
        world: the network.
        images: batches.
        shake: of the noise that is added to what every gate passes on, if any is.
    """
    found: dict[str, Rest] = {}
    current = 0

    def visit(name: str, output: Tensor) -> Tensor | None:
        values = by_channel(output, world.model.size, current)
        if values is None or not values.shape[2]:
            return None
        least, most = torch.aminmax(values, dim=2)
        rest = Rest.of(least.double().cpu().numpy(), most.double().cpu().numpy())
        if name not in found or len(found[name].low) == len(rest.low):
            found[name] = found[name].merge(rest) if name in found else rest
        return None if shake is None or not output.is_floating_point() else shaken(output, shake)

    for batch in images:
        current = len(batch)
        with gates(world.model.module, visit):
            run(world.model, batch)
    return found


def shaken(output: Tensor, stream: torch.Generator) -> Tensor:
    """A gate's output with noise far above its own variation: what sleeps behind it wakes, what is dead does not."""
    noise = torch.randn(output.shape, generator=stream, dtype=output.dtype).to(output.device)
    return output + SHAKE * output.std() * noise if output.numel() > 1 else output


def held_responses(world: World, units: Sequence[Unit], pictures: Tensor, held: Held) -> np.ndarray:
    """(u,) responses of every unit to its own picture, while gates are held if there are any to hold."""
    size, values = world.model.size, torch.empty(len(units), dtype=torch.float64)
    known = survey(world.model)  # of the network as it is, with nothing held

    def visit(name: str, output: Tensor) -> Tensor | None:
        return _held_output(name, output, held, size=size, images=current)

    for start in range(0, len(units), world.batch):
        rows = slice(start, start + world.batch)
        images = pictures[rows].to(world.model.device)
        current = len(images)
        addresses = sorted({unit.address for unit in units[rows]})
        with gates(world.model.module, visit):
            seen = observe(world.model, images, addresses, known=known)
        for i, unit in enumerate(units[rows]):
            values[start + i] = response(seen[unit.address][i : i + 1], unit)[0].double()
    return values.numpy()


@contextlib.contextmanager
def holding(model: Model, held: Held) -> Iterator[None]:
    """While open, channels of gates are held in every forward pass, gradients and all; afterwards nothing is.

    Args:
        model: the network; layers that work in place do not while this is open, since what is held is written anew.
        held: by gate, which channels (c,) and at which values (c,).
    """
    rows = 0

    def visit(name: str, output: Tensor) -> Tensor | None:
        return _held_output(name, output, held, size=model.size, images=rows)

    open_ones: list[contextlib.ExitStack] = []

    def enter(module: nn.Module, inputs: Any) -> None:
        nonlocal rows
        rows = len(inputs[0])
        stack = contextlib.ExitStack()
        stack.enter_context(gates(module, visit))
        open_ones.append(stack)

    def leave(_module: nn.Module, _inputs: Any, _output: Any) -> None:
        open_ones.pop().close()

    module = model.module
    hooks = [module.register_forward_pre_hook(enter), module.register_forward_hook(leave, always_call=True)]
    inplace = [part for part in module.modules() if getattr(part, "inplace", False) is True]
    try:
        for part in inplace:
            part.inplace = False  # type: ignore[assignment]
        yield
    finally:
        for part in inplace:
            part.inplace = True  # type: ignore[assignment]
        for hook in hooks:
            hook.remove()


def _held_output(name: str, output: Tensor, held: Held, *, size: tuple[int, int], images: int) -> Tensor | None:
    """A gate's output with what is held of it; None where nothing is.

    Args:
        name, output: of the gate.
        held: by gate.
        size: of the pictures.
        images: how many there are.
    """
    if name not in held or by_channel(output, size, images) is None:
        return None
    chosen, value = (part.to(output.device) for part in held[name])
    return torch.where(along(chosen, output, size), along(value.to(output.dtype), output, size), output)
