"""ReLU networks on real image sizes: one pair of pictures, two very different responses to a photograph."""

import numpy as np
import pytest
import torch
from torch import Tensor

from snellen.base import UsageError
from snellen.theory import ReLUPair, relu_pair

SIZES = [32, 224]


def photograph(size: int, name: str = "astronaut") -> Tensor:
    from skimage import data
    from skimage.transform import resize

    picture = resize(getattr(data, name)()[:400, :400, :3], (size, size), anti_aliasing=True)
    return torch.tensor(picture.transpose(2, 0, 1), dtype=torch.float32)


def pictures(size: int) -> tuple[Tensor, Tensor]:
    """x_min, the negative of x_max, and x_max: a photograph with its contrast raised off the middle grey."""
    high = 0.5 + 0.45 * torch.where(photograph(size, "coffee") > 0.5, 1.0, -1.0)
    return 1 - high, high


def pair(size: int) -> tuple[ReLUPair, Tensor, Tensor, Tensor]:
    low, high = pictures(size)
    image = photograph(size)
    return relu_pair(low, high, image), low, high, image


def respond(net: torch.nn.Module, *images: Tensor) -> list[float]:
    with torch.no_grad():
        return net(torch.stack(images))[:, 0].tolist()


def search(net: torch.nn.Module, size: int, sign: float, steps: int = 60) -> Tensor:
    """Signed gradient ascent from grey, with steps that shrink: what a visualizer does, at its plainest."""
    x = torch.full((1, 3, size, size), 0.5)
    for step in range(steps):
        x.requires_grad_(True)
        (gradient,) = torch.autograd.grad(sign * net(x).sum(), x)
        x = (x.detach() + 0.05 * 0.9**step * gradient.sign()).clamp(0, 1)
    return x[0]


@pytest.mark.parametrize("size", SIZES)
def test_same_extremes_and_responses_nearly_the_range_apart(size):
    nets, low, high, image = pair(size)
    quiet, loud = respond(nets.quiet, low, high, image), respond(nets.loud, low, high, image)
    assert quiet[:2] == loud[:2] == pytest.approx([0.0, 1.0], abs=1e-5)
    assert loud[2] - quiet[2] >= 0.9
    assert loud[2] == pytest.approx(nets.high, abs=1e-5)
    assert quiet[2] == pytest.approx(nets.low, abs=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_the_extremes_are_unique_and_exact(size):
    """No other image does better: random images, mixtures, and the extremes moved by one pixel or by float rounding."""
    nets, low, high, image = pair(size)
    generator = torch.Generator().manual_seed(0)
    for end, sign in ((high, 1.0), (low, -1.0)):
        others = [torch.rand(end.shape, generator=generator), image, 0.5 * (end + image), low + high - end]
        nudged = end.clone()
        nudged[0, 0, 0] -= 1e-2 * torch.sign(end[0, 0, 0] - 0.5)
        others += [nudged, torch.nextafter(end, torch.full_like(end, 0.5))]
        for net in (nets.quiet, nets.loud):
            best, *rest = respond(net, end, *others)
            assert all(sign * (best - r) > 0 for r in rest)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_search_draws_the_same_picture_in_both(size, sign):
    nets, low, high, _ = pair(size)
    drawn = [search(net, size, sign) for net in (nets.quiet, nets.loud)]
    assert (drawn[0] - drawn[1]).abs().max() == 0
    assert (drawn[0] - (high if sign > 0 else low)).abs().max() < 0.02


def test_the_two_networks_differ_only_near_the_image():
    nets, low, high, image = pair(32)
    generator = torch.Generator().manual_seed(1)
    away = torch.rand((8, 3, 32, 32), generator=generator)
    assert respond(nets.quiet, *away, low, high) == respond(nets.loud, *away, low, high)
    near = image + 1e-4 * torch.rand(image.shape, generator=generator)
    assert respond(nets.loud, near)[0] - respond(nets.quiet, near)[0] > 0.8


def test_the_small_network_in_plain_layers():
    """At 4 x 4 the network is also written as Linear, ReLU, Linear, ReLU, Linear: the same function."""
    shape, generator = (3, 4, 4), torch.Generator().manual_seed(2)
    images = torch.rand((3, *shape), generator=generator, dtype=torch.float64)
    nets = relu_pair(images[0], images[1], images[2])
    x = torch.cat([torch.rand((50, *shape), generator=generator, dtype=torch.float64), images])
    with torch.no_grad():
        np.testing.assert_allclose(nets.loud.dense()(x).numpy(), nets.loud(x).numpy(), atol=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_extremes_of_random_pairs_in_three_dimensions(seed):
    """Dense search over the cube finds nothing beyond the claimed extremes, wherever the three images are."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand((3, 3), generator=generator, dtype=torch.float64)
    nets = relu_pair(points[0], points[1], points[2], margin=0.05)
    cloud = torch.rand((20000, 3), generator=generator, dtype=torch.float64)
    around = (points[:, None] + 0.02 * torch.randn((3, 2000, 3), generator=generator, dtype=torch.float64)).clamp(0, 1)
    with torch.no_grad():
        for net in (nets.quiet, nets.loud):
            everywhere = net(torch.cat([cloud, around.reshape(-1, 3)]))
            assert float(everywhere.max()) <= 1 + 1e-9
            assert float(everywhere.min()) >= -1e-9
            np.testing.assert_allclose(net(points)[:2, 0].numpy(), [0, 1], atol=1e-6)
    assert respond(nets.loud, points[2])[0] - respond(nets.quiet, points[2])[0] == pytest.approx(0.9, abs=1e-6)


def test_refusals():
    x = torch.rand(3, 2, 2, generator=torch.Generator().manual_seed(0))
    with pytest.raises(UsageError, match="different"):
        relu_pair(x, 1 - x, x)
    with pytest.raises(UsageError, match="margin"):
        relu_pair(x, 1 - x, x * 0.5, margin=0.5)
