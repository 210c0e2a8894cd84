"""Self-portrait training: an ordinary network learns together with the pictures that it has at the moment."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from snellen.structures.layers import ResidualBody
from snellen.structures.plain import Plain, PlainNetwork


@dataclass(frozen=True)
class Portrait(Plain):
    """The ordinary network, held to process its own class pictures as it processes the classes' photographs.

    In every step one picture a class is drawn from smooth noise by a few steps of its gradient, and the cosine between
    what it and what the class's photographs excite, counted from the mean photograph, is made large in three layers.
    Ours; nothing about it is proved.

    Args:
        weight: of the pictures in the loss.
        drawing: steps of each picture.
        stride: l2 length of a step at 32 px.
    """

    weight: float = 0.5
    drawing: int = 4
    stride: float = 3.0

    name = "portrait"
    title = "self-portrait network"
    known = "Nothing is proved; its pictures were made to be processed as photographs are. Do they tell more?"
    lies = "As of an ordinary network: training is no structure."

    def loss(
        self, network: nn.Module, images: Float[Tensor, "n 3 s s"], labels: Int[Tensor, " n"], stream: torch.Generator
    ) -> Float[Tensor, ""]:
        """The cross-entropy, and how unlike photographs the pictures are processed."""
        if not isinstance(network, PlainNetwork):
            raise TypeError(f"expected an ordinary network, got {type(network).__name__}")
        pictures = self._drawn(network, images.shape[-1], stream)
        features = _features(network.body, torch.cat([images, pictures]))
        logits = network.classifier(features[-1][: len(images)]).float()
        plain = F.cross_entropy(logits, labels, label_smoothing=0.1)
        return plain + self.weight * sum(_unlike(layer.float(), labels, len(pictures)) for layer in features)

    def _drawn(self, network: PlainNetwork, size: int, stream: torch.Generator) -> Float[Tensor, "k 3 s s"]:
        """One picture a class, without gradients to the weights."""
        classes = network.classifier.out_features
        noise = F.interpolate(
            torch.randn(classes, 3, size // 4, size // 4, generator=stream), size=(size, size), mode="bilinear"
        )
        pictures, step = 0.5 + 0.1 * noise, self.stride * size / 32
        network.eval()  # pictures are drawn of the network as it will be kept
        for _ in range(self.drawing):
            pictures.requires_grad_()
            gained = network(pictures).float().diagonal().sum()
            (gradient,) = torch.autograd.grad(gained, pictures)
            length = gradient.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
            pictures = (pictures.detach() + step * gradient / length).clamp(0, 1)
        network.train()
        return pictures.detach()


def _features(body: ResidualBody, images: Float[Tensor, "n 3 s s"]) -> list[Float[Tensor, "n _"]]:
    """Means over positions after the stem and both blocks."""
    found = [body.stem(4 * (images - 0.5))]
    found += [body.block1(found[0])]
    found += [body.block2(found[1])]
    return [layer.mean((2, 3)) for layer in found]


def _unlike(layer: Float[Tensor, "m d"], labels: Int[Tensor, " n"], classes: int) -> Float[Tensor, ""]:
    """One less the mean cosine between pictures and the photographs of their classes, which are not moved."""
    photographs, pictures = layer[:-classes].detach(), layer[-classes:]
    chosen = F.one_hot(labels, classes).to(layer.dtype)
    counts = chosen.sum(0)
    middle = photographs.mean(0)
    own = (chosen.T @ photographs) / counts.clamp_min(1)[:, None] - middle
    cosines = F.cosine_similarity(pictures - middle, own, dim=1)
    return 1 - (cosines * (counts > 0)).sum() / (counts > 0).sum()
