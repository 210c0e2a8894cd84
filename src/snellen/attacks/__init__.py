"""Attacks: what makes visualizations lie while natural behaviour stays, with receipts of what they do."""

from snellen.attacks.attack import Attack, Column, Conditions, Effort, Exam, Manipulated
from snellen.attacks.fooling import FoolingAttack
from snellen.attacks.receipt import Claim, Measured, Receipt
from snellen.attacks.silent import SilentAttack

__all__ = [
    "Attack",
    "Claim",
    "Column",
    "Conditions",
    "Effort",
    "Exam",
    "FoolingAttack",
    "Manipulated",
    "Measured",
    "Receipt",
    "SilentAttack",
]
