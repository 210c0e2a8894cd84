import weakref

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_networks import cnn, in_sequence, tokens
from torch import nn

from snellen.base import LayerError, UnitError
from snellen.images import ImageSet
from snellen.models import Unit, observe, response
from snellen.pictures import exemplars

UNITS = (Unit("fc", 3), Unit("stem", 2), Unit("conv2", 1, (4, 5)), Unit("stem", 2, None, True), Unit("fc", 0))


class Held:
    """Pictures in memory."""

    def __init__(self, arrays):
        self.arrays = arrays

    def picture(self, member, at_least):
        return Image.fromarray(self.arrays[member])

    def content(self, member):
        return self.arrays[member].tobytes()


def images(n=23, size=24, levels=256):
    rng = np.random.default_rng(0)
    arrays = rng.integers(0, levels, (n, size, size, 3)).astype(np.uint8)
    arrays = np.clip(arrays * rng.uniform(0.2, 1.0, (n, 1, 1, 1)), 0, 255).astype(np.uint8)
    return of(arrays)


def of(arrays):
    names = tuple(f"{i}.png" for i in range(len(arrays)))
    return ImageSet("held", names, None, (), (), Held(arrays), tuple(range(len(arrays))))


def one_by_one(model, pictures, units):
    table = np.zeros((len(units), len(pictures)))
    for j in range(len(pictures)):
        x = pictures.load(j, model.size)[None].to(model.dtype)
        for i, unit in enumerate(units):
            table[i, j] = response(observe(model, x, [unit.address])[unit.address], unit).item()
    return table


@pytest.mark.parametrize("batch", [1, 3, 16, 23, 64])
def test_exemplars_are_what_sorting_every_response_gives(batch):
    model, pictures = cnn(double=True), images()
    found = exemplars(model, pictures, UNITS, most=4, batch=batch)
    table = one_by_one(model, pictures, UNITS)
    np.testing.assert_allclose(found.responses, table, rtol=1e-6, atol=1e-7)
    assert found.units == UNITS
    for i in range(len(UNITS)):
        ranked = sorted(range(23), key=lambda j: table[i, j])
        assert found.bottom[i].tolist() == ranked[:4]
        assert found.top[i].tolist() == ranked[::-1][:4]


def test_ties_go_to_the_earlier_image_at_both_ends():
    bright = np.array([3, 1, 3, 2, 1, 3, 1], np.uint8) * 40
    pictures = of(np.broadcast_to(bright[:, None, None, None], (7, 8, 8, 3)).copy())
    model = in_sequence(nn.AdaptiveMaxPool2d(1), nn.Flatten(), size=(8, 8))  # rounds nothing
    for batch in (1, 2, 7):
        found = exemplars(model, pictures, [Unit("1", 0)], most=5, batch=batch)
        assert found.top.tolist() == [[0, 2, 5, 3, 1]]
        assert found.bottom.tolist() == [[1, 4, 6, 3, 0]]


def test_fewer_images_than_asked_for_are_all_there():
    found = exemplars(cnn(), images(3), UNITS[:2], most=9)
    assert sorted(found.top[0].tolist()) == sorted(found.bottom[0].tolist()) == [0, 1, 2]
    assert found.top[0].tolist() == found.bottom[0].tolist()[::-1]


def test_tokens_and_other_sizes_and_progress():
    done = []
    model = tokens()
    units = [Unit("blocks.1", 3), Unit("blocks.1", 3, (1, 2)), Unit("head", 1)]
    found = exemplars(model, images(7), units, batch=3, progress=done.append)
    assert done == [3, 3, 1]
    np.testing.assert_allclose(found.responses, one_by_one(model, images(7), units), rtol=1e-4, atol=1e-5)
    small = exemplars(cnn(), images(7), UNITS[:1], size=(12, 16))
    assert not torch.allclose(small.responses, exemplars(cnn(), images(7), UNITS[:1]).responses)


def test_units_that_are_not_there_are_told():
    with pytest.raises(UnitError, match="0-4"):
        exemplars(cnn(), images(3), [Unit("fc", 5)])
    with pytest.raises(LayerError, match="did you mean"):
        exemplars(cnn(), images(3), [Unit("fcs", 0)])


def test_activations_are_let_go_batch_by_batch(monkeypatch):
    module = __import__("sys").modules["snellen.pictures.exemplars"]
    seen, most = [], []

    def spied(model, pictures, addresses):
        found = observe(model, pictures, addresses)
        most.append(sum(ref() is not None for ref in seen))
        assert len(pictures) <= 4
        seen.extend(weakref.ref(v) for v in found.values())
        return found

    monkeypatch.setattr(module, "observe", spied)
    found = exemplars(cnn(), images(23), [Unit("stem", 1), Unit("fc", 2)], batch=4)
    assert len(seen) == 12
    assert max(most) <= 2  # the two layers of the batch before
    del found
