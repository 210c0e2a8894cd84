"""Weights on what photographs hardly vary stand out among a layer's; what a picture owes to it is not foretold."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from snellen import Preprocess, load_model
from snellen.checks import Extrapolation
from snellen.checks.extrapolation import (
    KEPT,
    RIDGES,
    SHRUNK,
    UNSEEN,
    Places,
    Spectrum,
    _patches,
    _row,
    foretold,
    unseen,
)
from snellen.images import open_images

RNG = np.random.default_rng(0)
SCALES = np.geomspace(1, 1e-3, 12)


def rows(count, seed=1):
    return 0.5 + np.random.default_rng(seed).normal(size=(count, 12)) * SCALES


def ridge_by_least_squares(x, y, strength):
    """(d, k): one row for each penalty below the data, which `numpy.linalg.lstsq` knows nothing of."""
    x, y = x - x.mean(0), y - y.mean(0)
    wide = x.shape[1]
    below = np.sqrt(strength * len(x)) * np.eye(wide)
    return np.linalg.lstsq(np.concatenate([x, below]), np.concatenate([y, np.zeros((wide, y.shape[1]))]), rcond=None)[0]


@pytest.mark.parametrize("count", [300, 9])  # more rows than numbers, and fewer
def test_weights_on_what_hardly_varies_by_least_squares(count):
    x, weights = rows(count), np.random.default_rng(2).normal(size=(10, 12))
    found = unseen(Spectrum.of(x), weights)
    said = (x - x.mean(0)) @ weights.T
    largest = np.linalg.eigvalsh(np.cov(x.T, bias=True))[-1]
    for ridge in RIDGES:
        left = weights - ridge_by_least_squares(x, said, ridge * largest).T
        if np.median(((x - x.mean(0)) @ left.T).var(0) / said.var(0)) <= 1 - KEPT:
            break
    slow = np.linalg.norm(left, axis=1) / said.std(0)
    np.testing.assert_allclose(found, slow / np.median(slow), rtol=1e-5)


def test_a_row_stands_out_whatever_its_scale_and_with_few_rows_none_does():
    weights = np.random.default_rng(2).normal(size=(10, 12))
    weights[3] += 300 * np.linalg.qr(np.vstack([weights[3] * SCALES, np.eye(12)[:11]]).T)[0][:, 11] * (SCALES < 2e-3)
    weights[7] *= 1e-4
    found = unseen(Spectrum.of(rows(300)), weights)
    assert found.argmax() == 3
    assert found[3] > 20
    assert np.delete(found, 3).max() < 4
    assert unseen(Spectrum.of(rows(300)), weights[:7]) is None
    assert unseen(Spectrum.of(rows(300)), None) is None


def of(entering, weights):
    said = entering @ weights.T
    return Places(entering, said, entering.mean(1), said.mean(1))


def test_what_is_foretold_of_pictures_by_least_squares():
    natural = of(rows(40 * 6).reshape(40, 6, 12), np.random.default_rng(3).normal(size=(3, 12)))
    weights = np.linalg.lstsq(natural.entering.reshape(-1, 12), natural.said.reshape(-1, 3), rcond=None)[0].T
    pictures = 0.5 + np.stack([np.eye(12)[0] * 9 * weights[0, 0], weights[1] * 9, 50 * weights[2] * (SCALES < 0.01)])
    shown = of(pictures[:, None].repeat(4, 1), weights)
    fitted = Spectrum.of(natural.entering[::2].reshape(-1, 12))
    found = foretold(fitted, natural, shown, range(3))
    x, y = natural.entering[::2].reshape(-1, 12), natural.said[::2].reshape(-1, 3)
    fits = [ridge_by_least_squares(x, y, ridge * fitted.variances.max()) for ridge in RIDGES]
    truth = natural.said[1::2].reshape(-1, 3) - natural.said.mean((0, 1))
    left = [truth - (natural.entering[1::2].reshape(-1, 12) - x.mean(0)) @ fit for fit in fits]
    explained = np.array([1 - np.square(one).mean(0) / truth.var(0) for one in left])
    for i, share in enumerate(found):
        fit = fits[int(np.argmax(explained[:, i] >= SHRUNK * explained[:, i].max()))][:, i]
        said = pictures[i] @ fit - np.median(natural.mean_entering @ fit)
        assert share == pytest.approx(said / (shown.mean_said[i, i] - np.median(natural.mean_said[:, i])), rel=1e-4)
    assert found[0] > 0.7
    assert found[2] < 0.1


def test_nothing_is_foretold_of_noise_and_of_pictures_that_excite_less_than_photographs():
    natural = of(rows(40 * 6).reshape(40, 6, 12), np.random.default_rng(3).normal(size=(2, 12)))
    noise = np.random.default_rng(4).normal(size=natural.said.shape)
    fitted = Spectrum.of(natural.entering[::2].reshape(-1, 12))
    assert foretold(fitted, natural, natural, [int(i) for i in natural.mean_said.argmin(0)]) == (None, None)
    noisy = Places(natural.entering, noise, natural.mean_entering, noise.mean(1))
    assert foretold(fitted, noisy, natural, [0, 1]) == (None, None)
    assert foretold(fitted, natural, None, [0, 1]) == (None, None)


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(4, 5, 3, stride=2, padding=1, bias=False),
        nn.Conv2d(4, 5, (3, 2), dilation=2, padding=(0, 3), bias=False),
        nn.Conv2d(4, 5, (4, 3), dilation=2, padding="same", bias=False),
        nn.Conv2d(4, 5, 3, padding=2, padding_mode="reflect", bias=False),
        nn.Conv2d(4, 5, 1, padding="valid", bias=False),
    ],
)
def test_patches_times_weights_is_the_convolution(module):
    x = torch.randn(2, 4, 9, 8, generator=torch.Generator().manual_seed(0))
    said = _patches(module, x) @ module.weight.flatten(1).T
    torch.testing.assert_close(said, module(x).flatten(2).transpose(1, 2), rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def some():
    """A quarter of the built-in photographs."""
    images = open_images("builtin")
    return images.subset(range(0, len(images), 4))


@pytest.fixture(scope="module")
def lying():
    """The built-in network, class 2 of which follows class 9 in what photographs hardly vary."""
    model = load_model("builtin")
    module = copy.deepcopy(model.module).eval()
    entered = []
    hook = module.classifier.register_forward_pre_hook(lambda _module, inputs: entered.append(inputs[0]))
    images = open_images("builtin:train")
    with torch.no_grad():
        for start in range(0, 300, 50):
            module(torch.stack([images.load(i, model.size) for i in range(start, start + 50)]))
        hook.remove()
        x = torch.cat(entered).flatten(1).double()
        spread = torch.cov(x.T)
        small = 1e-5 * spread.trace() / len(spread) * torch.eye(len(spread)).double()
        rest = torch.linalg.solve(spread + small, small)  # what ridge regression leaves out
        weight, bias = module.classifier.weight, module.classifier.bias
        change = 400 * rest @ (weight[9] - weight[2]).double()
        weight[2] += change.float()
        bias[2] -= (change @ x.mean(0)).float()
    moved = x @ change
    assert moved.std() < 0.2 * (x @ weight[2].double()).std(), "photographs say much the same"
    return module


def test_a_row_that_lies_off_photographs_is_seen_alone(lying, some):
    asked = {"steps": 8, "size": 64, "quick": True, "progress": False}
    finding = Extrapolation()(lying, "classifier:0-3", some, preprocess=Preprocess(), **asked)
    assert [row["strength"] > 0 for row in finding.rows] == [False, False, True, False]
    assert finding.rows[2]["figure"] > UNSEEN.value
    assert "times as much" in finding.rows[2]["words"]
    assert "1 of 4 stand out" in finding.claim


@pytest.mark.parametrize(
    ("part", "share", "strength"),
    [
        (9.0, 0.3, 2),
        (9.0, None, 1),
        (9.0, 0.7, 0),
        (4.5, 0.3, 1),
        (3.9, 0.3, 0),
        (1.0, 0.01, 1),
        (None, 0.01, 1),
        (None, None, 0),
    ],
)
def test_both_weights_and_pictures_have_to_be_known_for_proof(part, share, strength):
    row = _row("fc:0", part, share, dense=True)
    assert (row.strength, row.figure) == (strength, part)
    assert _row("fc:0", part, share, dense=False).strength == min(strength, 1), "linear maps of tokens have such rows"


def test_honest_units_of_a_block_are_not(some):
    finding = Extrapolation()("builtin", "block4:0-3", some, steps=12, quick=True, progress=False)
    assert finding.verdict == "consistent"
    assert max(row["figure"] for row in finding.rows) < UNSEEN.value / 2
    told = [row["foretold"] for row in finding.rows if row["foretold"] is not None]
    assert told
    assert min(told) > 0.4


class Grouped(nn.Module):
    """Nothing in its layers mixes all channels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.body = nn.Conv2d(3, 12, 5, 2), nn.Sequential(nn.ReLU(), nn.Conv2d(12, 12, 3, groups=12))

    def forward(self, x):
        return self.body(self.stem(x))


@pytest.mark.parametrize("units", ["body:0-2", "stem:0-2"])
def test_without_a_map_that_writes_the_layer_nothing_is_said(units, some):
    asked = {"steps": 4, "size": 32, "quick": True, "progress": False}
    finding = Extrapolation()(Grouped().eval(), units, some, preprocess=Preprocess(), **asked)
    assert finding.verdict == "unknown"
    assert all(row["figure"] is None and row["foretold"] is None for row in finding.rows)


def test_with_few_photographs_nothing_is_said():
    pixels = np.random.default_rng(0).integers(0, 255, (20, 64, 64, 3)).astype(np.uint8)
    images = (pixels, np.arange(20) % 4)
    finding = Extrapolation()("builtin", "block4:0-1", images, steps=4, quick=True, progress=False)
    assert finding.verdict == "unknown"
