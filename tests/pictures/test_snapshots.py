from itertools import pairwise

import pytest
import torch
from tiny_networks import cnn

from snellen.base import UsageError
from snellen.models import observe
from snellen.pictures import Compose, Pixel, Settings, render

PLAIN = Settings(steps=6, settle=0.0, redirect=0, transforms=Compose(), canvas=Pixel())


def test_snapshots_are_the_pictures_of_shorter_renders():
    model = cnn()
    made = render(model, ["fc:0", "fc:1", "fc:2"], PLAIN, snapshots=[0, 4, 1], batch=2)
    assert made.snapshots.shape == (3, 3, 3, 24, 24)
    for i, steps in enumerate((1, 4)):
        shorter = render(model, ["fc:0", "fc:1", "fc:2"], PLAIN, batch=2, steps=steps)
        torch.testing.assert_close(made.snapshots[:, i + 1], shorter.images, rtol=0, atol=1e-6)
    assert (made.snapshots[:, 0] - 0.5).abs().max() < 0.1  # grey and a little noise


def test_keeping_snapshots_changes_no_picture():
    model = cnn()
    plain, kept = render(model, ["fc:0"], PLAIN), render(model, ["fc:0"], PLAIN, snapshots=range(6))
    assert plain.snapshots is None
    assert torch.equal(plain.images, kept.images)


@pytest.mark.parametrize("step", [-1, 6])
def test_snapshots_of_no_step_are_refused(step):
    with pytest.raises(UsageError, match="expected snapshots of steps from 0 to 5, got"):
        render(cnn(), ["fc:0"], PLAIN, snapshots=[step])


def test_ascent_steps_are_scaled_gradients_with_momentum():
    model = cnn()
    made = render(model, ["fc:0"], PLAIN, steps=3, snapshots=[0, 1, 2])
    pictures = [*made.snapshots[0][:, None], made.images]
    states = [PLAIN.canvas.fit(picture).requires_grad_() for picture in pictures]
    step = torch.zeros(())
    for k, (now, following) in enumerate(pairwise(states)):
        score = observe(model, PLAIN.canvas.draw(now, model.size), ["fc"])["fc"][0, 0]
        (gradient,) = torch.autograd.grad(score, now)
        scaled = gradient / gradient.square().mean().sqrt()
        step = scaled if k == 0 else (step + scaled) / 2
        torch.testing.assert_close((following - now).detach(), 0.15 * step, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("optimizer", ["ascent", "adam"])
def test_scores_rise_and_pictures_stay_independent(optimizer):
    model = cnn()
    both = render(model, ["fc:0", "conv3:1"], optimizer=optimizer, steps=24)
    alone = render(model, ["conv3:1"], optimizer=optimizer, steps=24)
    assert (both.history[:, -4:].mean(1) > both.history[:, :2].mean(1) + 0.02).all()
    torch.testing.assert_close(both.images[1], alone.images[0], rtol=0, atol=1e-4)
