"""Attainment: the bounds hold for every image that a search finds, are tight, and a wrong constant is caught."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from snellen.base import UsageError
from snellen.theory.attainment import attained


def made(seed, *, units=4, size=6, images=50, scale=1.0):
    rng = np.random.default_rng(seed)
    weights, biases = rng.normal(size=(units, size)), rng.normal(size=units)
    pictures = scale * (weights + rng.normal(size=weights.shape))
    features = scale * rng.normal(size=(images, size))
    radius = float(np.linalg.norm(np.concatenate([pictures, features]), axis=1).max())
    return weights, biases, pictures, features, radius


@given(st.integers(0, 10_000), st.sampled_from([1e-6, 1.0, 1e6]))
def test_true_responses_lie_inside_and_the_first_theorem_is_never_narrower(seed, scale):
    weights, biases, pictures, features, radius = made(seed, scale=scale)
    told = attained(weights, biases, pictures, features, radius=radius)
    truth = weights @ features.T + biases[:, None]
    slack = 1e-9 * (np.abs(truth).max() + 1)
    assert (told.lo - slack <= truth).all()
    assert (truth <= told.up + slack).all()
    norms = np.linalg.norm(weights, axis=1)
    assert (np.abs(told.attainment) <= 1 + 1e-12).all()
    crude = norms[:, None] * np.sqrt(2 * np.maximum(1 - told.attainment, 0))[:, None] * np.linalg.norm(features, axis=1)
    rough = (
        norms[:, None] * features @ pictures.T / radius
        if False
        else (features @ pictures.T).T * norms[:, None] / radius
    )
    assert (np.abs(truth - biases[:, None] - rough) <= crude + slack).all(), "theorem 1"
    assert ((told.up - told.lo) / 2 <= crude + slack).all()


def test_the_bound_is_attained():
    """Features across the picture along what it leaves open of the weights: nothing narrower can be said."""
    weights, biases, pictures, _, _ = made(3)
    for i in range(len(weights)):
        w, p = weights[i], pictures[i]
        left = w - (w @ p) / (p @ p) * p
        for sign in (1, -1):
            x = 0.3 * p + sign * left
            told = attained(w[None], biases[i : i + 1], p[None], x[None], radius=100.0)
            end = told.up if sign > 0 else told.lo
            assert w @ x + biases[i] == pytest.approx(float(end[0, 0]))


def test_a_picture_along_the_weights_tells_all():
    weights, biases, _, features, _ = made(4)
    told = attained(weights, biases, 2 * weights, features, radius=100.0)
    np.testing.assert_allclose(told.lo, told.up, atol=1e-6)
    np.testing.assert_allclose(told.lo, weights @ features.T + biases[:, None], atol=1e-6)
    full = attained(weights[:1], biases[:1], weights[:1], features[:0], radius=float(np.linalg.norm(weights[0])))
    assert float(full.attainment[0]) == pytest.approx(1.0)


def test_search_on_a_network_breaks_nothing_and_a_wrong_constant_is_caught():
    torch.manual_seed(0)
    below = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()).double()
    head = nn.Linear(32, 3).double()
    weights, biases = head.weight.detach().numpy(), head.bias.detach().numpy()
    start = torch.rand(3, 3, 12, 12, dtype=torch.double)
    pictures = start.clone().requires_grad_()
    for _ in range(60):
        (slope,) = torch.autograd.grad(head(below(pictures)).diagonal().sum(), pictures)
        pictures = (pictures + 0.5 * slope / slope.flatten(1).norm(dim=1).view(-1, 1, 1, 1)).clamp(0, 1).detach()
        pictures.requires_grad_()
    shown = below(pictures).detach()

    def departure(x, part):
        """Largest response beyond the bound, if only `part` of the room were there."""
        features = below(x)
        squares = (shown**2).sum(1)
        along = features @ shown.T / squares
        reached = (head.weight * shown).sum(1)
        apart = ((features**2).sum(1)[:, None] - along**2 * squares).clamp_min(1e-12).sqrt()
        room = ((head.weight**2).sum(1) - reached**2 / squares).clamp_min(0).sqrt()
        return (head(features) - head.bias - along * reached).abs() - part * room * apart

    x = torch.rand(24, 3, 12, 12, dtype=torch.double).requires_grad_()
    for _ in range(150):
        (slope,) = torch.autograd.grad(departure(x, 1.0).amax(1).sum(), x)
        x = (x + 0.2 * slope / slope.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)).clamp(0, 1).detach()
        x.requires_grad_()
    features = below(x).detach().numpy()
    told = attained(weights, biases, shown.numpy(), features, radius=1e3)
    truth = head(below(x)).detach().numpy().T
    assert (told.lo - 1e-9 <= truth).all()
    assert (truth <= told.up + 1e-9).all()
    assert float(departure(x, 0.3).max().detach()) > 0, "with a third of the room the search breaks it"


def test_features_beyond_the_radius_are_refused():
    weights, biases, pictures, features, radius = made(5)
    with pytest.raises(UsageError, match="larger radius"):
        attained(weights, biases, pictures, features, radius=0.9 * radius)
