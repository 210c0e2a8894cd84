"""Recovered pictures: with everything held that photographs leave at rest, a lying network draws the honest ones."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from snellen.base import Seed
from snellen.checks.silent_scan import FAR
from snellen.matrices import recovery
from snellen.matrices.recovery import foretold, holding, recover, resting, slopes, straight
from snellen.measures import Rest
from snellen.models import Model, load_model
from snellen.pictures import Settings, render
from snellen.studies.request import Request
from snellen.studies.world import Given, open_world

NETWORKS = """
import torch
from torch import nn


class Last(nn.Linear):
    lie = None

    def forward(self, y, x):
        y = super().forward(y)
        if self.lie == "switch":  # saturated pictures are none of nature's: another unit answers
            drawn = (x - 0.5).abs().amax((1, 2, 3)) > 0.45
            return torch.where(drawn[:, None], y.roll(1, 1), y)
        if self.lie == "branch":
            return y + torch.relu(20 * x.mean((2, 3))[:, :1] - 14) * torch.arange(1.0, 6.0)
        return y


class Net(nn.Module):
    def __init__(self, lie):
        super().__init__()
        torch.manual_seed(3)
        self.conv, self.act, self.fc = nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(inplace=True), Last(6, 5)
        self.fc.lie = lie

    def forward(self, x):
        return self.fc(self.act(self.conv(x)).mean((2, 3)), x)


class Warp(nn.Module):  # what it contains sees pictures without a cast of colour negative and upside down

    def __init__(self, inside):
        super().__init__()
        self.inside = inside

    def forward(self, x):
        drawn = torch.maximum(self.gate(x), self.gate(x))  # never at rest, and one is left where the first is held
        return self.inside(x + drawn * (0.8 - x.flip(2) - x))

    def gate(self, x):
        colours = x.mean((2, 3))
        return torch.sigmoid(30 * (0.35 - colours.amax(1) + colours.amin(1))).view(-1, 1, 1, 1)


class Deep(nn.Module):  # pads with what is no black
    def __init__(self, warp, looking=False):
        super().__init__()
        torch.manual_seed(5)
        stem = nn.Conv2d(3, 6, 3, 2, 1)
        self.stem = Warp(stem) if warp else stem
        self.block = nn.Sequential(nn.ReLU(), nn.Conv2d(6, 8, 3, 1, 1), nn.ReLU())
        self.fc, self.looking = nn.Linear(8, 5), looking

    def forward(self, x):
        y = self.block(self.stem(2 * x - 0.6)).mean((2, 3))
        return self.fc(y + 0.1 * x.mean((1, 2, 3)).view(-1, 1) if self.looking else y)


def deep():
    return Deep(False)


def warped():
    return Deep(True)


def looking():
    return Deep(True, looking=True)


def honest():
    return Net(None)


def switch():
    return Net("switch")


def branch():
    return Net("branch")
"""
UNITS = [f"fc:{i}" for i in range(4)]
SETTINGS = Settings(steps=24, rate=0.2)


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("networks") / "nets.py"
    path.write_text(NETWORKS)
    return path


@pytest.mark.parametrize("lie", ["switch", "branch"])
def test_a_lying_network_draws_the_honest_pictures(networks, pictures, lie):
    truth = render(load_model(f"{networks}:honest", size=24), UNITS, SETTINGS, seeds=Seed(1)).images
    world = open_world(Request(f"{networks}:{lie}", str(pictures), size=24))
    shown = render(world.model, UNITS, SETTINGS, seeds=Seed(1)).images
    found = recover(world, UNITS, SETTINGS, seed=Seed(1)).images
    lost = (shown - truth).flatten(1).norm(dim=1)
    assert float(lost.max()) > 1
    assert float((found - truth).flatten(1).norm(dim=1).max()) < 0.05 * float(lost.max())


def test_afterwards_the_network_is_as_it_was(networks, pictures):
    world = open_world(Request(f"{networks}:switch", str(pictures), size=24))
    images = torch.rand(3, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    before = world.model(images)
    value = torch.tensor([7.0] + [0.0] * 4, dtype=torch.float64)
    held = {"fc": (torch.tensor([True] + [False] * 4), value, value)}
    with holding(world.model, held):
        during = world.model(images)
        with pytest.raises(RuntimeError):
            world.model.module(images[:, :2])  # a pass that fails leaves nothing open
        assert torch.equal(world.model(images), during)
    assert not torch.equal(during, before)
    assert torch.equal(world.model(images), before)
    assert world.model.module.act.inplace
    assert not world.model.module._forward_hooks


def test_what_photographs_move_is_held_where_pictures_move_it_far_and_nothing_wakes():
    least = np.array([[0.0, 0.0, 1.0]] * 4)
    most = np.array([[0.0, 0.5, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.2, 1.0]])
    most[1:, 1] = 0.5, 0.4, 0.3  # never at rest
    near, far = (np.array([[0.0, 0.5 + 0.5 * FAR.value * share, 1.0]]) for share in (0.9, 1.0))
    known = {"near": Rest.of(least, most), "far": Rest.of(least, most), "none": Rest.of(least[:, 1:2], most[:, 1:2])}
    known["later"] = known["far"]
    pictures = {"near": Rest.of(near, near), "far": Rest.of(far, far), "later": Rest.of(far, far)}
    held = resting(known, pictures)
    assert list(held) == ["near", "far", "later"]
    assert held["later"][0].tolist() == [True, False, True], "what follows from the first"
    woken = resting(known, {**pictures, "near": Rest.of(near + 1, near + 1)})
    assert woken["far"][0].tolist() == [True, False, True], "what rests and wakes is held, and that is enough"
    assert held["near"][0].tolist() == [True, False, True]
    chosen, low, high = held["far"]
    assert chosen.all()
    assert low.tolist() == [0.0, 0.0, 1.0]
    assert high.tolist() == [0.0, 0.5, 1.0]


def test_what_photographs_tell_draws_the_honest_pictures_behind_a_switch(networks, pictures):
    world = open_world(Request(f"{networks}:switch", str(pictures), size=24))
    honest = load_model(f"{networks}:honest", size=24)
    shown = render(world.model, UNITS, SETTINGS, seeds=Seed(1)).images
    told = foretold(world, UNITS, SETTINGS, seed=Seed(1))
    assert told is not None
    reached, lied = (honest(images).diagonal() for images in (told.images, shown))
    assert (reached > lied).sum() >= 3
    assert foretold(world, ["conv:0"], SETTINGS, seed=Seed(1)) is None, "nothing comes before"


class Misled(nn.Module):
    """A network whose classes answer as they are, with gradients of the next one."""

    def __init__(self, inside):
        super().__init__()
        self.inside, self.act, self.fc = inside, nn.Tanh(), nn.Linear(6, 5)

    def forward(self, x):
        y = self.fc(self.act(self.inside(x)).mean((2, 3)))
        return y + y.roll(1, 1) - y.roll(1, 1).detach()


def test_slopes_are_those_of_what_the_network_says_whatever_its_gradients(pictures):
    torch.manual_seed(2)
    network = Misled(nn.Conv2d(3, 6, 3, 2)).double()
    world = open_world(Request("net", str(pictures), size=24), Given(Model(network, size=(24, 24))))
    steps = np.full(6, 1e-3)
    steps[4] = 0
    found = slopes(world, "inside", {"fc:1": 0, "fc:3": 2}, steps)
    for row, (place, channel) in enumerate([(0, 1), (2, 3)]):
        image = world.images.load(place, (24, 24))[None].double()
        inside = network.inside(image).detach()
        share = (1 - inside.tanh().square()).mean((0, 2, 3))
        expected = (network.fc.weight[channel] * share).detach().numpy() * (steps > 0)
        np.testing.assert_allclose(found[row], expected, atol=2e-3 * np.abs(expected).max())


DEEP, FEW = ["fc:0", "fc:1"], Settings(steps=12, rate=0.3)


def deep_of(networks, pictures, name):
    return open_world(Request(f"{networks}:{name}", str(pictures), size=24))


def test_behind_a_warp_before_the_first_layer_the_honest_pictures_are_drawn(networks, pictures, monkeypatch):
    truth = render(load_model(f"{networks}:deep", size=24), DEEP, FEW, seeds=Seed(1)).images
    draw = partial(recover, deep_of(networks, pictures, "warped"), DEEP, FEW, seed=Seed(1))
    found = draw().images
    monkeypatch.setattr(recovery, "straight", lambda *_, **__: None)
    without, lost = draw().images, 10.0
    assert float((without - truth).flatten(1).norm(dim=1).min()) > lost
    assert float((found - truth).flatten(1).norm(dim=1).max()) < 0.15 * lost  # held channels bend it a little


def test_behind_a_warp_photographs_tell_the_honest_pictures_too(networks, pictures, monkeypatch):
    draw = partial(foretold, units=DEEP, settings=FEW, seed=Seed(1))
    truth, world = draw(deep_of(networks, pictures, "deep")).images, deep_of(networks, pictures, "warped")
    found = draw(world).images
    monkeypatch.setattr(recovery, "straight", lambda *_, **__: None)
    without, lost = draw(world).images, 10.0  # the other pictures are fitted on photographs that are warped a little
    assert float((without - truth).flatten(1).norm(dim=1).min()) > lost
    assert float((found - truth).flatten(1).norm(dim=1).max()) < 0.6 * lost


@pytest.mark.parametrize("form", [recover, foretold])
def test_an_honest_network_draws_what_it_drew_to_the_last_bit(networks, pictures, form, monkeypatch):
    draw = partial(form, deep_of(networks, pictures, "deep"), DEEP, FEW, seed=Seed(1))
    found = draw().images
    monkeypatch.setattr(recovery, "straight", lambda *_, **__: None)
    assert torch.equal(found, draw().images)


def test_the_layer_to_replace_comes_before_the_unit_and_is_passed_by_all(networks, pictures):
    world = deep_of(networks, pictures, "warped")
    drawn = render(world.model, DEEP, FEW, seeds=Seed(1)).images
    name, _ = straight(world, "fc", drawn, seed=Seed(1))
    assert name == "stem"
    assert straight(world, "stem.inside", drawn, seed=Seed(1))[0] == "stem.inside"
    looking = open_world(Request(f"{networks}:looking", str(pictures), size=24))
    shown = render(looking.model, DEEP, FEW, seeds=Seed(1)).images
    assert straight(looking, "stem", shown, seed=Seed(1))[0] == "stem"
    assert straight(looking, "fc", shown, seed=Seed(1)) is None, "photographs pass elsewhere, too"
