"""Every structure is of the class of functions that it says, whatever its weights; and a broken twin is caught."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from snellen.models import Model
from snellen.models.survey import survey
from snellen.structures.group import STRUCTURES
from snellen.structures.layers import MIDDLE, BoundedConv, CosineConv, UncentredNorm
from snellen.structures.patches import PATCH

CLASSES, SIZE = 4, 16
NAMES = tuple(STRUCTURES.house)


def network(name, seed=0):
    """With weights and running statistics as training leaves them, in float64."""
    torch.manual_seed(seed)
    made = STRUCTURES.load(name)()
    learner = made.learner(CLASSES, SIZE)
    with torch.no_grad():
        for _ in range(3):
            learner.train()(torch.rand(8, 3, SIZE, SIZE))
    return made.kept(learner.eval(), CLASSES, SIZE).double().eval()


def images(count, seed=1):
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@torch.no_grad()
def bend(net, step=0.3):
    """How much f(c + 2 t v) - f(c) departs from 4 (f(c + t v) - f(c)), relative: 0 for quadratics around grey."""
    away = images(6) - MIDDLE
    centre = net(torch.full_like(away[:1], MIDDLE))
    near, far = net(MIDDLE + step * away) - centre, net(MIDDLE + 2 * step * away) - centre
    return float((far - 4 * near).abs().max() / far.abs().max())


@torch.no_grad()
def crossing(net):
    """How much changes of two patches do not add up, relative: 0 for sums over patches."""
    x, y = images(6), images(6, seed=2)
    one, two, both = x.clone(), x.clone(), x.clone()
    for changed, corners in ((one, [(0, 0)]), (two, [(8, 8)]), (both, [(0, 0), (8, 8)])):
        for top, left in corners:
            place = (..., slice(top, top + PATCH), slice(left, left + PATCH))
            changed[place] = y[place]
    plain = net(x)
    gone = net(both) - net(one) - net(two) + plain
    return float(gone.abs().max() / (net(both) - plain).abs().max())


def stretch(net, steps=30):
    """The largest |f(x) - f(y)| / |x - y| that a search over pairs of images finds, over all classes."""
    x = images(CLASSES).requires_grad_()
    y = (images(CLASSES, seed=3) * 0.05 + x.detach() * 0.95).requires_grad_()
    search, most = torch.optim.Adam([x, y], lr=0.02), 0.0
    for _ in range(steps):
        ratio = (net(x) - net(y)).diagonal().abs() / (x - y).flatten(1).norm(dim=1)
        most = max(most, float(ratio.detach().max()))
        search.zero_grad()
        (-ratio.sum()).backward()
        search.step()
    return most


@torch.no_grad()
def falls(net):
    """The largest fall of a class where every pixel rises."""
    x = images(8)
    return float((net(x) - net((x + 0.2 * images(8, seed=5)))).max())


@torch.no_grad()
def above_chord(net):
    """How far a class rises above the chord between two images, at most."""
    x, y = images(8), images(8, seed=6)
    return float((net((x + y) / 2) - (net(x) + net(y)) / 2).max())


@torch.no_grad()
def misranked(net):
    """Over the features: whether anything is above the prototype, or farther and above."""
    points = net.classifier.points
    x = points[0] + torch.randn(200, points.shape[1], dtype=torch.float64)
    told, apart = net.classifier(x)[:, 0], (x - points[0]).norm(dim=1)
    order = apart.argsort()
    return float((told[order][1:] - told[order][:-1]).max()), float(told.max() - net.classifier(points[:1])[0, 0])


class Beside(nn.Module):
    """A broken twin: another function of the image is added to what a structure says."""

    def __init__(self, net):
        super().__init__()
        torch.manual_seed(7)
        self.net, self.classifier = net, getattr(net, "classifier", None)
        self.other = nn.Conv2d(3, CLASSES, SIZE).double()

    def forward(self, x):
        return self.net(x) + 10 * torch.sin(40 * self.other(x)).flatten(1)


@pytest.mark.parametrize("seed", range(3))
def test_a_quadratic_network_bends_as_one(seed):
    net = network("quadratic", seed)
    assert bend(net) < 1e-9
    assert bend(Beside(net)) > 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_patches_add_up(seed):
    net = network("patches", seed)
    assert crossing(net) < 1e-9
    assert crossing(Beside(net)) > 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_a_lipschitz_network_moves_by_no_more_than_the_image(seed):
    net = network("lipschitz", seed)
    assert 0.01 < stretch(net) <= 1 + 1e-9
    with torch.no_grad():
        net.conv3.weight *= 30  # a layer that was not divided by its norm
    assert stretch(net) > 1


def test_every_kept_convolution_of_a_lipschitz_network_has_norm_one():
    from snellen.theory.norms import Kernel, convolution_norm

    net = network("lipschitz")
    for name, side in (("conv1", 8), ("conv3", 8), ("conv4", 4), ("conv5", 4)):
        kernel = Kernel(net.get_submodule(name).weight, (1, 1), (1, 1))
        assert convolution_norm(kernel, (side, side)) == pytest.approx(1, rel=1e-6)


def test_what_is_kept_of_a_lipschitz_network_sorts_as_what_was_trained():
    torch.manual_seed(0)
    made = STRUCTURES.load("lipschitz")()
    learner = made.learner(CLASSES, SIZE).double()
    with torch.no_grad():
        for module in learner.modules():
            if isinstance(module, BoundedConv):
                module.bias.add_(torch.randn_like(module.bias), alpha=0.05)
        kept = made.kept(learner, CLASSES, SIZE).double()
        ratio = kept(images(5)) / learner(images(5))
    assert torch.allclose(ratio, ratio[0, 0].expand_as(ratio), rtol=1e-4)
    assert ratio[0, 0] > 1


@pytest.mark.parametrize("seed", range(3))
def test_a_monotone_network_never_falls(seed):
    net = network("monotone", seed)
    assert falls(net) <= 1e-12
    assert falls(Beside(net)) > 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_a_convex_network_lies_below_its_chords(seed):
    net = network("convex", seed)
    assert above_chord(net) <= 1e-9
    assert above_chord(Beside(net)) > 1e-6


def test_a_prototype_is_its_class_s_largest_and_nearer_is_more():
    worst, best = misranked(network("radial"))
    assert worst <= 1e-12
    assert best < 0


@pytest.mark.parametrize("stride", [1, 2])
def test_a_cosine_convolution_is_what_it_says_patch_by_patch(stride):
    torch.manual_seed(0)
    layer = CosineConv((3, 5), 3, stride).double()
    x = torch.randn(2, 3, 7, 7, dtype=torch.float64)
    patches = F.unfold(x, 3, padding=1, stride=stride).movedim(1, -1)
    w = layer.weight.flatten(1)
    w = w / w.norm(dim=1, keepdim=True)
    linear, length = patches @ w.T, patches.norm(dim=-1, keepdim=True)
    want = linear * (linear / length).abs()
    assert torch.allclose(layer(x).flatten(2).movedim(1, -1), want, atol=1e-5)
    assert torch.allclose(layer(3 * x), 3 * layer(x), atol=1e-4)
    assert (layer(x).flatten(2).movedim(1, -1) <= length + 1e-9).all()


def test_the_picture_of_a_cosine_unit_is_its_weight():
    torch.manual_seed(0)
    layer = CosineConv((3, 5)).double()
    w = layer.weight[2] / layer.weight[2].norm()
    alone = layer(w[None].detach())[0, 2, 1, 1].item()
    others = torch.randn(500, 3, 3, 3, dtype=torch.float64)
    others /= others.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    assert alone == pytest.approx(1, abs=1e-5)
    assert float(layer(others)[:, 2, 1, 1].max().detach()) < 0.99


def test_an_uncentred_norm_keeps_zero_and_has_mean_square_one_in_training():
    torch.manual_seed(0)
    norm, x = UncentredNorm(4).train(), 3 * torch.randn(16, 4, 5, 5) + 2
    assert norm(x).square().mean((0, 2, 3)).tolist() == pytest.approx([1] * 4, abs=1e-3)
    assert not norm.eval()(torch.zeros_like(x)).any()
    assert not torch.allclose(norm.eval()(x), x)  # running squares have moved


@pytest.mark.parametrize("channels", [(12, 20), (20, 12), (16, 16)])
@pytest.mark.parametrize("side", [1, 2, 3])
def test_a_bounded_convolution_never_stretches(channels, side):
    torch.manual_seed(0)
    layer = BoundedConv(channels, side, padding=side // 2).double()
    with torch.no_grad():
        layer.weight.normal_(std=2.0)
    x = torch.randn(1, channels[0], 6, 6, dtype=torch.float64)
    zero = layer(torch.zeros_like(x))
    for _ in range(60):  # power iteration on the convolution written as an operator
        x = (x / x.norm()).detach().requires_grad_()
        (x,) = torch.autograd.grad((layer(x) - zero).square().sum() / 2, x)
    assert 0.1 < float(x.norm()) ** 0.5 <= 1 + 1e-9


@pytest.mark.parametrize("name", NAMES)
def test_sizes_and_classes_are_free_and_weights_few(name):
    made = STRUCTURES.load(name)()
    torch.manual_seed(0)
    for classes, size in ((2, 16), (10, 32), (3, 64)):
        net = made.network(classes, size).eval()
        assert net(torch.rand(2, 3, size, size)).shape == (2, classes)
        assert sum(p.numel() for p in net.parameters()) <= 1_000_000


@pytest.mark.parametrize("name", NAMES)
def test_the_number_of_weights_is_the_one_in_the_words(name):
    import re

    made = STRUCTURES.load(name)
    told = re.search(r"([\d,]+) parameters", made.network.__doc__)
    torch.manual_seed(0)
    assert int(told[1].replace(",", "")) == sum(p.numel() for p in made().network(10, 32).parameters())


@pytest.mark.parametrize("name", NAMES)
def test_classes_and_compared_layers_are_found(name):
    made = STRUCTURES.load(name)()
    torch.manual_seed(0)
    model = Model(made.network(CLASSES, SIZE).eval(), size=(SIZE, SIZE))
    found = survey(model)
    assert found.class_layer == "classifier"
    units = {layer.name: layer.units for layer in found.layers}
    assert all(units[inner] >= 24 for inner in made.inner)
