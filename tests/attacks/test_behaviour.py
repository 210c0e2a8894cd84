"""The receipt's figures of natural behaviour, each derived a second time, one image after the other."""

import inspect
from dataclasses import replace

import pytest
import torch
from scenes import scenes
from torch import nn

from snellen.attacks import SilentAttack
from snellen.attacks.attack import Manipulated
from snellen.attacks.behaviour import compare
from snellen.attacks.gallery import Shown
from snellen.attacks.options import options_of
from snellen.models import Model
from snellen.models.circuits import SilentBranch
from snellen.models.manipulations import PlacedCircuit

COUNT, BATCH = 23, 5  # the last batch has three images


def network(seed=0):
    """In float64, so that batches of any size agree; wide, so that a unit of the layer can be changed alone."""
    torch.manual_seed(seed)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 7),
    )
    with torch.no_grad():
        module[6].weight *= 6
    return Model(module.double().requires_grad_(False), "chain", (12, 12))


def waking(model, images, share):
    """A branch beside the second convolution that wakes on about this share of the images, by more or less."""
    circuit = SilentBranch.beside(model.module[2]).double()
    entering = torch.stack([model.module[:2](images.load(i, model.size)[None].double())[0] for i in range(len(images))])
    with torch.no_grad():
        loud = 1000 * torch.randn(circuit.branch.weight.shape, generator=torch.Generator().manual_seed(1))
        circuit.branch.weight.copy_(loud)
        circuit.branch.bias.zero_()
        said = circuit.branch(entering).amax((1, 2, 3))
        circuit.branch.bias.fill_(-float(said.sort().values[round((1 - share) * len(images)) - 1]))
        circuit.low.fill_(-1e9)
        circuit.high.fill_(1e9)
    return Manipulated(model, PlacedCircuit("2", circuit.requires_grad_(False)), Shown(), {})


@pytest.fixture(scope="module")
def measured():
    images, model = scenes(COUNT, (12, 12), classes=7), network()
    order = [model.module(images.load(i, model.size)[None].double())[0].argsort(descending=True) for i in range(COUNT)]
    images = replace(images, labels=tuple(int(order[i][6 if i % 4 == 3 else 0]) for i in range(COUNT)))  # 3 of 4 right
    manipulated = waking(model, images, 0.7)
    return images, manipulated, compare(manipulated, {"all": images}, batch=BATCH)["all"]


def one_by_one(images, manipulated, read):
    """What both networks say to every image alone."""
    model = manipulated.model
    single = [images.load(i, model.size)[None].double() for i in range(len(images))]
    before = [read(model.module, image)[0] for image in single]
    with manipulated.installed():
        after = [read(model.module, image)[0] for image in single]
    return list(zip(before, after, strict=True))


def test_every_count_is_that_of_single_images(measured):
    images, manipulated, found = measured
    pairs = one_by_one(images, manipulated, lambda module, image: module(image))
    differing = [not torch.equal(a, b) for a, b in pairs]
    assert found.count == COUNT
    assert 2 * -(-COUNT // BATCH) < sum(differing) < COUNT  # so that one a batch would not do
    assert found.differing == sum(differing)
    assert found.changed == sum(int(a.argmax()) != int(b.argmax()) for a, b in pairs) > -(-COUNT // BATCH)
    largest = pytest.approx(max(float((a - b).abs().max()) for a, b in pairs), rel=1e-9)
    for order in (range(COUNT), range(COUNT - 1, -1, -1)):  # it cannot be in the last batch of both
        assert compare(manipulated, {"all": images.subset(order)}, batch=BATCH)["all"].largest == largest


def test_every_share_of_right_answers_is_that_of_single_images(measured):
    images, manipulated, found = measured
    pairs = one_by_one(images, manipulated, lambda module, image: module(image))
    for shares, most in ((found.top1, 1), (found.top5, 5)):
        for share, said in zip(shares, zip(*pairs, strict=True), strict=True):
            right = [images.labels[i] in x.sort(descending=True).indices[:most].tolist() for i, x in enumerate(said)]
            assert share == pytest.approx(sum(right) / COUNT, abs=1e-12)
    assert found.top1[0] != found.top1[1]
    assert found.top1[1] < found.top5[1] < 1


def test_the_change_of_every_layer_is_that_of_single_images(measured):
    """Every image counts alike, also those of a last batch that is smaller."""
    images, manipulated, found = measured
    known = {layer.layer: layer for layer in found.layers}
    assert {"0", "2", "6"} <= set(known)
    layer = manipulated.model.module[2]
    for name in known:

        def read(module, image, name=name):
            depth = {"0": 1, "2": 3, "6": 7}.get(name, int(name) + 1)
            return module[:depth](image)

        if name == manipulated.layer:  # the layer's own output, with its branch beside it
            read = lambda module, image: module[:3](image)  # noqa: E731
        pairs = one_by_one(images, manipulated, read)
        moved = sum(float((a - b).abs().sum()) for a, b in pairs) / sum(float(a.abs().sum()) for a, _ in pairs)
        assert known[name].images == sum(not torch.equal(a, b) for a, b in pairs), name
        assert known[name].relative == pytest.approx(moved, rel=1e-9), name
    assert found.touched == known["2"].images > 0
    assert known["0"].relative == 0 < known["6"].relative
    assert manipulated.model.module[2] is layer


def test_the_last_batch_of_one_image_has_no_more_weight_than_another():
    """An image that the network answers strongly, alone in the last batch."""
    images, model = scenes(2 * BATCH + 1, (12, 12)), network(1)
    manipulated = waking(model, images, 0.5)
    whole = compare(manipulated, {"all": images}, batch=len(images))["all"]
    parts = compare(manipulated, {"all": images}, batch=BATCH)["all"]
    assert [x.relative for x in parts.layers] == pytest.approx([x.relative for x in whole.layers], rel=1e-9)
    assert (parts.differing, parts.changed, parts.touched) == (whole.differing, whole.changed, whole.touched)


def test_silent_units_leave_half_a_natural_range_of_room_unless_another_margin_is_asked_for():
    """From the weights of the branch and every image alone: how far below zero it stays."""
    images = scenes(COUNT, (12, 12))
    model = network()
    manipulated, receipt = SilentAttack(layer="2")(model, images)
    branch = manipulated.manipulation.circuit.branch
    seen = images.subset([i for i in range(COUNT) if i % 5 != 4])
    said = [branch(model.module[:2](seen.load(i, model.size)[None].double()))[0].flatten(1) for i in range(len(seen))]
    high = torch.stack([x.amax(1) for x in said]).amax(0)
    mean = torch.stack([x.mean(1) for x in said]).mean(0)
    torch.testing.assert_close(-high, 0.5 * (high - mean), rtol=1e-3, atol=1e-6)
    assert receipt.facts["margin"] == 0.5


def test_the_command_line_leaves_the_same_room():
    from snellen.verbs.deceive import deceive

    assert "margin" not in inspect.signature(deceive).parameters
    assert options_of(SilentAttack)["margin"].default == SilentAttack().margin == 0.5
