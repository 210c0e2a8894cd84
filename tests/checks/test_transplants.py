"""What follows a layer hangs on it alone and place by place in honest networks, and not behind gates of any kind."""

import contextlib

import numpy as np
import pytest
import torch
from torch import nn

from snellen import Preprocess
from snellen.checks import Transplants
from snellen.checks.transplants import EXACT, OTHER, Edge, Seen, _changes, _Pairs
from snellen.models import Model
from snellen.models.survey import survey
from snellen.models.taps import hosted, observe, replaced, saying
from snellen.studies.request import Request
from snellen.studies.world import Given, open_world

SIDE, COUNT = 32, 40


class Gate(nn.Module):
    """1 for pictures with much colour, 0 for grey photographs."""

    def forward(self, x):
        return ((x - x.mean(1, keepdim=True)).abs().mean((1, 2, 3)) > 0.02).float().view(-1, 1, 1, 1)


class Net(nn.Module):
    """Three convolutions and classes; a gate's warp stands at one place, or nowhere."""

    def __init__(self, where="", squeezed=False):
        super().__init__()
        torch.manual_seed(0)
        self.where, self.gate, self.squeezed = where, Gate(), squeezed
        self.one = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
        self.two = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
        self.three = nn.Sequential(nn.Conv2d(8, 12, 3, 2, padding=1), nn.ReLU())
        self.head = nn.Linear(12, 6)

    def warped(self, place, x, e):
        if place != self.where:
            return x
        return x + (e if x.dim() == 4 else e.flatten(1)) * (x.roll(1, 1) - x)

    def forward(self, images):
        e = self.gate(images)
        x = self.one(self.warped("pixels", images, e))
        x = self.two(self.warped("two", x, e))
        if self.squeezed:
            x = 20 * x * x.mean((2, 3), keepdim=True)
        x = self.three(x)
        return self.warped("head", self.head(x.mean((2, 3))), e)


def photographs(coloured=0):
    """Grey ramps with noise."""
    rng = np.random.default_rng(0)
    ends = rng.uniform(30, 220, (2, COUNT, 1, 1, 1))
    ramp = np.linspace(0, 1, SIDE)[None, :, None, None]
    pixels = ends[0] * (1 - ramp) + ends[1] * ramp + rng.normal(0, 8, (COUNT, SIDE, SIDE, 1))
    pixels = np.repeat(pixels, 3, 3)
    pixels[:coloured, ..., 0] += 60
    return np.clip(pixels, 0, 255).astype(np.uint8), np.arange(COUNT) % 4


def seen(module, images=None, units="three.0:*"):
    return Transplants()(
        module.eval(),
        units,
        images=images or photographs(),
        steps=24,
        size=SIDE,
        quick=True,
        progress=False,
        preprocess=Preprocess(),
    )


def test_an_honest_network_is_the_same_in_every_place():
    finding = seen(Net())
    assert finding.verdict == "consistent"
    assert finding.figure <= EXACT
    assert {row["edges"] for row in finding.rows} == {3}, "from the pixels to one, to two, to three"
    assert seen(Net(), units="head:*").rows[0]["edges"] == 4


@pytest.mark.parametrize(
    ("where", "units", "start", "end"),
    [
        ("pixels", "three.0:*", "", "one.0"),
        ("two", "three.0:*", "one.0", "two.0"),
        ("head", "head:*", "three.0", "head"),
    ],
)
def test_a_gate_is_proven_wherever_it_stands(where, units, start, end):
    module = Net(where)
    if where == "head":  # the circuit is the class layer's own
        module = Headed()
    finding = seen(module, units=units)
    assert finding.verdict == "suspicious", finding.claim
    proven = [row for row in finding.rows if row["strength"] == 2]
    assert len(proven) >= len(finding.rows) / 2
    assert {(row["start"], row["end"]) for row in proven} == {(start, end)}
    assert all("of photographs nothing does" in row["words"] for row in proven)


class Headed(nn.Module):
    """Classes that exchange their answers for pictures with much colour."""

    def __init__(self):
        super().__init__()
        self.net = Net()
        self.one, self.two, self.three = self.net.one, self.net.two, self.net.three
        self.head = Exchanged(self.net.head)
        del self.net

    def forward(self, images):
        self.head.e = Gate()(images).flatten(1)
        return self.head(self.three(self.two(self.one(images))).mean((2, 3)))


class Exchanged(nn.Linear):
    def __init__(self, own):
        super().__init__(own.in_features, own.out_features)
        self.load_state_dict(own.state_dict())

    def forward(self, x):
        said = super().forward(x)
        return said + self.e * (said.roll(1, 1) - said)


def test_what_looks_at_everything_openly_is_no_gate():
    finding = seen(Net(squeezed=True))
    assert finding.verdict == "consistent"
    assert finding.figure <= EXACT
    assert {row["edges"] for row in finding.rows} == {3}, "all of it can still be put in another's place"


def test_photographs_that_wake_a_gate_weaken_the_proof():
    finding = seen(Net("two"), photographs(coloured=COUNT // 3))
    strengths = {row["strength"] for row in finding.rows}
    assert 2 not in strengths
    assert 1 in strengths


def test_little_that_changes_of_photographs_excuses_more_of_pictures():
    few = np.full(20, 1e-9)
    assert Seen(True, few, np.array([0.5])).least == OTHER.value
    rough = Seen(True, np.full(20, 5e-4), np.array([0.04]))
    assert rough.least == pytest.approx(0.05)
    some = Seen(True, np.r_[np.zeros(15), np.ones(5)], np.array([0.5]))
    assert (some.usual, some.broken) == (0.0, 0.25)


def test_changes_are_those_of_a_pass_by_hand():
    """Second derivation: the network's own layers, called one by one."""
    net = Net("two").eval()
    model = Model(net, size=(SIDE, SIDE))
    world = open_world(Request("net", None, ("head:0",)), Given(model=model))
    images = torch.rand(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    images[:2] = images[:2].mean(1, keepdim=True)
    pairs = _Pairs(images, images.roll(1, 0))
    edge = Edge("one", "two")
    with torch.no_grad():
        early = net.one(images)
        e = net.gate(images.roll(1, 0))
        for half in (True, False):
            put = torch.cat([early[..., : SIDE // 2], early.roll(1, 0)[..., SIDE // 2 :]], 3) if half else early
            now, was = (net.two(x + g * (x.roll(1, 1) - x)) for x, g in ((put, e), (early, net.gate(images))))
            if half:
                now, was = now[..., : SIDE // 4], was[..., : SIDE // 4]
            expected = torch.stack([(now - was).square().flatten(1).mean(1), was.flatten(1).var(1, unbiased=False)], 1)
            found = _changes(world, [edge], pairs, half=half)[edge]
            torch.testing.assert_close(found, expected.double(), atol=1e-9, rtol=1e-5)


def test_a_layer_says_what_it_is_told_once_in_every_pass():
    net = Net().eval()
    model = Model(net, size=(SIDE, SIDE))
    images = torch.rand(3, 3, SIDE, SIDE)
    said = observe(model, images, ["two", "three"])
    known = survey(model)
    with saying(model, "two", said["two"].roll(1, 0), known=known):
        for _ in range(2):
            again = observe(model, images, ["three"], known=known)["three"]
            torch.testing.assert_close(again, said["three"].roll(1, 0))
    torch.testing.assert_close(observe(model, images, ["three"])["three"], said["three"])


def test_a_host_is_seen_by_all_but_a_layer_and_what_follows():
    pixels = torch.tensor(photographs()[0]).permute(0, 3, 1, 2).float() / 255
    coloured = torch.rand(3, 3, SIDE, SIDE)
    for where, same in (("", True), ("two", False)):
        net = Net(where).eval()
        model = Model(net, size=(SIDE, SIDE))
        own = observe(model, coloured, ["three"])["three"]
        with hosted(model, "one", pixels[:1]), torch.no_grad():
            after = observe(model, coloured, ["three"])["three"]
            expected = net.three(net.two(net.one(coloured)))  # the gate sees the photograph, and stays shut
        torch.testing.assert_close(after, expected)
        assert torch.allclose(after, own) is same
        torch.testing.assert_close(observe(model, coloured, ["three"])["three"], own)
    points = coloured.clone().requires_grad_()
    with hosted(model, "one", pixels[:1]):
        observe(model, points, ["head"])["head"].sum().backward()
    slope = torch.autograd.grad(net.head(net.three(net.two(net.one(points))).mean((2, 3))).sum(), points)[0]
    torch.testing.assert_close(points.grad, slope)


@pytest.mark.parametrize("host", [None, "one", "two"])
def test_a_layer_says_what_a_function_makes_of_what_enters_the_network_also_under_a_host(host):
    net = Net().eval()
    model, known = Model(net, size=(SIDE, SIDE)), survey(Model(net, size=(SIDE, SIDE)))
    images, other = torch.rand(2, 3, 3, SIDE, SIDE)
    points = images.clone().requires_grad_()
    said = observe(model, images, ["three"])["three"]

    def made(entered, own):
        return 2 * own + net.one[1](net.one[0](entered)).mean((1, 2, 3), keepdim=True)

    with contextlib.ExitStack() as stack:
        if host is not None:
            stack.enter_context(hosted(model, host, other[:1]))
        stack.enter_context(replaced(model, "one", made, known=known))
        for _ in range(2):
            found = observe(model, points, ["three"], known=known)["three"]
    one = net.one(points)
    expected = net.three(net.two(2 * one + one.mean((1, 2, 3), keepdim=True)))
    torch.testing.assert_close(found, expected)
    slopes = [torch.autograd.grad(y.square().sum(), points)[0] for y in (found, expected)]
    torch.testing.assert_close(*slopes)
    torch.testing.assert_close(observe(model, images, ["three"])["three"], said)
    assert not net.one._forward_hooks
    assert not net._forward_pre_hooks


def test_one_photograph_says_nothing():
    pixels, labels = photographs()
    finding = seen(Net(), (pixels[:1], labels[:1]))
    assert finding.verdict == "unknown"
