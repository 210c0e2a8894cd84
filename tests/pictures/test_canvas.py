import math

import numpy as np
import pytest
import torch

from snellen.attacks.canvases import Pyramid
from snellen.base import Seed, UsageError
from snellen.images.spectra import COLOR_SQRT
from snellen.pictures import CANVASES, Fourier, Pixel, canvas_named

SIZES = [(8, 8), (7, 9), (9, 6), (5, 11), (13, 2), (1, 1), (32, 32)]


def states(canvas, size, n=2, spread=1.0):
    state = canvas.start(size, [Seed(i) for i in range(n)])
    return torch.randn(state.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * spread


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("decay", [0.0, 1.0, 1.5])
@pytest.mark.parametrize("decorrelate", [False, True])
def test_a_fourier_picture_is_what_the_formula_says(size, decay, decorrelate):
    h, w = size
    canvas = Fourier(decay=decay, decorrelate=decorrelate)
    state = states(canvas, size)
    spectrum = torch.view_as_complex(state).numpy().copy()
    for row in range(h):
        for column in range(w // 2 + 1):
            cycles = math.hypot((row if row < (h + 1) // 2 else row - h) / h, column / w)
            spectrum[..., row, column] *= 1 / (4 * max(cycles, 1 / max(h, w)) ** decay)
    plane = np.fft.irfft2(spectrum, s=size, norm="ortho")
    mixed = np.einsum("dc,uchw->udhw", np.array(COLOR_SQRT), plane) if decorrelate else plane
    np.testing.assert_allclose(canvas.draw(state, size), sigmoid(mixed), atol=1e-10)


@pytest.mark.parametrize("decorrelate", [False, True])
def test_a_pixel_picture_is_what_the_formula_says(decorrelate):
    canvas = Pixel(decorrelate=decorrelate)
    state = states(canvas, (5, 7))
    mixed = np.einsum("dc,uchw->udhw", np.array(COLOR_SQRT), state) if decorrelate else state.numpy()
    np.testing.assert_allclose(canvas.draw(state, (5, 7)), sigmoid(mixed), atol=1e-12)


@pytest.mark.parametrize("canvas", [kind() for kind in CANVASES.all().values()], ids=list(CANVASES.parts))
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_first_pictures_are_nearly_grey_and_each_follows_its_own_seed(canvas, size):
    seeds = [Seed(i) for i in range(3)]
    state = canvas.start(size, seeds)
    drawn = canvas.draw(state, size)
    assert drawn.shape == (3, 3, *size)
    assert state.dtype is torch.float32
    assert (drawn - 0.5).abs().max() < 0.15
    assert len({bytes(d.numpy()) for d in drawn}) == 3
    for seed, alone in zip(seeds, state, strict=True):
        assert torch.equal(canvas.start(size, [seed])[0], alone)


@pytest.mark.parametrize("canvas", [kind() for kind in CANVASES.all().values()], ids=list(CANVASES.parts))
def test_first_states_do_not_follow_the_default_number_type(canvas):
    plain = canvas.start((6, 6), [Seed(1)])
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(canvas.start((6, 6), [Seed(1)]), plain)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("canvas", [kind() for kind in CANVASES.all().values()], ids=list(CANVASES.parts))
def test_a_picture_depends_on_its_own_state_alone_and_gradients_are_numerical(canvas):
    state = states(canvas, (3, 5))
    both = canvas.draw(state, (3, 5))
    for i in range(2):
        torch.testing.assert_close(canvas.draw(state[i : i + 1], (3, 5))[0], both[i])
    assert torch.autograd.gradcheck(lambda z: canvas.draw(z, (3, 5)), state[:1].requires_grad_())


def test_canvases_are_found_by_name_and_unknown_ones_are_told():
    assert canvas_named("fourier") == Fourier()
    assert canvas_named("pixel") == Pixel()
    with pytest.raises(UsageError, match='fourier, pixel as canvas, got "foo"'):
        canvas_named("foo")


@pytest.mark.parametrize("size", [s for s in SIZES if s != (1, 1)], ids=str)
@pytest.mark.parametrize("canvas", [Fourier(), Fourier(decay=0.5), Pixel(), Pyramid()], ids=str)
def test_the_length_of_a_gradient_step_is_the_change_of_the_plane(canvas, size):
    """By finite differences of the drawn picture, colours unmixed and unsquashed."""
    state = canvas.start(size, [Seed(i) for i in range(3)]).double()
    aim = torch.randn(3, 3, *size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def plane(at):
        mixed = torch.logit(canvas.draw(at, size))
        return torch.linalg.solve(torch.tensor(COLOR_SQRT, dtype=torch.float64), mixed.flatten(2)).view_as(mixed)

    leaf = state.clone().requires_grad_()
    (step,) = torch.autograd.grad((plane(leaf) * aim).sum(), leaf)
    step *= 1e-3 / step.abs().max()
    change = plane(state + step) - plane(state)
    torch.testing.assert_close(canvas.length(step, size), change.square().mean((1, 2, 3)).sqrt(), rtol=1e-5, atol=1e-12)
