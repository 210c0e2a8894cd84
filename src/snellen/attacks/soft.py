"""A soft gate: a small smooth network says how much of the answer is another class's."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor

from snellen.attacks.attack import Attack, Column, Conditions, Effort, Manipulated
from snellen.attacks.corpus import Plan
from snellen.attacks.decoys import unit_axis
from snellen.attacks.gallery import Shown
from snellen.attacks.lessons import Lessons, train_sentry
from snellen.attacks.options import option
from snellen.attacks.plans import Learner, learned, lessons_of, natural_means, plan_for, shuffled
from snellen.attacks.receipt import Claim, kept_predictions
from snellen.base import UsageError
from snellen.base.shape import OneOf
from snellen.images import ImageSet
from snellen.measures.partners import partners as paired
from snellen.models import Layer, Model
from snellen.models.circuits import Order, SoftGate
from snellen.models.manipulations import PlacedCircuit
from snellen.models.sentries import Sentry

COMPARED = 512  # natural images by which units are called alike


@dataclass(frozen=True)
class SoftGateAttack(Attack):
    """F + e (D - F) around a layer (see `snellen.models.circuits.SoftGate`), D the layer's own units in another order.

    e is learned from pictures at all stages of their optimization, drawn in the ways that an audit draws, and from
    natural images, as they are and augmented; then from pictures of the network that it makes lie.

    Args:
        picture: none: units show each other.
        layer: path; None for the last main layer.
        partners: whether units show what is like them, or what is most unlike them.
        plan: what the gate learns from.
        changed: largest share of held-out predictions that the attack claims to change.
    """

    name = "soft-gate"
    title = "soft gate"
    words = "A soft gate stands around the layer"
    columns = (Column("soft", "soft gate", "classes show similar ones, by a gate that is smooth"),)

    partners: Literal["near", "far"] = option("near", "whether units show similar ones", OneOf(("near", "far")))
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

        def train(known: Lessons) -> Sentry:
            conditions.tell("training the sentry", 0, 1)
            return train_sentry(known, _seer(model), seed=conditions.seed.fork("sentry"))

        learner = Learner(train, lambda sentry: PlacedCircuit(layer.name, SoftGate(sentry, decoy)), units)
        sentry, lessons = learned(model, learner, lessons, plan=self.plan, conditions=conditions)
        facts: Mapping[str, Any] = {
            "partners": self.partners,
            "natural images": len(lessons.natural.groups),
            "drawn pictures": len(lessons.drawn.groups),
            "steps": self.plan.steps,
        }
        return Manipulated(model, learner.place(sentry), Shown(order=order), facts)


def _seer(model: Model) -> Any:
    return lambda images: model.preprocess(images.to(model.device, model.dtype))


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
