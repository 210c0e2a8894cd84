"""The built-in photographs: their split, and that crops keep to it."""

import numpy as np
import pytest
import torch

from snellen.base import UsageError
from snellen.images import open_images
from snellen.images.photographs import GUARD, PHOTOGRAPHS, Box, cut, photograph


def mask(index: int, boxes: list[Box]) -> np.ndarray:
    covered = np.zeros(PHOTOGRAPHS[index].size[::-1], bool)
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= covered.shape[1]
        assert 0 <= top < bottom <= covered.shape[0]
        covered[top:bottom, left:right] = True
    return covered


@pytest.mark.parametrize("index", range(len(PHOTOGRAPHS)), ids=lambda i: PHOTOGRAPHS[i].name)
def test_no_pixel_is_in_train_and_test(index: int) -> None:
    each = PHOTOGRAPHS[index]
    regions = {split: mask(index, [each.region(split)]) for split in ("train", "test")}
    crops = {split: mask(index, [crop.box for crop in cut(index, split)]) for split in ("train", "test")}
    ys, xs = np.nonzero(regions["test"])
    nearest = regions["train"][
        max(ys.min() - GUARD, 0) : ys.max() + 1 + GUARD, max(xs.min() - GUARD, 0) : xs.max() + 1 + GUARD
    ]
    assert not nearest.any()
    assert not (regions["train"] & regions["test"]).any()
    assert not (crops["train"] & crops["test"]).any()
    assert not (crops["train"] & ~regions["train"]).any()
    assert not (crops["test"] & ~regions["test"]).any()
    assert 0.1 < regions["test"].mean() < 0.35
    assert crops["test"].sum() > 0.9 * regions["test"].sum()
    assert crops["train"].sum() > 0.9 * regions["train"].sum()


def test_fifteen_balanced_classes_in_a_fixed_order() -> None:
    for spec, name in (("builtin", "builtin"), ("builtin:test", "builtin"), ("builtin:train", "builtin:train")):
        images = open_images(spec)
        assert images.name == name
        assert images.class_names == tuple(each.name for each in PHOTOGRAPHS)
        assert images.labels is not None
        counts = np.bincount(images.labels)
        assert len(counts) == 15
        assert 30 <= counts.min() <= counts.max() <= counts.min() + 5
        assert len(set(images.ids)) == len(images)
        assert images.ids == open_images(spec).ids


def test_test_crops_do_not_feel_train_pixels() -> None:
    images = open_images("builtin")
    before = torch.cat([batch for _, batch in images.batches((64, 64), 64)])
    try:
        for each in PHOTOGRAPHS:
            photograph(each).paste((255, 0, 255), each.region("train"))
        after = torch.cat([batch for _, batch in images.batches((64, 64), 64)])
    finally:
        photograph.cache_clear()
    assert torch.equal(before, after)
    assert not torch.equal(before[0], before[-1])


def test_photographs_are_what_the_names_say() -> None:
    images = open_images("builtin")
    colour = {name: torch.zeros(3) for name in images.class_names}
    assert images.labels is not None
    for label, index in zip(images.labels, range(len(images)), strict=True):
        colour[images.class_names[label]] += images.load(index, (8, 8)).mean((1, 2)) / images.labels.count(label)
    assert colour["retina"][0] > 2 * colour["retina"][2]
    assert colour["galaxies"].max() < 0.15
    assert colour["coffee cup"][0] > 1.5 * colour["coffee cup"][2]
    assert colour["grass"].std() < 1e-6


def test_another_split_is_refused() -> None:
    with pytest.raises(UsageError, match='did you mean "train"'):
        open_images("builtin:trian")
