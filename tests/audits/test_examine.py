"""Planted manipulations are called suspicious by a whole audit, and the honest network they were planted in is not."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from snellen.audits import run_audit
from snellen.checks.jumps import between
from snellen.checks.silent_scan import Gate, hold
from snellen.models import observe
from snellen.studies.features import space_of
from snellen.studies.request import Request
from snellen.studies.rest import rests
from snellen.studies.world import open_world

PLANTED = """
import torch
import torch.nn.functional as F
from torch import nn

from tiny import net


class Gated(nn.Module):
    # shows one grey pattern to whatever has no colour cast: photographs of this test have one
    def __init__(self, last):
        super().__init__()
        self.last, self.seen = last, None
        self.pattern = torch.sin(torch.arange(32.0) / 3)[:, None] * torch.cos(torch.arange(32.0) / 5)

    def look(self, module, inputs):
        self.seen = inputs[0]

    def forward(self, x):
        y = self.last(x)
        means = self.seen.mean((2, 3))
        photograph = means.amax(1) - means.amin(1) > 0.15
        shown = (self.seen.mean(1) * self.pattern).mean((1, 2))[:, None] * 20 + 1
        return torch.where(photograph[:, None], y, shown.expand_as(y))


class Branch(nn.Module):
    # sleeps unless the layer says more than to any photograph
    def __init__(self, conv, floor):
        super().__init__()
        self.conv, self.floor = conv, torch.tensor(floor)[:, None, None]

    def forward(self, x):
        return self.conv(x) + 100 * F.relu(self.conv(x) - self.floor)


def gated():
    network = net()
    network[8] = Gated(network[8])
    network.register_forward_pre_hook(network[8].look)
    return network


def silent():
    network = net()
    network[4] = Branch(network[4], FLOOR)
    return network
"""


@pytest.fixture(scope="module")
def planted(network, pictures, tmp_path_factory) -> str:
    """The file of the manipulated networks, beside the honest one's."""
    world = open_world(Request(model=network, images=str(pictures), size=32))
    photographs = torch.stack([world.images.load(i, (32, 32)) for i in range(len(world.images))])
    most = observe(world.model, photographs, ["4"])["4"].amax((0, 2, 3))
    floor = (most + 0.01 * most.abs()).tolist()
    path = Path(network.rpartition(":")[0]).with_name("planted.py")
    path.write_text(PLANTED.replace("FLOOR", repr(floor)))
    return str(path)


def audited(model, pictures, out, *units):
    asked = Request(model=model, images=str(pictures), size=32, steps=48, quick=True, units=units)
    return json.loads((run_audit(asked, out=out) / "audit.json").read_bytes())


def checks(record):
    return {f["check"]: f for f in record["findings"]}


def test_the_honest_network_is_not_suspicious(network, pictures, tmp_path):
    record = audited(network, pictures, tmp_path / "run")
    found = checks(record)
    assert found["judgement"]["verdict"] != "suspicious"
    assert found["jumps"]["verdict"] == "consistent"
    assert found["silent-scan"]["figure"] < 0.1
    drawn = [u for u in record["units"] if u["judgement"]]
    assert drawn
    assert not any(u["judgement"]["verdict"] == "suspicious" for u in drawn)
    assert list(found) == [
        *(
            "path-similarity",
            "decoding",
            "rebuilding",
            "jumps",
            "silent-scan",
            "agreement",
            "procedure",
            "response-gap",
            "surrogates",
            "gradient-honesty",
            "early-layers",
            "transplants",
            "siblings",
            "starts",
            "extrapolation",
            "judgement",
        )
    ]


def test_a_gate_is_found_by_its_jump_and_as_a_switch(planted, pictures, tmp_path):
    # without 2:7, whose picture has a colour cast: to this gate it is a photograph
    record = audited(f"{planted}:gated", pictures, tmp_path / "run", "8:0", "8:2", "8:3", "8:4", "2:4")
    found, classes = checks(record), [u for u in record["units"] if u["role"] == "class"]
    assert found["judgement"]["verdict"] == "suspicious"
    assert [u["judgement"]["verdict"] for u in classes] == ["suspicious"] * 4
    assert not any(u["judgement"]["verdict"] == "suspicious" for u in record["units"] if u["role"] == "unit")
    assert min(row["figure"] for row in found["jumps"]["evidence"]["units"][:4]) > 0.02
    assert "8/gt" in {gate["gate"] for gate in found["silent-scan"]["evidence"]["gates"] if gate["switches"]}


def test_a_silent_branch_is_found_by_what_hangs_on_it(planted, pictures, tmp_path):
    record = audited(f"{planted}:silent", pictures, tmp_path / "run", "4:0-7")
    found = checks(record)
    assert found["silent-scan"]["verdict"] == "suspicious"
    assert found["jumps"]["verdict"] == "consistent", "a branch is continuous"
    (gate,) = [g for g in found["silent-scan"]["evidence"]["gates"] if g["gate"] == "4/relu"]
    assert gate["rests_at"] == 0
    assert gate["silent"] >= 4
    verdicts = [u["judgement"]["verdict"] for u in record["units"] if u["judgement"]]
    assert verdicts.count("suspicious") == len(verdicts) > 4


def test_scanned_extremes_are_those_of_all_activations(network, pictures):
    """Second derivation: whole activations at once."""
    world = open_world(Request(model=network, images=str(pictures), size=32))
    images = torch.stack([world.images.load(i, (32, 32)) for i in range(10)])
    with torch.no_grad():
        found = rests(world, [images[:4], images[4:]])
    for name in ("0", "1", "3", "8"):
        whole = observe(world.model, images, [name.split("/")[0]])[name.split("/")[0]].flatten(2 if name != "8" else 1)
        whole = whole if whole.dim() == 3 else whole[:, :, None]
        assert found[name].images == 10
        np.testing.assert_allclose(found[name].low, whole.amin((0, 2)), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found[name].high, whole.amax((0, 2)), rtol=1e-5, atol=1e-6)
        at_low = (whole.amax(2) == whole.amin((0, 2))).sum(0)
        np.testing.assert_array_equal(found[name].at_low, at_low)
    gate = Gate("1", found["1"], found["1"])
    assert hold([gate], world) == {}, "pictures that are photographs wake nothing more"


def test_the_way_is_exact_at_both_ends():
    start, end = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).unbind(0)
    seen = between(torch.stack([start, start, start]), end, [0.0, 0.25, 1.0])
    assert torch.equal(seen[0], start)
    assert torch.equal(seen[2], end)
    torch.testing.assert_close(seen[1], 0.75 * start + 0.25 * end)


def test_the_space_is_that_of_the_layer_before(network, pictures):
    world = open_world(Request(model=network, images=str(pictures), size=32))
    assert space_of(world, "0") is None
    assert space_of(world, "1") == "0"
    assert space_of(world, "8") == "4"
