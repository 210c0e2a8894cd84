import math

import numpy as np
import pytest
import torch

from snellen.pictures import STANDARD, Compose, Jitter, Rotate, Scale, resample
from snellen.pictures.transforms import draw_numbers


def numbers(u, transform, seed=0):
    return torch.rand(u, transform.draws, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pictures(u, h, w, seed=0):
    return torch.rand(u, 3, h, w, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slowly(picture, matrix, fill=0.5):
    """Bilinear interpolation pixel by pixel: where does each pixel's centre come from?"""
    c, h, w = picture.shape
    back = np.linalg.inv(matrix)
    result = np.full((c, h, w), fill)
    for row in range(h):
        for column in range(w):
            x, y, _ = back @ (column + 0.5 - w / 2, row + 0.5 - h / 2, 1.0)
            x, y = x + w / 2 - 0.5, y + h / 2 - 0.5
            value = np.zeros(c)
            for i in (math.floor(y), math.floor(y) + 1):
                for j in (math.floor(x), math.floor(x) + 1):
                    inside = 0 <= i < h and 0 <= j < w
                    source = picture[:, i, j] if inside else np.full(c, fill)
                    value += source * (1 - abs(y - i)) * (1 - abs(x - j))
            result[:, row, column] = value
    return result


@pytest.mark.parametrize("size", [(11, 11), (9, 14), (16, 7), (12, 12)], ids=str)
def test_resampling_is_plain_bilinear_interpolation_of_the_fused_map(size):
    transform = Jitter(0.1) | Scale(0.7, 1.4) | Rotate(50.0) | Jitter(0.05)
    images = pictures(3, *size)
    matrices = transform.matrices(numbers(3, transform), size)
    found = resample(images, matrices)
    for image, matrix, result in zip(images, matrices, found, strict=True):
        np.testing.assert_allclose(result, slowly(image.numpy(), matrix.numpy()), atol=1e-12)


def test_what_comes_in_from_outside_has_the_fill_colour():
    images, far = pictures(1, 6, 6), torch.eye(3, dtype=torch.float64)[None].clone()
    far[0, 0, 2] = 100.0
    for fill in (0.5, 0.2):
        torch.testing.assert_close(resample(images, far, fill=fill), torch.full_like(images, fill))
        np.testing.assert_allclose(
            resample(images, far / 20 + torch.eye(3) * 0.95, fill=fill)[0],
            slowly(images[0].numpy(), (far / 20 + torch.eye(3) * 0.95)[0].numpy(), fill),
            atol=1e-12,
        )


def test_the_gradient_is_the_numerical_one():
    transform = Jitter(0.1) | Scale(0.8, 1.2) | Rotate(30.0)
    matrices = transform.matrices(numbers(2, transform), (4, 5))
    assert torch.autograd.gradcheck(lambda x: resample(x, matrices), pictures(2, 4, 5).requires_grad_())
    torch.manual_seed(0)  # of the directions in which it is checked
    assert torch.autograd.gradgradcheck(lambda x: resample(x, matrices) ** 3, pictures(2, 4, 5).requires_grad_())


def test_a_shift_goes_right_and_down():
    images = pictures(1, 8, 10)
    moved = resample(images, Jitter(0.2).matrices(torch.tensor([[1.0, 0.75]]), (8, 10)))
    torch.testing.assert_close(moved[..., 1:, 2:], images[..., :-1, :-2])  # 2 pixels right, 1 down
    torch.testing.assert_close(moved[..., :1, :], torch.full((1, 3, 1, 10), 0.5).double())


def test_a_quarter_turn_is_clockwise():
    images = pictures(1, 7, 7)
    turned = resample(images, Rotate(90.0).matrices(torch.ones(1, 1, dtype=torch.float64), (7, 7)))
    torch.testing.assert_close(turned, torch.rot90(images, -1, (2, 3)))
    other = resample(images, Rotate(90.0).matrices(torch.zeros(1, 1, dtype=torch.float64), (7, 7)))
    torch.testing.assert_close(other, torch.rot90(images, 1, (2, 3)))


def test_a_factor_above_one_enlarges():
    images = torch.zeros(1, 3, 12, 12, dtype=torch.float64)
    images[..., 4:8, 4:8] = 1.0
    doubled = resample(images, Scale(2.0, 2.0).matrices(torch.zeros(1, 1), (12, 12)))
    assert (doubled[0, 0] > 0.5).sum() == 64


def test_the_standard_transforms_cover_their_documented_ranges_uniformly():
    matrices = STANDARD.matrices(numbers(4000, STANDARD), (224, 224)).numpy()
    linear = matrices[:, :2, :2]
    factor = np.sqrt(np.linalg.det(linear))
    angle = np.degrees(np.arctan2(linear[:, 1, 0], linear[:, 0, 0]))
    shift = np.linalg.solve(linear, matrices[:, :2, 2:])[..., 0]  # the shift comes first
    for found, low, high in ((factor, 0.9, 1.1), (angle, -10, 10), (shift[:, 0], -6, 6), (shift[:, 1], -6, 6)):
        spread = high - low
        assert found.min() == pytest.approx(low, abs=0.002 * spread)
        assert found.max() == pytest.approx(high, abs=0.002 * spread)
        assert (found.min() >= low - 1e-9) & (found.max() <= high + 1e-9)
        np.testing.assert_allclose(
            np.quantile(found, [0.25, 0.5, 0.75]), low + spread * np.array([0.25, 0.5, 0.75]), atol=0.03 * spread
        )
    np.testing.assert_allclose(matrices[:, 2], np.broadcast_to([0, 0, 1], (4000, 3)))
    assert np.abs(np.corrcoef(np.stack([factor, angle, *shift.T])) - np.eye(4)).max() < 0.06


def test_reach_is_a_fraction_of_the_longer_side():
    ends = torch.tensor([[0.0, 1.0]])
    for size in ((50, 100), (100, 50)):
        assert Jitter(0.1).matrices(ends, size)[0, :2, 2].tolist() == [-10, 10]


def test_parts_are_applied_in_order_and_take_their_own_numbers():
    draws = numbers(3, STANDARD)
    first, second = Jitter(0.1), Rotate(90.0)
    both = (first | second).matrices(draws[:, :3], (10, 10))
    torch.testing.assert_close(both, second.matrices(draws[:, 2:3], (10, 10)) @ first.matrices(draws[:, :2], (10, 10)))
    assert (first | second).draws == 3
    assert not torch.allclose(both, (second | first).matrices(draws[:, [2, 0, 1]], (10, 10)))


def test_every_picture_has_its_own_numbers_and_a_longer_run_begins_like_a_shorter_one():
    def generators():
        return [torch.Generator().manual_seed(i) for i in range(3)]

    short, long = (draw_numbers(STANDARD, generators(), steps) for steps in (5, 9))
    assert torch.equal(long[:, :5], short)
    assert long.shape == (3, 9, STANDARD.draws)
    assert len(long.flatten().unique()) == long.numel()
    torch.testing.assert_close(draw_numbers(STANDARD, generators()[1:2], 9)[0], long[1])
    assert draw_numbers(Compose(), generators(), 4).shape == (3, 4, 0)
