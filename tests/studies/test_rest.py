"""What photographs leave still is seen whatever shape it has, and can be held."""

import numpy as np
import torch
from torch import nn
from torch.overrides import _get_current_function_mode_stack

from snellen.models import Model, Unit, observe
from snellen.studies.request import Request
from snellen.studies.rest import held_responses, holding, rests
from snellen.studies.world import Given, open_world


class Folded(nn.Module):
    """A switch whose number never has an axis of images first."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Conv2d(3, 4, 3)

    def forward(self, images):
        n = len(images)
        bright = images.mean((1, 2, 3)).expand(n + 1, n)
        gate = torch.sigmoid(400 * (bright - 0.5))[0].view(-1, 1, 1, 1)
        said = self.body(images)
        return said + gate * (said.roll(1, 1) - said)


def test_a_gate_without_an_axis_of_images_is_seen_one_by_one_and_held():
    world = open_world(Request("net", None, ("body:0",)), Given(model=Model(Folded().eval(), size=(16, 16))))
    stream = torch.Generator().manual_seed(1)
    dark, light = (torch.rand(6, 3, 16, 16, generator=stream) * 0.4 + offset for offset in (0.0, 0.6))
    with torch.no_grad():
        known, drawn = rests(world, [dark[:4], dark[4:]]), rests(world, [light])
    name = next(name for name in known if name.endswith("sigmoid"))
    assert (known[name].images, drawn[name].images) == (6, 6)
    assert len(known[name].low) == 2, "of one image there are two rows"
    assert known[name].fits(drawn[name])
    assert (known[name].excursions(drawn[name]) > 50).all()
    low, high = (torch.tensor(end) for end in known[name].band)
    held = {name: (torch.ones(2, dtype=torch.bool), low, high)}
    units = [Unit("body", 0), Unit("body", 1), Unit("body", 2)]
    with torch.no_grad():
        free, kept = (held_responses(world, [Unit("", u.channel) for u in units], light[:3], h) for h in ({}, held))
        honest = world.model.module.body(light[:3]).mean((2, 3))
    np.testing.assert_allclose(kept, [honest[i, i] for i in range(3)], atol=1e-4)
    assert np.abs(free - kept).min() > 1e-3


def test_a_pass_that_is_stopped_leaves_nothing_open():
    """`observe` stops at the layer that it reads."""
    net = Folded().eval()
    model = Model(net, size=(16, 16))
    said = observe(model, torch.zeros(2, 3, 16, 16), ["body"])["body"]
    world = open_world(Request("net", None, ("body:0",)), Given(model=model))
    with torch.no_grad():
        known = rests(world, [torch.zeros(2, 3, 16, 16)])
    name = next(name for name in known if name.endswith("body"))
    shut = torch.full((4,), 7.0)
    with holding(model, {name: (torch.ones(4, dtype=torch.bool), shut, shut)}):
        for _ in range(3):
            observe(model, torch.zeros(2, 3, 16, 16), ["body"])
            assert not _get_current_function_mode_stack()
            with torch.no_grad():
                assert (model.run(torch.zeros(2, 3, 16, 16)) == 7.0).all()
    assert torch.equal(observe(model, torch.zeros(2, 3, 16, 16), ["body"])["body"], said)
    assert "forward" not in vars(net)
