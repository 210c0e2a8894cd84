"""A network and images in memory; networks as small as these run on one thread."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent.parent / "networks"))


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network(seed=3):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    ).eval()  # fmt: skip


@pytest.fixture
def net():
    return network()


@pytest.fixture(scope="module")
def same_net():
    """The same weights again, for a whole file."""
    return network()


@pytest.fixture(scope="session")
def pictures():
    """Six images of each of four colours, with labels: a pair of arrays."""
    random = np.random.default_rng(0)
    colours = np.array([(200, 40, 40), (40, 200, 40), (40, 40, 200), (180, 180, 60)])
    labels = np.repeat(np.arange(4), 6)
    pixels = random.integers(0, 90, (24, 36, 44, 3)) + colours[labels][:, None, None] * 0.6
    return pixels.astype(np.uint8), labels
