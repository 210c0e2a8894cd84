"""Rebuilding: honest layers come back from their pictures, exchanged ones do not; the figures are those of a loop."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import snellen
from snellen.attacks import Conditions
from snellen.attacks.gradients import GradientAttack
from snellen.base import Seed, UsageError
from snellen.checks.rebuilding import FEWEST, Layer, Rebuilding
from snellen.images import open_images
from snellen.measures import unit_length

CLASSES, SIZE = 8, 30


def layer(*, shown="own", count=400, labelled=True, seed=0):
    rng = np.random.default_rng(seed)
    weights = unit_length(rng.normal(size=(CLASSES, SIZE))) * SIZE**0.5
    labels = rng.integers(0, CLASSES, count)
    natural = 2 * weights[labels] + rng.normal(size=(count, SIZE)) + 5
    order = {"own": np.arange(CLASSES), "moved": np.roll(np.arange(CLASSES), 3), "one": np.zeros(CLASSES, int)}[shown]
    pictures = 8 * weights[order] + 0.5 * rng.normal(size=weights.shape) + 5
    biases = -weights @ natural.mean(0)
    truth = weights @ natural.T + biases[:, None]
    known = labels if labelled else np.full(count, -1)
    return Layer(tuple(f"fc:{i}" for i in range(CLASSES)), truth, natural, pictures, known, (weights, biases))


def test_an_honest_layer_comes_back():
    finding = Rebuilding().finding(layer(), seed=Seed(0))
    told = finding.evidence
    assert told["agreement"]["lo"] > 0.9
    assert told["agreement"]["by_photographs"] > 0.5
    assert told["agreement"]["chance"] == pytest.approx(1 / CLASSES, abs=0.03)
    assert told["accuracy"]["pictures"]["share"] > 0.9
    assert finding.verdict == "consistent"
    assert all(row["strength"] == 0 and row["figure"] > 0.95 for row in finding.rows)
    assert told["attained"]["inside"] == 1.0


@pytest.mark.parametrize(("shown", "strength"), [("moved", 2), ("one", 1)])
def test_a_layer_that_shows_others_does_not(shown, strength):
    """Pictures of other classes misplace photographs, which proves it; one picture for all only scatters them."""
    finding = Rebuilding().finding(layer(shown=shown), seed=Seed(0))
    assert finding.evidence["agreement"]["hi"] < 0.25
    assert finding.verdict == "suspicious"
    assert sum(row["strength"] >= strength for row in finding.rows) >= CLASSES // 2


@pytest.mark.parametrize("seed", range(6))
def test_a_layer_whose_pictures_tell_nothing_proves_nothing(seed):
    """Random pictures, as those of a network with random weights may be."""
    one = layer(seed=seed)
    noise = np.random.default_rng(seed).normal(size=one.pictures.shape) * 8 + 5
    finding = Rebuilding().finding(replace(one, pictures=noise), seed=Seed(0))
    assert not any(row["strength"] == 2 for row in finding.rows)


def test_the_agreement_is_that_of_a_loop_over_photographs():
    one = layer()
    middle = one.natural.mean(0)
    right = 0
    for x, answers in zip(one.natural, one.truth.T, strict=True):
        said = [
            (x - middle) @ (p - middle) / np.linalg.norm(x - middle) / np.linalg.norm(p - middle) for p in one.pictures
        ]
        right += int(np.argmax(said)) == int(np.argmax(answers))
    found = Rebuilding().finding(one, seed=Seed(0)).evidence["agreement"]["share"]
    assert found == pytest.approx(right / one.natural.shape[0], abs=1e-3)
    assert unit_length(one.pictures).shape == one.pictures.shape


def test_without_labels_there_is_no_accuracy():
    finding = Rebuilding().finding(layer(labelled=False), seed=Seed(0))
    assert finding.evidence["accuracy"] is None
    assert "It is right" not in finding.claim


def trained(seed=0):
    """A small network that tells four colours apart, and their images."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    colours = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [200, 200, 40]])
    labels = np.arange(120) % 4
    pixels = np.clip(colours[labels][:, None, None] + rng.normal(0, 40, (120, 16, 16, 3)), 0, 255).astype(np.uint8)
    layers = [nn.Conv2d(3, 12, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4)]
    net = nn.Sequential(*layers)
    x = torch.tensor(pixels).permute(0, 3, 1, 2).float() / 255
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(120):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), torch.tensor(labels)).backward()
        optimizer.step()
    return net.eval(), (pixels, labels)


def test_a_trained_network_comes_back_and_behind_lying_gradients_it_does_not():
    net, images = trained()
    preprocess = snellen.Preprocess()
    model = snellen.Model(net, size=(16, 16), preprocess=preprocess)
    honest = snellen.rebuild(model, images=images, steps=24, progress=False)
    assert honest.evidence["agreement"]["share"] > 0.75
    assert honest.verdict == "consistent"
    made = GradientAttack(shift=1, quantile=0.0).run(model, open_images(images), Conditions())
    with made.installed():
        lying = snellen.rebuild(model, images=images, steps=24, progress=False)
    assert lying.evidence["agreement"]["share"] < 0.5
    assert lying.evidence["attained"] is None, "something stands around the layer"


def test_too_few_classes_are_one_line():
    net, (pixels, labels) = trained()
    model = snellen.Model(net, size=(16, 16), preprocess=snellen.Preprocess())
    few = labels < FEWEST - 1
    with pytest.raises(UsageError, match="at least 3 classes"):
        snellen.rebuild(model, images=(pixels[few], labels[few]), steps=2, progress=False)
