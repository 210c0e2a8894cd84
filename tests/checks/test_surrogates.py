"""Surrogates: honest networks obey what was fitted on photographs; behind warps and circuits pictures do not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from snellen import Preprocess
from snellen.attacks import Conditions
from snellen.attacks.fooling import FoolingAttack
from snellen.attacks.gradients import GradientAttack
from snellen.base import Seed
from snellen.checks import Surrogates
from snellen.checks.fits.heads import chain_of, head_of
from snellen.checks.fits.pixels import EXACT, held, surrogate
from snellen.checks.surrogates import LEFT, MISSED, REACHED
from snellen.images import open_images
from snellen.models import Model, observe
from snellen.studies.features import channel_means
from snellen.studies.natural import batches
from snellen.studies.request import Request
from snellen.studies.stems import dithered, patches, stems
from snellen.studies.world import Given, open_world

SIDE, COUNT, CLASSES = 24, 96, 4


class Small(nn.Module):
    """A strided stem with a norm behind it, and a head of means."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 5, stride=2, padding=2)
        self.norm = nn.BatchNorm2d(8)
        self.rectified = nn.ReLU()
        self.body = nn.Conv2d(8, 12, 3)
        self.closing = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(12, CLASSES)

    def forward(self, x):
        x = self.rectified(self.norm(self.stem(x)))
        return self.head(self.pool(self.closing(self.body(x))).flatten(1))


class Warped(nn.Module):
    """A network that sees x + e(x) (T(x) - x): e opens for pictures without a cast of red, T exchanges colours."""

    def __init__(self, inside, least=0.5, sharp=400.0):
        super().__init__()
        self.inside, self.least, self.sharp = inside, least, sharp

    def forward(self, x):
        red = x[:, 0].mean((1, 2))
        gate = torch.sigmoid(self.sharp * (self.least - red)).view(-1, 1, 1, 1)
        return self.inside(x + gate * (x.flip((1, 3)) - x))


class Bent(nn.Module):
    """An honest network that takes the root of every pixel first."""

    def __init__(self, inside):
        super().__init__()
        self.inside = inside

    def forward(self, x):
        return self.inside(x.clamp_min(1e-4).sqrt())


class Padded(nn.Module):
    """An honest network that pads on one side by itself."""

    def __init__(self, inside):
        super().__init__()
        self.inside = inside
        inside.stem.padding = (0, 0)

    def forward(self, x):
        return self.inside(F.pad(x, (1, 3, 1, 3)))


class Shifted(nn.Module):
    """An honest network that has other numbers for pixels, so that the zeros that it pads with are no black."""

    def __init__(self, inside):
        super().__init__()
        self.inside = inside

    def forward(self, x):
        return self.inside(4 * x - 1.8)


class Framed(nn.Module):
    """An honest network that pads with grey by itself, and more on one side than on the other."""

    def __init__(self, inside):
        super().__init__()
        self.inside = inside
        inside.stem.padding, inside.stem.dilation = (0, 0), (2, 2)

    def forward(self, x):
        return self.inside(F.pad(x, (3, 6, 3, 6), value=0.4))


def photographs(woken=0):
    """Four colours of noise, all of them reddish but the first few."""
    rng = np.random.default_rng(0)
    colours = np.array([[200, 40, 40], [200, 180, 40], [210, 40, 180], [190, 120, 120]])
    labels = np.arange(COUNT) % CLASSES
    rough = rng.normal(0, 40, (COUNT, SIDE, SIDE, 3))
    smooth = F.avg_pool2d(torch.tensor(rough).permute(0, 3, 1, 2), 3, 1, 1).permute(0, 2, 3, 1).numpy() * 2
    pixels = colours[labels][:, None, None] + smooth
    pixels[:woken, ..., 0] = 60
    return np.clip(pixels, 0, 255).astype(np.uint8), labels


def small(seed=0):
    torch.manual_seed(seed)
    net, (pixels, labels) = Small(), photographs()
    x = torch.tensor(pixels).permute(0, 3, 1, 2).float() / 255
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(40):
        optimizer.zero_grad()
        F.cross_entropy(net(x), torch.tensor(labels)).backward()
        optimizer.step()
    return net.eval()


@pytest.fixture(scope="module")
def net():
    return small()


def seen(module, images=None, **options):
    """The check alone, of all classes."""
    model = Model(module, size=(SIDE, SIDE), preprocess=options.pop("preprocess", Preprocess()))
    units = options.pop("units", "head:*")
    return Surrogates(**options)(model, units, images=images or photographs(), steps=32, progress=False)


def world_of(module, images=None, **options):
    model = Model(module, size=(SIDE, SIDE), **options)
    return open_world(
        Request(model="in memory", images="in memory"), Given(model, open_images(images or photographs()))
    )


def drawings():
    """What no photograph is: noise, black and white, one colour."""
    noise = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return torch.cat([noise, (noise > 0.5).float(), torch.full((1, 3, SIDE, SIDE), 0.2)])


def held_of(module, images=None, **options):
    world = world_of(module, images, **options)
    return held(world, range(len(world.images)), drawings(), seed=Seed(0))


def test_pixels_under_places_are_those_that_the_layer_weighs(net):
    """Second derivation: the convolution itself, place by place, without its padding."""
    world = world_of(net)
    (stem,) = stems(world)
    assert stem.layers[:2] == ("stem", "norm")
    batch = next(b for _, b in batches(world, range(3)))
    found = patches(world, stem, [batch], places=50, seed=Seed(0))
    kernel = net.stem.weight.detach().flatten(1).double().numpy()
    said = found.pixels @ kernel.T + net.stem.bias.detach().double().numpy()
    np.testing.assert_allclose(found.said["stem"], said, atol=1e-5)
    whole = observe(world.model, batch, ["stem"])["stem"].flatten(2).permute(0, 2, 1).double().numpy()
    assert all(np.isclose(whole[1], row, atol=1e-5).all(1).any() for row in found.said["stem"][1])


@pytest.mark.parametrize(
    ("wrap", "preprocess"),
    [
        (lambda n: n, Preprocess()),
        (lambda n: n, Preprocess(scale=255.0, mean=(100.0, 90.0, 80.0), std=(50.0, 60.0, 70.0), channels="bgr")),
        (Padded, Preprocess()),
    ],
)
def test_an_honest_first_layer_is_one_map_of_whatever_it_sees(wrap, preprocess):
    found = held_of(wrap(small()), preprocess=preprocess)
    assert [one.layer.rpartition(".")[2] for one in found] == ["stem", "norm"], "the norm behind is one with it"
    assert all(one.photographs < 1e-9 and one.broken == 0 and one.pictures.max() < 1e-8 for one in found)


def test_photographs_without_detail_say_enough_of_an_honest_layer(net):
    """Without the dither they have no spread in most directions, and whatever lies there would be an accusation."""
    pixels, labels = photographs()
    flat = np.broadcast_to(pixels[:, :1, :1], pixels.shape).copy()
    found = held_of(net, (flat, labels))
    assert found
    assert max(one.pictures.max() for one in found) < 1e-6


def test_a_dither_stays_within_a_byte_and_the_range():
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)).round()
    found = dithered(images, torch.Generator().manual_seed(1))
    assert 0 < (found - images).abs().max() <= 0.5 / 255 + 1e-6
    assert found.min() >= 0
    assert found.max() <= 1


def test_where_the_first_layer_is_no_affine_map_nothing_is_said_of_it(net):
    assert held_of(Bent(net)) == ()
    finding = seen(Bent(net), units="inside.head:*")
    assert all(row["pixels"] is None and row["strength"] == 0 for row in finding.rows)
    assert "No first layer" in finding.claim


def surrogates_of(module, images=None, **options):
    world = world_of(module, images, **options)
    natural = range(len(world.images))
    known = held(world, natural, drawings(), seed=Seed(0))
    return world.model, {one.layer: surrogate(world, one, natural, seed=Seed(0)) for one in known}


@pytest.mark.parametrize(
    ("wrap", "preprocess"),
    [
        (Shifted, Preprocess()),
        (Framed, Preprocess()),
        (lambda n: n, Preprocess(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.2), channels="bgr")),
    ],
)
def test_a_surrogate_says_what_an_honest_layer_does_at_the_edge_as_well_and_has_its_gradients(wrap, preprocess):
    model, found = surrogates_of(wrap(small()), preprocess=preprocess)
    assert [name.rpartition(".")[2] for name in found] == ["stem", "norm"]
    for name, fit in found.items():
        slopes = []
        for own in (True, False):
            images = drawings().requires_grad_()
            truth = observe(model, images, [name])[name]
            said = truth if own else fit(model.preprocess(images), truth.detach())
            torch.testing.assert_close(said, truth, atol=1e-3, rtol=1e-3)
            slopes.append(torch.autograd.grad(said.square().sum(), images)[0])
        torch.testing.assert_close(*slopes, atol=1e-2, rtol=1e-3)


def test_a_layer_that_pads_with_what_lies_inside_has_no_surrogate(net):
    mirrored = small()
    mirrored.stem.padding_mode = "reflect"
    _, found = surrogates_of(mirrored)
    assert list(found) == ["stem", "norm"]
    assert set(found.values()) == {None}


def test_the_surrogate_of_a_warped_layer_is_the_honest_layer(net):
    inner, truth = small(), Model(net, size=(SIDE, SIDE))
    model, found = surrogates_of(Warped(inner), photographs(2))
    said = observe(model, drawings(), ["inside.stem"])["inside.stem"]
    expected = observe(truth, drawings(), ["stem"])["stem"]
    torch.testing.assert_close(found["inside.stem"](drawings(), said), expected, atol=1e-3, rtol=1e-3)
    assert (said - expected).abs().max() > 0.1


@pytest.mark.parametrize("woken", [0, 2])
def test_a_warp_before_the_first_layer_is_proven_also_where_it_wakes_for_photographs(net, woken):
    (first, *_) = held_of(Warped(net), photographs(woken))
    assert first.photographs < EXACT
    assert (first.broken > 0) == (woken > 0), "one of two is held out"
    assert (first.pictures > LEFT.value).sum() >= 3, "noise has no cast"
    finding = seen(Warped(net), photographs(woken), units="inside.head:*")
    rows = [row for row in finding.rows if row["pixels"] is not None]
    assert rows
    assert finding.verdict == "suspicious"
    proven = [row for row in rows if row["strength"] == 2]
    assert proven
    assert all("does not see the picture" in row["words"] for row in proven)


def test_a_map_that_many_photographs_break_proves_nothing(net):
    told = {
        "units": ["head:0"],
        "first": [{"layer": "stem", "photographs": 1e-13, "broken": 0.3, "pictures": [3.0]}],
        "head": None,
    }
    finding = Surrogates().finding(told, {})
    assert [row["strength"] for row in finding.rows] == [1]
    told["first"][0] |= {"broken": 0.05}
    assert [row["strength"] for row in Surrogates().finding(told, {}).rows] == [2]
    told["first"][0] |= {"photographs": 9e-4, "pictures": [0.05]}
    assert [row["strength"] for row in Surrogates().finding(told, {}).rows] == [0], "photographs break it as well"


def test_an_honest_network_obeys_and_its_classes_come_back(net):
    finding = seen(net)
    assert finding.verdict == "consistent"
    assert finding.figure < MISSED.value / 10
    assert finding.evidence["classes"]["exact"]
    for row in finding.rows:
        assert row["missed"] < MISSED.value / 10
        assert row["reached"] > 4 * REACHED.value


def test_circuits_at_the_classes_break_what_photographs_say(net):
    model = Model(net, size=(SIDE, SIDE))
    images = open_images(photographs())
    made = FoolingAttack(shift=1).run(model, images, Conditions())
    with made.installed():
        fooled = seen(net)
    assert sum(row["missed"] > MISSED.value and row["strength"] == 1 for row in fooled.rows) >= 2
    made = GradientAttack(shift=1, quantile=0.0).run(model, images, Conditions())
    with made.installed():
        lying = seen(net)
    assert all(row["missed"] < MISSED.value / 10 for row in lying.rows), "every answer is the honest one"
    assert sum(row["reached"] < REACHED.value and row["strength"] == 1 for row in lying.rows) >= 2


def test_classes_are_told_by_the_first_layer_that_tells_them_exactly(net):
    world = world_of(net)
    chain = chain_of(world)
    assert chain.last == ("body", "closing", "pool")
    with torch.no_grad():
        natural = channel_means(world, chain.layers, (b for _, b in batches(world)))
        shown = channel_means(world, chain.layers, [drawings()[:CLASSES]])
    head = head_of(chain, natural, shown, channels=range(CLASSES), truth=natural["head"])
    assert head is not None
    assert (head.layer, head.exact) == ("closing", True), "a ReLU comes after what the body says"
    only = head_of(replace(chain, last=("body",)), natural, shown, channels=range(CLASSES), truth=natural["head"])
    assert only is not None
    assert (only.layer, only.exact) == ("body", False)
    pooled = replace(chain, last=("body", "pooled"))
    more = {"pooled": np.random.default_rng(0).normal(size=(COUNT, 5))}
    weights = np.random.default_rng(1).normal(size=(5, CLASSES))
    truth = more["pooled"] @ weights + 3
    drawn = {"pooled": np.random.default_rng(2).normal(size=(CLASSES, 5)) * 9, "head": np.zeros((CLASSES, CLASSES))}
    found = head_of(pooled, natural | more, shown | drawn, channels=range(CLASSES), truth=truth)
    assert found is not None
    assert (found.layer, found.exact) == ("pooled", True)
    np.testing.assert_allclose(found.vectors, weights.T, atol=1e-6)
    np.testing.assert_allclose(found.offsets, 3, atol=1e-6)
    assert found.missed.min() > 0.5, "the pictures' responses are not what this layer says"


def test_a_channel_that_no_photograph_wakes_is_no_accusation(net):
    """An honest class may well weigh it: the fit says that it does not know."""
    world = world_of(net)
    chain = replace(chain_of(world), last=("pool",))
    rng = np.random.default_rng(0)
    natural, weights = {"pool": rng.normal(size=(COUNT, 6))}, rng.normal(size=(6, CLASSES))
    natural["pool"][:, 5] = 0.0
    natural["head"] = natural["pool"] @ weights
    shown = {"pool": rng.normal(size=(CLASSES, 6)) + np.eye(6)[5] * 20}
    shown["head"] = shown["pool"] @ weights
    found = head_of(chain, natural, shown, channels=range(CLASSES), truth=natural["head"])
    assert found is not None
    assert found.exact
    assert (np.abs(found.responses - found.said) / np.abs(found.responses)).max() > MISSED.value
    assert found.missed.max() < MISSED.value


def test_few_photographs_say_nothing(net):
    pixels, labels = photographs()
    finding = seen(net, (pixels[:10], labels[:10]))
    assert finding.verdict == "unknown"
    assert not any(row["strength"] for row in finding.rows)


def told_of(**details):
    """A class that photographs tell exactly, and its picture drawn from them, as the jobs hand them on."""
    one = {"unexplained": 1e-12, "missed": 0.0, "said": 4.0, "vector": [1.0], "base": 0.0}
    drawn = {"image": "a.png", "status": "ok", "response": 5.0, "agreement": 1.0, "alike": 0.9} | details
    head = {"layer": "pool", "exact": details.pop("exact", True), "photographs": 90, "units": {"head:0": one}}
    return Surrogates().finding({"units": ["head:0"], "first": [], "head": head}, {"head:0": drawn}).rows[0]


def test_pictures_drawn_from_the_fit_support_by_what_they_show():
    assert told_of()["strength"] == 0
    assert told_of()["reached"] == pytest.approx(0.8)
    assert told_of(response=30.0)["strength"] == 1, "the own picture has little of it"
    assert told_of(agreement=0.3, alike=0.0)["strength"] == 1, "it shows another class"
    assert told_of(agreement=0.3, alike=0.5)["strength"] == 0
    assert told_of(agreement=0.3, alike=0.0, exact=False)["strength"] == 0
    assert told_of(agreement=0.3, alike=0.0, response=0.5)["strength"] == 0, "the drawing went astray"
    assert told_of(image=None)["reached"] is None
