"""The program, called in this process; a tiny model and a few images."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rich.progress  # noqa: F401 - it draws from Python's global generator when it is imported
from PIL import Image

from snellen.cli import main

NETWORK = """
import torch
from torch import nn


def net():
    \"\"\"Four classes by brightness, told by the first channel: those of the images beside.\"\"\"
    made = nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )
    levels = (60 * torch.arange(4.0) + 35) / 255
    with torch.no_grad():
        for weight, value in ((made[0].weight, 1 / 27), (made[2].weight, 1 / 54)):
            weight[0].fill_(value)
        made[0].weight[:] = made[0].weight[0]
        made[0].bias.zero_()
        made[2].bias.zero_()
        made[6].weight.zero_()
        made[6].weight[:, 0] = 400 * levels
        made[6].bias.copy_(-200 * levels**2)
    return made


def broken():
    raise RuntimeError("no weights today")
"""


@dataclass(frozen=True)
class Done:
    """What a call of the program left behind."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line of an error."""
        assert self.code == 2, (self.code, self.err)
        assert self.err.startswith("snellen: ")
        assert self.err.count("\n") == 1
        assert "Traceback" not in self.err
        return self.err.removeprefix("snellen: ").rstrip()


@pytest.fixture
def snellen(capfd, monkeypatch) -> Callable[..., Done]:
    """Calls the program with these words."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def call(*words: object) -> Done:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        told = capfd.readouterr()
        return Done(int(ended.value.code or 0), told.out, told.err)

    return call


@pytest.fixture
def tiny(tmp_path) -> Path:
    path = tmp_path / "tiny.py"
    path.write_text(NETWORK)
    return path


@pytest.fixture
def images(tmp_path) -> Path:
    root = tmp_path / "images"
    random = np.random.default_rng(0)
    for number in range(4):
        (root / f"{number}_x").mkdir(parents=True)
        for i in range(3):
            pixels = random.integers(60 * number, 60 * number + 70, (40, 40, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / f"{number}_x" / f"{i}.png")
    return root
