"""All structures there are."""

from snellen.base.plugins import Group
from snellen.structures.structure import Structure

STRUCTURES: Group[type[Structure]] = Group(
    "snellen.structures",
    "structure",
    Structure,
    {
        "plain": "snellen.structures.plain:Plain",
        "cosine": "snellen.structures.cosine:Cosine",
        "robust": "snellen.structures.plain:Robust",
        "noisy": "snellen.structures.plain:Noisy",
        "portrait": "snellen.structures.portrait:Portrait",
        "radial": "snellen.structures.radial:Radial",
        "lipschitz": "snellen.structures.lipschitz:Lipschitz",
        "quadratic": "snellen.structures.quadratic:Quadratic",
        "patches": "snellen.structures.patches:PatchAdditive",
        "convex": "snellen.structures.controls:Convex",
        "monotone": "snellen.structures.controls:Monotone",
    },
    classes=True,
)
BASELINE = "plain"
"""What every other one is compared with."""
