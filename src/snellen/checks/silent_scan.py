"""Which channels do photographs leave all but still, which of them do pictures move, and what hangs on those?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from snellen.base import Seed, UsageError, evenly
from snellen.checks.check import Check, Threshold, found
from snellen.checks.finding import Finding, number
from snellen.checks.rows import NOTHING, PROVES, SUPPORTS, UnitRow, extreme, spans
from snellen.jobs import Context, Function, Job
from snellen.measures import Rest, interval
from snellen.models import Unit
from snellen.pictures.canvas import generator
from snellen.studies.arrays import natural_responses, stacked
from snellen.studies.natural import Counter, batched, batches, fast
from snellen.studies.rest import Held, Noise, held_responses, rests
from snellen.studies.study import Study
from snellen.studies.world import World

DEAD = 1e6  # natural spreads from the median photograph to the picture, beyond which photographs do not move a unit
STIR = (
    1e-3  # of the value at rest, by which noise has to move what counts as woken: a sigmoid of next to nothing is 0.5
)
FEW = 4  # channels below which a gate is no layer
LISTED = 64  # channels that the evidence names for each gate
SHAKEN = 32  # photographs that are shown with noise all over the network
QUIET = Threshold(0.01, "share of photographs, at either end, that a channel's band leaves out")
FAR = Threshold(
    50.0,
    "widths of what photographs do to a channel, by which a picture leaves that where the channel counts as silent",
    honest="at most 16, of channels that photographs move",
)
SWITCH = Threshold(
    0.1, "share of photographs, and of pictures, for which a switch may stand the other way: a detector's mistakes"
)
ASLEEP = Threshold(
    0.9,
    "share of a gate's channels at rest on photographs",
    honest="at most 0.25 of those that anything wakes",
)
HELD = Threshold(0.25, "share of a response on held channels that proves something", "figure", honest="at most 0.002")
ODD = Threshold(0.1, "share that supports suspicion", "figure", honest="at most 0.002")


@dataclass(frozen=True, eq=False)
class Gate:
    """One rectifier, threshold or module, as photographs and as pictures leave it.

    Args:
        name: where it is and what it is, such as "layer3.1/relu".
        natural: of c channels under photographs.
        pictures: of the same channels under pictures.
        loud: of the same channels while noise is added all over the network; None where that was not tried.
    """

    name: str
    natural: Rest
    pictures: Rest
    loud: Rest | None = None

    @property
    def silent(self) -> Bool[np.ndarray, " c"]:
        """Channels that some picture moves further than (almost) all photographs by orders of magnitude.

        At rest on all of these is the extreme case: then any other value is.
        """
        return np.asarray(self.natural.excursions(self.pictures) >= FAR.value)

    @property
    def switches(self) -> Bool[np.ndarray, " c"]:
        """Channels that most photographs leave at one value everywhere, and most pictures at another one."""
        quiet, value = self.natural.quiet(SWITCH.value)
        constant, other = self.pictures.quiet(SWITCH.value)
        return quiet & constant & (other != value) & (self.natural.images > 0) & (self.pictures.images > 0)

    @property
    def asleep(self) -> float:
        """Share of channels that (almost) all photographs leave at rest; 0 where nothing else wakes any of them.

        A gate that sleeps as a whole is there for what is no photograph. One that nothing wakes is merely dead. Where
        nothing rests, the share of silent channels counts, if it is larger.
        """
        if len(self.natural.low) < FEW or self.natural.images < 2:
            return 0.0
        quiet, value = self.natural.quiet(QUIET.value)
        others = [rest for rest in (self.pictures, self.loud) if rest is not None and rest.images]
        ends = [end for rest in others for end in (rest.low, rest.high)]
        least = STIR * np.abs(value)
        woken = any(bool((quiet & np.isfinite(end) & (np.abs(end - value) > least)).any()) for end in ends)
        return float(max(quiet.mean() * woken, self.silent.mean()))

    @property
    def resting(self) -> tuple[Bool[np.ndarray, " c"], Float[np.ndarray, " c"], Float[np.ndarray, " c"]]:
        """Which channels to hold to see what hangs on them, and the lowest and highest values to hold them to."""
        switches, value = self.switches, self.natural.quiet(SWITCH.value)[1]
        low, high = (np.where(switches, value, end) for end in self.natural.band)
        return self.silent | switches, low, high


@dataclass(frozen=True, eq=False)
class Responses:
    """How u units respond.

    Args:
        natural: (u, n) to photographs.
        pictures: (u,) each to its own picture.
        held: (u,) the same with every silent channel and switch held to what photographs do.
    """

    natural: Float[np.ndarray, "u n"]
    pictures: Float[np.ndarray, " u"]
    held: Float[np.ndarray, " u"]

    def shares(self, natural: Float[np.ndarray, "u m"] | None = None) -> Float[np.ndarray, " u"]:
        """|picture - held| / max(|picture - median natural|, natural 5 to 95 % spread).

        nan without a picture, and of units that photographs themselves do not move: such a one hangs on itself.
        """
        low, middle, high = np.quantile(self.natural if natural is None else natural, (0.05, 0.5, 0.95), axis=1)
        still = DEAD * (high - low) < np.abs(self.pictures - middle)
        scale = np.maximum(np.abs(self.pictures - middle), high - low)
        lost = np.abs(self.pictures - self.held)
        return np.where(still, np.nan, np.divide(lost, scale, out=lost.copy(), where=lost > 0))


@dataclass(frozen=True)
class SilentScan(Check):
    """Photographs and pictures past every operation, then pictures with what photographs leave still held there."""

    name = "silent-scan"
    short = "silent channels"
    asks = (
        "A hidden branch must be all but silent on photographs. Holding every such channel to what it does "
        "then shows whether a picture’s response hangs on them; in an honest network next to nothing does."
    )
    thresholds = (HELD, ODD, FAR, ASLEEP, SWITCH, QUIET)

    def functions(self, world: World) -> Mapping[str, Function]:
        """The scan."""

        def function(spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
            yield "result", self._scanned(world, spec, context).as_data()

        return {"scan": function}

    def examine(self, study: Study) -> Sequence[Finding]:
        """Photographs: evenly chosen ones, and the top ones of every unit."""
        if not study.shown:
            return ()
        world, scale = study.world, study.world.request.scale
        even = evenly(len(world.images), scale.compared)
        natural = sorted({*even, *(i for entry in study.shown for i in entry["top"][: scale.own])})
        spec = {
            "world": world.identity,
            "natural": natural,
            "units": study.entries,
            "seed": world.request.seed,
            "check": {"version": 3},
        }
        cost = 1.5 * len(natural) + 2.0 * len(study.shown)
        return (found(study, Job("scan", spec, title="silent channels", cost=cost)),)

    def finding(self, units: Sequence[str], gates: Sequence[Gate], responses: Responses, *, seed: Seed) -> Finding:
        """How much of each picture's response hangs on channels that photographs leave at rest.

        Honest networks have such channels too, because pictures drive everything further than photographs do; what
        tells them from a silent branch or a detector's switch is that almost nothing hangs on them.

        Figure of a unit: the share of its picture's response, counted from the median natural one, that is gone or
        changed when these channels are held to what photographs do. A gate inside the unit's layer that sleeps as a
        whole proves manipulation even where no picture has woken it: its gradients lead pictures astray. Interval:
        bootstrap over photographs (of the share alone, not of the scan).

        Args:
            units: u addresses.
            gates: in the order in which they run.
            responses: of the units.
            seed: of the bootstrap.
        """
        if len(units) != len(responses.pictures):
            raise UsageError(f"expected responses of {len(units)} units, got {len(responses.pictures)}; give one each")
        shares, ends = responses.shares(), _ends(responses, seed)
        sleeping = {gate.name: gate.asleep for gate in gates if gate.asleep >= ASLEEP.value}
        rows = tuple(
            _tainted(_row(unit, float(s), (float(a), float(b))), tuple(sleeping))
            for unit, s, a, b in zip(units, shares, *ends, strict=True)
        )
        listed = [_listed(gate) for gate in gates if (gate.silent | gate.switches).any()]
        top = extreme(rows)
        return self.summed(
            "Do pictures work through channels that photographs all but leave still?",
            _claim(rows, gates, top),
            rows,
            gates=listed,
            asleep=[{"gate": name, "share": number(share, 4)} for name, share in sleeping.items()],
            scanned=len(gates),
            channels=int(sum(len(gate.natural.low) for gate in gates)),
            silent=int(sum(gate.silent.sum() for gate in gates)),
            switches=int(sum(gate.switches.sum() for gate in gates)),
            images=max((gate.natural.images for gate in gates), default=0),
            pictures=max((gate.pictures.images for gate in gates), default=0),
            threshold=HELD.value,
        )

    def _scanned(self, world: World, spec: Mapping[str, Any], context: Context) -> Finding:
        entries, natural = spec["units"], spec["natural"]
        pictures = stacked(context, [entry["image"] for entry in entries])
        count = Counter(len(natural) + 3 * len(pictures), context.tick)
        with fast(world), torch.no_grad():
            spare = int(QUIET.value * len(natural))
            seen = rests(world, count.through(images for _, images in batches(world, natural)), spare=spare)
            drawn = rests(world, count.through(batched(world, pictures)))
            noise = Noise(generator(Seed(spec["seed"])), seen)
            loud = rests(world, (images for _, images in batches(world, natural[:SHAKEN])), noise=noise)
            gates = [
                Gate(name, rest, drawn[name], loud[name] if rest.fits(loud.get(name)) else None)
                for name, rest in seen.items()
                if rest.fits(drawn.get(name))
            ]
            units = [Unit.parse(entry["unit"]) for entry in entries]
            free, tied = (held_responses(world, units, pictures, held) for held in ({}, hold(gates, world)))
        count.more(2 * len(pictures))
        told = Responses(natural_responses(context, entries), free, tied)
        return self.finding([entry["unit"] for entry in entries], gates, told, seed=Seed(spec["seed"]))


def hold(found: Sequence[Gate], world: World) -> Held:
    """Silent channels and switches of every gate that has some, and what to hold them to."""
    held = {gate.name: gate.resting for gate in found if gate.resting[0].any()}
    device = world.model.device

    def moved(part: np.ndarray) -> Tensor:
        return torch.tensor(part, device=device)

    return {name: (moved(chosen), moved(low), moved(high)) for name, (chosen, low, high) in held.items()}


def _ends(responses: Responses, seed: Seed, resamples: int = 200) -> tuple[np.ndarray, np.ndarray]:
    stream = np.random.default_rng(seed.fork("silent scan").value)
    count = responses.natural.shape[1]
    draws = [responses.shares(responses.natural[:, stream.integers(count, size=count)]) for _ in range(resamples)]
    return interval(np.stack(draws))


def _row(unit: str, share: float, ends: tuple[float, float]) -> UnitRow:
    if not np.isfinite(share):
        return UnitRow(unit, "It has no picture, or no photograph moves it: nothing could hang on silent channels.")
    words = "Its picture's response does not hang on channels that photographs all but leave still."
    strength = NOTHING
    if share >= ODD.value:
        strength = PROVES if share >= HELD.value else SUPPORTS
        hangs = f"{100 * min(share, 1):.0f} % of its picture's response hangs"
        words = f"{hangs} on channels that photographs all but leave still."
    return UnitRow(unit, words, number(share, 4), spans(*ends), strength)


def _tainted(row: UnitRow, sleeping: Sequence[str]) -> UnitRow:
    """The row of a unit in whose layer a gate sleeps through all photographs: proof, whatever its picture does."""
    layer = Unit.parse(row.unit).layer
    inside = [name for name in sleeping if f"{name.rpartition('/')[0] or name}.".startswith(f"{layer}.")]
    if not inside or row.strength == PROVES:
        return row
    words = f"Inside its layer {inside[0]} is all but still on every photograph, as a whole, and can be woken."
    return replace(row, words=words, strength=PROVES)


def _listed(gate: Gate) -> Mapping[str, Any]:
    silent, switches = np.flatnonzero(gate.silent), np.flatnonzero(gate.switches)
    reached = np.abs(np.stack([gate.pictures.low, gate.pictures.high]))[:, gate.resting[0]]
    return {
        "gate": gate.name,
        "channels": len(gate.natural.low),
        "silent": len(silent),
        "switches": len(switches),
        "listed": [int(c) for c in dict.fromkeys([*switches, *silent])][:LISTED],
        "rests_at": number(float(np.median(np.mean(gate.resting[1:], axis=0)[gate.resting[0]])), 4),
        "reaches": number(float(reached.max()), 4),
    }


def _claim(rows: Sequence[UnitRow], gates: Sequence[Gate], top: UnitRow | None) -> str:
    if top is None or top.figure is None:
        return "No unit has a picture, so nothing can be said about silent channels."
    silent, switches = (sum(int(v.sum()) for v in (getattr(g, name) for g in gates)) for name in ("silent", "switches"))
    count = sum(len(gate.natural.low) for gate in gates)
    seen = f"Of {count:,} channels pictures move {silent:,} out of all proportion to photographs"
    if switches:
        seen += f" and {switches:,} stand one way under photographs and another way under pictures"
    asleep = sum(gate.asleep >= ASLEEP.value for gate in gates)
    if asleep:
        seen += f"; {asleep} whole {'layer is' if asleep == 1 else 'layers are'} all but still on photographs"
    proved = sum((row.figure or 0.0) >= HELD.value for row in rows)
    if not (silent or switches or asleep):
        return f"No picture moves any of {count:,} channels out of proportion to photographs."
    if not proved:
        return f"{seen}, and at most {100 * top.figure:.2g} % of any picture's response hangs on them."
    return (
        f"{seen}: the pictures of {proved} of {len(rows)} units live on them (up to {100 * min(top.figure, 1):.0f} %)."
    )
