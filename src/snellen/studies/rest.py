"""What photographs do to every channel of a network, and the network while channels are held to that."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snellen.measures import Rest
from snellen.models import Model, Unit, response
from snellen.models.gates import along, by_channel, gates, is_folded
from snellen.models.passes import run
from snellen.models.survey import survey
from snellen.models.taps import observe
from snellen.studies.world import World

SHAKE = 1.0
"""Deviation of noise, in widths of what photographs do to a gate's channels, at the mean of these."""
Held = Mapping[str, tuple[Tensor, Tensor, Tensor]]
"""By gate which channels are held, (c,) of bool, and the lowest and highest values that they may take, (c,) each."""


def rests(world: World, images: Iterable[Tensor], *, spare: int = 0, noise: "Noise | None" = None) -> dict[str, Rest]:
    """What all images do to channels, gate by gate in the order in which they run.

    Args:
        world: the network.
        images: batches.
        spare: images that a channel's band leaves out at either end.
        noise: what is added to what every gate passes on, if anything is.
    """
    found: dict[str, Rest] = {}
    folded: set[str] = set()

    def passed(batch: Tensor, only: frozenset[str] | None = None) -> None:
        def visit(name: str, output: Tensor) -> Tensor | None:
            if is_folded(output, len(batch)) and len(batch) > 1:
                folded.add(name)
            elif only is None or name in only:
                _join(found, name, by_channel(output, world.model.size, len(batch)), spare)
            return None if noise is None else noise(name, output)

        with gates(world.model.module, visit):
            run(world.model, batch)

    for batch in images:
        passed(batch)
        for image in batch.split(1) if folded else ():  # of a single image everything belongs to it
            passed(image, frozenset(folded))
    return found


def _join(found: dict[str, Rest], name: str, values: Tensor | None, spare: int) -> None:
    """Add what images do to a gate's channels (n, c, positions) to what is known of it."""
    if values is None or not values.shape[2]:
        return
    least, most = torch.aminmax(values, dim=2)
    rest = Rest.of(least.double().cpu().numpy(), most.double().cpu().numpy(), spare)
    if name not in found or len(found[name].low) == len(rest.low):
        found[name] = found[name].merge(rest) if name in found else rest


@dataclass(frozen=True, eq=False)
class Noise:
    """Noise far above what photographs do to a gate: what sleeps behind it wakes, what is dead does not.

    Args:
        stream: of random numbers.
        known: of photographs, by gate.
    """

    stream: torch.Generator
    known: Mapping[str, Rest]

    def __call__(self, name: str, output: Tensor) -> Tensor | None:
        """A gate's output with noise; None where that is not to be had."""
        if name not in self.known or not output.is_floating_point():
            return None
        low, high = self.known[name].band
        width = (high - low)[np.isfinite(low) & np.isfinite(high)]
        scale = SHAKE * float(width.mean()) if len(width) else 0.0
        noise = torch.randn(output.shape, generator=self.stream, dtype=torch.float32)
        return output + (scale * noise).to(output.device, output.dtype)


def held_responses(world: World, units: Sequence[Unit], pictures: Tensor, held: Held) -> np.ndarray:
    """(u,) responses of every unit to its own picture, while gates are held if there are any to hold."""
    size, values = world.model.size, torch.empty(len(units), dtype=torch.float64)
    known = survey(world.model)  # of the network as it is, with nothing held

    def visit(name: str, output: Tensor) -> Tensor | None:
        return _held_output(name, output, held, size=size, images=current)

    step = 1 if _folded(world, pictures, held) else world.batch
    for start in range(0, len(units), step):
        rows = slice(start, start + step)
        images = pictures[rows].to(world.model.device)
        current = len(images)
        addresses = sorted({unit.address for unit in units[rows]})
        with gates(world.model.module, visit):
            seen = observe(world.model, images, addresses, known=known)
        for i, unit in enumerate(units[rows]):
            values[start + i] = response(seen[unit.address][i : i + 1], unit)[0].double()
    return values.numpy()


def _folded(world: World, pictures: Tensor, held: Held) -> bool:
    """Whether something that is held has no axis of pictures, so that it can be held in one picture at a time."""
    found: list[str] = []

    def visit(name: str, output: Tensor) -> None:
        if name in held and is_folded(output, len(few)):
            found.append(name)

    few = pictures[:2].to(world.model.device)
    if held and len(few) > 1:
        with torch.no_grad(), gates(world.model.module, visit):
            run(world.model, few)
    return bool(found)


@contextlib.contextmanager
def holding(model: Model, held: Held) -> Iterator[None]:
    """While open, channels of gates are held in every forward pass, gradients and all; afterwards nothing is.

    Args:
        model: the network; layers that work in place do not while this is open, since what is held is written anew.
        held: by gate, which channels and where.
    """
    rows = 0

    def visit(name: str, output: Tensor) -> Tensor | None:
        return _held_output(name, output, held, size=model.size, images=rows)

    module, forward = model.module, model.module.forward
    replaced = vars(module).get("forward")

    def held_forward(*inputs: Any, **named: Any) -> Any:  # no hook is sure to run where a pass is stopped on its way
        nonlocal rows
        rows = len(inputs[0])
        with gates(module, visit, running=True):
            return forward(*inputs, **named)

    inplace = [part for part in module.modules() if getattr(part, "inplace", False) is True]
    try:
        for part in inplace:
            part.inplace = False  # type: ignore[assignment]
        module.forward = held_forward
        yield
    finally:
        for part in inplace:
            part.inplace = True  # type: ignore[assignment]
        if replaced is None:
            del module.forward
        else:
            module.forward = replaced


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
    to = partial(along, output=output, size=size, images=images)
    chosen, low, high = (part.to(output.device) for part in held[name])
    fixed = chosen & (low == high) if output.is_floating_point() else chosen  # a decision has one value
    output = torch.where(to(fixed), to(low.to(output.dtype)), output)
    if not output.is_floating_point() or bool((fixed == chosen).all()):
        return output  # without a gradient, which a clamp lets pass at its ends
    low, high = (torch.where(chosen, end, side * torch.inf).to(output.dtype) for end, side in ((low, -1), (high, 1)))
    return output.clamp(to(low), to(high))
