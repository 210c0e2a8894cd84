"""snellen certify: what it says of affine units, of units over a layer, and of constants that a user declares."""

import re

import pytest

COUNT = re.compile(r"inside the guaranteed interval: (\d+) of (\d+) images")


MIXING = """
import torch
from torch import nn


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )
"""


@pytest.fixture
def tiny(tmp_path):
    """A network whose units depend on every channel, so that no box identifies them."""
    file = tmp_path / "mixing.py"
    file.write_text(MIXING)
    return file


def certify(snellen, tiny, images, *words):
    return snellen("certify", f"{tiny}:net", *words, "--images", images, "--steps", 4, "--size", 32, "--exemplars", 2)


def assert_all_inside(done):
    assert done.code == 0, done.err
    counts = COUNT.findall(done.out)
    assert counts
    assert all(held == asked for held, asked in counts)


@pytest.mark.parametrize("words", [["1/pre:2"], ["0:2"], ["0:2@3,4"], ["6:1", "--over", "5"], ["6:1", "--over", "3"]])
def test_affine_units_are_identified_from_the_ball_and_not_from_the_box(snellen, tiny, images, words):
    done = certify(snellen, tiny, images, *words)
    assert_all_inside(done)
    ball, box = done.out.split("\nfrom ")[1:]
    assert "an affine function of" in done.out
    assert "identified exactly" in ball
    assert "largest 0.0%" in ball
    assert "identified exactly" not in box
    assert "median 0.0%" not in box
    assert "median" in box


@pytest.mark.parametrize("words", [["6:1"], ["3:2"], ["6:1", "--over", "1"]])
def test_other_units_get_a_proved_constant(snellen, tiny, images, words):
    done = certify(snellen, tiny, images, *words)
    assert_all_inside(done)
    assert "proved" in done.out
    assert "responses to the pictures" in done.out
    over = "the output of 1" if len(words) > 1 else "the image"
    assert f"Lipschitz in l2 over {over}, L <= " in done.out


def test_where_nothing_is_guaranteed_it_says_what_would_be_needed(snellen, tiny, images):
    done = certify(snellen, tiny, images, "6:1", "--lipschitz", "1e6")
    assert_all_inside(done)
    assert "nothing is guaranteed" in done.out
    needed = re.search(r"L at most (\S+) \(it is 1e\+06\)", done.out)
    assert float(needed[1]) < 1e3
    assert "nothing is guaranteed" not in certify(snellen, tiny, images, "6:1", "--lipschitz", needed[1]).out


def test_a_declared_constant_is_not_called_proved(snellen, tiny, images):
    done = certify(snellen, tiny, images, "6:1", "--lipschitz", "50")
    assert_all_inside(done)
    assert "L = 50: declared by you, NOT proved" in done.out
    assert "L <=" not in done.out


def test_a_declared_constant_that_responses_contradict_is_refused_by_name(snellen, tiny, images):
    line = certify(snellen, tiny, images, "6:1", "--lipschitz", "1e-7").line
    assert line.startswith("inconsistent evidence")
    pieces = line.rpartition("in conflict: ")[2].split(", ")
    assert len(pieces) == 2
    assert all(re.fullmatch(r"the (max|min)imizing picture|\d_x/\d.png", piece) for piece in pieces), pieces
    assert "point" not in line


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["6:1", "--over", "7"], 'got "7"'),
        (["0:1", "--over", "3"], 'depends on the output of "3"'),
        (["2/pre:1"], "leave"),
        (["6:1", "--lipschitz", "-1"], "lipschitz"),
        (["6:1", "--lipschitz", "nan"], "lipschitz"),
        (["6:1", "--lipschitz", "inf"], "Lipschitz bound"),
        (["6:*"], 'expected one unit, got the 4 of "6:*"; name one, such as "6:0"'),
        (["6:4"], "channel"),
        (["nowhere:0"], "nowhere"),
        (["6:1", "--most", "1"], "most"),
    ],
)
def test_refusals_are_one_line(snellen, tiny, images, words, told):  # noqa: PLR0917
    assert told in certify(snellen, tiny, images, *words).line


SKIPPING = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.pool, self.head = nn.Conv2d(3, 4, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Linear(4, 2)
        self.short, self.odd = nn.Conv2d(3, 4, 3, 2), nn.Softmax(1)

    def forward(self, x):
        return self.head(self.pool(self.body(x) + self.short(self.odd(x))).flatten(1))


def net():
    return Net()
"""


def test_what_bypasses_a_layer_is_refused_and_can_be_declared_away(snellen, images, tmp_path):
    file = tmp_path / "skipping.py"
    file.write_text(SKIPPING)
    assert 'through "body" alone' in certify(snellen, file, images, "head:0", "--over", "body").line
    unproved = certify(snellen, file, images, "head:0").line
    assert "Softmax" in unproved
    assert "--over" in unproved
    assert "--lipschitz" in unproved
    assert_all_inside(certify(snellen, file, images, "head:0", "--lipschitz", "40"))
    assert_all_inside(certify(snellen, file, images, "head:0", "--over", "pool"))


CONSTRAINED = """
import torch
from torch import nn
from torch.nn.utils.parametrizations import orthogonal, spectral_norm


class GroupSort(nn.Module):
    def forward(self, x):
        return x.unflatten(1, (-1, 2)).sort(2).values.flatten(1, 2)


def net():
    torch.manual_seed(0)
    first = spectral_norm(nn.Linear(192, 32), n_power_iterations=100)
    return nn.Sequential(nn.Flatten(), first, GroupSort(), orthogonal(nn.Linear(32, 32)), GroupSort(),
                         orthogonal(nn.Linear(32, 4)))
"""


def test_orthogonal_and_spectrally_normalized_layers(snellen, images, tmp_path):
    """L is about one, so that over a late layer, where natural images are near each other, intervals are narrow."""
    file = tmp_path / "constrained.py"
    file.write_text(CONSTRAINED)
    words = ("--images", images, "--size", 8, "--steps", 4, "--exemplars", 4)
    whole = snellen("certify", f"{file}:net", "5:1", *words)
    assert_all_inside(whole)
    assert 0.98 < float(re.search(r"L <= (\S+): proved from \d+ operations", whole.out)[1]) < 1.05
    late = snellen("certify", f"{file}:net", "5:1", "--over", "3", *words)
    assert_all_inside(late)
    assert "Lipschitz in l2 over the output of 3, L <= 1:" in late.out
    assert "nothing is guaranteed" not in late.out


ODD = """
import torch
from torch import nn


class Body(nn.Module):
    def __init__(self, call):
        super().__init__()
        torch.manual_seed(0)
        self.call, self.conv, self.head = call, nn.Conv2d(3, 4, 4, 4), nn.Linear(4, 2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.turn, self.out = nn.Identity(), nn.Identity()

    def forward(self, x):
        return self.out(self.call(self, x))


def turned(net, x):
    y = net.turn(torch.relu(net.conv(x)).permute(0, 2, 3, 1))
    return net.head(y).permute(0, 3, 1, 2)


def linear(net, x):
    return net.head(net.pool(net.conv(x)).flatten(1))


def net_turned():
    return Body(turned)


def net_cut():
    return Body(lambda net, x: linear(net, x + 8 * x.detach()))


def net_grey():
    return Body(lambda net, x: linear(net, torch.cat([x.mean(1, keepdim=True)] * 3, 1)))


def net_infinite():
    net = Body(linear)
    net.head.weight.data[1, 0] = float("inf")
    return net


def net_nan():
    net = Body(linear)
    net.conv.weight.data[1] = float("nan")
    return net


def net_number():
    return Body(lambda net, x: linear(net, x) + 9 * x.mean().item())
"""


@pytest.fixture
def odd(tmp_path):
    file = tmp_path / "odd.py"
    file.write_text(ODD)
    return file


@pytest.mark.parametrize(
    ("net", "words"),
    [
        ("turned", ["head:1", "--over", "turn"]),
        ("turned", ["turn:1"]),
        ("turned", ["out:0@2,3", "--over", "turn"]),
        ("grey", ["out:1"]),
    ],
)
def test_layouts_and_lists_of_a_network_are_followed(snellen, odd, images, net, words):  # noqa: PLR0917
    done = snellen("certify", f"{odd}:net_{net}", *words, "--images", images, "--steps", 4, "--size", 32)
    assert_all_inside(done)
    if words[0] != "turn:1":
        assert "identified exactly" in done.out


@pytest.mark.parametrize(
    ("net", "told"),
    [("infinite", "infinite"), ("nan", ""), ("number", ""), ("cut", "cuts or changes its gradients")],
)
def test_networks_that_nothing_can_be_proved_of_are_refused_in_one_line(  # noqa: PLR0917
    snellen, odd, images, net, told
):
    words = ("--images", images, "--steps", 4, "--size", 32)
    assert told in snellen("certify", f"{odd}:net_{net}", "out:1", *words).line
    if net in ("infinite", "nan"):
        assert snellen("certify", f"{odd}:net_{net}", "out:1", "--lipschitz", 5, *words).line
