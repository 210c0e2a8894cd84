"""A model: a module, the preprocessing that travels with it, and where it came from."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from snellen.base import ModelError
from snellen.models.steady import steady

_HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Preprocess:
    """What happens to an RGB picture in [0, 1] before the module sees it: `(scale * x[channels] - mean) / std`.

    Args:
        scale: 1 for modules that take [0, 1], 255 for bytes.
        mean: subtracted after scaling; one value for each channel the module sees.
        std: divides after the mean is taken off; likewise.
        channels: "rgb", "bgr" (reversed) or "grey" (ITU-R 601 luma, one channel).
    """

    scale: float = 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    channels: Literal["rgb", "bgr", "grey"] = "rgb"

    def __post_init__(self) -> None:
        numbers = (self.scale, *self.mean, *self.std)
        if not all(isinstance(n, int | float) and math.isfinite(n) for n in numbers):
            raise ModelError(f"expected finite scale, mean and deviation, got {numbers}")
        if self.channels not in ("rgb", "bgr", "grey"):
            raise ModelError(f'expected channels "rgb", "bgr" or "grey", got "{self.channels}"')
        if len(self.mean) != len(self.std):
            raise ModelError(f"expected as many means as standard deviations, got {self.mean} and {self.std}")
        if len(self.mean) not in (1, 3):
            raise ModelError(f"expected means for 1 or 3 channels, got {len(self.mean)}")
        if min(self.std) <= 0:
            raise ModelError(f"expected standard deviations above 0, got {self.std}")
        if self.channels == "grey" and (len(set(self.mean)) > 1 or len(set(self.std)) > 1):
            raise ModelError(f"expected one mean and deviation for grey, got {self.mean} and {self.std}")

    def __call__(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c h w"]:
        """The module's input for RGB pictures in [0, 1]."""
        if self.channels == "bgr":
            images = images.flip(1)
        elif self.channels == "grey":
            luma = images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
            images = (images * luma).sum(1, keepdim=True)
        if self.scale == 1.0 and not any(self.mean) and all(s == 1.0 for s in self.std):
            return images
        count = images.shape[1]
        gain = images.new_tensor([self.scale / s for s in self.std[:count]]).view(1, -1, 1, 1)
        shift = images.new_tensor([-m / s for m, s in zip(self.mean, self.std, strict=True)][:count]).view(1, -1, 1, 1)
        return images * gain + shift


@dataclass(frozen=True, eq=False)
class Model:
    """A vision network as this package sees it. It is run in eval mode; its own mode stays what it is.

    Args:
        module: takes what `preprocess` returns, (n, c, h, w); returns (n, classes), or a tuple, mapping or object whose
            first tensor (or `.logits`) is that.
        name: for people; appears in reports.
        size: height and width of the input in pixels.
        preprocess: from RGB in [0, 1] to the module's input. The default leaves pictures as they are.
        labels: names of the last layer's units, or empty.
        provenance: plain data on where the module and its weights came from.
    """

    module: nn.Module
    name: str = "model"
    size: tuple[int, int] = (224, 224)
    preprocess: Preprocess = Preprocess()
    labels: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.module, nn.Module):
            raise ModelError(f"expected a torch.nn.Module, got {type(self.module).__name__}")

    def __call__(self, images: Float[Tensor, "n 3 h w"]) -> Tensor:
        """The network's output for RGB pictures in [0, 1]: (n, classes) for a classifier.

        Raises:
            ModelError: the module returns no tensor, as detectors do.
        """
        output = self.run(images)
        found = first_tensor(output)
        if found is None:
            raise ModelError(f"expected the module to return a tensor, got {type(output).__name__}; wrap it")
        return found

    def run(self, images: Float[Tensor, "n 3 h w"]) -> Any:
        """Whatever the module returns for RGB pictures in [0, 1], held `steady`."""
        prepared = self.preprocess(images)
        if self.is_half and not torch.is_autocast_enabled(prepared.device.type):
            prepared = prepared.to(self._floating)
        with steady(self.module):
            return self.module(prepared)

    @property
    def device(self) -> torch.device:
        """Where the module's weights are."""
        return next((p.device for p in self.module.parameters()), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """Of pictures for it: float64 where its weights are, float32 otherwise."""
        return torch.float64 if self._floating is torch.float64 else torch.float32

    @property
    def is_half(self) -> bool:
        """Whether its weights are float16 or bfloat16, so that its responses move in steps of a thousandth."""
        return self._floating in _HALF

    @property
    def _floating(self) -> torch.dtype:
        """Of the first weights that are numbers with a fraction."""
        return next((p.dtype for p in self.module.parameters() if p.is_floating_point()), torch.float32)

    @property
    def parameters(self) -> int:
        """How many weights the module has."""
        return sum(p.numel() for p in self.module.parameters())

    def fingerprint(self) -> str:
        """SHA-256 over the printed architecture, the preprocessing and every tensor of the state dict."""
        digest = hashlib.sha256(f"{self.module!r}|{self.preprocess!r}".encode())
        for name, value in sorted(self.module.state_dict().items()):
            _digest(digest, name, value)
        return digest.hexdigest()


def _digest(digest: "hashlib._Hash", name: str, value: Any) -> None:
    """Takes in one entry of a state dict; those of quantized layers are tuples, and quantized tensors have a scale."""
    if isinstance(value, list | tuple):
        for i, part in enumerate(value):
            _digest(digest, f"{name}.{i}", part)
    elif not isinstance(value, Tensor):
        digest.update(f"{name}|{value!r}|".encode())
    elif value.is_quantized:
        digest.update(f"{name}|{value.q_scale()}|".encode() if value.qscheme() is torch.per_tensor_affine else b"")
        _digest(digest, name, value.dequantize())
    else:
        digest.update(f"{name}|{value.dtype}|{tuple(value.shape)}|".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())


def first_tensor(output: Any) -> Tensor | None:
    """The tensor that an output is, names `.logits`, or holds first; None where there is none."""
    if isinstance(output, Tensor):
        return output
    if isinstance(getattr(output, "logits", None), Tensor):
        return output.logits
    if isinstance(output, Mapping) and isinstance(output.get("logits"), Tensor):
        return output["logits"]
    values = output.values() if isinstance(output, Mapping) else output if isinstance(output, list | tuple) else ()
    return next((v for v in values if isinstance(v, Tensor)), None)
