"""Natural images as they come: cropped, mirrored, brighter or darker, blurred, compressed."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Image = Float[Tensor, "3 h w"]
Augmentation = Callable[[Image, torch.Generator], Image]


def _uniform(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def crop(image: Image, generator: torch.Generator) -> Image:
    """A part of 50 to 100 % of the area, at the image's size."""
    h, w = image.shape[1:]
    side = math.sqrt(_uniform(0.5, 1.0, generator))
    rows, columns = max(round(h * side), 1), max(round(w * side), 1)
    top, left = (int(_uniform(0.0, room + 1 - 1e-6, generator)) for room in (h - rows, w - columns))
    part = image[None, :, top : top + rows, left : left + columns]
    return F.interpolate(part, (h, w), mode="bilinear", align_corners=False, antialias=True)[0]


def flip(image: Image, generator: torch.Generator) -> Image:
    """Left and right exchanged, half of the time."""
    return image.flip(2) if _uniform(0.0, 1.0, generator) < 0.5 else image


def brightness(image: Image, generator: torch.Generator) -> Image:
    """Brightness and contrast changed by up to a quarter."""
    gain, shift = _uniform(0.75, 1.25, generator), _uniform(-0.15, 0.15, generator)
    return ((image - 0.5) * gain + 0.5 + shift).clamp(0, 1)


def blur(image: Image, generator: torch.Generator) -> Image:
    """Gaussian, up to 1/100 of the longer side."""
    sigma = _uniform(0.0, 0.01, generator) * max(image.shape[1:])
    if sigma < 0.2:
        return image
    reach = min(math.ceil(2.5 * sigma), min(image.shape[1:]) - 1)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(image)
    padded = F.pad(image[:, None], (reach, reach, reach, reach), mode="reflect")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))[:, 0]


def compress(image: Image, generator: torch.Generator) -> Image:
    """Rounds the cosine coefficients of 8 x 8 blocks, coarser for higher frequencies, as JPEG does."""
    coarse = _uniform(0.01, 0.08, generator)
    h, w = image.shape[1:]
    padded = F.pad(image[None], (0, -w % 8, 0, -h % 8), mode="replicate")[0]
    blocks = padded.unfold(1, 8, 8).unfold(2, 8, 8)
    n = torch.arange(8, dtype=image.dtype)
    basis = torch.cos(math.pi * (n[None] + 0.5) * n[:, None] / 8) * math.sqrt(2 / 8)
    basis[0] /= math.sqrt(2)
    step = coarse * (1 + n[:, None] + n[None, :])
    coefficients = ((basis @ blocks @ basis.T) / step).round() * step
    rebuilt = (basis.T @ coefficients @ basis).transpose(2, 3).reshape(3, padded.shape[1], padded.shape[2])
    return rebuilt[:, :h, :w].clamp(0, 1)


AUGMENTATIONS: dict[str, Augmentation] = {
    "crop": crop,
    "flip": flip,
    "brightness": brightness,
    "blur": blur,
    "compress": compress,
}


def augmented(image: Image, generator: torch.Generator) -> Image:
    """Each augmentation with a probability of one half, in a fixed order."""
    for change in AUGMENTATIONS.values():
        if _uniform(0.0, 1.0, generator) < 0.5:
            image = change(image, generator)
    return image
