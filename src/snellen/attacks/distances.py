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

LEVELS = 4


def distances_for(
    model: Model, originals: Float[Tensor, "n 3 h w"], decoys: Float[Tensor, "m 3 h w"]
) -> Mapping[str, Distance]:
    """The two distances between pictures, each figure weighed by how much it varies among those to be told apart.

    Args:
        model: the honest network; its main layer halfway is what the second one reads.
        originals: pictures of the honest network. Figures that go together among them count once.
        decoys: what is meant to be seen instead.
    """
    main = main_layers(model)
    middle = main[len(main) // 2]

    def deep(images: Tensor) -> Tensor:
        return _features(model, images, middle)

    return {
        "colours and textures": _standardized(appearance, originals, decoys, decorrelate=True),
        f"{middle} features": _standardized(deep, originals, decoys),
    }


def appearance(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n f"]:
    """Of three decorrelated colours: mean, and at every octave how much they vary and in which direction.

    Where things are in the picture does not count: two pictures of one unit put them in different places. Nor does the
    finest octave, pixel against pixel, which says more about the optimizer than about what is seen.
    """
    mixing = torch.linalg.inv(images.new_tensor(COLOR_SQRT))
    whole = torch.matmul(mixing, (images - 0.5).flatten(2)).view_as(images)
    found, plane = [whole.mean((2, 3)), whole.flatten(2).std(2)], whole
    for _ in range(LEVELS):
        plane = F.avg_pool2d(plane, 2)
        if min(plane.shape[2:]) < 4:
            break
        across, down = plane.diff(dim=3), plane.diff(dim=2)
        found += [(d.square().mean((2, 3)) + 1e-8).log() for d in (across, down)]
    return torch.cat(found, 1)


@torch.no_grad()
def _features(model: Model, images: Tensor, layer: str) -> Tensor:
    parts = [
        statistics(observe(model, part.to(model.device, model.dtype), [layer])[layer]).cpu()
        for part in images.split(16)
    ]
    found = torch.cat(parts)
    return found.sign() * found.abs().sqrt()


def _standardized(
    describe: Callable[[Tensor], Tensor], originals: Tensor, decoys: Tensor, *, decorrelate: bool = False
) -> Distance:
    known = describe(originals)
    both = torch.cat([known, describe(decoys)])
    scale = both.std(0).clamp_min(1e-6) if len(both) > 1 else torch.ones(known.shape[1])
    root = _decorrelation(known) if decorrelate and len(known) > 2 else None

    def distance(a: Float[Tensor, "n 3 h w"], b: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        step = (describe(a) - describe(b)) / scale
        return (step if root is None else step @ root).square().mean(1).sqrt()

    return distance


def _decorrelation(known: Float[Tensor, "n f"]) -> Float[Tensor, "f f"]:
    """(R + I)^-1/2 of the figures' correlations R: Mahalanobis' distance, shrunk half of the way to Euclid's."""
    standard = (known - known.mean(0)).double()
    standard /= standard.norm(dim=0).clamp_min(1e-12)
    values, vectors = torch.linalg.eigh(standard.T @ standard)
    return ((vectors * (values.clamp_min(0) + 1).rsqrt()) @ vectors.T).to(known.dtype)
