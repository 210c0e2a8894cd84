"""The built-in network: a small convolutional one that tells fifteen photographs apart by any part of them.

It takes RGB in [0, 1] at 64 px and was trained by `make builtin` on the train regions of `snellen.images`' photographs,
against adversarial examples, for which reason its units' pictures look like something. Its batch normalizations are
folded into the convolutions; its weights lie beside this file, in half precision.
"""

import hashlib
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from snellen.base import WeightsError
from snellen.models.model import Model

BUILTIN_LABELS = (
    "astronaut",
    "bricks",
    "cat",
    "coffee cup",
    "coins",
    "galaxies",
    "grass",
    "gravel",
    "handwriting",
    "moon",
    "motorcycle",
    "print",
    "retina",
    "rocket",
    "tissue",
)
"""What the classifier's units stand for: the photographs, in the order of `open_images("builtin").class_names`."""

SIZE = 64
WEIGHTS = Path(__file__).with_name("builtin.safetensors")
_WIDTHS = (12, 40, 64, 96, 128, 160, 192)


class Block(nn.Module):
    """Halve the size (or not), convolve, rectify.

    Args:
        channels: in and out.
        side: of the kernel.
        halve: whether a mean over 2 x 2 pixels comes first.
        norm: whether a batch normalization stands before the rectifier, as in training.
    """

    def __init__(self, channels: tuple[int, int], *, side: int = 3, halve: bool = False, norm: bool = False) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(2) if halve else nn.Identity()
        self.conv = nn.Conv2d(*channels, side, padding=side // 2, bias=not norm)
        self.norm = nn.BatchNorm2d(channels[1]) if norm else nn.Identity()
        self.relu = nn.ReLU()

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o y x"]:
        """Features of one depth from those of the one before."""
        return self.relu(self.norm(self.conv(self.pool(x))))


class BuiltinNetwork(nn.Module):
    """A stem at 64 px, six blocks down to 4 px, the mean over places, a linear classifier.

    Args:
        norm: whether the blocks have batch normalizations, as in training.
    """

    def __init__(self, *, norm: bool = False) -> None:
        super().__init__()
        w = _WIDTHS
        self.stem = Block((3, w[0]), side=5, norm=norm)
        self.block1 = Block((w[0], w[1]), halve=True, norm=norm)
        self.block2 = Block((w[1], w[2]), halve=True, norm=norm)
        self.block3 = Block((w[2], w[3]), halve=True, norm=norm)
        self.block4 = Block((w[3], w[4]), norm=norm)
        self.block5 = Block((w[4], w[5]), halve=True, norm=norm)
        self.block6 = Block((w[5], w[6]), norm=norm)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(w[6], len(BUILTIN_LABELS))

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Logits of RGB pictures in [0, 1]."""
        x = 4 * images - 1.8
        for block in (self.stem, self.block1, self.block2, self.block3, self.block4, self.block5, self.block6):
            x = block(x)
        return self.classifier(self.pool(x).flatten(1))

    @torch.no_grad()
    def folded(self) -> "BuiltinNetwork":
        """The same function without batch normalizations.

        With g = gamma / sqrt(variance + eps): conv' = g conv, bias' = beta - g mean.
        """
        plain = BuiltinNetwork()
        plain.classifier.load_state_dict(self.classifier.state_dict())
        for name, block in self.named_children():
            target = getattr(plain, name)
            if isinstance(block, Block) and isinstance(block.norm, nn.BatchNorm2d):
                norm = block.norm
                mean, variance = norm.running_mean, norm.running_var
                if mean is None or variance is None:
                    raise WeightsError("expected batch normalizations with running statistics, got none")
                gain = norm.weight / torch.sqrt(variance + norm.eps)
                target.conv.weight.copy_(block.conv.weight * gain[:, None, None, None])
                target.conv.bias.copy_(norm.bias - mean * gain)
        return plain.eval()


def builtin_network() -> nn.Module:
    """The trained network in float32, in eval mode; every call gives a new one.

    Raises:
        WeightsError: the file of weights is missing, damaged or another one than this code was made for.
    """
    with torch.device("meta"):  # no random first weights, so that no global generator is touched
        network = BuiltinNetwork()
    try:
        network.load_state_dict({name: tensor.float() for name, tensor in load_file(WEIGHTS).items()}, assign=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise WeightsError(f"expected the built-in network's weights in {WEIGHTS}, got: {reason}; reinstall") from error
    return network.eval()


def load_builtin() -> Model:
    """The built-in network as a model, with its labels and where its weights came from."""
    return Model(
        module=builtin_network(),
        name="builtin",
        size=(SIZE, SIZE),
        labels=BUILTIN_LABELS,
        provenance={"source": "builtin", "weights": {"file": WEIGHTS.name, "sha256": _digest()}},
    )


@cache
def _digest() -> str:
    return hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
