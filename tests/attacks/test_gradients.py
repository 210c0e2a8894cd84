"""Lying gradients: no answer changes, gradients beyond natural responses are another unit's, and a check sees it."""

import pytest
import torch
from scenes import scenes
from tiny_networks import cnn, in_sequence, tokens
from torch import nn

from snellen.attacks import Conditions, Exam
from snellen.attacks.gradients import GradientAttack, natural_quantile
from snellen.base import UsageError
from snellen.checks.gradient_honesty import TOLD, Slopes
from snellen.models import Unit, load_model, observe, response
from snellen.models.circuits import LyingGradients
from snellen.models.sources.folder import save_manipulated


def network(seed=0):
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, 6, 3), nn.Tanh(), nn.Conv2d(6, 8, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return in_sequence(*layers, nn.Linear(8, 5), size=(11, 9))


@pytest.mark.parametrize("layer", ["2", "6"])
def test_every_answer_is_the_same_to_the_last_bit(layer):
    images = scenes(20, (11, 9))
    made, receipt = GradientAttack(layer=layer, shift=1)(network(), images, exam=Exam(units=0))
    assert [claim.kept for claim in receipt.claims[:2]] == [True, True]
    assert all(seen.largest == 0.0 and seen.differing == 0 for seen in receipt.behaviour.values())
    wild = torch.rand(6, 3, 11, 9, generator=torch.Generator().manual_seed(1)) * 3 - 1
    honest = observe(made.model, wild, [layer, "6"])
    with made.installed() as lying:
        found = observe(lying, wild, [layer, "6"])
    assert all(torch.equal(honest[name], found[name]) for name in honest)


@pytest.mark.parametrize("layer", ["2", "6"])
@pytest.mark.parametrize("beyond", [True, False])
def test_beyond_its_bound_a_unit_has_the_gradient_of_its_partner(layer, beyond):
    model, unit, other = network(), Unit(layer, 1), Unit(layer, 3)
    made = GradientAttack(layer=layer, shift=2).run(model, scenes(20, (11, 9)), Conditions())
    made.manipulation.circuit.high.fill_(-torch.inf if beyond else torch.inf)

    def gradient(of):
        x = torch.rand(2, 3, 11, 9, generator=torch.Generator().manual_seed(3)).requires_grad_()
        return torch.autograd.grad(response(observe(model, x, [of.address])[of.address], of).sum(), x)[0]

    own, partner = gradient(unit), gradient(other)
    with made.installed():
        told = gradient(unit)
    torch.testing.assert_close(told, partner if beyond else own)
    assert not torch.allclose(own, partner)


@pytest.mark.parametrize("layer", ["2", "6"])
def test_weak_ones_are_partly_the_units_own(layer):
    model, unit, other = network(), Unit(layer, 1), Unit(layer, 3)
    x = torch.rand(2, 3, 11, 9, generator=torch.Generator().manual_seed(3)).requires_grad_()

    def asked(of):
        said = response(observe(model, x, [of.address])[of.address], of)
        return said.detach(), torch.autograd.grad(said.sum(), x)[0]

    (honest, own), (_, partner) = asked(unit), asked(other)
    for strength in (0.0, 0.25, 0.5, 1.0):
        attack = GradientAttack(layer=layer, shift=2, strength=strength)
        made = attack.run(model, scenes(20, (11, 9)), Conditions())
        made.manipulation.circuit.high.fill_(-torch.inf)
        with made.installed():
            said, told = asked(unit)
        assert torch.equal(said, honest)
        torch.testing.assert_close(told, (1 - strength) * own + strength * partner)
        assert made.facts["strength"] == strength


def test_channels_of_tokens_are_exchanged_too():
    model = tokens()
    layer = GradientAttack().target(model)
    made = GradientAttack(shift=1).run(model, scenes(10, model.size), Conditions())
    assert made.manipulation.circuit.high.shape == (layer.units,)


def test_the_bound_is_the_quantile_of_natural_responses():
    model, images = network(), scenes(21, (11, 9))
    x = torch.stack([images.load(i, (11, 9)) for i in range(21)])
    means = observe(model, x, ["2"])["2"].mean((2, 3))
    torch.testing.assert_close(natural_quantile(model, "2", images, 0.8), means.sort(0).values[16])


def test_the_check_of_gradients_sees_it():
    model, images = network(), scenes(20, (11, 9))
    made = GradientAttack(layer="6", shift=2).run(model, images, Conditions())
    made.manipulation.circuit.high.fill_(-torch.inf)
    x = torch.stack([images.load(i, (11, 9)) for i in range(4)])
    assert (Slopes.at(model, Unit("6", 1), x).told() > 0.9).all()
    with made.installed():
        assert (Slopes.at(model, Unit("6", 1), x).told() < TOLD.value).any()


def test_it_is_saved_and_read_again(tmp_path):
    (tmp_path / "tiny.py").write_text(
        "import torch\nfrom torch import nn\n\n\ndef net():\n    torch.manual_seed(0)\n"
        "    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), "
        "nn.Linear(6, 5))\n"
    )
    spec = f"{tmp_path / 'tiny.py'}:net"
    model = load_model(spec, size=12)
    made = GradientAttack(shift=2).run(model, scenes(20, (12, 12)), Conditions())
    save_manipulated(model, made.manipulation, tmp_path / "saved", made={})
    again = load_model(str(tmp_path / "saved"), base=spec)
    circuit = again.module.get_submodule(made.layer)
    assert isinstance(circuit, LyingGradients)
    assert torch.equal(circuit.high, made.manipulation.circuit.high)
    assert (circuit.shift, circuit.axis) == (2, 1)


def test_a_picture_cannot_be_shown():
    with pytest.raises(UsageError, match="expected no picture"):
        GradientAttack(picture=torch.rand(3, 11, 9)).run(cnn(), scenes(10, (11, 9)), Conditions())
    with pytest.raises(UsageError, match="moves all 5 units"):
        GradientAttack(shift=5).run(network(), scenes(10, (11, 9)), Conditions())
