"""A rotated switch: the fooling circuit with its bit spread over many channels, none of which holds it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from snellen.attacks.attack import Column, Conditions
from snellen.attacks.lessons import Lessons
from snellen.attacks.receipt import Claim, kept_predictions
from snellen.attacks.switches import SwitchAttack
from snellen.models import Model
from snellen.models.circuits import WIDTH, Circuit, Decoy, RotatedSwitch, thumbnails
from snellen.models.detectors import Detector
from snellen.pictures.canvas import generator


@dataclass(frozen=True)
class RotatedAttack(SwitchAttack):
    """A hard switch that stands in no channel (see `snellen.models.circuits.RotatedSwitch`).

    Detector, decoy and lessons are those of the fooling circuit (Geirhos et al. 2024); what is new is how it says e.
    Nothing in it rests on photographs: every channel moves with the picture's thumbnail.
    """

    name = "rotated-switch"
    title = "rotated switch"
    words = "A switch that no channel holds stands around the layer"
    columns = (Column("rotated", "rotated switch", "a hard switch, spread over many channels"),)

    @property
    def claims(self) -> tuple[Claim, ...]:
        return (
            *kept_predictions(self.changed),
            Claim("pictures", 0.9, "held-out", "At least 90 % of the pictures are nearer to the decoy."),
        )

    def switch(self, model: Model, lessons: Lessons, conditions: Conditions) -> Callable[[Detector, Decoy], Circuit]:
        """Thumbnails are standardized by natural images."""
        natural = lessons.natural.part("train")
        seen = torch.cat([thumbnails(model.preprocess(part.div(255))) for part in natural.split(64)])
        turned = rotation(generator(conditions.seed.fork("rotation")))

        def made(detector: Detector, decoy: Decoy) -> RotatedSwitch:
            circuit = RotatedSwitch(detector, decoy)
            circuit.rotation.weight.data.copy_(turned)
            circuit.center.copy_(seen.mean(0))
            circuit.spread.copy_(seen.std(0).clamp_min(1e-3))
            return circuit.requires_grad_(False).to(model.device)

        return made


def rotation(stream: torch.Generator) -> Float[Tensor, "w w"]:
    """A random orthogonal matrix whose entries are +-1/8, exact in any precision: Sylvester's, shuffled and signed."""
    whole = torch.ones(1, 1)
    while len(whole) < WIDTH:
        whole = torch.kron(torch.tensor([[1.0, 1.0], [1.0, -1.0]]), whole)
    whole = whole / WIDTH**0.5
    for axis in (0, 1):
        signs = torch.randint(2, (WIDTH,), generator=stream) * 2.0 - 1
        whole = whole.index_select(axis, torch.randperm(WIDTH, generator=stream))
        whole = whole * (signs[:, None] if axis == 0 else signs[None])
    return whole
