"""The ordinary network that everything is compared with, and ordinary networks that are trained otherwise."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from snellen.structures.layers import ResidualBody
from snellen.structures.structure import Structure


class PlainNetwork(nn.Module):
    """Residual features and a linear classifier.

    Args:
        classes: how many.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.body = ResidualBody()
        self.classifier = nn.Linear(ResidualBody.WIDTH, classes)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Logits of RGB in [0, 1]."""
        return self.classifier(self.body(images))


@dataclass(frozen=True)
class Plain(Structure):
    """A residual convolutional network."""

    name = "plain"
    title = "ordinary network"
    inner = ("body.block1", "body.block2")
    known = "Nothing: the theory allows every response between the two pictures' at every other image."
    lies = "Everything: nothing about its weights bounds what a picture shows (gradient slingshots move it at will)."

    def network(self, classes: int, size: int) -> nn.Module:
        """163,522 parameters for ten classes."""
        return PlainNetwork(classes)


@dataclass(frozen=True)
class Robust(Plain):
    """The ordinary network, trained on images that are moved to where it errs (Wong et al., ICLR 2020: one step).

    Args:
        reach: of the change of every number of RGB in [0, 1].
    """

    reach: float = 2 / 255

    name = "robust"
    title = "adversarially trained network"
    known = "Nothing is proved; the literature's best pictures are of such networks (Engstrom et al. 2019)."
    lies = "As of an ordinary network: training is no structure."

    def loss(
        self, network: nn.Module, images: Float[Tensor, "n 3 s s"], labels: Int[Tensor, " n"], stream: torch.Generator
    ) -> Float[Tensor, ""]:
        """The cross-entropy where one step of the gradient's sign from a random place leads."""
        change = (2 * torch.rand(images.shape, generator=stream) - 1) * self.reach
        change.requires_grad_()
        first = F.cross_entropy(network((images + change).clamp(0, 1)).float(), labels)
        (gradient,) = torch.autograd.grad(first, change)
        change = (change.detach() + 1.25 * self.reach * gradient.sign()).clamp(-self.reach, self.reach)
        return super().loss(network, (images + change).clamp(0, 1), labels, stream)


@dataclass(frozen=True)
class Noisy(Plain):
    """The ordinary network, trained on images in white noise, which holds its gradients small (Bishop, 1995).

    Gradients of networks that are trained so look like what they stand for (Kaur et al., 2019).

    Args:
        deviation: of the noise on every number of RGB in [0, 1].
    """

    deviation: float = 0.08

    name = "noisy"
    title = "noise-trained network"
    known = "Nothing is proved: training in noise is no structure, and pictures are where no photographs are."
    lies = "As of an ordinary network: training is no structure."

    def loss(
        self, network: nn.Module, images: Float[Tensor, "n 3 s s"], labels: Int[Tensor, " n"], stream: torch.Generator
    ) -> Float[Tensor, ""]:
        """The cross-entropy in noise."""
        noise = self.deviation * torch.randn(images.shape, generator=stream)
        return super().loss(network, images + noise, labels, stream)
