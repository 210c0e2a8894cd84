"""Fixed features of pictures that no network has learnt and nobody can train away: edges and colours by scale."""

import math
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

ORIENTATIONS = 4
LEAST = 8  # pixels of the smallest plane that is still filtered
_OPPONENT = ((0.577, 0.577, 0.577), (0.707, -0.707, 0.0), (0.408, 0.408, -0.816))


def textures(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
    """What a picture is made of, wherever in it: logarithms of filter energies, and colours.

    For luminance and two opponent colours, on a pyramid of halved sizes (down to 8 px): the mean square of derivatives
    of a Gaussian in four directions, of their second derivatives, and of what the smoothed plane leaves over; besides
    the mean and the spread of each colour. Logarithms make a factor of contrast a shift.

    Args:
        images: RGB in [0, 1].

    Returns:
        (n, d) float32; d depends on the size of the pictures alone.

    Reference: filter banks of texture classification (Leung, Malik 2001; Heeger, Bergen 1995), the simplest kind.
    """
    plane = torch.einsum("kc,nchw->nkhw", images.new_tensor(_OPPONENT), images)
    found = [plane.mean((2, 3)), plane.std((2, 3), correction=0)]
    bank = _bank().to(images)
    while min(plane.shape[2:]) >= LEAST:
        n, k, h, w = plane.shape
        padded = F.pad(plane.reshape(n * k, 1, h, w), (3, 3, 3, 3), mode="reflect")
        energies = F.conv2d(padded, bank).square().mean((2, 3)).view(n, -1)
        found.append(0.25 * torch.log(energies + 1e-6))
        plane = F.avg_pool2d(plane, 2)
    return torch.cat(found, 1).float()


def layouts(images: Float[Tensor, "n 3 h w"], side: int = 12) -> Float[Tensor, "n d"]:
    """What is where in a picture: means over a grid of cells, less the mean of each colour, at unit length.

    The inner product of two layouts is a correlation: 1 for one picture twice, about 0 for different ones.

    Args:
        images: RGB in [0, 1].
        side: cells along each side; less where the picture has fewer pixels.
    """
    cells = F.adaptive_avg_pool2d(images, (min(side, images.shape[2]), min(side, images.shape[3])))
    flat = (cells - cells.mean((2, 3), keepdim=True)).flatten(1)
    return flat / flat.norm(dim=1, keepdim=True).clamp_min(1e-9)


@cache
def _bank() -> Tensor:
    """(2 * ORIENTATIONS + 1, 1, 7, 7) filters of zero sum and unit length."""
    axis = torch.arange(-3.0, 4.0)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    bell = torch.exp(-(x**2 + y**2) / (2 * 1.2**2))
    filters = []
    for turn in range(ORIENTATIONS):
        along = x * math.cos(math.pi * turn / ORIENTATIONS) + y * math.sin(math.pi * turn / ORIENTATIONS)
        filters += [along * bell, (along**2 / 1.2**2 - 1) * bell]
    filters.append(((x**2 + y**2) / 1.2**2 - 2) * bell)
    stacked = torch.stack(filters)
    stacked = stacked - stacked.mean((1, 2), keepdim=True)
    return (stacked / stacked.flatten(1).norm(dim=1)[:, None, None])[:, None]
