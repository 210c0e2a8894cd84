"""What photographs do to layers is looked at once, whoever asks."""

from unittest.mock import patch

import numpy as np
import pytest
import torch

from snellen.studies import features
from snellen.studies.features import channel_means, natural_means
from snellen.studies.natural import batches
from snellen.studies.request import Request
from snellen.studies.world import open_world

CHOSEN = [0, 3, 4, 9, 20]


@pytest.fixture(scope="module")
def world():
    return open_world(Request("builtin"))


@torch.no_grad()
def test_means_of_photographs_are_those_of_a_pass_and_seen_once(world):
    told = []
    found = natural_means(world, ["block1", "block3"], CHOSEN, more=told.append)
    plain = channel_means(world, ["block1", "block3"], (images for _, images in batches(world, CHOSEN)))
    for layer, values in plain.items():
        np.testing.assert_array_equal(found[layer], values)
    assert sum(told) == len(CHOSEN)
    with patch.object(features, "_means", side_effect=AssertionError("looked at twice")):
        again = natural_means(world, ["block3"], CHOSEN, more=told.append)
        np.testing.assert_array_equal(again["block3"], found["block3"])
        with pytest.raises(AssertionError, match="looked at twice"):
            natural_means(world, ["block3", "block4"], CHOSEN)
        with pytest.raises(AssertionError, match="looked at twice"):
            natural_means(world, ["block3"], CHOSEN[1:])
    assert sum(told) == 2 * len(CHOSEN)
