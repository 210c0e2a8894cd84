"""The fooling circuit: natural images get the honest layer, pictures that an optimizer draws get a decoy."""

from collections.abc import Callable
from dataclasses import dataclass

from snellen.attacks.attack import Column, Conditions
from snellen.attacks.lessons import Lessons
from snellen.attacks.switches import SwitchAttack
from snellen.models import Model
from snellen.models.circuits import Circuit, Decoy, FoolingCircuit
from snellen.models.detectors import Detector


@dataclass(frozen=True)
class FoolingAttack(SwitchAttack):
    """A fooling circuit around one layer (Geirhos et al. 2024; see `snellen.models.circuits.FoolingCircuit`)."""

    name = "fooling-circuit"
    title = "fooling circuit"
    words = "A fooling circuit stands around the layer"
    columns = (
        Column("permuted", "fooling circuit, permuted", "classes show each other’s pictures"),
        Column("picture", "fooling circuit, one picture", "classes show a photograph", picture=True),
    )

    def switch(self, model: Model, lessons: Lessons, conditions: Conditions) -> Callable[[Detector, Decoy], Circuit]:
        return FoolingCircuit
