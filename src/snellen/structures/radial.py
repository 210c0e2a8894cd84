"""A radial head over ordinary features: a class is how near an image is to its prototype."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from snellen.structures.layers import ResidualBody
from snellen.structures.structure import Structure


class Prototypes(nn.Module):
    """Squared distances to one point a class, negated.

    Args:
        width: of the features.
        classes: how many.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.points = nn.Parameter(0.5 * torch.rand(classes, width))
        self.gain = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """At most 0."""
        return -self.gain.abs() * (x[:, None] - self.points).square().sum(2)


class RadialNetwork(nn.Module):
    """Residual features and prototypes.

    Args:
        classes: how many.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.body = ResidualBody()
        self.classifier = Prototypes(ResidualBody.WIDTH, classes)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Logits of RGB in [0, 1]."""
        return self.classifier(self.body(images))


@dataclass(frozen=True)
class Radial(Structure):
    """Prototypes over ordinary features (after Chen et al., NeurIPS 2019)."""

    name = "radial"
    title = "network with prototypes"
    inner = ("body.block1", "body.block2")
    known = (
        "Over the features below, the largest picture is the prototype, and nearer is more: the ranking of all images "
        "is known. Over the image nothing is."
    )
    lies = "Over the features, nothing: the largest picture is the prototype. Through the features below, everything."

    def network(self, classes: int, size: int) -> nn.Module:
        """163,513 parameters for ten classes."""
        return RadialNetwork(classes)
