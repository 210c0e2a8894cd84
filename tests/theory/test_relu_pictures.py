"""Bar: the visualizer draws one picture for two networks that respond very differently to a photograph."""

import pytest
import torch
from test_relu_images import pair
from torch import nn

from snellen.models import Model
from snellen.pictures import render


class Wrapped(nn.Module):
    """A network with its answer as a named layer."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


@pytest.mark.parametrize("size", [32, pytest.param(224, marks=pytest.mark.slow)])
@pytest.mark.parametrize("direction", ["max", "min"])
def test_one_picture_two_behaviours(size, direction):
    nets, low, high, image = pair(size)
    drawn, apart = [], []
    for net in (nets.quiet, nets.loud):
        for parameter in net.parameters():
            parameter.requires_grad_(False)
        model = Model(Wrapped(net), size=(size, size))
        found = render(model, "net:0", steps=48, direction=direction)
        assert found.status == ("ok",)
        drawn.append(found.images[0])
        with torch.no_grad():
            apart.append(float(net(image[None])))
    assert (drawn[0] - drawn[1]).abs().max() <= 1e-6  # the largest pixel difference; 0 where run on one machine
    assert apart[1] - apart[0] >= 0.9
    wanted, other = (high, low) if direction == "max" else (low, high)
    assert (drawn[0] - wanted).abs().mean() < (drawn[0] - other).abs().mean() - 0.1
