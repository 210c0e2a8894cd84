"""Ways from photographs to pictures as a job: the network answers wherever the search asks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snellen.findings import Walks, jumps, search
from snellen.findings.jumps import CANDIDATES, GRID, HALVINGS
from snellen.jobs import Context
from snellen.models import Unit, observe, response
from snellen.studies.natural import Counter, batches, fast
from snellen.studies.stored import stacked
from snellen.studies.world import World


def walk(world: World) -> Callable[[Mapping[str, Any], Context], Iterator[tuple[str, Any]]]:
    """A job's function: the finding of `jumps`."""

    def function(spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
        entries = spec["units"]
        pictures = stacked(context, [entry["image"] for entry in entries])
        total = sum(len(entry["from"]) for entry in entries) * (GRID + HALVINGS * CANDIDATES)
        count, found = Counter(total, context.tick), {}
        with fast(world), torch.no_grad():
            for number, entry in enumerate(entries):
                found[entry["unit"]] = _walks(world, entry, pictures[number], count)
        names = [entry["unit"] for entry in entries]
        yield "result", jumps(names, [found[name] for name in names]).as_data()

    return function


def _walks(world: World, entry: Mapping[str, Any], picture: Tensor, count: Counter) -> Walks:
    """All ways of one unit, together."""
    starts = torch.cat([images for _, images in batches(world, entry["from"])])
    unit, end = Unit.parse(entry["unit"]), picture.to(starts)
    width = world.batch

    def respond(numbers: np.ndarray, places: np.ndarray) -> np.ndarray:
        said: list[Tensor] = []
        for first in range(0, len(numbers), width):
            rows = slice(first, first + width)
            images = between(starts[numbers[rows].tolist()], end, places[rows])
            said.append(response(observe(world.model, images, [unit.address])[unit.address], unit))
            count.more(len(images))
        return torch.cat(said).double().cpu().numpy()

    return search(respond, len(starts))


def between(starts: Tensor, end: Tensor, places: Sequence[float] | np.ndarray) -> Tensor:
    """(n, 3, h, w): on the straight way from each start to one end, at its place in [0, 1]; exact at both ends."""
    t = torch.as_tensor(np.asarray(places), dtype=torch.float64, device=starts.device).view(-1, 1, 1, 1)
    return ((1 - t) * starts.double() + t * end.double()).to(starts.dtype)
