"""The scan for silent channels as a job: photographs and pictures past every gate, then pictures with gates held."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snellen.base import Seed
from snellen.findings import Gate, Responses, silent_scan
from snellen.jobs import Context
from snellen.measures import Rest
from snellen.models import Unit, response
from snellen.models.gates import along, by_channel, gates
from snellen.models.passes import run
from snellen.models.survey import survey
from snellen.models.taps import observe
from snellen.pictures.canvas import generator
from snellen.studies.natural import Counter, batches, fast
from snellen.studies.stored import natural_responses, stacked
from snellen.studies.world import World

SHAKE, SOME = 5.0, 32  # noise in standard deviations of a gate's output, and photographs that are shown with it
Held = Mapping[str, tuple[Tensor, Tensor]]


def scan(world: World) -> Callable[[Mapping[str, Any], Context], Iterator[tuple[str, Any]]]:
    """A job's function: the finding of `silent_scan`."""

    def function(spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
        entries = spec["units"]
        pictures = stacked(context, [entry["image"] for entry in entries])
        count = Counter(len(spec["natural"]) + 3 * len(pictures), context.tick)
        with fast(world), torch.no_grad():
            natural = rests(world, _photographs(world, spec["natural"], count))
            drawn = rests(world, _counted(pictures, world, count))
            loud = rests(world, _photographs(world, spec["natural"][:SOME]), shake=generator(Seed(spec["seed"])))
            found = [
                Gate(name, rest, drawn[name], loud[name] if _fits(rest, loud.get(name)) else None)
                for name, rest in natural.items()
                if _fits(rest, drawn.get(name))
            ]
            held = hold(found, world)
            units = [Unit.parse(entry["unit"]) for entry in entries]
            free, tied = (responses(world, units, pictures, to) for to in ({}, held))
        count.more(2 * len(pictures))
        told = Responses(natural_responses(context, entries), free, tied)
        names = [entry["unit"] for entry in entries]
        yield "result", silent_scan(names, found, told, seed=Seed(spec["seed"])).as_data()

    return function


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


def hold(found: Sequence[Gate], world: World) -> Held:
    """Silent channels and switches of every gate that has some, with the values to hold them at."""
    held = {gate.name: gate.resting for gate in found if gate.resting[0].any()}
    device = world.model.device
    return {
        n: (torch.tensor(chosen, device=device), torch.tensor(value, device=device))
        for n, (chosen, value) in held.items()
    }


def responses(world: World, units: Sequence[Unit], pictures: Tensor, held: Held) -> np.ndarray:
    """(u,) responses of every unit to its own picture, while gates are held if there are any to hold."""
    size, values = world.model.size, torch.empty(len(units), dtype=torch.float64)
    known = survey(world.model)  # of the network as it is, with nothing held

    def visit(name: str, output: Tensor) -> Tensor | None:
        if name not in held or by_channel(output, size, current) is None:
            return None
        chosen, value = held[name]
        return torch.where(along(chosen, output, size), along(value.to(output.dtype), output, size), output)

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


def _fits(first: Rest, second: Rest | None) -> bool:
    return second is not None and len(first.low) == len(second.low)


def _photographs(world: World, indices: Sequence[int], count: Counter | None = None) -> Iterator[Tensor]:
    for chunk, images in batches(world, indices):
        yield images
        if count is not None:
            count.more(len(chunk))


def _counted(pictures: Tensor, world: World, count: Counter) -> Iterator[Tensor]:
    for start in range(0, len(pictures), world.batch):
        batch = pictures[start : start + world.batch].to(world.model.device)
        yield batch
        count.more(len(batch))
