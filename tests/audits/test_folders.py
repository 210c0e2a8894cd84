"""Folders and classes, from images on the disk to the record and the page: audits and receipts follow one rule."""

import json
import random
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snellen.attacks import Exam, SilentAttack
from snellen.audits import run_audit
from snellen.base import ImageError
from snellen.images import open_images
from snellen.models.sources import load_model
from snellen.reports import build
from snellen.studies.request import Request

NETWORK = """
import snellen, torch
from torch import nn

COLOURS, LABELS = {colours}, {labels}

def net():
    \"\"\"The output whose colour is nearest to the picture's mean.\"\"\"
    stem, head = nn.Conv2d(3, 3, 1), nn.Linear(3, len(COLOURS))
    colours = torch.tensor(COLOURS)
    with torch.no_grad():
        stem.weight.copy_(torch.eye(3)[:, :, None, None])
        stem.bias.zero_()
        head.weight.copy_(40 * colours)
        head.bias.copy_(-20 * (colours ** 2).sum(1))
    module = nn.Sequential(stem, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    return snellen.Model(module.eval(), size=(16, 16), labels=LABELS)
"""
FUNCTIONAL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)

    def forward(self, x):
        return self.conv(x).mean((2, 3)) @ torch.linspace(0, 1, 60).view(5, 12)

def net():
    torch.manual_seed(0)
    return Net()
"""
NUMBERS = tuple(map(str, range(12)))
TEXT = tuple(sorted(NUMBERS))
ONE = tuple(map(str, range(1, 13)))
ANIMALS = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay", "kea", "lynx")
SHUFFLED = tuple(random.Random(1).sample(ANIMALS, 12))


def colour(k: int) -> list[float]:
    return [k % 4 / 3, k // 4 / 2, 0.5]


def folders(root: Path, names: tuple[str, ...]) -> Path:
    """Five images of each folder's own colour."""
    stream = np.random.default_rng(0)
    for k, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for i in range(5):
            pixels = np.array(colour(k)) + stream.normal(0, 0.05, (16, 16, 3))
            Image.fromarray((pixels.clip(0, 1) * 255).astype(np.uint8)).save(root / name / f"{i}.png")
    return root


def network(path: Path, outputs: list[int], labels: tuple[str, ...] = ()) -> str:
    """A network whose output j is the colour of the folder made as outputs[j]."""
    path.write_text(NETWORK.format(colours=[colour(k) for k in outputs], labels=labels))
    return f"{path}:net"


CASES = {
    "folder number": (NUMBERS, [NUMBERS.index(str(j)) for j in range(12)], ()),
    "folder order": (NUMBERS, [NUMBERS.index(name) for name in TEXT], ()),
    "folder number, counted from one": (ONE, list(range(12)), ()),
    "label names": (ANIMALS, [ANIMALS.index(name) for name in SHUFFLED], SHUFFLED),
    "numeric order": (
        tuple(f"v{2**k}" for k in range(12)),
        list(range(12)),
        (),
    ),
    "model predictions": (ANIMALS, [ANIMALS.index(name) for name in SHUFFLED], ()),
}


@pytest.mark.parametrize("source", CASES)
def test_the_true_mapping_is_found_and_audits_and_receipts_agree(tmp_path, source):
    names, outputs, labels = CASES[source]
    images, spec = folders(tmp_path / "images", names), network(tmp_path / "net.py", outputs, labels)
    notes: list[str] = []
    asked = Request(spec, str(images), units=("0:0",), steps=1, quick=True)
    run = run_audit(asked, out=tmp_path / "run", note=notes.append)
    told = json.loads((run / "audit.json").read_bytes())["images"]
    assert told["labels_from"] == told["fit"]["source"] == source
    assert {c["name"]: c["unit"] for c in told["classes"]} == {names[k]: j for j, k in enumerate(outputs)}
    assert {c["purity"] for c in told["classes"]} == {1.0}
    assert (told["fit"]["good"], told["fit"]["rate"], told["fit"]["agreeing"]) == (True, 1.0, 12)
    assert told["fit"]["chance"] == pytest.approx(1 / 12, abs=1e-4)
    assert any("100% of 60 images" in line for line in notes) == (source == "model predictions")
    page = build(run).read_text()
    assert f"matched to classes by {source}: 100% of 60 images" in page
    assert "do not fit" not in page
    attack = SilentAttack(layer="0", shift=1)
    _, receipt = attack(load_model(spec), open_images(images), exam=Exam(units=0))
    for seen in receipt.behaviour.values():
        assert json.loads(json.dumps(asdict(seen.classes))) == told["fit"]
        assert seen.top1 is not None
        assert seen.top1[0] == 1.0


@pytest.mark.parametrize(("names", "outputs"), [(NUMBERS, list(range(12))), (ANIMALS[:5], [0] * 12)])
def test_a_network_that_fits_no_folder_is_said_loudly(tmp_path, names, outputs):
    """All folders look the same to it."""
    images = folders(tmp_path / "images", names)
    for path in images.rglob("*.png"):  # every folder has the same five colours
        pixels = np.full((16, 16, 3), colour(int(path.stem)))
        Image.fromarray((pixels * 255).astype(np.uint8)).save(path)
    spec = network(tmp_path / "net.py", outputs)
    notes: list[str] = []
    asked = Request(spec, str(images), units=("0:0",), steps=1, quick=True)
    run = run_audit(asked, out=tmp_path / "run", note=notes.append)
    told = json.loads((run / "audit.json").read_bytes())["images"]
    assert not told["fit"]["good"]
    assert told["fit"]["words"].startswith("The folders do not fit")
    assert notes[-1] == f"images: {told['fit']['words']}"
    lede = build(run).read_text().partition('class="lede"')[2].partition("byline")[0]
    assert "The folders do not fit" in lede
    _, receipt = SilentAttack(layer="0", shift=1)(load_model(spec), open_images(images), exam=Exam(units=0))
    assert json.loads(json.dumps(asdict(receipt.behaviour["held-out"].classes))) == told["fit"]
    again: list[str] = []
    run_audit(asked, out=run, note=again.append)
    assert again == notes


def test_one_value_is_no_class(tmp_path):
    images, spec = folders(tmp_path / "images", ("0", "1")), network(tmp_path / "net.py", [0])
    run = run_audit(Request(spec, str(images), units=("0:0",), steps=1, quick=True), out=tmp_path / "run")
    told = json.loads((run / "audit.json").read_bytes())["images"]
    assert (told["labels_from"], told["fit"], {c["unit"] for c in told["classes"]}) == ("none", None, {None})
    _, receipt = SilentAttack(layer="0", shift=1)(load_model(spec), open_images(images), exam=Exam(units=0))
    assert {(seen.classes, seen.top1) for seen in receipt.behaviour.values()} == {(None, None)}


def test_an_output_that_no_layer_holds_has_no_classes(tmp_path):
    """Prototypes, or an embedding: numbers, and not one unit each."""
    path = tmp_path / "net.py"
    path.write_text(FUNCTIONAL)
    images = folders(tmp_path / "images", NUMBERS)
    asked = Request(f"{path}:net", str(images), units=("conv:0",), steps=1, quick=True, size=16)
    told = json.loads((run_audit(asked, out=tmp_path / "run") / "audit.json").read_bytes())["images"]
    assert (told["labels_from"], told["fit"], {c["unit"] for c in told["classes"]}) == ("none", None, {None})


def test_train_and_val_are_not_two_classes(tmp_path):
    for part in ("train", "val"):
        folders(tmp_path / "images" / part, NUMBERS[:3])
    with pytest.raises(ImageError, match=r"images/val$"):
        run_audit(Request(network(tmp_path / "net.py", [0, 1, 2]), str(tmp_path / "images")), out=tmp_path / "run")
