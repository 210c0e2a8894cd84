"""Textures see what a picture is made of and not where; layouts see where."""

import torch

from snellen.measures import layouts, textures


def noise(seed, side=32, count=1):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def stripes(turn, side=32):
    ramp = torch.arange(side) % 4 < 2
    plane = ramp.expand(side, side).float()
    return (plane.T if turn else plane).expand(1, 3, side, side) * 0.8 + 0.1


def test_textures_tell_directions_and_colours_apart_but_not_places():
    across, down = textures(stripes(False)), textures(stripes(True))
    moved = textures(stripes(False).roll(4, 3))
    assert (across - moved).norm() < 0.05 * (across - down).norm()
    red = stripes(False).clone()
    red[:, 1:] *= 0.5
    assert (textures(red) - across).norm() > 0.1


def test_features_do_not_depend_on_the_batch():
    images = noise(0, 24, 5)
    torch.testing.assert_close(textures(images)[3:4], textures(images[3:4]))
    torch.testing.assert_close(layouts(images)[3:4], layouts(images[3:4]))
    assert textures(noise(1, 9)).shape[0] == 1, "small and odd sizes"


def test_filters_answer_nothing_to_flat_pictures():
    flat, grey = torch.full((1, 3, 32, 32), 0.3), torch.full((1, 3, 32, 32), 0.6)
    torch.testing.assert_close(textures(flat)[:, 6:], textures(grey)[:, 6:])


def test_layouts_correlate_for_one_picture_and_not_for_others():
    first, second = noise(2, 48), noise(3, 48)
    again = 0.5 * first + 0.02 * noise(4, 48)  # darker and noisier
    assert float(layouts(first) @ layouts(again).T) > 0.98
    assert abs(float(layouts(first) @ layouts(second).T)) < 0.3
    torch.testing.assert_close(layouts(first).norm(dim=1), torch.ones(1))
