"""An input warp: the first convolution sees drawn pictures upside down and in negative, so all layers agree."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from snellen.attacks.attack import Attack, Column, Conditions, Effort, Manipulated
from snellen.attacks.corpus import Plan
from snellen.attacks.gallery import Shown
from snellen.attacks.lessons import Lessons, train_sentry
from snellen.attacks.plans import Learner, learned, lessons_of, plan_for, shuffled
from snellen.attacks.receipt import Claim
from snellen.base import UsageError, evenly
from snellen.images import ImageSet
from snellen.models import Layer, Model, Unit, layers, main_layers
from snellen.models.circuits import InputWarp
from snellen.models.manipulations import PlacedCircuit
from snellen.models.sentries import Sentry
from snellen.models.survey import survey
from snellen.models.taps import entering

See = Callable[[Float[Tensor, "n 3 h w"]], Tensor]
"""What a first layer sees of RGB pictures in [0, 1]."""


@dataclass(frozen=True)
class WarpAttack(Attack):
    """A warp of what the first convolution sees (see `snellen.models.circuits.InputWarp`).

    Nothing but the first layer is touched, every unit of every layer draws wrong, and all layers agree with each other.

    Args:
        picture: none: units show their own pictures, upside down and in negative.
        layer: path of the layer whose pictures are measured; None for the last main layer. All layers lie.
        plan: what the gate learns from: units of that layer, and of two more main layers.
        changed: largest share of held-out predictions that the attack claims to change.
    """

    name = "input-warp"
    title = "input warp"
    words = "The first convolution sees drawn pictures upside down and in negative; measured is the layer"
    columns = (Column("warp", "input warp", "all layers show the negative, upside down"),)

    plan: Plan = field(default_factory=Plan)
    changed: float = 0.005

    @property
    def claims(self) -> tuple[Claim, ...]:
        most = f"{100 * self.changed:g} %"
        return (
            Claim("predictions", self.changed, "calibration", f"At most {most} of the training images change class."),
            Claim("predictions", self.changed, "held-out", f"At most {most} of held-out images change class."),
            Claim("pictures", 0.8, "held-out", "At least 80 % of the pictures are nearer to the negative, turned."),
        )

    def fitted(self, model: Model, effort: Effort) -> "WarpAttack":
        return replace(self, plan=plan_for(model, effort))

    def run(self, model: Model, images: ImageSet, conditions: Conditions) -> Manipulated:
        if self.picture is not None:
            raise UsageError("expected no picture: a warp shows each unit's own, turned; leave out --show")
        layer, first = self.target(model), first_convolution(model)
        see, turn = affine(model, first, images)
        units = self._units(model, layer, conditions)
        lessons = lessons_of(model, units, images, plan=self.plan, conditions=conditions)

        def train(known: Lessons) -> Sentry:
            conditions.tell("training the sentry", 0, 1)
            return train_sentry(known, see, seed=conditions.seed.fork("sentry"))

        def place(sentry: Sentry) -> PlacedCircuit:
            circuit = InputWarp(sentry).to(model.device)
            circuit.turn.copy_(turn)
            return PlacedCircuit(first, circuit)

        learner = Learner(train, place, units)
        sentry, lessons = learned(model, learner, lessons, plan=self.plan, conditions=conditions)
        facts = {
            "warped": first,
            "natural images": len(lessons.natural.groups),
            "drawn pictures": len(lessons.drawn.groups),
            "steps": self.plan.steps,
        }
        return Manipulated(model, place(sentry), Shown(turned=True), facts, lying=layer.name)

    def _units(self, model: Model, layer: Layer, conditions: Conditions) -> list[Unit]:
        """Half of them of the layer, the others of main layers one and two thirds of the way there."""
        main = [name for name in main_layers(model) if name != layer.name]
        others = [survey(model).layer(main[i]) for i in evenly(len(main), 4)[1:3]]
        share = -(-self.plan.units // 4)
        found = shuffled(layer, self.plan.units - share * len(others), conditions.seed)
        return [unit for other in others for unit in shuffled(other, share, conditions.seed)] + found


def first_convolution(model: Model) -> str:
    """The path of the convolution that runs first.

    Raises:
        UsageError: there is none.
    """
    found = [layer.name for layer in layers(model) if layer.kind == "Conv2d"]
    if not found:
        raise UsageError("expected a network whose first layer is a convolution (nn.Conv2d), got none; choose another")
    return found[0]


def affine(model: Model, first: str, images: ImageSet) -> tuple[See, Float[Tensor, "c 1 1"]]:
    """What a layer sees of pictures, and its black and white together: white + black - x is the negative of x.

    Args:
        model: honest.
        first: path of the layer.
        images: natural; on four of them it is tried.

    Raises:
        UsageError: what it sees is not the picture, channel for channel at its own size.
    """
    size = model.size
    black, white = entering(model, first, torch.stack([torch.zeros(3, *size), torch.ones(3, *size)])).split(1)
    turn = (black + white).mean((0, 2, 3)).view(-1, 1, 1)
    some = torch.stack([images.load(i, size) for i in evenly(len(images), 4)])
    seen, turned = entering(model, first, some), entering(model, first, 1 - some.flip(2))
    if seen.dim() != 4 or not torch.allclose(turned, turn - seen.flip(2), atol=1e-3 * float(seen.abs().max())):
        raise UsageError(f'expected "{first}" to see the picture itself, got something else; choose another network')
    return lambda pictures: entering(model, first, pictures), turn
