"""Law 5: every canvas can fit a photograph, at odd, prime and oblong sizes, by its inverse and by descent."""

from pathlib import Path

import pytest
import skimage.data
import torch
from PIL import Image

from snellen.base import Seed
from snellen.images.crop import fit, to_tensor
from snellen.pictures import CANVASES, Fourier, Pixel, Settings

SIZES = [(32, 32), (31, 31), (37, 53), (64, 48), (47, 64), (17, 101), (3, 5), (2, 2), (224, 224), (227, 199)]
CASES = {
    **{name: kind() for name, kind in CANVASES.all().items()},
    "flat": Fourier(decay=0.0, decorrelate=False),
    "steep": Fourier(decay=1.5),
    "raw": Pixel(decorrelate=False),
}


def photograph(name, size):
    with Image.open(Path(skimage.data.__file__).parent / name) as image:
        return to_tensor(fit(image.convert("RGB"), size))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_a_photograph_is_drawn_by_the_state_that_fits_it(name, size):
    canvas = CASES[name]
    images = torch.stack([photograph("astronaut.png", size), photograph("coffee.png", size)])
    drawn = canvas.draw(canvas.fit(images), size)
    assert drawn.shape == images.shape
    # black and white lie at infinity: pictures are clipped to [0.001, 0.999]
    torch.testing.assert_close(drawn, images.clamp(0.001, 0.999), rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [(32, 32), (31, 37), (23, 40)], ids=str)
@pytest.mark.parametrize("name", CANVASES.parts)
def test_a_photograph_is_reached_by_descent(name, size):
    canvas, image = CANVASES.load(name)(), photograph("chelsea.png", size)[None]
    state, settings = canvas.start(size, [Seed(0)]).requires_grad_(), Settings(steps=200)
    for step in range(settings.steps):
        loss = (canvas.draw(state, size) - image).square().mean()
        (gradient,) = torch.autograd.grad(loss, state)
        state = (state - settings.learning_rate(step) * gradient / canvas.length(gradient, size)).requires_grad_()
    error = (canvas.draw(state, size) - image).detach().square().mean().sqrt()
    assert error < 0.2 * image.std()


@pytest.mark.parametrize("name", CASES)
def test_states_that_are_fitted_have_the_shape_of_those_that_are_started(name):
    canvas = CASES[name]
    for size in ((8, 8), (7, 9), (9, 8)):
        images = torch.full((2, 3, *size), 0.3)
        assert canvas.fit(images).shape == canvas.start(size, [Seed(0), Seed(1)]).shape
        torch.testing.assert_close(canvas.draw(canvas.fit(images), size), images)
