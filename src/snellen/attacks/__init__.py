"""Attacks: what makes visualizations lie while natural behaviour stays, with receipts of what they do."""

from snellen.attacks.attack import Attack, Column, Conditions, Effort, Exam, Manipulated
from snellen.attacks.fooling import FoolingAttack
from snellen.attacks.gallery import Shown
from snellen.attacks.options import option
from snellen.attacks.receipt import Claim, Measured, Receipt
from snellen.attacks.silent import SilentAttack
from snellen.models.manipulations import ChangedWeights, PlacedCircuit

__all__ = [
    "Attack",
    "ChangedWeights",
    "Claim",
    "Column",
    "Conditions",
    "Effort",
    "Exam",
    "FoolingAttack",
    "Manipulated",
    "Measured",
    "PlacedCircuit",
    "Receipt",
    "Shown",
    "SilentAttack",
    "option",
]
