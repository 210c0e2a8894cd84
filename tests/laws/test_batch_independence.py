"""Law 1: a picture does not depend on what it is rendered with, in which order, or in what batches."""

import pytest
import torch
from tiny_networks import cnn, tokens

from snellen.base import Seed
from snellen.models import Unit
from snellen.pictures import Compose, Fourier, Jitter, Objective, Pixel, Settings, render

STEPS = 22
NETS = {
    "cnn": (cnn, ["fc:0", "fc:3", "stem/pre:1", "conv2:4@3,5", Objective.of("fc:1") - Unit("conv4", 2), "fc:2"]),
    "tokens": (tokens, ["head:0", "blocks.0:3", "blocks.1:2@1,1", "head:3", Objective.of("head:1") * Unit("head", 2)]),
}
ROUNDING = 2.0**-23  # pictures come back in float32; the sums behind them are in float64


@pytest.fixture(scope="module", params=[(n, c) for n in NETS for c in ("fourier", "pixel")], ids="-".join)
def case(request):
    name, canvas = request.param
    with torch.random.fork_rng():
        make, targets = NETS[name]
        model = make(double=True)
    settings = Settings(steps=STEPS, canvas={"fourier": Fourier(), "pixel": Pixel()}[canvas], redirect=4)
    return model, targets, settings, render(model, targets, settings, batch=len(targets))


def same(a, b):
    torch.testing.assert_close(a.images, b.images, rtol=0, atol=ROUNDING)
    torch.testing.assert_close(a.history, b.history, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(a.responses, b.responses, rtol=1e-6, atol=1e-6)
    assert a.status == b.status


def test_alone_and_together_are_the_same(case):
    model, targets, settings, together = case
    for i, target in enumerate(targets):
        alone = render(model, target, settings)
        torch.testing.assert_close(alone.images[0], together.images[i], rtol=0, atol=ROUNDING)
        torch.testing.assert_close(alone.history[0], together.history[i], rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(alone.responses[0], together.responses[i], rtol=1e-6, atol=1e-6)
        assert alone.status == (together.status[i],)


@pytest.mark.parametrize("batch", [2, 3])  # one by one is above
def test_batches_of_any_size_are_the_same(case, batch):
    model, targets, settings, together = case
    same(render(model, targets, settings, batch=batch), together)


def test_the_order_does_not_matter(case):
    model, targets, settings, together = case
    turned = render(model, targets[::-1], settings, batch=len(targets))
    torch.testing.assert_close(turned.images.flip(0), together.images, rtol=0, atol=ROUNDING)


def test_the_states_agree_far_beyond_float32(monkeypatch):
    module = __import__("sys").modules["snellen.pictures.render"]
    kept = []
    finish = module._Batch.finish
    monkeypatch.setattr(module._Batch, "finish", lambda batch: (kept.append(batch.state.clone()), finish(batch))[1])
    model = cnn(double=True)
    targets = ["fc:0", "stem:3", "conv3:1@2,2", "fc:4"]
    render(model, targets, steps=STEPS, batch=4)
    for target in targets:
        render(model, target, steps=STEPS)
    assert kept[0].dtype is torch.float64
    torch.testing.assert_close(torch.cat(kept[1:]), kept[0], rtol=0, atol=1e-9)


def test_the_sign_and_the_seed_belong_to_the_picture_alone():
    model = cnn(double=True)
    seeds = [Seed(3), Seed(4)]
    both = render(model, ["fc:0", "fc:0"], steps=6, seeds=seeds, direction="min")
    for seed, picture in zip(seeds, both.images, strict=True):
        one = render(model, "fc:0", steps=6, seeds=seed, direction="min")
        torch.testing.assert_close(one.images[0], picture, rtol=0, atol=ROUNDING)
    assert (both.images[0] - both.images[1]).abs().max() > 0.01


@pytest.mark.parametrize("transforms", [Compose(), Jitter(0.1), None], ids=["none", "one", "standard"])
def test_more_steps_begin_like_fewer_while_the_rate_is_the_same(transforms):
    how = {} if transforms is None else {"transforms": transforms}
    settings = {"settle": 0.25, "redirect": 3, **how}
    model = cnn()
    short, long = (render(model, ["fc:0", "conv2:1"], Settings(steps=s, **settings)) for s in (16, 40))
    assert torch.equal(short.history[:, :13], long.history[:, :13])  # the rate first falls in step 13
    assert not torch.allclose(short.history[:, 14:], long.history[:, 14:16])
