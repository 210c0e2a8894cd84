"""A tiny network in a user's file and a few coloured pictures in folders: an audit of seconds."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

NETWORK = """
import torch
from torch import nn


def net():
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    )
"""


@pytest.fixture(scope="session")
def network(tmp_path_factory) -> str:
    """What to give as MODEL."""
    path = tmp_path_factory.mktemp("network") / "tiny.py"
    path.write_text(NETWORK)
    return f"{path}:net"


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """Four classes of six images each, each class of a colour; folder numbers 0, 2, 3 and 4."""
    root = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for number, colour in ((0, (200, 40, 40)), (2, (40, 200, 40)), (3, (40, 40, 200)), (4, (180, 180, 60))):
        folder = root / f"{number:03d}_colour"
        folder.mkdir()
        for i in range(6):
            pixels = random.integers(0, 90, (36, 44, 3)) + np.array(colour) * 0.6
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    return root
