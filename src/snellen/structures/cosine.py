"""Cosine units from the pixels up: one picture identifies a unit over the layer below."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from snellen.structures.layers import CosineConv, UncentredNorm
from snellen.structures.structure import Structure

_LAYERS = ((6, 32, 1), (32, 64, 2), (64, 64, 1), (64, 128, 2), (128, 128, 1))


class CosineNetwork(nn.Module):
    """Five B-cos convolutions with norms that keep 0 at 0, and a sixth of one pixel whose maps are averaged.

    Args:
        classes: how many.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential()
        for i, (into, out, stride) in enumerate(_LAYERS, 1):
            self.body.add_module(f"conv{i}", CosineConv((into, out), 3, stride))
            self.body.add_module(f"norm{i}", UncentredNorm(out))
        self.classifier = CosineConv((_LAYERS[-1][1], classes), 1, gain=20.0)
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Logits of RGB in [0, 1]; every colour goes with its complement, so that black, too, is seen."""
        colours = torch.cat([images, 1 - images], 1)
        return self.pool(self.classifier(self.body(colours))).flatten(1)


@dataclass(frozen=True)
class Cosine(Structure):
    """B-cos networks (Böhle et al., CVPR 2022)."""

    name = "cosine"
    title = "B-cos network"
    inner = ("body.norm2", "body.norm4")
    known = (
        "A unit is |p| cos² of the angle to its weights, over a patch p of the layer below: there one picture tells "
        "everything, layer by layer down to the pixels."
    )
    lies = "Over the patch below nothing can: the picture is the weights. Over the image a deeper unit can, by others."

    def network(self, classes: int, size: int) -> nn.Module:
        """279,905 parameters for ten classes."""
        return CosineNetwork(classes)
