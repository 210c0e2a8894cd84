"""Layers that tell units from photographs find them in their pictures, unless something answers pictures otherwise."""

import numpy as np
import pytest
import torch
from torch import nn

from snellen import Preprocess
from snellen.checks import EarlyLayers
from snellen.checks.early_layers import KNOWN, MEMBERS, TELLS, depth_of, places

SIDE, COUNT = 24, 120


def test_places_are_shares_of_units_that_are_excited_less():
    rng = np.random.default_rng(0)
    said = rng.normal(size=(5, 5))
    said[1] = said.mean(0)
    beyond = said - said.mean(0)
    slow = [
        sum((beyond[i, j] < beyond[i, i]) + 0.5 * (beyond[i, j] == beyond[i, i]) for j in range(5) if j != i) / 4
        for i in range(5)
    ]
    np.testing.assert_allclose(places(said), slow)
    assert places(np.eye(4)).tolist() == [1.0] * 4
    assert places(-np.eye(4)).tolist() == [0.0] * 4
    assert places(np.ones((4, 4))).tolist() == [0.5] * 4


def layer_and_units(units=6):
    rng = np.random.default_rng(1)
    natural, weights = rng.normal(size=(COUNT, 10)), rng.normal(size=(10, units))
    return natural, natural @ weights, 30 * weights.T / np.linalg.norm(weights, axis=0)[:, None]


def test_a_layer_knows_pictures_of_what_it_tells():
    natural, truth, pictures = layer_and_units()
    found = depth_of("early", natural, truth, pictures)
    assert found.unexplained < 1e-6
    assert found.places.tolist() == [1.0] * 6
    exchanged = depth_of("early", natural, truth, pictures[[1, 2, 3, 4, 5, 0]])
    assert exchanged.places.mean() < 0.5
    noise = np.random.default_rng(2).normal(size=truth.shape)
    assert depth_of("early", natural, noise, pictures).unexplained > TELLS


def test_units_that_no_photograph_moves_are_left_out():
    natural, truth, pictures = layer_and_units()
    truth[:, 2] = 3.0
    found = depth_of("early", natural, truth, pictures)
    assert np.isnan(found.places).tolist() == [False, False, True, False, False, False]
    assert np.nanmin(found.places) == 1.0
    truth[:, MEMBERS - 1 :] = 0.0
    assert np.isnan(depth_of("early", natural, truth, pictures).places).all()


class Body(nn.Module):
    """Two convolutions; between them `between`."""

    def __init__(self, between: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.one = nn.Conv2d(3, 12, 5, 2), nn.ReLU()
        self.between = between
        self.body, self.two = nn.Conv2d(12, 8, 3), nn.ReLU()

    def forward(self, x):
        return self.two(self.body(self.between(self.one(self.stem(x)))))


class Turned(nn.Module):
    """Channels in another order for pictures: what has large differences between neighbours."""

    def forward(self, x):
        rough = (x[..., 1:] - x[..., :-1]).abs().mean((1, 2, 3))
        return torch.where((rough > 0.005).view(-1, 1, 1, 1), x.roll(5, 1), x)


def photographs():
    rng = np.random.default_rng(0)
    colours = rng.uniform(30, 220, (COUNT, 2, 1, 1, 3))
    ramp = np.linspace(0, 1, SIDE)[None, :, None, None]
    pixels = colours[:, 0] * (1 - ramp) + colours[:, 1] * ramp + rng.normal(0, 2, (COUNT, SIDE, SIDE, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8), np.arange(COUNT) % 4


def seen(module, images=None):
    model = dict(images=images or photographs(), steps=24, size=SIDE, quick=True, progress=False)
    return EarlyLayers()(module.eval(), "body:*", preprocess=Preprocess(), **model)


def test_a_gate_between_layers_is_seen_from_before_it():
    honest = seen(Body(nn.Identity()))
    assert honest.verdict == "consistent"
    assert {row["early"] for row in honest.rows} == {"stem"}
    assert honest.rows[0]["together"] > KNOWN.value + 0.1
    turned = seen(Body(Turned()))
    assert turned.rows[0]["together"] < honest.rows[0]["together"] - 0.2


@pytest.mark.parametrize("few", ["photographs", "units"])
def test_with_few_nothing_is_said(few):
    pixels, labels = photographs()
    if few == "photographs":
        finding = seen(Body(nn.Identity()), (pixels[:20], labels[:20]))
    else:
        finding = EarlyLayers()("builtin", "classifier:0-2", steps=8, quick=True, progress=False)
    assert finding.verdict == "unknown"
    assert all(row["figure"] is None and not row["strength"] for row in finding.rows)
