"""What viewers see is what plain code reads of the same images, in the same order, in any batches."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import snellen
from snellen.images import open_images
from snellen.measures import textures
from snellen.studies.request import MEMORY, Request
from snellen.studies.viewers import PIXELS, viewer_layers, views
from snellen.studies.world import Given, open_world


def network(seed, side):
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 7, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    module = nn.Sequential(*layers, nn.Linear(7, 4)).eval()
    return snellen.Model(module, f"net{seed}", (side, side), snellen.Preprocess())


@pytest.fixture
def world():
    pixels = np.random.default_rng(0).integers(0, 256, (23, 20, 20, 3), dtype=np.uint8)
    request = Request(model=MEMORY, images=MEMORY, quick=True)
    return open_world(request, Given(network(0, 20), open_images(pixels)))


def test_every_view_is_what_plain_code_reads(world):
    other, chosen = network(1, 14), [0, 3, 4, 21, 22]
    pictures = torch.rand(5, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    done = []
    found = {v.name: v for v in views(world, other, chosen, pictures, own=["2"], tick=done.append)}
    photographs = torch.stack([world.images.load(i, (20, 20)) for i in chosen])
    small = torch.stack([world.images.load(i, (14, 14)) for i in chosen])
    resized = F.interpolate(pictures, (14, 14), mode="bilinear", antialias=True).clamp(0, 1)
    layers = viewer_layers(other)
    assert 1 <= len(layers) <= 2
    with torch.no_grad():
        for images, seen, looked in ((photographs, "natural", small), (pictures, "pictures", resized)):
            told = {name: getattr(view, seen) for name, view in found.items()}
            inside = world.model.module[:3](images).mean((2, 3))
            np.testing.assert_allclose(told["2"], inside, rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(told["textures"], textures(images), rtol=1e-4, atol=1e-6)
            cells = F.adaptive_avg_pool2d(images, (16, 16)).flatten(1)
            np.testing.assert_allclose(told[PIXELS], cells, rtol=1e-4, atol=1e-6)
            for layer in layers:
                means = snellen.observe(other, looked, [layer])[layer].mean((2, 3))
                np.testing.assert_allclose(told[f"net1, {layer}"], means, rtol=1e-4, atol=1e-6)
    assert done == sorted(done)
    assert done[-1] == pytest.approx(1.0)


def test_there_is_no_other_network_where_nobody_wants_one(world):
    pictures = torch.rand(1, 3, 20, 20)
    assert {v.name for v in views(world, None, [0, 1], pictures, own=[], tick=lambda _: None)} == {"textures", PIXELS}


def test_the_audited_network_is_no_independent_viewer():
    pixels = np.zeros((8, 64, 64, 3), np.uint8)
    pixels[:, ::2] = 200
    world = open_world(Request(images=MEMORY, quick=True), Given(None, open_images(pixels)))
    assert world.viewer is None
    assert (
        open_world(Request(images=MEMORY, viewer="", quick=True), Given(network(0, 20), open_images(pixels))).viewer
        is None
    )
