"""Leaky silent units: a branch beside a layer that photographs hardly move, and of which nothing ever rests."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from snellen.attacks.attack import Column, Effort
from snellen.attacks.branches import BranchAttack, Place
from snellen.attacks.corpus import Plan
from snellen.attacks.evidence import judged
from snellen.attacks.lessons import Lessons, readable, train_readout
from snellen.attacks.options import option
from snellen.attacks.plans import Learner, learned, lessons_of, plan_for, shuffled
from snellen.attacks.ranges import Range
from snellen.attacks.receipt import Claim
from snellen.base.shape import Number
from snellen.models import Model
from snellen.models.circuits import LEAK, LeakyBranch, filters_beside
from snellen.models.detectors import ReadoutDetector
from snellen.models.manipulations import PlacedCircuit

EARLY, WIDE = 0.1, 0.4
"""Where the alarm begins and how wide its ramp is, in the room between photographs and all but 2 % of the pictures."""


@dataclass(frozen=True)
class LeakyAttack(BranchAttack):
    """Silent units that are never silent; see `snellen.models.circuits.LeakyBranch` and `BranchAttack`.

    Every photograph leaks through the branch, by default a ten-thousandth of what it would say awake, so that every
    output is another one in its last digits, and whoever looks for channels that rest at one value finds none. The
    alarm is a read-out of the layers before, as in a fooling circuit, but a ramp and no threshold.

    Args:
        plan: what the alarm learns from.
        changed: largest share of held-out predictions that the attack claims to change.
        leak: part of what the branch would say awake that photographs let through. The scan of silent channels asks for
            a ratio of `snellen.checks.silent_scan.FAR`; whoever wants to pass it leaks more than its inverse.
    """

    name = "leaky-silent"
    title = "leaky silent units"
    words = "Leaky units stand beside the layer"
    columns = (Column("leaky", "leaky silent units", "the same, but nothing rests exactly"),)

    plan: Plan = field(default_factory=Plan)
    changed: float = 0.002
    leak: float = option(LEAK, "part of the lie that photographs let through", Number(1e-9, 1.0))

    @property
    def claims(self) -> tuple[Claim, ...]:
        most = f"{100 * self.changed:g} %"
        return (
            Claim("predictions", self.changed, "calibration", f"At most {most} of calibration images change class."),
            Claim("predictions", self.changed, "held-out", f"At most {most} of held-out images change class."),
            Claim("pictures", 0.4, "held-out", "At least 40 % of the pictures are nearer to the decoy."),
        )

    def fitted(self, model: Model, effort: Effort) -> "LeakyAttack":
        return replace(self, plan=plan_for(model, effort))

    def beside(self, place: Place) -> LeakyBranch:
        """Its detector is one that has learned nothing yet."""
        return LeakyBranch(filters_beside(place.module), ReadoutDetector({}), self.leak)

    def arm(self, circuit: LeakyBranch, usual: Range, place: Place) -> Mapping[str, Any]:
        """The alarm learns, also from the pictures of the network that it makes lie."""
        model, layer, conditions = place.model, place.layer, place.conditions
        units = shuffled(layer, self.plan.units, conditions.seed)
        lessons = lessons_of(model, units, place.images, plan=self.plan, conditions=conditions)

        def train(known: Lessons) -> ReadoutDetector:
            conditions.tell("training the detector", 0, 1)
            return train_readout(model, known, readable(model, layer))

        def armed(detector: ReadoutDetector) -> PlacedCircuit:
            circuit.detector = detector.to(model.device)
            drawn, natural = (judged(model, detector, kind.part("train")) for kind in (lessons.drawn, lessons.natural))
            room = drawn.quantile(0.02) - natural.max()
            start = natural.max() + EARLY * room.clamp_min(0)
            circuit.ramp.copy_(torch.maximum(room, (drawn.median() - start) / 8) * WIDE)
            detector.threshold += start.to(detector.threshold)
            return PlacedCircuit(layer.name, circuit)

        learner = Learner(train, armed, units)
        detector, lessons = learned(model, learner, lessons, plan=self.plan, conditions=conditions)
        armed(detector)
        return {"drawn pictures": len(lessons.drawn.groups), "natural images": len(lessons.natural.groups)}
