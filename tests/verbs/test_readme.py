"""The Python of README.md and docs/cli.md runs as it stands, on a network whose layers have the names they speak of."""

import re
import webbrowser
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import snellen

ROOT = Path(__file__).parents[2]
SMALL = {"steps": 2, "quick": True, "progress": False}


def blocks(name):
    found = re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return found


class Net(nn.Module):
    """Layers called as in a ResNet."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, 2, 1)
        self.layer4 = nn.Sequential(OrderedDict(conv=nn.Conv2d(6, 20, 3, 2, 1), relu=nn.ReLU()))
        self.fc = nn.Linear(20, 6)

    def forward(self, x):
        return self.fc(self.layer4(self.conv1(x).relu()).mean((2, 3)))


@pytest.fixture
def names(monkeypatch, tmp_path):
    """What the documents leave to the reader; audits and pictures are small ones here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(webbrowser, "open", lambda _page: True)
    audit, render, jumps = snellen.audit, snellen.render, snellen.checks.Jumps()
    monkeypatch.setattr(snellen, "audit", lambda *a, **k: audit(*a, **k, **SMALL, units=["layer4:17", "fc:0-5"]))
    monkeypatch.setattr(snellen, "render", lambda *a, steps=0, **k: render(*a, steps=2, **k))
    monkeypatch.setattr(snellen.checks, "Jumps", lambda: lambda *a, **k: jumps(*a, **k, **SMALL))
    torch.manual_seed(0)
    pixels = torch.from_numpy(np.random.default_rng(0).random((24, 3, 32, 32), np.float32))
    return {"net": Net(), "dataset": TensorDataset(pixels, torch.arange(24) % 6)}


@pytest.mark.parametrize("name", ["README.md", "docs/cli.md"])
def test_the_documents_python_runs(names, name):
    for code in blocks(name):
        exec(compile(code, name, "exec"), names)
    audit = names["audit"]
    assert audit.complete
    assert audit.page.is_file()
    assert isinstance(audit.units["layer4:17"].picture.size, tuple)


def test_the_readme_shows_memory_first():
    text = (ROOT / "README.md").read_text()
    assert text.index("snellen.render(net") < text.index("snellen audit my_file")
