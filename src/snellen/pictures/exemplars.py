"""Exemplars: the natural images that excite units most and least, from one streaming pass."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from snellen.base import ModelError
from snellen.images import ImageSet
from snellen.models import Model, Unit, observe, responses
from snellen.models import units as checked


@dataclass(frozen=True)
class Exemplars:
    """How natural images excite units.

    Args:
        units: u of them.
        responses: of every unit to every natural image, (u, n).
        top: indices of the most exciting images, the most exciting first, (u, k).
        bottom: indices of the least exciting images, the least exciting first, (u, k).
    """

    units: tuple[Unit, ...]
    responses: Float[Tensor, "u n"]
    top: Int[Tensor, "u k"]
    bottom: Int[Tensor, "u k"]


def exemplars(
    model: Model,
    images: ImageSet,
    units: Sequence[Unit],
    *,
    most: int = 9,
    batch: int = 16,
    size: tuple[int, int] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Exemplars:
    """The natural images that excite and that calm each unit most; ties go to the earlier image.

    Only (u, n) numbers are kept of the pass, never activations or images.

    Args:
        model: the network.
        images: n natural images.
        units: whose exemplars.
        most: how many at either end; fewer where there are fewer images.
        batch: images that go through the network together.
        size: height and width; the model's by default.
        progress: called with the number of images just done.

    Raises:
        LayerError, UnitError: a unit that the model does not have.
        ModelError: a response is NaN or infinite.
    """
    chosen = tuple(units)
    checked([str(unit) for unit in chosen], model)
    found = torch.empty(len(chosen), len(images))
    for rows, values in _streamed(model, images, chosen, batch=batch, size=size or model.size):
        found[:, rows] = values
        _check_finite(values, chosen, [images.ids[row] for row in rows])
        if progress is not None:
            progress(len(rows))
    order = found.sort(dim=1, descending=True, stable=True).indices[:, :most]
    reverse = found.sort(dim=1, descending=False, stable=True).indices[:, :most]
    return Exemplars(chosen, found, order, reverse)


def _check_finite(values: Float[Tensor, "u b"], units: Sequence[Unit], names: Sequence[str]) -> None:
    """Ranks, means and records are made of numbers."""
    odd = (~values.isfinite()).nonzero()
    if len(odd):
        unit, image = odd[0].tolist()
        got = f"{float(values[unit, image])} of {units[unit]} to {names[image]}"
        raise ModelError(f"expected finite responses to natural images, got {got}; mend the network or its weights")


def _streamed(
    model: Model, images: ImageSet, units: tuple[Unit, ...], *, batch: int, size: tuple[int, int]
) -> Iterator[tuple[list[int], Tensor]]:
    addresses = sorted({u.address for u in units})
    for rows, pictures in images.batches(size, batch):
        activations = observe(model, pictures.to(model.device, model.dtype), addresses)
        means = {a: responses(v) for a, v in activations.items()}
        yield rows, torch.stack([means[u.address][:, u.channel] for u in units]).cpu().float()
