"""Does a unit's response jump somewhere on the straight way from a photograph to its picture?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from snellen.base import UsageError
from snellen.findings import thresholds
from snellen.findings.finding import Finding, number
from snellen.findings.units import NOTHING, PROVES, UnitRow, extreme, spans, verdict_of

GRID, HALVINGS, CANDIDATES = 17, 10, 3
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


def jumps(units: Sequence[str], walks: Sequence[Walks]) -> Finding:
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
    return Finding(
        "jumps",
        "Do responses change smoothly on the way from a photograph to a picture?",
        _claim(rows, found, top),
        verdict_of(rows),
        top.figure if top else None,
        top.interval if top else None,
        {"units": [row.as_data() for row in rows], "threshold": thresholds.JUMP, "steep": thresholds.STEEP},
    )


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
    hard, within = float(shares[worst, -1]), thresholds.steep_step(walks.coarse.shape[1], shares.shape[1])
    steep = float(shares[:, within].max())
    proved = hard >= thresholds.JUMP or steep >= thresholds.STEEP
    details = {
        "coarse": [number(v) for v in walks.coarse[worst]],
        "place": number(walks.place[worst]),
        "steep": number(steep, 4),
        "walks": len(shares),
        "jumping": int((shares[:, -1] >= thresholds.JUMP).sum()),
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
    if hard >= thresholds.JUMP:
        share, place = 100 * min(hard, 1), 100 * walks.place[worst]
        jumping = int((walks.shares[:, -1] >= thresholds.JUMP).sum())
        return (
            f"On {jumping} of {len(walks.coarse)} ways from a photograph to the picture the response jumps: "
            f"{share:.0f} % of its change happens at one point, {place:.1f} % of the way."
        )
    if steep >= thresholds.STEEP:
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
