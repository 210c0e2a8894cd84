"""Pictures to tensors: the shorter side to the target with antialiasing, then the centre."""

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor


def fit(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The largest centred part of the target's shape, scaled to the target (bicubic, antialiased).

    A picture that already has the target's size comes back pixel for pixel.

    Args:
        picture: any RGB picture.
        size: (h, w) in pixels.
    """
    height, width = size
    scale = min(picture.width / width, picture.height / height)
    left = max(0.0, (picture.width - width * scale) / 2)  # rounding may fall below
    top = max(0.0, (picture.height - height * scale) / 2)
    box = (left, top, min(left + width * scale, picture.width), min(top + height * scale, picture.height))
    return picture.resize((width, height), Image.Resampling.BICUBIC, box=box)


def to_tensor(picture: Image.Image) -> Float[Tensor, "3 h w"]:
    """The pixels of an RGB picture as float32 in [0, 1]."""
    pixels = torch.from_numpy(np.array(picture, dtype=np.uint8))
    return pixels.permute(2, 0, 1).to(torch.float32).div_(255.0).contiguous()
