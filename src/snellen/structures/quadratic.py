"""Patch-quadratic networks: every class is x'Qx + c of the image, counted from grey."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from snellen.structures.layers import MIDDLE, UncentredNorm
from snellen.structures.structure import Structure

_FILTERS, _SIDE, _PLACES = 192, 6, 3


class QuadraticNetwork(nn.Module):
    """Filters on overlapping patches, squared, averaged over nine regions, and a linear head.

    Args:
        classes: how many.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.filters = nn.Conv2d(3, _FILTERS, _SIDE, 2, bias=False)
        self.norm = UncentredNorm(_FILTERS)
        self.pool = nn.AdaptiveAvgPool2d(_PLACES)
        self.classifier = nn.Linear(_FILTERS * _PLACES**2, classes)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Logits of RGB in [0, 1]."""
        found = self.norm(self.filters(images - MIDDLE)).square()
        return self.classifier(self.pool(found).flatten(1))


@dataclass(frozen=True)
class Quadratic(Structure):
    """Squared filters on patches under a linear head."""

    rate: float = 6e-3

    name = "quadratic"
    title = "patch-quadratic network"
    inner = ("filters",)
    known = (
        "Pictures drawn one after the other, each orthogonal to the earlier ones, are eigenvectors of Q: k of them "
        "leave [lowest, highest] times the squared rest of an image, and finitely many tell everything."
    )
    lies = (
        "A picture turned by an angle t moves the response to some image by at least half of the gap between "
        "eigenvalues times sin t: lies cost behaviour, though not on the photographs that an auditor happens to have."
    )

    def network(self, classes: int, size: int) -> nn.Module:
        """38,218 parameters for ten classes."""
        return QuadraticNetwork(classes)
