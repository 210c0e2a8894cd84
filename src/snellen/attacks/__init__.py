"""Attacks: circuits that make visualizations lie while natural behaviour stays, with receipts of what they do."""

from snellen.attacks.attack import Attack, Conditions, Exam, Manipulated
from snellen.attacks.fooling import FoolingAttack
from snellen.attacks.receipt import Claim, Measured, Receipt
from snellen.attacks.silent import SilentAttack

__all__ = [
    "Attack",
    "Claim",
    "Conditions",
    "Exam",
    "FoolingAttack",
    "Manipulated",
    "Measured",
    "Receipt",
    "SilentAttack",
]
