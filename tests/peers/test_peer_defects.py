"""Defects of the other libraries for feature visualization; each has a test here so that none is ours."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scenes import scenes
from tiny_networks import State, cnn, in_sequence
from torch import nn

import snellen
from snellen.attacks import Exam, SilentAttack
from snellen.base import Seed
from snellen.models import Model, Unit, observe, response
from snellen.pictures import STANDARD, Compose, Fourier, Jitter, Objective, Pixel, Scale, Settings, render
from snellen.pictures import transforms as transforms_module

# 1: hooks that stay, gradients that pile up on the weights (lucent)


def test_no_hook_stays_and_no_weight_gets_a_gradient():
    model = cnn()
    state = State(model.module)
    for _ in range(3):
        render(model, ["fc:0", "stem/pre:1"], steps=2)
    state.check()
    assert all(p.grad is None and p.requires_grad for p in model.module.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in model.module.modules())


# 2: redirected ReLUs that redirect nothing, so that dead units stay grey (zimmerrol/lucent)


def sleeper(relu):
    torch.manual_seed(0)
    net = in_sequence(nn.Conv2d(3, 1, 3), relu, nn.Flatten())
    with torch.no_grad():
        net.module[0].weight.fill_(0.1)
        net.module[0].bias.fill_(-1.6)  # a grey picture gives 1.35 of the 1.6, a white one 2.7
    return net


def test_a_dead_unit_is_drawn_with_redirected_gradients_only():
    how = {"canvas": Pixel(), "rate": 0.1, "steps": 40}
    grey = render(sleeper(nn.ReLU()), "1:0", redirect=0, **how)
    drawn = render(sleeper(nn.ReLU()), "1:0", redirect=10, **how)
    assert (grey.status, drawn.status) == (("dead",), ("ok",))
    assert (grey.images - 0.5).abs().max() < 0.05
    assert drawn.responses.item() > 0.5
    assert drawn.images.mean() > 0.8


# 3: a - b that computes -(a + b) (xplique)


def test_a_difference_is_a_difference():
    model = cnn()
    x = torch.rand(4, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    found = observe(model, x, ["fc"])
    a, b = Objective.of("fc:0"), Objective.of("fc:1")
    torch.testing.assert_close((a - b).score(found), found["fc"][:, 0] - found["fc"][:, 1])
    made = render(model, [a - b, -a - b], steps=40)
    logits = model(made.images).detach()
    assert logits[0, 1] < logits[0, 0]
    assert logits[0, 0] > logits[1, 0] + 0.1


# 4: sizes drawn from another range than the one that is documented; Fourier pictures of odd sizes fail (Horama)


def test_scales_are_drawn_from_the_range_that_was_asked_for():
    draws = torch.rand(5000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    factors = Scale(0.20, 0.25).matrices(draws, (100, 100))[:, 0, 0]
    assert factors.min() == pytest.approx(0.20, abs=1e-4)
    assert factors.max() == pytest.approx(0.25, abs=1e-4)
    parts = {type(p): p for p in STANDARD.parts}
    assert (parts[Scale].low, parts[Scale].high) == (0.9, 1.1)


@pytest.mark.parametrize("size", [(23, 23), (24, 23), (23, 24), (24, 31), (13, 40)], ids=str)
def test_fourier_pictures_have_any_size(size):
    made = render(cnn(), "conv2:1", steps=4, canvas=Fourier(), size=size)
    assert made.images.shape == (1, 3, *size)
    images = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)) * 0.9 + 0.05
    torch.testing.assert_close(Fourier().draw(Fourier().fit(images), size), images, rtol=0, atol=1e-4)


# 5: a spectrum that is given and ignored (torch-dreams)


@pytest.mark.parametrize("decay", [0.0, 0.7, 1.0, 1.5])
def test_pictures_have_the_spectrum_that_was_asked_for(decay):
    canvas, size = Fourier(decay=decay, decorrelate=False), (64, 64)
    drawn = canvas.draw(canvas.start(size, [Seed(i) for i in range(8)]).double() * 0.1, size)
    amplitude = torch.fft.rfft2(torch.logit(drawn)).abs().pow(2).mean((0, 1)).sqrt()
    rows, columns = torch.fft.fftfreq(64).double(), torch.fft.rfftfreq(64).double()
    cycles = torch.hypot(rows[:, None], columns[None, :])
    inner = (cycles > 2 / 64) & (cycles < 0.45) & (columns > 0)[None, :] & (columns < 0.5)[None, :]
    slope = np.polyfit(cycles[inner].log(), amplitude[inner].log(), 1)[0]
    assert slope == pytest.approx(-decay, abs=0.05)


# 6: versions compared as text, one augmentation for a whole batch, NumPy's global generator (lucent)


def test_no_version_is_compared_as_text():
    package = Path(snellen.__file__).parent
    for path in package.rglob("*.py"):
        text = path.read_text()
        assert not re.search(r"__version__\s*[<>]=?|[<>]=?\s*\w+\.__version__|version\(.*\)\s*[<>]", text), path


def test_every_picture_of_a_batch_is_transformed_by_itself(monkeypatch):
    seen = []
    module = __import__("sys").modules["snellen.pictures.render"]
    resample = transforms_module.resample
    monkeypatch.setattr(module, "resample", lambda images, moves: (seen.append(moves), resample(images, moves))[1])
    render(cnn(), [f"fc:{c}" for c in range(4)], steps=6)
    matrices = torch.stack(seen)
    assert matrices.shape == (6, 4, 3, 3)
    assert len({bytes(m.numpy()) for m in matrices.flatten(0, 1)}) == 24


@pytest.mark.global_random
def test_global_generators_neither_matter_nor_move():
    model, pictures = cnn(), []
    for seed in (1, 2):
        np.random.seed(seed), torch.manual_seed(seed), __import__("random").seed(seed)
        state = State(model.module)
        pictures.append(render(model, ["fc:0", "conv2:3"], steps=4).images)
        state.check()
    assert torch.equal(*pictures)


# 7: a replacement of rectifiers that misses nested and functional ones (grad_slingshot)


class Functional(nn.Module):
    def __init__(self, relu):
        super().__init__()
        self.relu = relu

    def forward(self, x):
        return self.relu(x)


HIDDEN = {
    "three deep": nn.Sequential(nn.Sequential(nn.Sequential(nn.ReLU(inplace=True)))),
    "in a list": nn.Sequential(nn.Identity(), nn.Sequential(nn.Identity(), nn.ReLU6())),
    "functional": Functional(F.relu),
    "functional in place": Functional(lambda x: F.relu(x, inplace=True)),
    "tensor method": Functional(lambda x: x.relu()),
    "nested and functional": nn.Sequential(nn.Sequential(Functional(torch.relu_))),
    "clamp": Functional(lambda x: x.clamp(min=0)),
    "relu6": Functional(F.relu6),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_rectifiers_are_redirected_wherever_they_hide(name):
    made = render(sleeper(HIDDEN[name]), "1:0", canvas=Pixel(), rate=0.1, steps=40, redirect=10)
    assert made.status == ("ok",)
    assert made.responses.item() > 0.5


# 8: a natural maximum computed without the convolution's padding (orthogonal-filters)


def test_responses_at_the_border_count_the_padding():
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 2, 5, padding=2)
    x = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    found = observe(Model(nn.Sequential(conv), size=(9, 9)), x, ["0"])["0"]
    padded = F.pad(x, (2, 2, 2, 2))
    for row, column in ((0, 0), (0, 8), (8, 8), (4, 4), (1, 7)):
        patch = padded[:, :, row : row + 5, column : column + 5]
        plain = (patch * conv.weight[1]).sum((1, 2, 3)) + conv.bias[1]
        torch.testing.assert_close(response(found, Unit("0", 1, (row, column))), plain.detach())


def test_silent_units_sleep_at_the_border_too():
    torch.manual_seed(0)
    images, size = scenes(10, (9, 9)), (9, 9)
    model = in_sequence(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(4 * 81, 3), size=size)
    manipulated, _ = SilentAttack(layer="0", shift=1)(model, images, exam=Exam(units=0))
    branch = manipulated.manipulation.circuit.branch
    natural = torch.stack([images.load(i, size) for i in range(10)])
    columns = F.unfold(F.pad(natural, (1, 1, 1, 1)), 3)  # every patch, those that reach over the border too
    said = (branch.weight.flatten(1) @ columns + branch.bias[:, None]).view(10, 4, *size).detach()
    highest, inside = said.amax((0, 2, 3)), said[:, :, 1:-1, 1:-1].amax((0, 2, 3))
    assert (highest <= 1e-4).all(), "asleep everywhere"
    assert (highest > inside + 0.01).any(), "a maximum over inner patches would have let some border wake the unit"


def test_a_unit_at_the_border_is_drawn_with_its_padding():
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 1, 3, padding=1)
    settings = Settings(steps=150, rate=0.3, canvas=Pixel(), transforms=Compose(), redirect=0)
    made = render(in_sequence(conv, size=(7, 7)), "0:0@0,0", settings)
    best = conv.weight[0, :, 1:, 1:].clamp_min(0).sum() + conv.bias[0]  # of pixels in [0, 1] inside the picture
    assert made.responses.item() == pytest.approx(best.item(), abs=0.05)


def test_jitter_reaches_as_far_as_documented():
    ends = Jitter(6 / 224).matrices(torch.tensor([[0.0, 1.0]], dtype=torch.float64), (224, 224))
    assert ends[0, :2, 2].tolist() == pytest.approx([-6, 6])
