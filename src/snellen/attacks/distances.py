"""Two distances between pictures, independent of each other: what meets the eye, and what a network makes of it."""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from snellen.images.spectra import COLOR_SQRT
from snellen.models import Model, main_layers, observe
from snellen.models.detectors import statistics

Distance = Callable[[Float[Tensor, "n 3 h w"], Float[Tensor, "n 3 h w"]], Float[Tensor, " n"]]
"""Row by row, 0 for equal pictures."""

LEVELS = 5


def distances_for(model: Model, reference: Float[Tensor, "n 3 h w"]) -> Mapping[str, Distance]:
    """The two distances, each figure weighed by how much it varies among reference pictures.

    Args:
        model: the honest network; its main layer halfway is what the second one reads.
        reference: pictures that are to be told apart: those of the honest network, and the decoys.
    """
    main = main_layers(model)
    middle = main[len(main) // 2]

    def deep(images: Tensor) -> Tensor:
        return _features(model, images, middle)

    return {
        "colours and textures": _standardized(appearance, reference),
        f"{middle} features": _standardized(deep, reference),
    }


def appearance(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n f"]:
    """Of three decorrelated colours: mean, and at every octave how much they vary and in which direction.

    Where things are in the picture does not count: two pictures of one unit put them in different places.
    """
    mixing = torch.linalg.inv(images.new_tensor(COLOR_SQRT))
    plane = torch.matmul(mixing, (images - 0.5).flatten(2)).view_as(images)
    found = [plane.mean((2, 3))]
    for _ in range(LEVELS):
        if min(plane.shape[2:]) < 4:
            break
        across, down = plane.diff(dim=3), plane.diff(dim=2)
        found += [(d.square().mean((2, 3)) + 1e-8).log() for d in (across, down)]
        plane = F.avg_pool2d(plane, 2)
    return torch.cat([*found, plane.flatten(2).std(2)], 1)


@torch.no_grad()
def _features(model: Model, images: Tensor, layer: str) -> Tensor:
    parts = [
        statistics(observe(model, part.to(model.device, model.dtype), [layer])[layer]).cpu()
        for part in images.split(16)
    ]
    found = torch.cat(parts)
    return found.sign() * found.abs().sqrt()


def _standardized(describe: Callable[[Tensor], Tensor], reference: Tensor) -> Distance:
    known = describe(reference)
    scale = known.std(0).clamp_min(1e-6) if len(known) > 1 else torch.ones(known.shape[1])

    def distance(a: Float[Tensor, "n 3 h w"], b: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        return ((describe(a) - describe(b)) / scale).square().mean(1).sqrt()

    return distance
