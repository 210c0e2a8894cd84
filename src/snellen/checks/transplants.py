"""Does what comes after a layer hang on that layer alone, and place by place, for pictures as for photographs?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from snellen.base import LayerError, evenly
from snellen.checks.check import Exhibit, Threshold, UnitCheck
from snellen.checks.finding import number
from snellen.checks.rows import NOTHING, PROVES, SUPPORTS, UnitRow
from snellen.models.survey import Survey, survey
from snellen.models.taps import observe, saying
from snellen.studies.features import spaces_of
from snellen.studies.world import World

OTHER = Threshold(
    0.02,
    "share of what a layer says of a picture that changes in another image's place, where for photographs nothing does",
    "figure",
    honest="at most 0.0005",
)
BROKEN = Threshold(0.1, "share of photographs for which something changes, where a picture that changes is proof")
EXACT = 1e-5
"""Mean square that may change at the median photograph, in parts of the variance, and count as nothing: rounding."""
FURTHER = 100
"""Times that more must change of a picture than of the median photograph."""
NARROW = 4
"""Columns of a map, with fewer of which no half of it is far from the other."""


@dataclass(frozen=True)
class Edge:
    """Two layers, one after the other.

    Args:
        start: the one whose output is put in another image's place; "" for the pixels.
        end: the one that is looked at.
    """

    start: str
    end: str


@dataclass(frozen=True, eq=False)
class Seen:
    """What changed at an edge.

    Args:
        half: whether the left half was put beside another image's right one, and the left quarter looked at.
        photographs: (n,) mean square that changes of a photograph's own output in another's place, in parts of its
            variance.
        pictures: (u,) the same of pictures and photographs in each other's place, the larger of the two.
    """

    half: bool
    photographs: Float[np.ndarray, " n"]
    pictures: Float[np.ndarray, " u"]

    @property
    def usual(self) -> float:
        """Of the median photograph."""
        return float(np.median(self.photographs))

    @property
    def least(self) -> float:
        """What a picture has to change by to speak against it."""
        return max(OTHER.value, FURTHER * self.usual)

    @property
    def broken(self) -> float:
        """The share of photographs that change as much."""
        return float((self.photographs >= self.least).mean())


@dataclass(frozen=True)
class Transplants(UnitCheck):
    """The output of a layer put in the place of another image's, from every main layer to the next.

    Args:
        most: photographs that are put in each other's place.
    """

    most: int = 24

    name = "transplants"
    short = "transplants"
    title = "Does what follows a layer hang on that layer alone, and place by place?"
    asks = (
        "What a network does after a layer hangs, for photographs, on what that layer says, and in many networks on "
        "the places nearby alone. For pictures it must be so, too: something that looks at the whole picture and "
        "answers pictures otherwise breaks it, wherever it stands and whatever it is made of."
    )
    quick: ClassVar[Mapping[str, Any]] = {"most": 8}
    version = 2
    thresholds = (OTHER, BROKEN)

    def cost(self, world: World, units: int) -> float:
        """Two passes of every pair of images, and one at each edge, half as deep."""
        mains = sum(layer.main for layer in world.layers)
        return float((self.most + 2 * units) * (2 + mains / 2))

    def rows(self, exhibit: Exhibit) -> Iterator[UnitRow]:
        """Figure of a unit: the most that changes of its picture at an edge up to its layer."""
        world, size = exhibit.world, exhibit.model.size
        ends = {layer: (*spaces_of(world, layer), layer) for layer in dict.fromkeys(u.layer for u in exhibit.units)}
        chosen = evenly(len(exhibit.images), self.most)
        seen = {}
        if len(chosen) > 1:
            every = list(dict.fromkeys(end for of in ends.values() for end in of))
            seen = _seen(exhibit, every, torch.stack([exhibit.images.load(i, size) for i in chosen]))
        for i, unit in enumerate(exhibit.units):
            yield _row(str(unit), i, {edge: one for edge, one in seen.items() if edge.end in ends[unit.layer]})

    def claim(self, rows: Sequence[UnitRow]) -> str:
        """How many change."""
        known = [row.figure for row in rows if row.figure is not None]
        odd = sum(row.strength >= SUPPORTS for row in rows)
        if not known:
            return "Of no layer all that follows hangs on it alone, so nothing can be put in another image's place."
        if odd:
            return (
                f"Put in another image's place, {odd} of {len(known)} pictures get other answers, where photographs "
                "get the same: something looks at the picture itself."
            )
        return (
            f"Put in other images' places, all {len(known)} pictures do what they did: up to {max(known):.1g} changes."
        )


def _seen(exhibit: Exhibit, ends: Sequence[str], photographs: Float[Tensor, "n 3 h w"]) -> dict[Edge, Seen]:
    """What changes at edges where nothing changes for photographs: for each end the nearest start of that kind.

    A half says more than the whole, since it is beside something else, and catches what looks at everything.
    """
    world, count = exhibit.world, len(photographs)
    pairs = _Pairs(photographs, photographs.roll(count // 2, 0))  # neighbours may be of one class
    starts = {end: (*reversed(spaces_of(world, end)), "") for end in ends}
    natural: dict[Edge, Tensor] = {}
    halves: set[Edge] = set()
    for back in range(max(map(len, starts.values()))):
        for half in (True, False):
            done = {edge.end for edge in natural}
            tried = [Edge(of[back], end) for end, of in starts.items() if end not in done and back < len(of)]
            found = _changes(world, [edge for edge in tried if half or edge.start], pairs, half=half)
            exact = {edge: share for edge, share in found.items() if _of(share).usual <= EXACT}
            natural |= exact
            halves |= set(exact) if half else set()
    exhibit.context.tick(0.5)
    others = photographs[torch.arange(len(exhibit.pictures)) % count]
    given = _Pairs(torch.cat([exhibit.pictures, others]), torch.cat([others, exhibit.pictures]))
    shown: dict[Edge, Tensor] = {}
    for half in (True, False):
        asked = [edge for edge in natural if (edge in halves) is half]
        shown |= _changes(world, asked, given, half=half)
    exhibit.context.tick(1.0)
    return {edge: _of(natural[edge], shown[edge], half=edge in halves) for edge in natural if edge in shown}


def _of(natural: Float[Tensor, "n 2"], shown: Float[Tensor, "u2 2"] | None = None, *, half: bool = False) -> Seen:
    """Shares of what changed: pictures in photographs' place, then photographs in pictures', the larger of the two."""
    size = float(natural[:, 1].median().clamp_min(1e-30))
    photographs, both = (
        (part[:, 0] / part[:, 1].clamp_min(size)).numpy() for part in (natural, natural[:0] if shown is None else shown)
    )
    return Seen(half, photographs, np.maximum(*np.split(both, 2)))


def _changes(world: World, edges: Sequence[Edge], pairs: "_Pairs", *, half: bool) -> dict[Edge, Float[Tensor, "n 2"]]:
    """By edge, of every donor, the mean square that changes of its output in the host's place, and its variance there.

    Only edges where that can be done.
    """
    found: dict[Edge, list[Tensor]] = {}
    layers = list(dict.fromkeys(name for edge in edges for name in (edge.start, edge.end) if name))
    if not layers:
        return {}
    known = survey(world.model)  # of the network as it is
    failed: set[Edge] = set()
    with torch.no_grad():
        for donors, hosts in pairs.batches(world):
            own = observe(world.model, donors, layers, known=known) | {"": donors}
            beside = observe(world.model, hosts, layers, known=known) | {"": hosts}
            for edge in edges:
                if edge in failed or (half and not (_is_map(own[edge.start]) and _is_map(own[edge.end]))):
                    failed.add(edge)
                    continue
                grafted = _halves(own[edge.start], beside[edge.start]) if half else own[edge.start]
                try:
                    after = _after(world, edge, grafted, hosts, known=known)
                except LayerError:  # windows of attention, several outputs
                    failed.add(edge)
                    continue
                was, now = ((_quarter(x) if half else x).flatten(1).double() for x in (own[edge.end], after))
                told = torch.stack([(now - was).square().mean(1), was.var(1, unbiased=False)], 1)
                found.setdefault(edge, []).append(told.cpu())
    return {edge: torch.cat(parts) for edge, parts in found.items() if edge not in failed}


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Images whose output is put in the place of others', and these."""

    donors: Float[Tensor, "n 3 h w"]
    hosts: Float[Tensor, "n 3 h w"]

    def batches(self, world: World) -> Iterator[tuple[Tensor, Tensor]]:
        """Some of both at a time, where the network is."""
        step = max(world.batch // 2, 1)
        for donors, hosts in zip(self.donors.split(step), self.hosts.split(step), strict=True):
            yield (
                donors.to(world.model.device, world.model.dtype),
                hosts.to(world.model.device, world.model.dtype),
            )


def _after(world: World, edge: Edge, grafted: Tensor, hosts: Tensor, *, known: Survey) -> Tensor:
    """What the end of an edge says to hosts, while its start says something else."""
    if not edge.start:
        return observe(world.model, grafted, [edge.end], known=known)[edge.end]
    with saying(world.model, edge.start, grafted, known=known):
        return observe(world.model, hosts, [edge.end], known=known)[edge.end]


def _halves(donor: Tensor, host: Tensor) -> Tensor:
    """The donor's left half beside the host's right one."""
    middle = donor.shape[3] // 2
    return torch.cat([donor[..., :middle], host[..., middle:]], 3)


def _quarter(output: Tensor) -> Tensor:
    """What is farthest from the other half."""
    return output[..., : max(output.shape[3] // 4, 1)]


def _is_map(output: Tensor) -> bool:
    return output.dim() == 4 and output.shape[3] >= NARROW


def _row(unit: str, place: int, seen: Mapping[Edge, Seen]) -> UnitRow:
    if not seen:
        return UnitRow(unit, "Before it is no layer of which, for photographs, all that follows hangs on it alone.")
    edge, worst = max(seen.items(), key=lambda pair: (_strength(pair[1], place), pair[1].pictures[place]))
    share, strength = float(worst.pictures[place]), _strength(worst, place)
    start = edge.start or "the pixels"
    words = f"Put in another image's place at {len(seen)} layers, its picture does what it did."
    if strength:
        words = (
            f"With {'half of ' if worst.half else ''}{start} put in another image's place, {100 * min(share, 1):.0f} % "
            f"of what {edge.end} says of the picture, or the other image, changes; of photographs nothing does."
        )
    details = {"start": edge.start, "end": edge.end, "half": worst.half, "edges": len(seen)}
    return UnitRow(unit, words, number(share, 4), None, strength, details)


def _strength(seen: Seen, place: int) -> int:
    if seen.pictures[place] < seen.least:
        return NOTHING
    return PROVES if seen.broken <= BROKEN.value else SUPPORTS
