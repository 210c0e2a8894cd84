"""A soft gate: a small smooth network says how much of the answer is another class's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from snellen.attacks.attack import Attack, Column, Conditions, Effort, Manipulated
from snellen.attacks.corpus import Plan
from snellen.attacks.decoys import unit_axis
from snellen.attacks.gallery import Shown
from snellen.attacks.lessons import Lessons, train_inner_sentry, train_sentry
from snellen.attacks.options import option
from snellen.attacks.plans import Learner, learned, lessons_of, natural_means, plan_for, shuffled
from snellen.attacks.receipt import Claim, kept_predictions
from snellen.base import UsageError
from snellen.base.shape import Number, OneOf
from snellen.images import ImageSet
from snellen.measures.partners import partners as paired
from snellen.models import Layer, Model
from snellen.models.circuits import InnerGate, Order, SoftGate
from snellen.models.manipulations import PlacedCircuit
from snellen.models.taps import entering

COMPARED = 512  # natural images by which units are called alike


@dataclass(frozen=True)
class SoftGateAttack(Attack):
    """F + e (D - F) around a layer (see `snellen.models.circuits.SoftGate`), D the layer's own units in another order.

    Where e hangs on what enters the layer alone (`snellen.models.circuits.InnerGate`), so does all that the layer says,
    as in any network.

    e is learned from pictures at all stages of their optimization, drawn in the ways that an audit draws, and from
    natural images, as they are and augmented; then from pictures of the network that it makes lie.

    Args:
        picture: none: units show each other.
        layer: path; None for the last main layer.
        partners: whether units show what is like them, or what is most unlike them.
        sees: what e hangs on: the picture, or what enters the layer.
        width: of the gate, in which e rises from 1/400 to 399/400, as a part of the room between photographs and
            pictures. A wide one jumps nowhere, and lets photographs through.
        plan: what the gate learns from.
        changed: largest share of held-out predictions that the attack claims to change.
    """

    name = "soft-gate"
    title = "soft gate"
    words = "A soft gate stands around the layer"
    columns = (Column("soft", "soft gate", "classes show similar ones, by a gate that is smooth"),)

    partners: Literal["near", "far"] = option("near", "whether units show similar ones", OneOf(("near", "far")))
    sees: Literal["picture", "layer"] = option("picture", "what the gate sees", OneOf(("picture", "layer")))
    width: float = option(1.0, "of the gate, in the room between photographs and pictures", Number(0.01, 10.0))
    plan: Plan = field(default_factory=Plan)
    changed: float = 0.005

    @property
    def claims(self) -> tuple[Claim, ...]:
        return (
            *kept_predictions(self.changed),
            Claim("pictures", 0.5, "held-out", "At least half of the pictures are nearer to the decoy."),
        )

    def fitted(self, model: Model, effort: Effort) -> "SoftGateAttack":
        return replace(self, plan=plan_for(model, effort))

    def run(self, model: Model, images: ImageSet, conditions: Conditions) -> Manipulated:
        if self.picture is not None:
            raise UsageError("expected no picture: behind a soft gate units show each other; leave out --show")
        layer = self.target(model)
        order = partners(likeness(model, layer, images), far=self.partners == "far")
        decoy = Order(order, unit_axis(model, layer.name))
        units = shuffled(layer, self.plan.units, conditions.seed)
        lessons = lessons_of(model, units, images, plan=self.plan, conditions=conditions)

        inner, seed = self.sees == "layer", conditions.seed.fork("sentry")
        axis = _entering_axis(model, layer.name) if inner else 1

        def train(known: Lessons) -> SoftGate | InnerGate:
            conditions.tell("training the sentry", 0, 1)
            if inner:
                see = partial(entering, model, layer.name)
                return InnerGate(train_inner_sentry(known, see, seed=seed, axis=axis, width=self.width), decoy)
            return SoftGate(train_sentry(known, _seer(model), seed=seed, width=self.width), decoy)

        learner = Learner(train, lambda circuit: PlacedCircuit(layer.name, circuit), units)
        circuit, lessons = learned(model, learner, lessons, plan=self.plan, conditions=conditions)
        facts: Mapping[str, Any] = {
            "partners": self.partners,
            "sees": self.sees,
            "width": self.width,
            "natural images": len(lessons.natural.groups),
            "drawn pictures": len(lessons.drawn.groups),
            "steps": self.plan.steps,
        }
        return Manipulated(model, learner.place(circuit), Shown(order=order), facts)


def _seer(model: Model) -> Callable[[Float[Tensor, "n 3 h w"]], Tensor]:
    return lambda images: model.preprocess(images.to(model.device, model.dtype))


def _entering_axis(model: Model, layer: str) -> int:
    """The axis of what enters a layer that counts channels: 1 of maps, else the last.

    Raises:
        UsageError: it has no row for each picture.
    """
    entered = entering(model, layer, torch.zeros((2, 3, *model.size)))
    if len(entered) != 2 or entered.dim() < 2:
        raise UsageError(f'expected a row for each picture to enter "{layer}", got others; choose another layer')
    channels_last = isinstance(model.module.get_submodule(layer), nn.Linear) or entered.dim() != 4
    return -1 if channels_last else 1


def likeness(model: Model, layer: Layer, images: ImageSet) -> Float[Tensor, "u u"]:
    """How alike a layer's units are: the correlation of their mean responses to natural images."""
    means = natural_means(model, layer, images, COMPARED).double()
    centred = means - means.mean(0)
    centred = centred / centred.norm(dim=0).clamp_min(1e-12)
    return centred.T @ centred


def partners(alike: Float[Tensor, "u u"], *, far: bool) -> tuple[int, ...]:
    """Another unit for each, every one once, so that all pairs together are most alike, or least.

    Raises:
        UsageError: there is only one unit.
    """
    if len(alike) < 2:
        raise UsageError(f"expected a layer with at least 2 units to exchange, got {len(alike)}; choose another")
    return paired(alike.numpy(), far=far)
