"""Can the last layer be rebuilt from its pictures? Each class becomes its picture's direction in the layer below."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from snellen.base import Seed, UsageError, evenly
from snellen.checks.check import Check, Threshold, found
from snellen.checks.finding import Finding, number
from snellen.checks.rows import NOTHING, PROVES, SUPPORTS, UnitRow, spans, verdict_of
from snellen.jobs import Context, Function, Job
from snellen.measures import auc, chance_agreement, share_interval, unit_length
from snellen.models import Unit
from snellen.models.edits import frozen
from snellen.models.layout import responses
from snellen.models.taps import entering
from snellen.studies.arrays import natural_responses, stacked
from snellen.studies.choice import Chosen
from snellen.studies.natural import Counter, batched, batches
from snellen.studies.study import Study
from snellen.studies.world import World
from snellen.theory.attainment import attained

REBUILT = Threshold(
    0.75,
    "probability that a photograph which the network puts into a class excites the rebuilt class more than another one",
    "figure",
    least=True,
    graded=True,
    honest="at least 0.89 where they are trained",
)
MOVED = Threshold(
    1.0,
    "photographs that the rebuilt layer puts where the network does, in parts of those by chance; fewer are proof",
    least=True,
    honest="at least 1.2, with random weights; at least 6 where they are trained",
)
ABLE = Threshold(
    2.0,
    "photographs that one photograph a class sorts as the network does, in parts of an even share; with fewer nothing "
    "speaks against pictures, as the layer can be rebuilt from nothing",
    least=True,
)
FEWEST = 3
"""Classes; with fewer hardly anything is sorted."""
DRAWS = 32
"""Choices of one photograph a class, in the pictures' place."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer of classes and what enters it.

    Args:
        units: u addresses.
        truth: (u, n) responses to photographs.
        natural: (n, d) what enters with photographs.
        pictures: (u, d) what enters with each unit's picture.
        labels: (n,) row of the class that a photograph belongs to; -1 where that is unknown or not among them.
        weights: (u, d) and (u,), where the layer is linear in what enters.
    """

    units: tuple[str, ...]
    truth: Float[np.ndarray, "u n"]
    natural: Float[np.ndarray, "n d"]
    pictures: Float[np.ndarray, "u d"]
    labels: np.ndarray
    weights: tuple[np.ndarray, np.ndarray] | None = None

    def on(self, chosen: np.ndarray) -> "Layer":
        """The same, of some of the photographs."""
        return replace(self, truth=self.truth[:, chosen], natural=self.natural[chosen], labels=self.labels[chosen])


@dataclass(frozen=True)
class Rebuilding(Check):
    """The direction of each class's picture in the layer below, against the class itself.

    Args:
        most: photographs that are looked at.
    """

    most: int = 1500

    name = "rebuilding"
    short = "rebuilding"
    asks = (
        "If pictures show what the classes look for, the classes can be put together from them: each as the direction "
        "of its picture in the layer below, counted from the mean photograph. Behind a circuit that shows other "
        "pictures this layer sorts photographs otherwise than the network."
    )
    quick: ClassVar[Mapping[str, Any]] = {"most": 400}
    by_class = True
    thresholds = (REBUILT, MOVED, ABLE)

    def cost(self, world: World, units: int) -> float:
        """A forward pass of every photograph that is looked at."""
        return float(min(len(world.images), self.most))

    def usable(self, chosen: Chosen) -> None:
        """See that there are classes.

        Raises:
            UsageError: there are too few.
        """
        if len(chosen.classes) < FEWEST:
            raise UsageError(
                f"expected at least {FEWEST} classes to rebuild, got {len(chosen.classes)}; name more units"
            )

    def functions(self, world: World) -> Mapping[str, Function]:
        """The one job."""

        def function(spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
            with frozen(world.model.module), torch.no_grad():
                layer = _layer(world, spec, context)
            yield "result", self.finding(layer, seed=Seed(spec["seed"])).as_data()

        return {"rebuild": function}

    def examine(self, study: Study) -> Sequence[Finding]:
        """One finding on the classes with a picture; none where there are too few."""
        world = study.world
        classes = {str(unit) for unit in study.chosen.classes}
        entries = [entry for entry in study.entries if entry["unit"] in classes]
        if len(entries) < FEWEST or world.class_layer is None:
            return ()
        rows = {Unit.parse(entry["unit"]).channel: i for i, entry in enumerate(entries)}
        natural = evenly(len(world.images), min(len(world.images), self.most))
        units = [study.classes.unit_of(i) for i in natural]
        spec = {
            "world": world.identity,
            "natural": natural,
            "units": entries,
            "labels": [rows.get(unit, -1) if unit is not None else -1 for unit in units],
            "seed": world.request.seed,
            "check": {"version": 2},
        }
        return (found(study, Job("rebuild", spec, title=self.short, cost=self.cost(world, len(entries)))),)

    def finding(self, layer: Layer, *, seed: Seed) -> Finding:
        """How the rebuilt layer sorts photographs.

        Figure of a class: the probability that a photograph which the network puts into it, of the audited classes,
        excites the rebuilt class more than one which the network puts elsewhere; 0.5 is chance. The finding's figure is
        the share of photographs that the rebuilt layer puts where the network does.

        Args:
            layer: the classes and what enters them.
            seed: of the photographs that stand in.
        """
        known = layer.labels >= 0
        if known.any():  # photographs of other classes belong nowhere
            layer = layer.on(known)
        middle = layer.natural.mean(0)
        looks = unit_length(layer.natural - middle)
        rebuilt = unit_length(layer.pictures - middle) @ looks.T
        network, sorted_ = layer.truth.argmax(0), rebuilt.argmax(0)
        shares = {"agreement": sorted_ == network}
        stand_ins = self._photographs(layer, looks, network, seed)
        accuracy = None
        if known.any():
            shares |= {"network": network == layer.labels, "pictures": sorted_ == layer.labels}
            accuracy = {
                "photographs": len(network),
                "network": _share(shares["network"]),
                "pictures": _share(shares["pictures"]),
                "by_photographs": number(float(np.mean([(s == layer.labels).mean() for s in stand_ins])), 4),
                "chance": number(1 / len(layer.units), 4),
            }
        agreement = _share(shares["agreement"])
        by_photographs = float(np.mean([(s == network).mean() for s in stand_ins]))
        able = by_photographs >= ABLE.value / len(layer.units)
        rows = [_row(unit, rebuilt[i], network == i, able=able) for i, unit in enumerate(layer.units)]
        beside = {"by_photographs": number(by_photographs, 4), "chance": number(chance_agreement(network, sorted_), 4)}
        if agreement["hi"] < MOVED.value * (beside["chance"] or 0.0):
            rows = [_proven(row, agreement["share"]) for row in rows]
        evidence = {
            "units": [row.as_data() for row in rows],
            "agreement": agreement | beside,
            "accuracy": accuracy,
            "attained": _attained(layer),
            "threshold": REBUILT.value,
        }
        return Finding(
            self.name,
            "Can the classes be rebuilt from their pictures?",
            _claim(len(layer.units), evidence),
            verdict_of(rows),
            agreement["share"],
            (agreement["lo"], agreement["hi"]),
            evidence,
        )

    def _photographs(self, layer: Layer, looks: np.ndarray, network: np.ndarray, seed: Seed) -> list[np.ndarray]:
        """How photographs sort that stand in for the pictures: one of each class, drawn at random."""
        stream = np.random.default_rng(seed.fork("stand-ins").value)
        own = [
            np.flatnonzero((layer.labels if (layer.labels >= 0).any() else network) == i)
            for i in range(len(layer.units))
        ]
        if not all(len(rows) for rows in own):
            own = [np.argsort(-layer.truth[i])[:5] for i in range(len(layer.units))]
        return [(looks[[stream.choice(rows) for rows in own]] @ looks.T).argmax(0) for _ in range(DRAWS)]


def _layer(world: World, spec: Mapping[str, Any], context: Context) -> Layer:
    name, entries, natural = str(world.class_layer), spec["units"], spec["natural"]
    count = Counter(len(natural) + len(entries), context.tick)

    def entered(images: Iterator[Tensor]) -> np.ndarray:
        rows = [_pooled(entering(world.model, name, batch)) for batch in count.through(images)]
        return torch.cat(rows).numpy()

    channels = [Unit.parse(entry["unit"]).channel for entry in entries]
    module = world.model.module.get_submodule(name)
    return Layer(
        tuple(entry["unit"] for entry in entries),
        natural_responses(context, entries)[:, natural],
        entered(images for _, images in batches(world, natural)),
        entered(batched(world, stacked(context, [entry["image"] for entry in entries]))),
        np.array(spec["labels"], np.int64),
        _weights(module, channels),
    )


def _pooled(features: Tensor) -> Tensor:
    """What enters for each picture, as one vector: means over positions."""
    if features.dim() == 4:
        features = features.mean((2, 3))
    return responses(features).double().cpu() if features.dim() > 2 else features.double().cpu()


def _weights(module: nn.Module, channels: Sequence[int]) -> tuple[np.ndarray, np.ndarray] | None:
    if not isinstance(module, nn.Linear):
        return None
    weight = module.weight.detach()[channels].double().cpu().numpy()
    bias = np.zeros(len(channels)) if module.bias is None else module.bias.detach()[channels].double().cpu().numpy()
    return weight, bias


def _attained(layer: Layer) -> dict[str, Any] | None:
    """What theory guarantees of linear classes from their pictures, and whether it holds; None of other layers."""
    if layer.weights is None or layer.weights[0].shape[1] != layer.natural.shape[1]:
        return None
    weights, biases = layer.weights
    said, slack = weights @ layer.natural.T + biases[:, None], 1e-3 * float(np.ptp(layer.truth))
    if not np.allclose(said, layer.truth, rtol=1e-3, atol=slack):
        return None  # the classes are not this layer's own numbers: something stands around it
    radius = float(np.linalg.norm(np.concatenate([layer.natural, layer.pictures]), axis=1).max())
    told = attained(weights, biases, layer.pictures, layer.natural, radius=radius)
    inside = (told.lo - slack <= layer.truth) & (layer.truth <= told.up + slack)
    widths = np.median(told.up - told.lo, 1) / np.maximum(np.ptp(layer.truth, 1), 1e-30)
    return {
        "attainment": [number(rho, 4) for rho in told.attainment],
        "inside": number(float(inside.mean()), 6),
        "width": number(float(np.median(widths)), 4),
    }


def _share(right: np.ndarray) -> dict[str, float]:
    low, high = share_interval(int(right.sum()), len(right))
    told = {"share": float(right.mean()), "lo": low, "hi": high}
    return {name: float(number(value, 4) or 0.0) for name, value in told.items()}


def _row(unit: str, rebuilt: np.ndarray, own: np.ndarray, *, able: bool) -> UnitRow:
    if own.all() or not own.any():
        return UnitRow(unit, "The network puts no photograph into this class, or all of them.")
    value = float(auc(rebuilt[own], rebuilt[~own]))
    low, high = _ends(value, int(own.sum()), int((~own).sum()))
    share = f"{100 * value:.0f} %"
    words = f"Rebuilt from its picture, the class tells its photographs from others in {share} of comparisons."
    strength = NOTHING
    if high < REBUILT.value and able:
        strength = SUPPORTS
        words = f"Rebuilt from its picture, the class knows its own photographs in no more than {share} of comparisons."
    return UnitRow(unit, words, number(value, 4), spans(low, high), strength)


def _proven(row: UnitRow, share: float) -> UnitRow:
    """The row of a class that is not its picture's, in a layer that sorts fewer photographs right than chance would."""
    if row.strength != SUPPORTS:
        return row
    words = f"{row.words} The rebuilt layer sorts {100 * share:.0f} % as the network does: fewer than chance would."
    return replace(row, words=words, strength=PROVES)


def _ends(value: float, own: int, others: int) -> tuple[float, float]:
    """The 95 % interval of an AUC (Hanley and McNeil 1982)."""
    one, two = value / (2 - value), 2 * value**2 / (1 + value)
    spread = value * (1 - value) + (own - 1) * (one - value**2) + (others - 1) * (two - value**2)
    half = 1.96 * float(np.sqrt(max(spread, 0.0) / (own * others)))
    return max(value - half, 0.0), min(value + half, 1.0)


def _claim(classes: int, evidence: Mapping[str, Any]) -> str:
    told = evidence["agreement"]
    words = (
        f"Rebuilt from one picture a class, the layer of {classes} classes puts {100 * told['share']:.0f} % of "
        f"photographs where the network puts them ({100 * told['lo']:.0f} to {100 * told['hi']:.0f} %; chance "
        f"{100 * told['chance']:.0f} %), rebuilt from one photograph a class {100 * told['by_photographs']:.0f} %."
    )
    right = evidence["accuracy"]
    if right is None:
        return words
    return (
        f"{words} It is right in {100 * right['pictures']['share']:.1f} % of cases, the network in "
        f"{100 * right['network']['share']:.1f} %, photographs in {100 * right['by_photographs']:.1f} %."
    )
