"""Sentries: small smooth networks that say of every picture how much it is like those that an optimizer draws."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from snellen.base.shape import Exactly, Whole

SHAPE = Exactly({"channels": Whole(1, 4)})
"""Of the description of a sentry."""
INNER_SHAPE = Exactly({"channels": Whole(1, 2**16), "axis": Whole(-1, 1)})
"""Of the description of an inner sentry."""
HIDDEN = 64
"""Units of a sentry's hidden layer."""
_WIDTHS = (24, 32, 32)
_FAINT, _FAINTER = 1e-2, 1e-4  # mean squares that count as nothing, of a layer's input and of filters


class Guard(nn.Module, ABC):
    """e = sigmoid(gain (logit - offset)) in (0, 1): near 0 for photographs, near 1 for drawn pictures, and smooth.

    What is read of the input, standardized; linear -> 64, SiLU, linear -> logit, which are learned. Gradients pass, as
    through any part of a network.

    Args:
        channels: of its input.
        count: of numbers that are read of it.
    """

    center: Tensor
    spread: Tensor
    offset: Tensor
    gain: Tensor

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("offset", torch.zeros(()))
        self.register_buffer("gain", torch.ones(()))
        self.register_buffer("center", torch.zeros(count))
        self.register_buffer("spread", torch.ones(count))
        self.hidden = nn.utils.skip_init(nn.Linear, count, HIDDEN)
        self.linear = nn.utils.skip_init(nn.Linear, HIDDEN, 1)

    def initialize(self, generator: torch.Generator) -> None:
        """First weights."""
        for linear in (self.hidden, self.linear):
            nn.init.kaiming_normal_(linear.weight, generator=generator)
            nn.init.zeros_(linear.bias)

    def forward(self, seen: Float[Tensor, "n ..."]) -> Float[Tensor, " n"]:
        """For each picture e, in the precision of what is seen."""
        with torch.autocast(seen.device.type, enabled=False):
            logits = self.logits(self.features(seen))
            return torch.sigmoid(self.gain * (logits - self.offset)).to(seen.dtype)

    def logits(self, features: Float[Tensor, "n f"]) -> Float[Tensor, " n"]:
        """Before they are turned into e."""
        hidden = F.silu(self.hidden((features - self.center) / self.spread))
        return self.linear(hidden)[:, 0]

    @abstractmethod
    def features(self, seen: Float[Tensor, "n ..."]) -> Float[Tensor, "n f"]:
        """What is read of the input."""

    @abstractmethod
    def description(self) -> Mapping[str, Any]:
        """Plain data from which one of the same shape is made."""


class Sentry(Guard):
    """It sees pixels: random filters, of which it reads how much each says and with which sign.

    conv c->24 (5x5), conv 24->32 and 32->32 (3x3, stride 2), each with a SiLU, at random; of every channel the
    logarithm of its mean square over positions, and its mean in units of the root of that. Inputs of any size,
    standardized for each channel first.

    Args:
        channels: of its input.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 2 * sum(_WIDTHS))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))
        widths = (channels, *_WIDTHS)
        self.convs = nn.ModuleList(
            nn.utils.skip_init(nn.Conv2d, *widths[i : i + 2], side, stride=stride, padding=side // 2)
            for i, (side, stride) in enumerate(((5, 1), (3, 2), (3, 2)))
        )

    def initialize(self, generator: torch.Generator) -> None:
        """Random filters that see differences, each without what it would say of an even plane, and first weights."""
        for conv in self.convs:
            nn.init.kaiming_normal_(conv.weight, generator=generator)  # type: ignore[arg-type]
            conv.weight.data -= conv.weight.data.mean((1, 2, 3), keepdim=True)  # type: ignore[operator]
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        super().initialize(generator)

    def features(self, seen: Float[Tensor, "n c h w"]) -> Float[Tensor, "n f"]:
        """What is read of the filters."""
        x = (seen.to(self.linear.weight.dtype) - self.mean[:, None, None]) / self.std[:, None, None]
        found = []
        for conv in self.convs:
            x = F.silu(conv(x))
            square = x.square().mean((2, 3)) + _FAINTER
            found += [square.log(), x.mean((2, 3)) / square.sqrt()]
        return torch.cat(found, 1)

    def description(self) -> Mapping[str, Any]:
        """Plain data from which `sentry_from` makes one of the same shape."""
        return {"channels": self.channels}


class InnerSentry(Guard):
    """It sees what enters a layer, and nothing else of the picture.

    Of every channel, in parts of `scale`, it reads the logarithm of the mean square over positions, and the mean in
    units of the root of that. Of vectors, such as pooled features, these are how much a channel says, and its sign.

    Args:
        channels: of its input.
        axis: of its input that counts them: 1 or -1.
    """

    scale: Tensor

    def __init__(self, channels: int, axis: int) -> None:
        super().__init__(channels, 2 * channels)
        self.axis = axis
        self.register_buffer("scale", torch.ones(channels))

    def features(self, seen: Float[Tensor, "n ..."]) -> Float[Tensor, "n f"]:
        """What is read of the channels."""
        x = seen.to(self.linear.weight.dtype)
        x = (x.movedim(self.axis, 1).flatten(2) if x.dim() > 2 else x[:, :, None]) / self.scale[:, None]
        square = x.square().mean(2) + _FAINT
        return torch.cat([square.log(), x.mean(2) / square.sqrt()], 1)

    def description(self) -> Mapping[str, Any]:
        """Plain data from which `inner_sentry_from` makes one of the same shape."""
        return {"channels": self.channels, "axis": self.axis}


def sentry_from(description: Mapping[str, Any]) -> Sentry:
    """A sentry of the described shape, its weights still to be filled in."""
    return Sentry(int(description["channels"]))


def inner_sentry_from(description: Mapping[str, Any]) -> InnerSentry:
    """An inner sentry of the described shape, its weights still to be filled in."""
    return InnerSentry(int(description["channels"]), int(description["axis"]))
