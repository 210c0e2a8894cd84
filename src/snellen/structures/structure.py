"""A structure: a kind of network that is trained, and what is known of its pictures because it is of that kind."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from snellen.base import Tell, silence
from snellen.certificates.units import Asked, Certified, certify_unit
from snellen.images import ImageSet
from snellen.models import Model, Unit
from snellen.structures.guarantees import Guarantee, by_constant


@dataclass(frozen=True)
class Structure(ABC):
    """What is trained and how; of its name and title nobody else knows anything.

    Args:
        rate: the highest learning rate of AdamW; it warms up and falls along a cosine.
        decay: weight decay.
        batch: images in a step.
    """

    rate: float = 4e-3
    decay: float = 0.02
    batch: int = 64

    name: ClassVar[str]
    title: ClassVar[str]
    inner: ClassVar[tuple[str, ...]]
    """Layers whose units are compared with those of others, shallow ones first."""
    known: ClassVar[str]
    """What is known of its pictures, for people."""
    lies: ClassVar[str]
    """What can lie within it by weights alone, for people."""

    @abstractmethod
    def network(self, classes: int, size: int) -> nn.Module:
        """A new one with random weights, from RGB in [0, 1], (n, 3, size, size), to (n, classes).

        Args:
            classes: how many.
            size: of the images in pixels, a multiple of 8.
        """

    def loss(
        self, network: nn.Module, images: Float[Tensor, "n 3 s s"], labels: Int[Tensor, " n"], stream: torch.Generator
    ) -> Float[Tensor, ""]:
        """What training makes small: the cross-entropy with smoothed labels.

        Args:
            network: in training.
            images: of one step.
            labels: their classes.
            stream: random numbers.
        """
        return F.cross_entropy(network(images).float(), labels, label_smoothing=0.1)

    def guarantee(
        self, model: Model, units: Sequence[Unit], images: ImageSet, *, quick: bool = False, tell: Tell = silence
    ) -> Guarantee | None:
        """What is certain of classes over the image; None where nothing is proved.

        Args:
            model: a network of this structure.
            units: its classes.
            images: photographs that are asked about.
            quick: less work.
            tell: told (title, done, all).
        """
        return by_constant(model, units, images, tell=tell)

    def certified(
        self, model: Model, unit: Unit, images: ImageSet, *, asked: Asked | None = None, tell: Tell = silence
    ) -> Certified:
        """What is certain of one unit: by default what its operations prove, whatever the structure.

        Args:
            model: a network of this structure.
            unit: of it, a class or not.
            images: that are asked about.
            asked: what to certify from.
            tell: told (title, done, all).

        Raises:
            SnellenError: whatever `certify_unit` raises.
        """
        return certify_unit(model, unit, images, asked or Asked(), tell=tell)

    def learner(self, classes: int, size: int) -> nn.Module:
        """What is trained: by default the network itself."""
        return self.network(classes, size)

    def kept(self, learned: nn.Module, classes: int, size: int) -> nn.Module:
        """The network that what was trained has become."""
        return learned
