"""Makes the tiny networks and the scenes of other tests importable; networks as small as these run on one thread."""

import sys
from pathlib import Path

import pytest
import torch

for folder in ("networks", "attacks"):
    sys.path.insert(0, str(Path(__file__).parent.parent / folder))


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
