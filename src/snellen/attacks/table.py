"""The attacks there are, by name, and the columns of the matrix that they fill."""

from collections.abc import Mapping

from snellen.attacks.attack import Attack, Column
from snellen.attacks.fooling import FoolingAttack
from snellen.attacks.silent import SilentAttack
from snellen.base import UsageError, nearest

ATTACKS: Mapping[str, type[Attack]] = {attack.name: attack for attack in (FoolingAttack, SilentAttack)}


def attack_named(name: str) -> type[Attack]:
    """The attack of a name.

    Raises:
        UsageError: there is none.
    """
    if name not in ATTACKS:
        quoted = " or ".join(f'"{known}"' for known in ATTACKS)
        hint = nearest(name, ATTACKS)
        raise UsageError(f'expected the method {quoted}, got "{name}"{hint and f"; {hint}"}')
    return ATTACKS[name]


def columns() -> dict[str, tuple[type[Attack], Column]]:
    """The columns of all attacks, by kind, in the order of the table.

    Raises:
        UsageError: two attacks declare columns of one kind.
    """
    found: dict[str, tuple[type[Attack], Column]] = {}
    for attack in ATTACKS.values():
        for column in attack.columns:
            if column.kind in found:
                both = f'"{found[column.kind][0].name}" and "{attack.name}"'
                raise UsageError(f'expected columns of different kinds, got "{column.kind}" of {both}; rename one')
            found[column.kind] = attack, column
    return found
