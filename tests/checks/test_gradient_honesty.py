"""Gradients that are another function's are told from a network's own, whatever the network says."""

import pytest
import torch
from torch import nn

from snellen.checks.gradient_honesty import TOLD, GradientHonesty, told_shares
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
    shares = told_shares(Model(network(0), size=(32, 32)), Unit("5", 1), points())
    assert shares.min() > 0.97
    assert shares.max() < 1.03


def test_a_linear_unit_is_told_exactly():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2)).double()
    shares = told_shares(Model(module, size=(8, 8)), Unit("1", 0), points(3)[:, :, :8, :8].double())
    assert torch.allclose(shares, torch.ones(3, dtype=torch.float64), atol=1e-9)


@pytest.mark.parametrize("strength", [3.0, -3.0])
def test_a_lie_is_told_by_what_it_does(strength):
    honest, decoy = network(0), network(1)
    model = Model(Lying(honest, decoy, strength), size=(32, 32))
    assert torch.equal(model.module(points()), honest(points()))
    images = points()
    shares = told_shares(model, Unit("", 1), images)
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


def test_without_a_gradient_nothing_is_said():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(192, 2), nn.ReLU())
    with torch.no_grad():
        module[1].bias.fill_(-100.0)
    assert told_shares(Model(module, size=(8, 8)), Unit("2", 0), points(2)[:, :, :8, :8]).isnan().all()


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
