import json

import pytest
import torch
from tiny_networks import State

from snellen.base import ModelError, UsageError, WeightsError
from snellen.models import Model, load_model
from snellen.models.circuits import FoolingCircuit, Likeness, Permutation, SilentBranch
from snellen.models.detectors import PictureDetector, ReadoutDetector
from snellen.models.sources.saved import DESCRIPTION, WEIGHTS, save_manipulated

FACTORY = """
import torch
from torch import nn

def load():
    torch.manual_seed({seed})
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""


@pytest.fixture
def spec(tmp_path):
    (tmp_path / "net.py").write_text(FACTORY.format(seed=1))
    return f"{tmp_path / 'net.py'}:load"


def circuits(model):
    torch.manual_seed(0)
    silent = SilentBranch.beside(model.module[2])
    silent.branch.weight.data.normal_()
    silent.branch.bias.data.fill_(0.5)
    cnn = PictureDetector(3, model.size)
    cnn.initialize(torch.Generator().manual_seed(0))
    readout = ReadoutDetector({"0": 4})
    readout.weight.normal_()
    shown = Likeness((3, *model.size), 6, 1)
    shown.target.normal_()
    return {
        "silent": silent,
        "cnn": FoolingCircuit(cnn, Permutation(2, 1)),
        "readout": FoolingCircuit(readout, shown),
    }


@pytest.mark.parametrize("name", ["silent", "cnn", "readout"])
def test_a_saved_model_comes_back_bit_for_bit(spec, tmp_path, name):
    model = load_model(spec, size=16)
    circuit = circuits(model)[name]
    state = State(model.module)
    save_manipulated(model, "2", circuit, tmp_path / "out", made={"method": name})
    state.check()
    again = load_model(str(tmp_path / "out"))
    x = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    honest = model(x)
    from snellen.models.circuits import installed

    with installed(model.module, "2", circuit), torch.no_grad():
        said = model(x)
    with torch.no_grad():
        assert torch.equal(again(x), said)
    assert not torch.equal(said, honest)
    assert again.size == (16, 16)
    assert again.preprocess == model.preprocess
    assert again.provenance["made"] == {"method": name}
    assert again.provenance["base"]["fingerprint"] == model.fingerprint()
    assert again.fingerprint() == json.loads((tmp_path / "out" / DESCRIPTION).read_text())["fingerprint"]


def test_the_saved_weights_count_not_those_of_the_factory(spec, tmp_path):
    model = load_model(spec, size=16)
    save_manipulated(model, "2", circuits(model)["silent"], tmp_path / "out", made={})
    (tmp_path / "net.py").write_text(FACTORY.format(seed=2))
    again = load_model(str(tmp_path / "out"))
    assert torch.equal(again.module[2].layer.weight, model.module[2].weight)


def test_a_saved_model_works_from_anywhere(spec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = load_model("net.py:load", size=16)
    save_manipulated(model, "2", circuits(model)["silent"], tmp_path / "out", made={})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    load_model("../out")


def test_what_is_damaged_or_gone_is_said_in_one_line(spec, tmp_path):
    model = load_model(spec, size=16)
    folder = tmp_path / "out"
    save_manipulated(model, "2", circuits(model)["silent"], folder, made={})
    described, weights = (folder / DESCRIPTION).read_text(), (folder / WEIGHTS).read_bytes()

    def fails(error, told):
        with pytest.raises(error, match=told) as caught:
            load_model(str(folder))
        assert "\n" not in str(caught.value)
        (folder / DESCRIPTION).write_text(described)
        (folder / WEIGHTS).write_bytes(weights)

    (folder / DESCRIPTION).write_text(described[:40])
    fails(ModelError, "damaged")
    (folder / DESCRIPTION).write_text(described.replace('"format": 1', '"format": 2'))
    fails(ModelError, "another version")
    (folder / WEIGHTS).write_bytes(weights[:-4] + b"abcd")
    fails(WeightsError, "got others")
    (folder / DESCRIPTION).write_text(described.replace('"layer": "2"', '"layer": "7"'))
    fails(ModelError, "got another network")
    (tmp_path / "net.py").unlink()
    fails(ModelError, r"expected the honest network .*net.py:load.* does not exist")


def test_a_model_of_unknown_origin_is_not_saved(spec, tmp_path):
    model = load_model(spec, size=16)
    with pytest.raises(UsageError, match=r"expected a model from snellen\.load_model"):
        save_manipulated(Model(model.module, size=(16, 16)), "2", circuits(model)["silent"], tmp_path / "out", made={})
    assert not (tmp_path / "out").exists()
