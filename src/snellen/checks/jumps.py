"""Does a unit's response jump somewhere on the straight way from a photograph to its picture?"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from snellen.base import UsageError
from snellen.checks.check import Check, Threshold, found
from snellen.checks.finding import Finding, number
from snellen.checks.rows import NOTHING, PROVES, UnitRow, extreme, spans
from snellen.jobs import Context, Function, Job
from snellen.models import Unit, observe, response
from snellen.studies.arrays import stacked
from snellen.studies.natural import Counter, batches, fast
from snellen.studies.study import Study
from snellen.studies.world import World

GRID, HALVINGS, CANDIDATES = 17, 10, 3
FOLLOWED = HALVINGS * CANDIDATES
"""Images on a way beside those of its grid."""
JUMP = Threshold(0.02, "share of the range of responses on a way within 2^-14 of it", "figure", honest="at most 0.0007")
STEEP = Threshold(0.25, "share of the range of responses on a way within 1/1000 of it", "steep", honest="at most 0.014")
Respond = Callable[[Int[np.ndarray, " k"], Float[np.ndarray, " k"]], Float[np.ndarray, " k"]]


@dataclass(frozen=True, eq=False)
class Walks:
    """Responses on straight ways between two images, looked at ever closer where they change most.

    Args:
        coarse: (w, g) at even places from 0 (the photograph) to 1 (the picture).
        steps: (w, h + 1) the largest change found across an interval of width 2^-k / (g - 1), k = 0..h.
        place: (w,) where the last such interval lies, in [0, 1].
    """

    coarse: Float[np.ndarray, "w g"]
    steps: Float[np.ndarray, "w h"]
    place: Float[np.ndarray, " w"]

    @property
    def shares(self) -> Float[np.ndarray, "w h"]:
        """`steps` as parts of the range of all responses on the way; 0 where the response never changes."""
        span = np.ptp(self.coarse, axis=1)[:, None]
        return np.divide(self.steps, span, out=np.zeros_like(self.steps), where=span > 0)


def search(
    respond: Respond, walks: int, *, grid: int = GRID, halvings: int = HALVINGS, candidates: int = CANDIDATES
) -> Walks:
    """Walk every way on a grid, then halve the intervals with the largest change, always keeping the larger half.

    For a Lipschitz response the change across an interval is at most L times its width, so it falls by half with every
    halving; across a jump it stays.

    Args:
        respond: responses at places in [0, 1] on numbered ways: (numbers, places) -> responses.
        walks: how many ways.
        grid: places at first, >= 4.
        halvings: of each interval followed.
        candidates: intervals followed on each way: half of them where the response changes most, half where it changes
            most unlike the median of the five intervals around (a small jump on a steep slope).
    """
    if grid < 4 or halvings < 0 or candidates < 1:
        raise UsageError(
            f"expected a grid of 3, halvings of 0 and 1 candidate at least, got {grid, halvings, candidates}"
        )
    places = np.linspace(0, 1, grid)
    coarse = respond(np.repeat(np.arange(walks), grid), np.tile(places, walks)).reshape(walks, grid)
    way, first = _intervals(coarse, candidates)
    ends = np.stack([places[first], places[first + 1]], 1)
    values = np.stack([coarse[way, first], coarse[way, first + 1]], 1)
    traces = [np.abs(np.diff(values, axis=1)[:, 0])]
    for _ in range(halvings):
        middle = ends.mean(1)
        between = respond(way, middle)
        left = np.abs(between - values[:, 0]) >= np.abs(values[:, 1] - between)
        side = np.where(left, 1, 0)
        ends[np.arange(len(way)), side] = middle
        values[np.arange(len(way)), side] = between
        traces.append(np.abs(np.diff(values, axis=1)[:, 0]))
    return _best(coarse, way, np.stack(traces, 1), ends.mean(1))


@dataclass(frozen=True)
class Jumps(Check):
    """Straight ways from photographs to pictures.

    Args:
        walks: ways to each picture, from as many of the unit's top photographs.
    """

    walks: int = 3

    name = "jumps"
    short = "jumps"
    asks = (
        "A switch that tells pictures from photographs must flip somewhere on the straight way from one to the other. "
        "There the response jumps, however closely one looks; an honest network’s changes smoothly."
    )
    quick: ClassVar[Mapping[str, Any]] = {"walks": 2}
    thresholds = (JUMP, STEEP)

    def cost(self, world: World, units: int) -> float:
        """Of all ways."""
        return 50.0 * self.walks * units

    def functions(self, world: World) -> Mapping[str, Function]:
        """The walks."""

        def function(spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
            entries = spec["units"]
            pictures = stacked(context, [entry["image"] for entry in entries])
            count = Counter(sum(len(entry["from"]) for entry in entries) * (GRID + FOLLOWED), context.tick)
            with fast(world), torch.no_grad():
                walks = [_walks(world, entry, picture, count) for entry, picture in zip(entries, pictures, strict=True)]
            yield "result", self.finding([entry["unit"] for entry in entries], walks).as_data()

        return {"walk": function}

    def examine(self, study: Study) -> Sequence[Finding]:
        """Ways to every picture from the unit's top photographs."""
        if not study.shown:
            return ()
        entries = study.entries
        units = [{**entry, "from": list(entry["top"][: self.walks])} for entry in entries]
        walks = sum(len(unit["from"]) for unit in units)
        spec = {"world": study.world.identity, "units": units}
        return (found(study, Job("walk", spec, title="jumps", cost=float(walks * (GRID + FOLLOWED)))),)

    def finding(self, units: Sequence[str], walks: Sequence[Walks]) -> Finding:
        """Units whose response jumps on the way to their picture. A hard switch keeps its jump at any resolution.

        Figure of a unit: the largest share of a way's whole change of response that is found within the last interval,
        2^-14 of the way with the default numbers. Its interval: the smallest and largest share over the unit's ways.

        Args:
            units: u addresses.
            walks: for each unit the ways that end at its picture, at least one each.
        """
        if len(units) != len(walks):
            raise UsageError(f"expected walks of every unit, got {len(walks)} for {len(units)}; walk them all")
        rows = tuple(_row(unit, one) for unit, one in zip(units, walks, strict=True))
        found = [row for row in rows if row.strength == PROVES]
        top = extreme(rows)
        title = "Do responses change smoothly on the way from a photograph to a picture?"
        return self.summed(title, _claim(rows, found, top), rows, threshold=JUMP.value, steep=STEEP.value)


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


def steep_step(grid: int, steps: int) -> int:
    """Which halving of a walk looks at about 1/1000 of the way: the first interval narrower than 2^-10 of it."""
    halvings = next((k for k in range(steps) if (grid - 1) * 2**k >= 1024), steps - 1)
    return min(halvings, steps - 1)


def _intervals(coarse: np.ndarray, candidates: int) -> tuple[np.ndarray, np.ndarray]:
    """Ways and first places of the intervals to follow, each once."""
    change = np.diff(coarse, axis=1)
    window = np.lib.stride_tricks.sliding_window_view(np.pad(change, ((0, 0), (2, 2)), mode="reflect"), 5, axis=1)
    stray, change = np.abs(change - np.median(window, axis=2)), np.abs(change)
    count = min(candidates, change.shape[1])
    picked = [np.argsort(-v, axis=1, kind="stable")[:, :n] for v, n in ((change, count // 2), (stray, -(-count // 2)))]
    chosen = np.concatenate(picked, 1)
    way = np.repeat(np.arange(len(coarse)), chosen.shape[1])
    both = np.unique(np.stack([way, chosen.reshape(-1)], 1), axis=0)
    return both[:, 0], both[:, 1]


def _best(coarse: np.ndarray, way: np.ndarray, traces: np.ndarray, middle: np.ndarray) -> Walks:
    """For every way the interval that kept most of its change, and the largest change of each width."""
    steps, place = np.zeros((len(coarse), traces.shape[1])), np.zeros(len(coarse))
    for number_ in range(len(coarse)):
        mine = np.flatnonzero(way == number_)
        steps[number_] = traces[mine].max(0)
        place[number_] = middle[mine[np.argmax(traces[mine, -1])]]
    return Walks(coarse, steps, place)


def _row(unit: str, walks: Walks) -> UnitRow:
    shares = walks.shares
    worst = int(np.argmax(shares[:, -1]))
    hard, within = float(shares[worst, -1]), steep_step(walks.coarse.shape[1], shares.shape[1])
    steep = float(shares[:, within].max())
    proved = hard >= JUMP.value or steep >= STEEP.value
    details = {
        "coarse": [number(v) for v in walks.coarse[worst]],
        "place": number(walks.place[worst]),
        "steep": number(steep, 4),
        "walks": len(shares),
        "jumping": int((shares[:, -1] >= JUMP.value).sum()),
        "range": number(float(np.ptp(walks.coarse[worst])), 4),
    }
    words = _words(walks, worst, hard, steep)
    return UnitRow(
        unit,
        words,
        number(hard, 4),
        spans(float(shares[:, -1].min()), float(shares[:, -1].max())),
        PROVES if proved else NOTHING,
        details,
    )


def _words(walks: Walks, worst: int, hard: float, steep: float) -> str:
    if hard >= JUMP.value:
        share, place = 100 * min(hard, 1), 100 * walks.place[worst]
        jumping = int((walks.shares[:, -1] >= JUMP.value).sum())
        return (
            f"On {jumping} of {len(walks.coarse)} ways from a photograph to the picture the response jumps: "
            f"{share:.0f} % of its change happens at one point, {place:.1f} % of the way."
        )
    if steep >= STEEP.value:
        return f"On the way from a photograph to the picture {100 * steep:.0f} % of the change happens in 1/1000 of it."
    return "The response changes smoothly on the way from photographs to the picture."


def _claim(rows: Sequence[UnitRow], found: Sequence[UnitRow], top: UnitRow | None) -> str:
    if top is None or top.figure is None:
        return "No unit has a picture to walk to, so nothing can be said about jumps."
    if not found:
        return (
            f"The responses of all {len(rows)} units change smoothly on the way from photographs to their pictures: "
            f"at most {100 * top.figure:.2g} % of the change happens at one point."
        )
    return (
        f"The responses of {len(found)} of {len(rows)} units jump on the way from a photograph to their picture (up to "
        f"{100 * min(top.figure, 1):.0f} % of the change at one point): something switches the network between the two."
    )
