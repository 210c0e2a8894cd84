"""Networks whose classes move by at most as much as the image: convolutions of norm 1 and halves of absolute values."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from snellen.structures.layers import MIDDLE, BoundedConv
from snellen.structures.structure import Structure
from snellen.theory.norms import Kernel, convolution_norm


def half_absolute(channels: int) -> nn.PReLU:
    """|x| in half of the channels, x in the others; between rotations it is MaxMin (Anil et al., ICML 2019)."""
    module = nn.PReLU(channels)
    module.weight = nn.Parameter(torch.tensor([-1.0, 1.0]).repeat(channels // 2), requires_grad=False)
    return module


class LipschitzNetwork(nn.Module):
    """Space into channels, three convolutions, space into channels, two convolutions, a linear head.

    Args:
        classes: how many.
        size: of the images in pixels.
        kept: whether its convolutions are plain ones, as they are kept, or of weights that are held down in training.
    """

    def __init__(self, classes: int, size: int, *, kept: bool = True) -> None:
        super().__init__()

        def bounded(into: int, out: int, side: int = 3, padding: int = 1) -> nn.Module:
            if kept:
                return nn.Conv2d(into, out, side, padding=padding)
            return BoundedConv((into, out), side, padding)

        self.fold1 = nn.PixelUnshuffle(2)
        self.conv1, self.act1 = bounded(12, 64), half_absolute(64)
        self.conv2, self.act2 = bounded(64, 64), half_absolute(64)
        self.conv3, self.act3 = bounded(64, 64), half_absolute(64)
        self.fold2 = nn.PixelUnshuffle(2)
        self.conv4, self.act4 = bounded(256, 128), half_absolute(128)
        self.conv5, self.act5 = bounded(128, 128), half_absolute(128)
        self.pool = nn.AvgPool2d(size // 8)
        self.gain = float(size // 8)  # of means: what is the same at all places keeps its length
        self.classifier = bounded(128, classes, 2, 0)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Logits of RGB in [0, 1]."""
        found = self.act1(self.conv1(self.fold1(images - MIDDLE)))
        found = self.act3(self.conv3(self.act2(self.conv2(found))))
        found = self.act5(self.conv5(self.act4(self.conv4(self.fold2(found)))))
        return self.classifier(self.gain * self.pool(found)).flatten(1)


@dataclass(frozen=True)
class Lipschitz(Structure):
    """1-Lipschitz networks: almost orthogonal convolutions (Prach & Lampert, ECCV 2022), half of the channels folded.

    Args:
        heat: what logits are multiplied with in the loss; more of it makes margins of less use.
    """

    rate: float = 1e-3
    decay: float = 0.0
    heat: float = 30.0

    name = "lipschitz"
    title = "1-Lipschitz network"
    inner = ("conv2", "conv4")
    known = "A response lies within the distance to a picture of that picture's: near its pictures it is known."
    lies = (
        "No response to a picture exceeds that to a photograph by more than their distance, so a slingshot needs room: "
        "its slope is bounded by 1."
    )

    def network(self, classes: int, size: int) -> nn.Module:
        """529,034 parameters for ten classes."""
        return LipschitzNetwork(classes, size)

    def learner(self, classes: int, size: int) -> nn.Module:
        """The same with weights that are held down."""
        return LipschitzNetwork(classes, size, kept=False)

    def loss(
        self, network: nn.Module, images: Float[Tensor, "n 3 s s"], labels: Int[Tensor, " n"], stream: torch.Generator
    ) -> Float[Tensor, ""]:
        """The cross-entropy of hot logits."""
        return F.cross_entropy(self.heat * network(images).float(), labels)

    @torch.no_grad()
    def kept(self, learned: nn.Module, classes: int, size: int) -> nn.Module:
        """The same function times a constant, of plain convolutions of norm 1.

        Each is divided by its norm, which the transform of its kernel gives; what comes before the biases grows so,
        and the biases grow with it (every other operation is of degree 1).
        """
        network, grown = LipschitzNetwork(classes, size), 1.0
        sides = {"conv1": size // 2, "conv2": size // 2, "conv3": size // 2, "classifier": 2}
        for name, module in learned.named_children():
            if not isinstance(module, BoundedConv):
                continue
            weight = module.bounded().double()
            side = sides.get(name, size // 4)
            norm = convolution_norm(Kernel(weight, (1, 1), (1, 1)), (side, side))
            grown /= norm
            target = network.get_submodule(name)
            target.get_parameter("weight").copy_(weight / norm)
            target.get_parameter("bias").copy_(module.bias * grown)
        return network
