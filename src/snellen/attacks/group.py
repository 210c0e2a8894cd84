"""All attacks there are: the house's, and those that other packages offer under the entry points `snellen.attacks`."""

from importlib.metadata import entry_points

from snellen.attacks.attack import Attack, Column
from snellen.attacks.fooling import FoolingAttack
from snellen.attacks.silent import SilentAttack
from snellen.base import UsageError, nearest

GROUP = "snellen.attacks"
BUILTIN: tuple[type[Attack], ...] = (FoolingAttack, SilentAttack)


def attacks() -> dict[str, type[Attack]]:
    """Every attack, by name.

    Raises:
        UsageError: two of them have one name.
    """
    others: list[type[Attack]] = [point.load() for point in sorted(entry_points(group=GROUP), key=lambda p: p.name)]
    found: dict[str, type[Attack]] = {}
    for attack in (*BUILTIN, *others):
        if attack.name in found:
            raise UsageError(f'expected attacks of different names, got two called "{attack.name}"; uninstall one')
        found[attack.name] = attack
    return found


def attack_named(name: str) -> type[Attack]:
    """The attack of a name.

    Raises:
        UsageError: there is none.
    """
    known = attacks()
    if name not in known:
        hint = nearest(name, known)
        quoted = " or ".join(f'"{one}"' for one in known)
        raise UsageError(f'expected the method {quoted}, got "{name}"{hint and f"; {hint}"}')
    return known[name]


def columns() -> dict[str, tuple[type[Attack], Column]]:
    """The columns of all attacks, by kind, in the order of the attacks.

    Raises:
        UsageError: two of them are of one kind.
    """
    found: dict[str, tuple[type[Attack], Column]] = {}
    for attack in attacks().values():
        for column in attack.columns:
            if column.kind in found:
                both = f'"{found[column.kind][0].name}" and "{attack.name}"'
                raise UsageError(f'expected columns of different kinds, got "{column.kind}" of {both}; rename one')
            found[column.kind] = attack, column
    return found
