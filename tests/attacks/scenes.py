"""Small image sets for the tests: smooth random scenes, and networks that tell them apart somehow."""

import numpy as np
import torch
import torch.nn.functional as F

from snellen.images.arrays import Stack
from snellen.images.imageset import ImageSet


def smooth(count, size, *, seed=0):
    """Random clouds, (n, 3, h, w) in [0, 1]."""
    stream = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, 5, 5, generator=stream)
    fine = torch.randn(count, 3, *size, generator=stream)
    return torch.sigmoid(1.5 * F.interpolate(coarse, size, mode="bicubic") + 0.2 * fine)


def scenes(count=20, size=(24, 24), *, seed=0, classes=0):
    """The same as an image set."""
    pixels = (smooth(count, size, seed=seed) * 255).byte().permute(0, 2, 3, 1).contiguous().numpy()
    return ImageSet(
        name="scenes",
        ids=tuple(f"scene {i}" for i in range(count)),
        labels=tuple(i % classes for i in range(count)) if classes else None,
        class_names=tuple(f"{k}_scene" for k in range(classes)),
        skipped=(),
        source=Stack(np.ascontiguousarray(pixels)),
        members=tuple(range(count)),
    )
