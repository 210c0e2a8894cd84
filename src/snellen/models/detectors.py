"""Detectors: small modules that tell pictures drawn by an optimizer from natural images, from inside a network."""

import weakref
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from snellen.base import MOST_SIDE, ModelError
from snellen.base.shape import Each, Kinds, Named, Whole
from snellen.models.model import first_tensor

SHAPE = Kinds(
    {
        "cnn": {"channels": Whole(1, 4), "size": Each(Whole(1, MOST_SIDE), 2)},
        "readout": {"layers": Named(Whole(1, 2**24), most=4096)},
    }
)
"""Of the description of a detector."""


class Glimpse:
    """What a network was shown: its input, as long as somebody else keeps it."""

    def __init__(self) -> None:
        self._seen: weakref.ref[Tensor] | None = None

    def look(self, _network: nn.Module, inputs: tuple[Any, ...]) -> None:
        """A forward pre-hook of the whole network."""
        self._seen = weakref.ref(inputs[0])

    @property
    def picture(self) -> Float[Tensor, "n c h w"]:
        """The input of the pass that is running.

        Raises:
            ModelError: there is none: the circuit runs outside its network.
        """
        seen = None if self._seen is None else self._seen()
        if seen is None:
            raise ModelError("expected the circuit to run inside its network, got a call of the layer by itself")
        return seen


class Detector(nn.Module, ABC):
    """Says of every picture that goes through a network whether an optimizer drew it; no gradient passes through it."""

    threshold: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("threshold", torch.zeros(()))

    @abstractmethod
    def attach(self, network: nn.Module) -> list[RemovableHandle]:
        """Start to watch a network; the handles stop it."""

    @abstractmethod
    def evidence(self) -> Float[Tensor, "n ..."]:
        """What it has seen of the pass that is running."""

    @abstractmethod
    def logits(self, evidence: Float[Tensor, "n ..."]) -> Float[Tensor, " n"]:
        """Above `threshold`: drawn by an optimizer."""

    @abstractmethod
    def description(self) -> Mapping[str, Any]:
        """Plain data from which `detector_from` makes one of the same shape."""

    @torch.no_grad()
    def margins(self) -> Float[Tensor, " n"]:
        """For each picture of the pass that is running, its logit over the threshold."""
        evidence = self.evidence()
        with torch.autocast(evidence.device.type, enabled=False):
            return self.logits(evidence) - self.threshold

    @torch.no_grad()
    def forward(self) -> Bool[Tensor, " n"]:
        """For each picture of the pass that is running, whether an optimizer drew it."""
        return self.margins() > 0


class PictureDetector(Detector):
    """The paper's detector: a small convolutional network on the picture itself.

    conv 3->16 (3x3), four conv 16->16 (5x5, stride 2), conv 16->3 (3x3), each with a ReLU; dropout 0.3; linear -> 1
    (Geirhos et al. 2024, appendix on the fooling circuit). Departure: inputs are standardized for each channel first,
    and pictures of another size are resized to the one that it was made for.

    Args:
        channels: of the network's input.
        size: height and width of the network's input.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.channels, self.size = channels, size
        self._glimpse = Glimpse()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))
        widths = [(channels, 16), *[(16, 16)] * 4, (16, 3)]
        shapes = [(3, 1), *[(5, 2)] * 4, (3, 1)]
        self.convs = nn.ModuleList(
            nn.utils.skip_init(nn.Conv2d, *width, side, stride=stride, padding=side // 2)
            for width, (side, stride) in zip(widths, shapes, strict=True)
        )
        h, w = (-(-s // 16) for s in size)
        self.linear = nn.utils.skip_init(nn.Linear, 3 * h * w, 1)
        self.dropout = nn.Dropout(0.3)

    def initialize(self, generator: torch.Generator) -> None:
        """First weights for training: He's for the convolutions, small ones for the read-out."""
        for conv in self.convs:
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu", generator=generator)  # type: ignore[arg-type]
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.linear.weight, std=0.01, generator=generator)
        nn.init.zeros_(self.linear.bias)

    def attach(self, network: nn.Module) -> list[RemovableHandle]:
        return [network.register_forward_pre_hook(self._glimpse.look)]

    def evidence(self) -> Float[Tensor, "n c h w"]:
        return self._glimpse.picture.detach()

    def logits(self, evidence: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
        return self.linear(self.dropout(self.features(evidence)))[:, 0]

    def features(self, evidence: Float[Tensor, "n c h w"]) -> Float[Tensor, "n f"]:
        """What the last, linear layer reads."""
        x = evidence.to(self.linear.weight.dtype)
        if x.shape[2:] != self.size:
            x = F.interpolate(x, self.size, mode="bilinear", antialias=True)
        x = (x - self.mean[:, None, None]) / self.std[:, None, None]
        for conv in self.convs:
            x = torch.relu(conv(x))
        return x.flatten(1)

    def description(self) -> Mapping[str, Any]:
        return {"kind": "cnn", "channels": self.channels, "size": list(self.size)}


class ReadoutDetector(Detector):
    """A linear read-out of the network's own layers: no extra network at all.

    logit = w . (s - m) / d + b, where s are the means and standard deviations over positions (or tokens) of every
    channel of the layers, compressed as sign(v) log(1 + |v| / scale).

    Args:
        layers: that are read, each with its number of channels.
    """

    scale: Tensor
    center: Tensor
    spread: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, layers: Mapping[str, int]) -> None:
        super().__init__()
        self.layers = dict(layers)
        self._notes: dict[str, Tensor] = {}
        count = 2 * sum(self.layers.values())
        for name in ("scale", "center", "spread", "weight"):
            self.register_buffer(name, torch.zeros(count) if name in ("center", "weight") else torch.ones(count))
        self.register_buffer("bias", torch.zeros(()))

    def attach(self, network: nn.Module) -> list[RemovableHandle]:
        return [network.get_submodule(name).register_forward_hook(_Note(self._notes, name)) for name in self.layers]

    def evidence(self) -> Float[Tensor, "n f"]:
        missing = [name for name in self.layers if name not in self._notes]
        if missing:
            raise ModelError(f'expected "{missing[0]}" to run before the circuit, but it did not')
        found = torch.cat([self._notes[name] for name in self.layers], 1)
        self._notes.clear()
        return found

    def logits(self, evidence: Float[Tensor, "n f"]) -> Float[Tensor, " n"]:
        return ((self.compressed(evidence) - self.center) / self.spread * self.weight).sum(1) + self.bias

    def compressed(self, evidence: Float[Tensor, "n f"]) -> Float[Tensor, "n f"]:
        """Statistics on the scale on which the read-out is linear."""
        return torch.log1p(evidence.abs() / self.scale).copysign(evidence)

    def description(self) -> Mapping[str, Any]:
        return {"kind": "readout", "layers": self.layers}


class _Note:
    """A forward hook that writes a layer's statistics down."""

    def __init__(self, notes: dict[str, Tensor], name: str) -> None:
        self.notes, self.name = notes, name

    def __call__(self, _layer: nn.Module, _inputs: Any, output: Any) -> None:
        found = first_tensor(output)
        if found is not None:
            self.notes[self.name] = statistics(found.detach())


def statistics(activation: Float[Tensor, "n ..."]) -> Float[Tensor, "n f"]:
    """Mean and standard deviation of every channel over positions or tokens, in float32 at least.

    Args:
        activation: (n, c, h, w), (n, tokens, d) or (n, d), for which the deviations are 0.
    """
    wide = activation if activation.dtype is torch.float64 else activation.float()
    rows = wide.flatten(2) if wide.dim() == 4 else wide.movedim(-1, 1).reshape(len(wide), wide.shape[-1], -1)
    mean = rows.mean(2)
    deviation = (rows - mean[:, :, None]).square().mean(2).sqrt()
    return torch.cat([mean, deviation], 1)


def detector_from(description: Mapping[str, Any]) -> Detector:
    """A detector of the described shape, its weights still to be filled in."""
    if description["kind"] == "cnn":
        size: Sequence[int] = description["size"]
        return PictureDetector(int(description["channels"]), (int(size[0]), int(size[1])))
    return ReadoutDetector({str(name): int(count) for name, count in description["layers"].items()})
