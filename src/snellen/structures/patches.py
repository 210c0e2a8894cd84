"""Patch-additive networks: a sum over disjoint patches of one function of a patch, weighted by place."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from snellen.structures.layers import MIDDLE
from snellen.structures.structure import Structure

PATCH = 8
_WIDTH = 256


class Places(nn.Module):
    """The mean over patches, weighted by place, a weight for each class.

    Args:
        classes: how many.
        side: patches a side.
    """

    def __init__(self, classes: int, side: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(classes, side, side))

    def forward(self, maps: Float[Tensor, "n k y x"]) -> Float[Tensor, "n k"]:
        """One number a class."""
        return (self.weight * maps).mean((2, 3))


class PatchNetwork(nn.Module):
    """Every patch of 8 x 8 pixels through the same three layers; classes are weighted sums over the patches.

    Args:
        classes: how many.
        size: of the images in pixels.
    """

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, _WIDTH, PATCH, PATCH)
        self.norm1 = nn.BatchNorm2d(_WIDTH)
        self.relu1 = nn.ReLU()
        self.mixed = nn.Conv2d(_WIDTH, _WIDTH, 1)
        self.norm2 = nn.BatchNorm2d(_WIDTH)
        self.relu2 = nn.ReLU()
        self.maps = nn.Conv2d(_WIDTH, classes, 1)
        self.classifier = Places(classes, size // PATCH)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Logits of RGB in [0, 1]."""
        found = self.relu1(self.norm1(self.patches(4 * (images - MIDDLE))))
        found = self.relu2(self.norm2(self.mixed(found)))
        return self.classifier(self.maps(found))


@dataclass(frozen=True)
class PatchAdditive(Structure):
    """A sum over disjoint patches (after Brendel & Bethge, ICLR 2019, whose patches overlap)."""

    name = "patches"
    title = "patch-additive network"
    inner = ("patches", "mixed")
    known = "Extremes split by patch, so that a picture is a sum of pictures of 192 numbers each, not of all pixels."
    lies = "Only patch by patch: what a class shows at one place depends on nothing elsewhere."

    def network(self, classes: int, size: int) -> nn.Module:
        """118,954 parameters for ten classes at 32 px."""
        return PatchNetwork(classes, size)
