"""snellen rebuild: what it prints, the file that it writes, and bad input in one line."""

import json


def test_the_built_in_network_comes_back_from_its_pictures(snellen, tmp_path):
    done = snellen("rebuild", "builtin", "--quick", "--steps", 8, "--out", tmp_path / "figures.json")
    assert done.code == 0, done.err
    first, attained, *classes, last = done.out.strip().splitlines()
    assert first.startswith("Rebuilt from one picture a class, the layer of 15 classes puts ")
    assert "guaranteed intervals hold 100.0% of the responses" in attained
    assert len(classes) == 15
    assert all("█" in line for line in classes)
    assert last == f"figures: {tmp_path / 'figures.json'}"
    told = json.loads((tmp_path / "figures.json").read_text())
    assert told["check"] == "rebuilding"
    assert told["evidence"]["accuracy"]["network"]["share"] > 0.9


def test_a_network_without_classes_is_one_line(snellen, tmp_path):
    (tmp_path / "one.py").write_text(
        "from torch import nn\n\n\ndef net():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), "
        "nn.Flatten(), nn.Linear(4, 1))\n"
    )
    line = snellen("rebuild", f"{tmp_path / 'one.py'}:net", "--quick", "--size", 24, "--steps", 2).line
    assert "expected a network with a layer of classes" in line
