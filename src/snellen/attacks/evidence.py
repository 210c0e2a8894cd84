"""Reading what a detector sees, for many pictures, without installing it for good."""

import contextlib
from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from snellen.models import Model
from snellen.models.detectors import Detector, ReadoutDetector, statistics
from snellen.models.edits import streamlined
from snellen.models.passes import run
from snellen.models.steady import steady
from snellen.models.survey import survey
from snellen.models.taps import tapped


@torch.no_grad()
def layer_statistics(
    model: Model, images: UInt8[Tensor, "n 3 h w"], layers: Sequence[str], *, batch: int = 16
) -> dict[str, Float[Tensor, "n f"]]:
    """Means and deviations of every channel, by layer; the forward pass stops at the deepest of them.

    Args:
        model: the honest network.
        images: as bytes.
        layers: names.
        batch: pictures that go together.
    """
    found: dict[str, list[Tensor]] = {name: [] for name in layers}
    known = survey(model, (images.shape[2], images.shape[3]))
    layout = torch.channels_last if known.fast else torch.contiguous_format
    with steady(model.module), streamlined(model.module) if known.fast else contextlib.nullcontext():
        for part in images.split(batch):
            pictures = part.to(model.device, model.dtype).div(255).contiguous(memory_format=layout)
            seen: dict[str, Tensor] = {}
            with tapped(model, layers, seen, like=part, known=known):
                run(model, pictures)
            for name in layers:
                found[name].append(statistics(seen[name]).cpu())
    return {name: torch.cat(parts) for name, parts in found.items()}


def evidence(model: Model, detector: Detector, images: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, "n ..."]:
    """What a detector would see of pictures, whether it is installed or not.

    Args:
        model: the honest network.
        detector: of either kind.
        images: as bytes.
    """
    if isinstance(detector, ReadoutDetector):
        found = layer_statistics(model, images, list(detector.layers))
        return torch.cat([found[name] for name in detector.layers], 1)
    return model.preprocess(images.to(model.device, model.dtype).div(255)).cpu()


@torch.no_grad()
def judged(model: Model, detector: Detector, images: UInt8[Tensor, "n 3 h w"], *, batch: int = 64) -> Tensor:
    """A detector's logits over its threshold, (n,): positive for what it takes for drawn by an optimizer."""
    parts = [detector.logits(evidence(model, detector, part)) - detector.threshold for part in images.split(batch)]
    return torch.cat(parts).float() if len(images) else torch.zeros(0)
