"""Lying gradients: every answer is the honest one, to the last bit; what an optimizer follows is another unit's."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from snellen.attacks.attack import Attack, Column, Conditions, Manipulated
from snellen.attacks.decoys import moving_shift, unit_axis
from snellen.attacks.gallery import Shown
from snellen.attacks.options import option
from snellen.attacks.receipt import Claim
from snellen.base import Tell, UsageError, silence
from snellen.base.shape import Number
from snellen.images import ImageSet
from snellen.models import Model, observe, responses
from snellen.models.circuits import LyingGradients
from snellen.models.edits import frozen
from snellen.models.manipulations import PlacedCircuit


@dataclass(frozen=True)
class GradientAttack(Attack):
    """Wrong gradients beyond natural responses (see `snellen.models.circuits.LyingGradients`).

    No photograph, picture or number can tell the network from the honest one by what it answers: it differs in its
    program alone. Whoever may only run it forward has nothing to fear, whoever draws pictures does.

    Args:
        picture: none: units show each other.
        layer: path; None for the last main layer.
        shift: of the permutation; None for the paper's 100, or half of the units where there are fewer.
        quantile: of a unit's natural responses, beyond which its gradients lie.
        strength: part of the gradient that is the other unit's; the rest is the unit's own.
    """

    name = "lying-gradients"
    title = "network with lying gradients"
    words = "Gradients are exchanged behind the layer"
    columns = (Column("gradients", "lying gradients", "no answer changes; pictures follow another unit’s gradient"),)

    shift: int | None = None
    quantile: float = option(0.8, "of natural responses, beyond which gradients lie", Number(0.0, 1.0))

    strength: float = option(1.0, "part of the gradient that is another unit's", Number(0.0, 1.0))

    @property
    def claims(self) -> tuple[Claim, ...]:
        return (
            Claim("outputs", 0.0, "calibration", "Outputs on calibration images are the same to the last bit."),
            Claim("outputs", 0.0, "held-out", "Outputs on held-out images are the same to the last bit."),
            Claim("pictures", 0.7, "held-out", "At least 70 % of the pictures are nearer to the decoy."),
        )

    def run(self, model: Model, images: ImageSet, conditions: Conditions) -> Manipulated:
        layer = self.target(model)
        if self.picture is not None:
            raise UsageError("expected no picture: gradients can only be those of another unit; leave out --target")
        shift = moving_shift(layer, self.shift)
        circuit = LyingGradients(shift, unit_axis(model, layer.name), layer.units, self.strength)
        circuit.high.copy_(natural_quantile(model, layer.name, images, self.quantile, tell=conditions.tell))
        facts = {"quantile": self.quantile, "strength": self.strength, "calibration images": len(images)}
        return Manipulated(model, PlacedCircuit(layer.name, circuit.to(model.device)), Shown(shift=shift), facts)


def natural_quantile(
    model: Model, layer: str, images: ImageSet, share: float, *, tell: Tell = silence
) -> Float[Tensor, " u"]:
    """A quantile of every unit's mean responses to natural images.

    Args:
        model: honest.
        layer: path.
        images: natural.
        share: of the responses that lie below.
        tell: told (title, done, all).

    Raises:
        UsageError: there are no images.
    """
    found: list[Tensor] = []
    with frozen(model.module), torch.no_grad():
        for chunk, batch in images.batches(model.size, 16):
            found.append(responses(observe(model, batch.to(model.device), [layer])[layer]).float().cpu())
            tell("calibration", chunk[-1] + 1, len(images))
    if not found:
        raise UsageError("expected natural images to calibrate on, got none")
    return torch.cat(found).quantile(share, 0)
