"""First layers of honest networks as affine maps of pixels: what the map of photographs leaves of other pictures.

    python benchmarks/first_layers.py resnet18 vit_tiny_patch16_224 ...

Architectures of `timm` with random weights, at the built-in photographs (32, half of them held out) and at noise, black
and white, smooth, steep and grey pictures. Printed for each layer that is such a map: what is left at the median
photograph, and at the picture where most is.
"""

import sys

import timm
import torch
import torch.nn.functional as F

from snellen.base import Seed, evenly
from snellen.checks.fits.pixels import held
from snellen.models import Model, Preprocess
from snellen.studies.request import MEMORY, Request
from snellen.studies.world import Given, open_world


def pictures(size: tuple[int, int]) -> torch.Tensor:
    """What no photograph is."""
    numbers = torch.Generator().manual_seed(0)
    noise = torch.rand(2, 3, *size, generator=numbers)
    smooth = F.interpolate(torch.rand(2, 3, 8, 8, generator=numbers), size, mode="bicubic").clamp(0, 1)
    grey = torch.full_like(noise[:1], 0.5)
    return torch.cat([noise, (noise > 0.5).float(), smooth, torch.sigmoid(8 * (smooth - 0.5)), grey])


def main() -> None:
    for name in sys.argv[1:]:
        torch.manual_seed(0)
        module = timm.create_model(name).eval()
        size, told = (
            module.default_cfg["input_size"][1:],
            Preprocess(mean=module.default_cfg["mean"], std=module.default_cfg["std"]),
        )
        world = open_world(Request(model=MEMORY), Given(Model(module, size=size, preprocess=told)))
        found = held(world, evenly(len(world.images), 32), pictures(size), seed=Seed(0))
        layers = "; ".join(f"{one.layer} {one.photographs:.1e} {one.pictures.max():.1e}" for one in found)
        sys.stdout.write(f"{name}: {layers or 'no affine map'}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
