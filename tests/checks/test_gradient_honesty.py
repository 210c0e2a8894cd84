"""Gradients that are another function's are told from a network's own, whatever the network says."""

import math

import pytest
import torch
from torch import nn

from snellen.checks.gradient_honesty import BEYOND, TOLD, UNTOLD, GradientHonesty, Slopes
from snellen.models import Model, Unit


class Lying(nn.Module):
    """Answers bit for bit as `honest` does, with gradients that lead to what excites `decoy`."""

    def __init__(self, honest: nn.Module, decoy: nn.Module, strength: float) -> None:
        super().__init__()
        self.honest, self.decoy, self.strength = honest, decoy, strength

    def forward(self, x):
        said, lie = self.honest(x), self.decoy(x)
        return said + self.strength * (lie - lie.detach())


def network(seed):
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 8, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(392, 4)]
    return nn.Sequential(*layers).eval()


def points(count=6):
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_an_honest_gradient_is_told_in_full():
    shares = Slopes.at(Model(network(0), size=(32, 32)), Unit("5", 1), points()).told()
    assert shares.min() > 0.97
    assert shares.max() < 1.03


def test_a_linear_unit_is_told_exactly():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2)).double()
    shares = Slopes.at(Model(module, size=(8, 8)), Unit("1", 0), points(3)[:, :, :8, :8].double()).told()
    assert torch.allclose(shares, torch.ones(3, dtype=torch.float64), atol=1e-9)


@pytest.mark.parametrize("strength", [3.0, -3.0])
def test_a_lie_is_told_by_what_it_does(strength):
    honest, decoy = network(0), network(1)
    model = Model(Lying(honest, decoy, strength), size=(32, 32))
    assert torch.equal(model.module(points()), honest(points()))
    images = points()
    shares = Slopes.at(model, Unit("", 1), images).told()
    x = images.clone().requires_grad_()
    own, lie = (torch.autograd.grad(n(x)[:, 1].sum(), x)[0].flatten(1) for n in (honest, decoy))
    handed_out = own + strength * lie
    expected = (own * handed_out).sum(1) / handed_out.square().sum(1)
    assert torch.allclose(shares.float(), expected, atol=0.05)
    assert shares.max() < TOLD.value


class Scaled(torch.autograd.Function):
    """The same numbers, with a twentieth of the gradients."""

    @staticmethod
    def forward(_ctx, x):
        return x.clone()

    @staticmethod
    def backward(_ctx, gradient):
        return gradient / 20


def test_a_gradient_that_says_too_little_is_a_lie_too(pictures):
    class Quiet(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = network(0)

        def forward(self, x):
            return self.out(Scaled.apply(x))

    found = GradientHonesty(walks=1)(
        Quiet(), ["out.5:0-2"], images=pictures, steps=8, size=32, quick=True, progress=False
    )
    assert [row["strength"] for row in found.rows] == [2, 2, 2]
    assert all(row["figure"] > 10 * TOLD.value and row["most"] > 10 for row in found.rows)


class Partial(nn.Module):
    """Answers as a network does, with gradients of which a projection is left."""

    def __init__(self, project, seed=0):
        super().__init__()
        self.out, self.project = network(seed), project

    def forward(self, x):
        part = self.project(x)
        return self.out((x - part).detach() + part)


def upper(x):
    return x * (torch.arange(x.shape[2]) < x.shape[2] // 2).to(x).view(-1, 1)


def blocks(x):
    row, column = (torch.arange(side) // 4 for side in x.shape[2:])
    return x * ((row[:, None] + column) % 2).to(x)


@pytest.mark.parametrize("project", [upper, blocks])
def test_a_gradient_that_leaves_something_out_is_found_towards_other_images(project, pictures):
    honest, partial = network(0), Partial(project)
    assert torch.equal(partial(points()), honest(points()))
    found = GradientHonesty(walks=1)(
        partial, ["out.5:0-2"], images=pictures, steps=8, size=32, quick=True, progress=False
    )
    assert [row["strength"] for row in found.rows] == [2, 2, 2]
    assert all(row["untold"] > UNTOLD.value for row in found.rows)
    assert all(TOLD.value < row["figure"] <= row["most"] < BEYOND.value for row in found.rows)  # true along itself


def test_an_honest_gradient_leaves_nothing_out():
    slopes = Slopes.at(Model(network(0), size=(32, 32)), Unit("5", 1), points())
    assert slopes.untold(points().flip(0) - points()) < UNTOLD.value / 10


def test_what_a_gradient_of_a_linear_unit_leaves_out_is_known():
    torch.manual_seed(0)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2)).double()

    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = linear

        def forward(self, x):
            part = upper(x)
            return self.out((x - part).detach() + part)

    images, others = points(4)[:, :, :8, :8].double(), points(8)[4:, :, :8, :8].double()
    slopes, ahead = Slopes.at(Model(Half(), size=(8, 8)), Unit("out.1", 1), images), others - images
    ahead /= ahead.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    weight = linear[1].weight[1].detach()
    changes, said = ahead.flatten(1) @ weight, upper(ahead).flatten(1) @ weight
    taken = torch.cat([said.abs().argmax().repeat(4), torch.arange(4)])  # one gradient everywhere
    missed = (changes - said)[taken].square().sum()
    size = torch.maximum(changes.square(), said.square())[taken].sum()
    assert slopes.untold(3 * ahead) == pytest.approx(float(missed / size), abs=1e-6)


def test_changes_that_are_roundings_alone_tell_nothing():
    module = network(0)
    with torch.no_grad():
        module[5].weight *= 1e-6
        module[5].bias.fill_(1.0)
    slopes = Slopes.at(Model(module, size=(32, 32)), Unit("5", 1), points())
    assert math.isnan(slopes.untold(points().flip(0) - points()))


def test_without_a_gradient_nothing_is_said():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(192, 2), nn.ReLU())
    with torch.no_grad():
        module[1].bias.fill_(-100.0)
    assert Slopes.at(Model(module, size=(8, 8)), Unit("2", 0), points(2)[:, :, :8, :8]).told().isnan().all()


def test_the_check_alone_tells_liars_from_honest_networks(pictures):
    for module, verdict in ((network(0), "consistent"), (Lying(network(0), network(1), 3.0), "suspicious")):
        found = GradientHonesty(walks=1)(
            Wrapped(module), ["out:0-2"], images=pictures, steps=8, size=32, quick=True, progress=False
        )
        assert found.verdict == verdict, found.claim
        assert [row["unit"] for row in found.rows] == ["out:0", "out:1", "out:2"]


class Wrapped(nn.Module):
    """A network with a last layer that has a name."""

    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.inside, self.out = inside, nn.Identity()

    def forward(self, x):
        return self.out(self.inside(x))
