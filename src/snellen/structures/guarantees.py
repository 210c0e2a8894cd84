"""What a structure guarantees of a class over the image itself, measured on photographs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snellen.base import ModelError, Tell, evenly, silence
from snellen.certificates.units import Asked, certify_unit
from snellen.images import ImageSet
from snellen.models import Model, Unit
from snellen.theory.certificate import Certificate

ASKED = 200
"""Photographs that are asked about, at most."""


@dataclass(frozen=True)
class Rung:
    """What so many pictures of a class guarantee.

    Args:
        pictures: of each class.
        width: see `Guarantee.width`.
        inside: see `Guarantee.inside`.
        accuracy: of the last layer put together from them.
    """

    pictures: int
    width: float
    inside: float
    accuracy: float


@dataclass(frozen=True, eq=False)
class Guarantee:
    """Intervals for responses to photographs.

    Args:
        how: what they come from, for people.
        certificates: one a unit.
        pictures: of each unit that were looked at.
        ladder: the same from fewer pictures, where there are rungs.
    """

    how: str
    certificates: tuple[Certificate, ...]
    pictures: int = 2
    ladder: tuple[Rung, ...] = ()

    @property
    def inside(self) -> float:
        """Share of true responses in their interval; of the worst unit."""
        return min(float(told.holds.mean()) for told in self.certificates)

    @property
    def width(self) -> float:
        """Median width over photographs in parts of the natural range, the mean over units."""
        return float(np.mean([np.median(told.relative_width) for told in self.certificates]))


def by_constant(model: Model, units: Sequence[Unit], images: ImageSet, *, tell: Tell = silence) -> Guarantee | None:
    """From the units' Lipschitz constant over the image, two pictures and nine exemplars at either end.

    Args:
        model: the network.
        units: of it.
        images: photographs that are asked about.
        tell: told (title, done, all).

    Returns:
        None where no constant can be proved.
    """
    images = images.subset(evenly(len(images), min(len(images), ASKED)))
    found, bounds = [], []
    for unit in units:
        try:
            told = certify_unit(model, unit, images, Asked(steps=64), tell=tell)
        except ModelError:
            return None
        found += list(told.found.values())
        bounds.append(told.bound)
    bound = float(np.median(bounds))
    times = f"{bound:,.0f}" if bound >= 100 else f"{bound:.3g}"
    words = f"proved to move by at most {times} times as much as the image; two pictures, nine exemplars at either end"
    return Guarantee(words, tuple(found))
