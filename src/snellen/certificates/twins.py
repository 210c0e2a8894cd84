"""The ReLU witness on photographs, drawn by our own visualizer (docs/theory.md, section 2)."""

import numpy as np
import torch
from torch import Tensor, nn

from snellen.images import open_images
from snellen.models import Model
from snellen.pictures import render
from snellen.theory import relu_pair
from snellen.theory.domain import Array
from snellen.theory.twins import Twins

_SHOWN, _ASKED = "bricks/", "astronaut/94"
"""Built-in photographs: x_max, and the one about which the two networks disagree."""
_RATE = 0.05  # longer steps overshoot a maximizer of so little contrast


def draw_twins(size: int = 112, *, steps: int = 128) -> Twins:
    """Two ReLU networks whose maximizer is a wall of bricks and which disagree about an astronaut, visualized.

    Args:
        size: of the images, in pixels.
        steps: of every picture.
    """
    shown, asked = _photograph(_SHOWN, size), _photograph(_ASKED, size)
    nets = relu_pair(1 - shown, shown, asked)
    drawn, responses = [], []
    for net in (nets.quiet, nets.loud):
        model = Model(nn.Sequential(net).requires_grad_(False), size=(size, size))
        largest, smallest = (
            _pixels(render(model, "0:0", steps=steps, rate=_RATE, direction=way).images[0]) for way in ("max", "min")
        )
        drawn.append((largest, smallest))
        with torch.no_grad():
            responses.append(float(net(asked[None])))
    return Twins(
        _pixels(asked), _pixels(shown), _pixels(1 - shown), (drawn[0], drawn[1]), (responses[0], responses[1]), steps
    )


def _photograph(name: str, size: int) -> Tensor:
    images = open_images("builtin")
    number = next(i for i, known in enumerate(images.ids) if known.startswith(name))
    return images.load(number, (size, size))


def _pixels(image: Tensor) -> Array:
    return np.asarray(image.clamp(0, 1).permute(1, 2, 0).double())
