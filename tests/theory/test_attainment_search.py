"""The search of benchmarks/attainment.py: it breaks no theorem, breaks every wrong one, and says so when one breaks."""

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from snellen.models import Model
from snellen.theory.attainment import attained

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SIZE, CLASSES = 12, 3


class Tiny(nn.Module):
    """Features of both signs, so that hardly a direction is out of reach."""

    def __init__(self):
        super().__init__()
        self.conv, self.pool, self.head = nn.Conv2d(3, 6, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Linear(6, CLASSES)

    def forward(self, x):
        return self.head(self.pool(torch.tanh(8 * self.conv(x - 0.5))).flatten(1))


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("attainment")


@pytest.fixture(scope="module")
def scene(script):
    """A network with photographs, and pictures that are halfway."""
    torch.manual_seed(0)
    model = Model(Tiny().eval(), size=(SIZE, SIZE))
    photographs, pictures = torch.rand(20, 3, SIZE, SIZE), torch.rand(CLASSES, 3, SIZE, SIZE)
    climbed = pictures.requires_grad_()
    for _ in range(20):
        (slope,) = torch.autograd.grad(model(climbed).diagonal().sum(), climbed)
        climbed = (climbed + 0.02 * slope.sign()).clamp(0, 1).detach().requires_grad_()
    pictures = climbed.detach()
    return script.headed(model, photographs, pictures, range(CLASSES)), photographs, pictures


@pytest.fixture(scope="module")
def found(script, scene):
    return script.attacked(*scene, steps=40)


def test_no_theorem_breaks_and_every_wrong_one_does(found):
    assert found["broken"] == []
    assert all(0.9 < value <= 1 + 1e-6 for value in found["largest"].values()), found["largest"]
    assert all(value > 1 for value in found["wrong"].values()), found["wrong"]


def test_longer_features_than_the_radius_are_found_and_break_nothing(found):
    assert found["longest"] > 1.05
    assert found["broken"] == []


def test_a_radius_that_a_picture_exceeds_breaks_the_first_theorem_alone(script, scene):
    """Of all norms the proof needs that of the picture."""
    head, photographs, pictures = scene
    short = replace(head, radius=0.9 * float(head.pictures.norm(dim=1).min()))
    told = script.attacked(short, photographs, pictures, steps=5)
    assert "across" not in told["broken"]
    assert "direction" not in told["broken"]
    assert "sharp" not in told["broken"]
    assert "radius" in script.attacked(short, photographs, pictures, steps=40)["broken"]


def test_a_network_that_says_something_else_than_its_layer_breaks_all(script, scene):
    head, photographs, pictures = scene

    class Beside(Tiny):
        def forward(self, x):
            return super().forward(x) + 5 * x.mean((1, 2, 3))[:, None]

    torch.manual_seed(0)
    other = Beside().eval()
    other.load_state_dict(head.model.module.state_dict())
    told = script.attacked(replace(head, model=replace(head.model, module=other)), photographs, pictures, steps=5)
    assert told["broken"] == list(script.FORMS)


def test_the_second_theorem_is_the_one_of_the_package(script, scene):
    head, photographs, _ = scene
    exact = head.exact()
    with torch.no_grad():
        features, said = script.answered(exact.model, exact.layer, photographs.double())
    linear = exact.linear
    weights, biases = linear.weight.detach().numpy(), linear.bias.detach().numpy()
    told = attained(weights, biases, exact.pictures.numpy(), features.numpy(), radius=1e3)
    for row in range(CLASSES):
        rows = torch.full((len(photographs),), row)
        got = script.ratios(exact, features, said, rows)[:, script.FORMS.index("across")].detach().numpy()
        guess, room = (told.up[row] + told.lo[row]) / 2, (told.up[row] - told.lo[row]) / 2
        np.testing.assert_allclose(got, (said[:, row].numpy() - guess) / room, atol=1e-9)


def test_the_first_theorem_is_the_one_of_its_words(script, scene):
    head, photographs, _ = scene
    exact = head.exact()
    with torch.no_grad():
        features, said = script.answered(exact.model, exact.layer, photographs.double())
        got = script.ratios(exact, features, said, torch.zeros(len(photographs), dtype=torch.long))
    w, b, p = exact.linear.weight[0].detach(), exact.linear.bias[0].detach(), exact.pictures[0]
    for form, radius in (("radius", exact.radius), ("direction", float(p.norm()))):
        rho = float(w @ p / (w.norm() * radius))
        left = said[:, 0] - b - w.norm() * (features @ p) / radius
        right = w.norm() * features.norm(dim=1) * (2 * (1 - rho)) ** 0.5
        torch.testing.assert_close(got[:, script.FORMS.index(form)], left / right)
