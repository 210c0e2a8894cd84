import io
import math

import pytest
import torch
import torch.nn.functional as F
from tiny_networks import State, cnn, in_sequence, tokens
from torch import nn

from snellen.base import LayerError, ModelError, Seed, UnitError, UsageError
from snellen.models import Model, Preprocess, observe
from snellen.pictures import Compose, Fourier, Jitter, Objective, Pixel, Settings, render

PLAIN = {"transforms": Compose(), "redirect": 0, "settle": 0.0}


def of_grey(model, objective):
    """The score of a grey picture."""
    grey = torch.full((1, 3, *model.size), 0.5)
    return Objective.of(objective).score(observe(model, grey, Objective.of(objective).addresses)).item()


def responses_of(made, model):
    images = made.images.to(model.dtype)
    rows = [
        o.score(observe(model, images[i : i + 1], sorted(o.addresses)))[0].float()
        for i, o in enumerate(made.objectives)
    ]
    return torch.stack(rows)


@pytest.mark.parametrize("canvas", [Fourier(), Pixel()], ids=["fourier", "pixel"])
def test_scores_rise_and_the_picture_shows_something(canvas):
    model = cnn()
    made = render(model, [f"fc:{c}" for c in range(5)], steps=48, canvas=canvas)
    assert made.status == ("ok",) * 5
    assert made.images.shape == (5, 3, 24, 24)
    assert ((made.images > 0) & (made.images < 1)).all()
    for i in range(5):
        assert made.history[i, -8:].mean() > made.history[i, :4].mean() + 0.05
        assert made.responses[i] > of_grey(model, f"fc:{i}") + 0.05
        assert made.images[i].std() > 0.03
        assert ((made.images[i] < 0.02) | (made.images[i] > 0.98)).float().mean() < 0.6


def test_minimizing_lowers_and_its_scores_are_the_units_own():
    model = cnn()
    low = render(model, ["fc:0", "conv3:2"], direction="min", steps=40)
    high = render(model, ["fc:0", "conv3:2"], steps=40)
    for i, target in enumerate(("fc:0", "conv3:2")):
        assert low.responses[i] < of_grey(model, target) < high.responses[i]
        assert low.history[i, -1] < low.history[i, 0]
    torch.testing.assert_close(low.responses, responses_of(low, model), rtol=1e-4, atol=1e-4)
    assert [str(o) for o in low.objectives] == ["fc:0", "conv3:2"]


TARGETS = ["fc:1", "stem:2", "stem/pre:2", "conv2:3@4,5", "conv4:0"]


def test_responses_are_those_of_the_untransformed_pictures():
    model = cnn()
    made = render(model, [*TARGETS, Objective.of("fc:1") * Objective.of("conv2:0") - Objective.of("fc:2")], steps=6)
    torch.testing.assert_close(made.responses, responses_of(made, model), rtol=1e-4, atol=1e-5)


def test_history_is_the_score_before_each_step():
    model = cnn()
    made = render(model, TARGETS, Settings(steps=7, **PLAIN))
    assert made.history.shape == (5, 7)
    for steps in (1, 4, 6):
        shorter = render(model, TARGETS, Settings(steps=steps, **PLAIN))
        torch.testing.assert_close(shorter.responses, made.history[:, steps], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("optimizer", ["ascent", "adam"])
def test_the_first_step_goes_along_the_gradient(optimizer):
    model = cnn(double=True)
    start = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.8 + 0.1
    canvas = Pixel(decorrelate=False)
    how = Settings(steps=1, rate=0.01, canvas=canvas, optimizer=optimizer, **PLAIN)
    made = render(model, "fc:1", how, start=start)
    state = torch.logit(start).requires_grad_()
    (gradient,) = torch.autograd.grad(model(torch.sigmoid(state))[0, 1], state)
    length = gradient.square().mean().sqrt() if optimizer == "ascent" else gradient.abs().clamp_min(1e-300)
    stepped = torch.sigmoid(state + 0.01 * gradient / length)
    torch.testing.assert_close(made.images, stepped.detach().float(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(24, 24), (17, 23), (31, 20)], ids=str)
def test_odd_prime_and_oblong_sizes(size):
    made = render(cnn(), ["fc:0", "conv2:1"], steps=16, size=size)
    assert made.images.shape == (2, 3, *size)
    assert made.status == ("ok", "ok")
    assert (made.history[:, -4:].mean(1) > made.history[:, :2].mean(1)).all()


def test_tokens_channels_and_places_at_32_pixels():
    model = tokens()
    targets = ["head:2", "blocks.1:3", "blocks.1:3@1,2", "blocks.0.mlp.0:5"]
    made = render(model, targets, steps=24)
    assert made.images.shape == (4, 3, 32, 32)
    assert made.status == ("ok",) * 4
    for i, target in enumerate(targets):
        assert made.responses[i] > of_grey(model, target)


def test_a_network_for_grey_pictures():
    model = cnn(preprocess=Preprocess(channels="grey", mean=(0.5,), std=(0.25,)))
    made = render(model, ["fc:0", "fc:1"], steps=30)
    assert made.status == ("ok", "ok")
    assert made.images.shape == (2, 3, 24, 24)
    assert (made.responses > torch.tensor([of_grey(model, f"fc:{i}") for i in range(2)])).all()


def test_objectives_are_combined_as_written():
    model = cnn()
    a, b = Objective.of("fc:0"), Objective.of("fc:1")
    apart, together = render(model, [a - b, a + b], steps=40).images
    scores = model(torch.stack([apart, together])).detach()
    assert scores[0, 0] - scores[0, 1] > scores[1, 0] - scores[1, 1]
    assert scores[1, 0] + scores[1, 1] > scores[0, 0] + scores[0, 1]
    (product,) = render(model, (a + 1) * (b + 1), steps=40).responses
    assert product > of_grey(model, (a + 1) * (b + 1))


def test_a_direction_is_drawn_further_along_than_its_largest_channel():
    model, vector = cnn(), [0.6, -0.8, 0.5]
    along = Objective.direction("fc", vector)
    drawn = render(model, [along, "fc:1"], steps=60)
    weights = torch.tensor(vector)
    assert drawn.status == ("ok", "ok")
    projected = model(drawn.images).detach()[:, :3] @ weights
    torch.testing.assert_close(projected[0], drawn.responses[0])
    assert projected[0] > projected[1] + 0.1
    with pytest.raises(UnitError, match="channel"):
        render(model, Objective.direction("fc", [1.0] * 99), steps=1)


def test_pictures_can_start_from_pictures():
    model = cnn()
    start = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0)) * 0.9 + 0.05
    for canvas in (Fourier(), Pixel()):
        still = render(model, ["fc:0", "fc:1"], Settings(steps=1, rate=1e-7, canvas=canvas), start=start)
        torch.testing.assert_close(still.images, start, rtol=0, atol=1e-4)
        moved = render(model, ["fc:0", "fc:1"], Settings(steps=8, canvas=canvas), start=start)
        assert (moved.responses > still.responses).all()
    batched = render(model, ["fc:0", "fc:1"], Settings(steps=1, rate=1e-7), start=start, batch=1)
    torch.testing.assert_close(batched.images, start, rtol=0, atol=1e-4)
    other = torch.full((1, 3, 12, 15), 0.5)
    assert render(model, "fc:0", steps=2, start=other).images.shape == (1, 3, 12, 15)
    with pytest.raises(UsageError, match="resize"):
        render(model, "fc:0", steps=2, start=other, size=(24, 24))


def test_seeds_decide_and_nothing_else():
    model = cnn()

    def made(**how):
        return render(model, ["fc:0", "fc:1"], steps=6, **how).images

    first = made()
    assert bytes(first.numpy()) == bytes(made().numpy())
    assert torch.equal(first, made(seeds=Seed(0)))
    assert not torch.equal(first[0], first[1])
    other = made(seeds=[Seed(0), Seed(5)])
    torch.testing.assert_close(other[0], first[0])
    assert (other[1] - first[1]).abs().max() > 0.01
    assert (made(seeds=Seed(1)) - first).abs().max() > 0.01


def test_the_rate_falls_to_nearly_zero_along_a_half_cosine():
    rates = [Settings(steps=100, rate=0.2, settle=0.5).learning_rate(s) for s in range(100)]
    assert rates[:51] == [0.2] * 51
    assert rates == sorted(rates, reverse=True)
    assert rates[75] == pytest.approx(0.1)
    assert 0 < rates[-1] < 0.001
    assert {Settings(steps=9, settle=0.0).learning_rate(s) for s in range(9)} == {0.15}
    assert {Settings(steps=9, settle=0.0, optimizer="adam").learning_rate(s) for s in range(9)} == {0.05}
    whole = [Settings(steps=10, rate=1.0, settle=1.0).learning_rate(s) for s in range(10)]
    assert whole == pytest.approx([0.5 + 0.5 * math.cos(math.pi * s / 10) for s in range(10)])


def test_the_last_steps_are_small():
    model, first, images = cnn(), [], []
    for steps in (39, 40):  # rate near zero at the end: one step more of the same schedule changes little
        made = render(model, "fc:0", Settings(steps=40, transforms=Compose()), progress=_stop_after(steps))
        images.append(made.images)
    for steps in (9, 10):
        first.append(
            render(model, "fc:0", Settings(steps=40, transforms=Compose()), progress=_stop_after(steps)).images
        )
    assert (images[1] - images[0]).abs().max() < 0.05 * (first[1] - first[0]).abs().max()


def _stop_after(steps):
    done = []

    def progress(count):
        done.append(count)
        if len(done) == steps:
            raise KeyboardInterrupt

    return progress


def test_progress_counts_every_step_of_every_picture():
    done = []
    render(cnn(), [f"fc:{c}" for c in range(5)], steps=3, batch=2, progress=done.append)
    assert sum(done) == 15
    assert done == [2] * 6 + [1] * 3


def test_bfloat16_draws_nearly_the_same_picture_and_scores_it_in_full():
    model = cnn()
    state = State(model.module)
    full = render(model, ["fc:0", "conv2:1"], steps=12)
    half = render(model, ["fc:0", "conv2:1"], steps=12, precision="bfloat16")
    state.check()
    assert half.status == ("ok", "ok")
    assert half.images.dtype is half.responses.dtype is torch.float32
    assert not torch.equal(full.images, half.images)
    for a, b in zip(full.images, half.images, strict=True):
        assert torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1] > 0.8
    torch.testing.assert_close(half.responses, responses_of(half, model), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(half.history[:, 0], full.history[:, 0], rtol=0.05, atol=0.02)


class Cliff(nn.Module):
    """Becomes infinite as pictures get brighter, gradient and all if steep; the other unit is harmless."""

    def __init__(self, steep):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.steep = steep

    def forward(self, x):
        light = x.mean((1, 2, 3)) * self.weight
        cliff = light + torch.exp(4000 * (light - 0.6)) if self.steep else -torch.log(F.relu(0.7 - light))
        return torch.stack([cliff, -light], 1)


class Nets(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, x):
        return self.part(x)


@pytest.mark.parametrize("steep", [False, True])
def test_a_picture_that_diverges_keeps_its_last_state_and_disturbs_no_other(steep):
    model = Model(Nets(Cliff(steep)), size=(8, 8))
    how = {"canvas": Pixel(), "rate": 0.05, **PLAIN}
    made = render(model, ["part:0", "part:1"], Settings(steps=60, **how))
    assert made.status == ("diverged", "ok")
    assert torch.isfinite(made.images).all()
    last = int(torch.isfinite(made.history[0]).sum())
    assert 2 < last < 40
    kept = render(model, "part:0", Settings(steps=last, **how))
    torch.testing.assert_close(made.images[0], kept.images[0])
    alone = render(model, "part:1", Settings(steps=60, **how))
    torch.testing.assert_close(made.images[1], alone.images[0])
    assert torch.isfinite(made.history[1]).all()


def test_an_interrupted_run_keeps_what_it_has():
    model = cnn()
    state = State(model.module)
    targets = [f"fc:{c}" for c in range(5)]
    made = render(model, targets, Settings(steps=10, **PLAIN), batch=2, progress=_stop_after(14))
    state.check()
    assert made.status == ("ok", "ok", "interrupted", "interrupted")
    assert [str(o) for o in made.objectives] == targets[:4]
    assert len(made.images) == len(made.history) == len(made.responses) == 4
    assert torch.isfinite(made.history[:2]).all()
    assert torch.isfinite(made.history[2:, :4]).all()
    assert torch.isnan(made.history[2:, 4:]).all()
    shorter = render(model, targets[2:4], Settings(steps=4, **PLAIN))
    assert torch.equal(made.images[2:], shorter.images)


class Narrow(nn.Module):
    """Runs out of memory above a number of pictures."""

    def __init__(self, part, most, error):
        super().__init__()
        self.part, self.most, self.error = part, most, error
        self.seen = io.BytesIO()  # no list: what a network writes into one while it is drawn is taken out again

    def forward(self, x):
        self.seen.write(bytes([len(x)]))
        if len(x) > self.most:
            raise self.error
        return self.part(x)


ERRORS = {
    "torch": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    "python": MemoryError(),
    "cpu": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
}


@pytest.mark.parametrize("error", ERRORS)
def test_where_memory_runs_out_fewer_pictures_go_together_and_they_are_the_same(error):
    inner = cnn(double=True)
    narrow = Model(Narrow(inner.module, 2, ERRORS[error]), "narrow", (24, 24), inner.preprocess)
    targets = [f"part.fc:{c}" for c in range(5)]
    wide = Model(Narrow(inner.module, 99, None), "wide", (24, 24), inner.preprocess)
    halved, whole = (render(m, targets, steps=8, batch=5) for m in (narrow, wide))
    torch.testing.assert_close(halved.images, whole.images, rtol=0, atol=1e-6)
    torch.testing.assert_close(halved.history, whole.history, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(halved.responses, whole.responses)
    assert narrow.module.seen.getvalue().count(5) == 1  # once is enough to learn
    state = State(narrow.module)
    narrow.module.most = 0
    with pytest.raises((MemoryError, torch.OutOfMemoryError)):
        render(narrow, targets, steps=8)
    state.check()


def closed(relu, seed=1):
    """Units that are closed for grey pictures and all that lie near, but not for the pictures that they would like."""
    torch.manual_seed(seed)
    conv = nn.Conv2d(3, 4, 3)
    with torch.no_grad():
        at_grey = conv.weight.sum((1, 2, 3)) * 0.5
        reach = conv.weight.sum((2, 3)).clamp_min(0).sum(1)  # in the best single colour
        conv.bias.copy_(-(at_grey + 0.4 * (reach - at_grey)))
        conv.weight[3] = 0.0
        conv.bias[3] = -1.0
    return in_sequence(conv, relu, nn.Flatten())


OPENED = {
    "module": nn.ReLU(),
    "in place": nn.ReLU(inplace=True),
    "nested": nn.Sequential(nn.Sequential(nn.ReLU(inplace=True))),
    "capped": nn.ReLU6(),
}


@pytest.mark.parametrize("relu", OPENED)
def test_a_dead_unit_is_woken_and_one_that_cannot_be_is_told(relu):
    model = closed(OPENED[relu])
    how = {"canvas": Pixel(), "rate": 0.2, "steps": 40}
    grey = render(model, ["1:0", "1:3"], Settings(redirect=0, **how))
    assert grey.status == ("dead", "dead")
    assert grey.responses.tolist() == [0, 0]
    start = Pixel().start((16, 16), [Seed(0).fork("1:0", "max").fork("canvas")])
    torch.testing.assert_close(grey.images[:1], Pixel().draw(start, (16, 16)))
    drawn = render(model, ["1:0", "1:3"], Settings(redirect=16, **how))
    assert drawn.status == ("ok", "dead")
    assert drawn.responses[0] > 0
    assert drawn.responses[1] == 0


def test_settings_that_make_no_sense_are_refused():
    model = cnn()
    for changes, told in [
        ({"steps": 0}, "1 to 1,000,000 steps"),
        ({"rate": 0.0}, "rate > 0"),
        ({"settle": 1.5}, "settle"),
        ({"redirect": -1}, "redirect"),
        ({"step": 5}, "expected settings among steps"),
        ({"batch": 0}, "at least 1 picture"),
        ({"direction": "up"}, "|".join(("max", "Literal"))),
        ({"seeds": [Seed(0)] * 3}, "one seed"),
        ({"start": torch.zeros(2, 3, 24, 24)}, "one start"),
    ]:
        with pytest.raises((UsageError, TypeError), match=told):
            render(model, ["fc:0"], **changes)
    with pytest.raises(UsageError, match="at least one target"):
        render(model, [])


def test_a_wrong_target_fails_before_any_work():
    done = []
    for target, kind in (("fcc:0", LayerError), ("fc:5", UnitError), ("fc/pre:0", UnitError), ("fc", UnitError)):
        with pytest.raises(kind):
            render(cnn(), ["fc:0", target], steps=3, progress=done.append)
    with pytest.raises(UsageError, match="constant"):
        render(cnn(), Objective.of(1.0), steps=3, progress=done.append)
    assert not done


def test_a_size_that_the_network_cannot_take_is_one_line():
    with pytest.raises(ModelError, match="40x40 px"):
        render(tokens(), "head:0", steps=2, size=(40, 40))


@pytest.mark.parametrize("surroundings", [torch.no_grad, torch.inference_mode])
def test_rendering_works_where_gradients_are_off(surroundings):
    model = cnn()
    plain = render(model, "fc:0", steps=4)
    with surroundings():
        found = render(model, "fc:0", steps=4)
        assert not torch.is_grad_enabled()
    assert torch.equal(found.images, plain.images)
    assert not found.images.requires_grad


def test_transforms_settle_in_the_middle_of_their_ranges_at_the_end():
    seen = []

    class Noted(Jitter):
        def matrices(self, draws, size):
            seen.append(draws.clone())
            return super().matrices(draws, size)

    how = {"canvas": Pixel(), "settle": 0.5, "redirect": 0, "transforms": Noted(0.1)}
    render(cnn(), "fc:1", Settings(steps=40, **how))
    away = (torch.cat(seen) - 0.5).abs().amax(1)
    assert away[:20].max() > 0.4
    assert away[30:].max() < 0.25 + 1e-6
    assert away[-1] < 0.01
