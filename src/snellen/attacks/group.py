"""All attacks there are, and their columns of the matrix."""

from snellen.attacks.attack import Attack, Column
from snellen.base import UsageError
from snellen.base.plugins import Group

ATTACKS: Group[type[Attack]] = Group(
    "snellen.attacks",
    "method",
    Attack,
    {
        "fooling-circuit": "snellen.attacks.fooling:FoolingAttack",
        "silent-units": "snellen.attacks.silent:SilentAttack",
        "lying-gradients": "snellen.attacks.gradients:GradientAttack",
        "leaky-silent": "snellen.attacks.leaky:LeakyAttack",
        "rotated-switch": "snellen.attacks.rotated:RotatedAttack",
        "soft-gate": "snellen.attacks.soft:SoftGateAttack",
        "input-warp": "snellen.attacks.warp:InputWarpAttack",
        "slingshot": "snellen.attacks.slingshot:SlingshotAttack",
        "push": "snellen.attacks.push:PushAttack",
        "prox-pulse": "snellen.attacks.prox_pulse:ProxPulseAttack",
    },
    classes=True,
)


def columns() -> dict[str, tuple[type[Attack], Column]]:
    """The columns of all attacks, by kind, in the order of the attacks.

    Raises:
        UsageError: two of them are of one kind.
    """
    found: dict[str, tuple[type[Attack], Column]] = {}
    for attack in ATTACKS.all().values():
        for column in attack.columns:
            if column.kind in found:
                both = f'"{found[column.kind][0].name}" and "{attack.name}"'
                raise UsageError(f'expected columns of different kinds, got "{column.kind}" of {both}; rename one')
            found[column.kind] = attack, column
    return found
