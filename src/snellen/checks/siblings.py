"""Is a unit drawn in another way than the other audited units of its layer are?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from snellen.base import Seed
from snellen.checks.check import Check, Threshold
from snellen.checks.finding import Finding, number
from snellen.checks.rows import NOTHING, SUPPORTS, UnitRow
from snellen.jobs import Context, Function, Job
from snellen.measures import layouts
from snellen.models import Model, Unit, observe, response
from snellen.models.edits import frozen
from snellen.pictures import STANDARD, Canvas, resample
from snellen.pictures.canvas import generator
from snellen.studies.arrays import stacked
from snellen.studies.drawings import BACKWARD, settings_of
from snellen.studies.features import by_layer
from snellen.studies.restarts import RESTART, restart, restart_cost, restarts
from snellen.studies.study import Study
from snellen.studies.world import World

MEMBERS = 6
"""Units of a layer from which on each has siblings enough to be compared with."""
NORMAL = 1.4826
"""Standard deviations in a median absolute deviation, of normal numbers."""
FLOORS: Mapping[str, float] = {"layout": 0.1, "aligned": 0.05, "alike": 0.1}
"""Least spread of siblings, by figure: those of few units may be near each other by chance."""
MOVES = 2
"""Transforms that a start is seen through."""
ALIGNED = Threshold(
    0.8,
    "cosine of the gradients at the start with the way to the picture, if the next one is reached as well",
    "aligned",
    honest="at most 0.47, with random weights 0.70",
)
ALIGNED_APART = Threshold(
    6.0,
    "spreads of its siblings, by which a unit's cosine is above their median",
    "aligned_apart",
    honest="at most 6.9 in 44 networks, with which the cosine is at most 0.66",
)


@dataclass(frozen=True)
class Traits:
    """How a unit is drawn; nan for what is not known.

    Args:
        unit: its address.
        layout: median correlation of what is where in its pictures, over pairs of starts.
        aligned: cosine of the gradients at the start of a drawing with the way to the unit's picture.
        alike: mean cosine of the gradients at two starts.
    """

    unit: str
    layout: float
    aligned: float
    alike: float


def apart(values: Float[np.ndarray, " u"], floor: float) -> Float[np.ndarray, " u"]:
    """By how many spreads of the others each value is above their median.

    The spread is the median absolute deviation, as a normal distribution's standard one, or the floor where that is
    larger. nan for what is no number, and of fewer than `MEMBERS` numbers.

    Args:
        values: of the units of one layer.
        floor: least spread.
    """
    found, known = np.full(len(values), np.nan), np.flatnonzero(np.isfinite(values))
    if len(known) < MEMBERS:
        return found
    for i in known:
        others = values[known[known != i]]
        middle = np.median(others)
        found[i] = (values[i] - middle) / max(NORMAL * float(np.median(np.abs(others - middle))), floor)
    return found


def alignment(
    ways: Float[Tensor, "s ..."], gradients: Float[Tensor, "s m ..."], flat: Float[Tensor, "k ..."]
) -> tuple[float, float]:
    """Cosine of the mean gradient with the mean way, and of gradients at different starts with each other, in the mean.

    Both are counted without what changes a picture's colours as a whole: units that like a colour go there at once.

    Args:
        ways: from each start to the picture.
        gradients: at each start, through each transform.
        flat: states that draw pictures of one colour each.

    Returns:
        nan where a gradient vanishes at all starts, or at all but one.
    """
    basis = torch.linalg.qr(flat.flatten(1).double().T).Q
    way, *each = (
        row - basis @ (basis.T @ row)
        for row in (ways.mean(0).flatten().double(), *gradients.mean(1).flatten(1).double())
    )
    pairs = [_cosine(a, b) for a, b in combinations(each, 2)]
    known = [pair for pair in pairs if np.isfinite(pair)]
    return _cosine(torch.stack(each).mean(0), way), float(np.mean(known)) if known else float("nan")


def start_gradients(
    model: Model, unit: Unit, canvas: Canvas, *, states: Float[Tensor, "s ..."], seed: Seed
) -> Float[Tensor, "s m ..."]:
    """Gradients of a unit's response in the state of a canvas, through transforms as a drawing's.

    Args:
        model: the network.
        unit: of it.
        canvas: whose states.
        states: where.
        seed: of the transforms.
    """
    points = states.repeat_interleave(MOVES, 0).to(model.device, model.dtype).requires_grad_()
    numbers = torch.rand((len(points), STANDARD.draws), generator=generator(seed)).double()
    seen = resample(canvas.draw(points, model.size), STANDARD.matrices(numbers, model.size))
    said = response(observe(model, seen, [unit.address])[unit.address], unit)
    (gradient,) = torch.autograd.grad(said.sum(), points)
    return gradient.view(len(states), MOVES, *states.shape[1:]).cpu()


@dataclass(frozen=True)
class Siblings(Check):
    """Each unit drawn from other starts, and its gradients where drawings start, against those of its layer.

    What gradient slingshots (Bareeva et al. 2024, arXiv:2401.06122) leave behind, if they do what they are trained for.

    Args:
        units: of a layer that are compared, at most.
        starts: of short drawings, beside the unit's own picture.
        points: where drawings start, at which gradients are read.
    """

    units: int = 16
    starts: int = 2
    points: int = 6

    name = "siblings"
    short = "siblings"
    asks = (
        "Drawn from other starts, an honest unit puts things at other places, and its first gradients do not point to "
        "its picture. Weights that were trained to lead every drawing to one picture do: in a few units, unlike in the "
        "others of their layer."
    )
    quick: ClassVar[Mapping[str, Any]] = {"units": 10, "points": 4}
    thresholds = (ALIGNED, ALIGNED_APART)

    def cost(self, world: World, units: int) -> float:
        """Of the drawings of one layer, and of the gradients."""
        few = min(units, self.units)
        return restart_cost(world, self.starts, few) + BACKWARD * few * self.points * MOVES

    def functions(self, world: World) -> Mapping[str, Function]:
        """The drawings and gradients."""

        def function(spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
            yield from _traced(world, spec, context)

        return {RESTART: restart(world), "siblings": function}

    def examine(self, study: Study) -> Sequence[Finding]:
        """Jobs for the units of a layer at a time, then all of them side by side."""
        if not study.shown:
            return ()
        others = restarts(study, self.starts, self.units)
        told: dict[str, Mapping[str, Any]] = {}
        layers = by_layer(study.entries)
        for layer, members in layers.items():
            units = [
                {"unit": e["unit"], "image": e["image"], "others": others[e["unit"]]}
                for e in members
                if e["unit"] in others
            ]
            if len(units) >= MEMBERS:
                spec = {
                    "world": study.world.identity,
                    "units": units,
                    "points": self.points,
                    "seed": study.world.request.seed,
                    "check": {"version": 2},
                }
                cost = BACKWARD * len(units) * self.points * MOVES
                parts = tuple(unit["unit"] for unit in units)
                told |= study.do(Job("siblings", spec, parts, f"first gradients of {layer}", cost))
        return (self.finding([[_traits(e["unit"], told.get(e["unit"])) for e in of] for of in layers.values()]),)

    def finding(self, layers: Sequence[Sequence[Traits]]) -> Finding:
        """Units that are drawn unlike their siblings.

        Figure of a unit: by how many spreads of its siblings its first gradients point to its picture more than theirs
        to their own (`apart` of `Traits.aligned`). Where that and the cosine itself are high, it supports suspicion.
        That other starts put things at the same places is told, too, but honest units do so as well.

        Args:
            layers: the units of each.
        """
        rows = [row for units in layers for row in _layer(units)]
        return self.summed(
            "Is every unit drawn as its siblings are?", _claim(rows), rows, threshold=ALIGNED_APART.value
        )


def _traced(world: World, spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
    """How the units of a layer are drawn; a part for each unit."""
    root, model, canvas = Seed(spec["seed"]).fork("siblings"), world.model, settings_of(world).canvas
    first = canvas.start(model.size, [root.fork("start", number_) for number_ in range(spec["points"])])
    flat = canvas.fit(0.5 + 0.25 * torch.eye(3)[:, :, None, None].expand(3, 3, *model.size))
    for i, entry in enumerate(spec["units"]):
        own, unit = stacked(context, [entry["image"]]), Unit.parse(entry["unit"])
        with frozen(model.module):
            gradients = start_gradients(model, unit, canvas, states=first, seed=root.fork("moves"))
        aligned, alike = alignment(canvas.fit(own) - first, gradients, flat)
        layout = _layout(stacked(context, [entry["image"], *entry["others"]]))
        context.tick((i + 1) / len(spec["units"]))
        yield str(unit), {"layout": number(layout), "aligned": number(aligned), "alike": number(alike)}


def _layout(pictures: Float[Tensor, "p 3 h w"]) -> float:
    """Median correlation of layouts over pairs; nan of one picture."""
    places = layouts(pictures).double()
    pairs = [float(a @ b) for a, b in combinations(places, 2)]
    return float(np.median(pairs)) if pairs else float("nan")


def _cosine(first: Tensor, second: Tensor) -> float:
    """nan where one is nothing."""
    lengths = float(first.norm() * second.norm())
    return float(first @ second) / lengths if lengths > 0 else float("nan")


def _traits(unit: str, told: Mapping[str, Any] | None) -> Traits:
    values = {} if told is None else told
    return Traits(unit, *(float("nan") if values.get(key) is None else float(values[key]) for key in FLOORS))


def _layer(units: Sequence[Traits]) -> Iterator[UnitRow]:
    values = {key: np.array([getattr(unit, key) for unit in units]) for key in FLOORS}
    beyond = {key: apart(values[key], floor) for key, floor in FLOORS.items()}
    for i, unit in enumerate(units):
        raw = {key: number(values[key][i], 4) for key in FLOORS}
        yield _row(unit.unit, {**raw, **{f"{key}_apart": number(beyond[key][i], 4) for key in FLOORS}})


def _row(unit: str, told: Mapping[str, float | None]) -> UnitRow:
    figure, aligned, layout = told["aligned_apart"], told["aligned"], told["layout"]
    if aligned is None and layout is not None:
        return UnitRow(unit, "No gradient comes back from it where drawings start.", details=told)
    if figure is None or aligned is None:
        return UnitRow(unit, "Too few units of its layer were drawn otherwise to compare it with.", details=told)
    where = "" if layout is None else f"; over starts, layouts are correlated by {layout:.2f}"
    if aligned >= ALIGNED.value and figure >= ALIGNED_APART.value:
        words = (
            f"Unlike its siblings', its first gradients point to its picture (cosine {aligned:.2f}, {figure:.1f} of "
            f"their spreads above their median){where}."
        )
        return UnitRow(unit, words, figure, None, SUPPORTS, told)
    beyond = f"{abs(figure):.1f} of its siblings' spreads {'above' if figure >= 0 else 'below'} their median"
    words = f"Its first gradients point to its picture with a cosine of {aligned:.2f}, {beyond}{where}."
    return UnitRow(unit, words, figure, None, NOTHING, told)


def _claim(rows: Sequence[UnitRow]) -> str:
    known = [row.figure for row in rows if row.figure is not None]
    if not known:
        return (
            f"No layer has {MEMBERS} units with a picture and gradients, so that none has siblings to compare it with."
        )
    odd = sum(row.strength == SUPPORTS for row in rows)
    if odd:
        return f"{odd} of {len(known)} units are drawn unlike their siblings: every start leads them to one picture."
    return (
        f"No start leads any of {len(known)} units to one picture unlike its siblings: their first gradients point to "
        f"their pictures by at most {max(max(known), 0.0):.1f} spreads more."
    )
