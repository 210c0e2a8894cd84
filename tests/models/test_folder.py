import json
import os

import pytest
import torch
from tiny_networks import State

from snellen.base import ModelError, UsageError, WeightsError
from snellen.models import Model, load_model
from snellen.models.circuits import (
    FoolingCircuit,
    InnerGate,
    InputWarp,
    LeakyBranch,
    Likeness,
    LyingGradients,
    Order,
    Permutation,
    RotatedSwitch,
    SilentBranch,
    SoftGate,
    circuit_from,
    filters_beside,
)
from snellen.models.detectors import PictureDetector, ReadoutDetector
from snellen.models.manipulations import PlacedCircuit
from snellen.models.sentries import InnerSentry, Sentry
from snellen.models.sources.folder import DESCRIPTION, WEIGHTS, save_manipulated
from snellen.models.sources.probe import check_finite

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
    leaky = LeakyBranch(filters_beside(model.module[2]), readout)
    leaky.branch.weight.data.normal_(), leaky.branch.bias.data.fill_(0.5), leaky.ramp.fill_(0.3)
    sentry = Sentry(3)
    sentry.initialize(torch.Generator().manual_seed(0))
    rotated = RotatedSwitch(readout, Permutation(2, 1))
    rotated.rotation.weight.data.normal_()
    warp = InputWarp(Sentry(4))
    warp.sentry.initialize(torch.Generator().manual_seed(1)), warp.mirror.fill_(0.7)
    inner = InnerGate(InnerSentry(4, 1), Order([1, 2, 3, 4, 5, 0], 1))
    inner.sentry.initialize(torch.Generator().manual_seed(2)), inner.sentry.scale.fill_(0.3)
    return {
        "rotated": rotated,
        "inner": inner,
        "soft": SoftGate(sentry, Order([1, 2, 3, 4, 5, 0], 1)),
        "warp": warp,
        "silent": silent,
        "leaky": leaky,
        "cnn": FoolingCircuit(cnn, Permutation(2, 1)),
        "readout": FoolingCircuit(readout, shown),
    }


@pytest.mark.parametrize("name", ["silent", "leaky", "rotated", "soft", "inner", "warp", "cnn", "readout"])
def test_a_saved_model_comes_back_bit_for_bit(spec, tmp_path, name):
    model = load_model(spec, size=16)
    circuit = circuits(model)[name]
    state = State(model.module)
    save_manipulated(model, PlacedCircuit("2", circuit), tmp_path / "out", made={"method": name})
    state.check()
    again = load_model(str(tmp_path / "out"), base=spec)
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
    save_manipulated(model, PlacedCircuit("2", circuits(model)["silent"]), tmp_path / "out", made={})
    (tmp_path / "net.py").write_text(FACTORY.format(seed=2))
    again = load_model(str(tmp_path / "out"), base=spec)
    assert torch.equal(again.module[2].layer.weight, model.module[2].weight)


def test_a_saved_model_works_from_anywhere(spec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = load_model("net.py:load", size=16)
    save_manipulated(model, PlacedCircuit("2", circuits(model)["silent"]), tmp_path / "out", made={})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    load_model("../out", base=f"{tmp_path}/net.py:load")


def test_what_is_damaged_or_gone_is_said_in_one_line(spec, tmp_path):
    model = load_model(spec, size=16)
    folder = tmp_path / "out"
    save_manipulated(model, PlacedCircuit("2", circuits(model)["silent"]), folder, made={})
    described, weights = (folder / DESCRIPTION).read_text(), (folder / WEIGHTS).read_bytes()

    def fails(error, told):
        with pytest.raises(error, match=told) as caught:
            load_model(str(folder), base=spec)
        assert "\n" not in str(caught.value)
        (folder / DESCRIPTION).write_text(described)
        (folder / WEIGHTS).write_bytes(weights)

    (folder / DESCRIPTION).write_text(described[:40])
    fails(ModelError, "damaged")
    (folder / DESCRIPTION).write_text(described.replace('"format": 1', '"format": 2'))
    fails(ModelError, "another version")
    (folder / DESCRIPTION).write_text(described.replace('"fingerprint": "', '"fingerprint": "0', 1))
    fails(ModelError, "base.fingerprint to be SHA-256")
    for place in (1, 2):  # of the honest network, of the manipulated one
        wrong = described.split('"fingerprint": "')
        wrong[place] = "f" * 64 + wrong[place][64:]
        (folder / DESCRIPTION).write_text('"fingerprint": "'.join(wrong))
        fails(ModelError, "fingerprints it, got another network")
    (folder / WEIGHTS).write_bytes(weights[:-4] + b"abcd")
    fails(WeightsError, "got others")
    (folder / DESCRIPTION).write_text(described.replace('"layer": "2"', '"layer": "7"'))
    fails(ModelError, "got another network")
    (tmp_path / "net.py").unlink()
    fails(ModelError, r"expected the honest network .*net.py:load.* does not exist")


def test_a_model_of_unknown_origin_is_not_saved(spec, tmp_path):
    model = load_model(spec, size=16)
    foreign, placed = Model(model.module, size=(16, 16)), PlacedCircuit("2", circuits(model)["silent"])
    with pytest.raises(UsageError, match=r"expected a model from snellen\.load_model"):
        save_manipulated(foreign, placed, tmp_path / "out", made={})
    assert not (tmp_path / "out").exists()


EVIL = """
from pathlib import Path
from torch import nn

Path(__file__).with_name("sprung").touch()

def load():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""


@pytest.fixture
def saved(spec, tmp_path):
    """A saved model, and a function that changes its description."""
    model = load_model(spec, size=16)
    folder = tmp_path / "out"
    save_manipulated(model, PlacedCircuit("2", circuits(model)["readout"]), folder, made={})
    whole = json.loads((folder / DESCRIPTION).read_text())

    def change(text=None, **fields):
        told = json.dumps({**whole, **fields}) if text is None else text
        (folder / DESCRIPTION).write_text(told)
        return folder

    return change


@pytest.mark.parametrize("name", ["net.py:load", "./net.py:load", "net.pt", "../out", "sprung.py:load", "out"])
def test_a_folder_never_says_what_code_to_run(saved, tmp_path, monkeypatch, name):
    folder = saved(base={"spec": name, "name": "net", "fingerprint": "0" * 64})
    for place in (tmp_path, folder):
        (place / "net.py").write_text(EVIL)
        (place / "sprung.py").write_text(EVIL)
    monkeypatch.chdir(folder)
    with pytest.raises(ModelError, match="runs no code"):
        load_model(str(folder), trust_pickle=True)
    assert not (tmp_path / "sprung").exists()
    assert not (folder / "sprung").exists()


def test_code_is_run_for_whoever_names_it(saved, spec, tmp_path):
    folder = saved()
    with pytest.raises(ModelError, match=r"runs no code, .*--base"):
        load_model(str(folder))
    assert load_model(str(folder), base=spec).provenance["base"]["named"] == spec
    (tmp_path / "other.py").write_text(FACTORY.format(seed=1).replace("nn.Flatten()", "nn.ReLU(), nn.Flatten()"))
    with pytest.raises(ModelError, match="fingerprints it"):
        load_model(str(folder), base=f"{tmp_path}/other.py:load")
    with pytest.raises(ModelError, match="manipulated one"):
        load_model(str(folder), base=str(folder))
    with pytest.raises(UsageError, match="leave it away"):
        load_model(spec, base=spec)


def test_a_manipulated_network_is_not_manipulated_again(saved, spec, tmp_path):
    again = load_model(str(saved()), base=spec)
    with pytest.raises(UsageError, match="expected an honest network"):
        save_manipulated(again, PlacedCircuit("1", SilentBranch.beside(again.module[0])), tmp_path / "twice", made={})


READOUT = {"kind": "readout", "layers": {"0": 4}}
LIKENESS = {"kind": "picture", "size": [3, 16, 16], "units": 6, "axis": 1}
ORDER = {"kind": "order", "order": [1, 0], "axis": 1}
CNN = {"kind": "cnn", "channels": 3, "size": [16, 16]}
PREPROCESS = {"scale": 1.0, "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0], "channels": "rgb"}


def fooling(detector=READOUT, decoy=LIKENESS):
    return {"circuit": {"kind": "fooling-circuit", "detector": detector, "decoy": decoy}}


@pytest.mark.parametrize(
    "fields",
    [
        {"base": None},
        {"base": {"spec": 5, "name": "x", "fingerprint": "0" * 64}},
        {"layer": ["2"]},
        {"layer": "2\x1b[2J"},
        {"layer": "\ud800"},
        {"later": 1},
        {"circuit": {"kind": "evil"}},
        {"circuit": {"kind": ["silent-units"]}},
        {"circuit": {"kind": "silent-units", "more": 1}},
        {"circuit": {"kind": "leaky-silent"}},
        {"circuit": {"kind": "soft-gate", "sentry": {"channels": 10**6}, "decoy": ORDER}},
        {"circuit": {"kind": "soft-gate", "sentry": {"channels": 3, "more": 1}, "decoy": ORDER}},
        {"circuit": {"kind": "inner-gate", "sentry": {"channels": 4, "axis": 5}, "decoy": ORDER}},
        {"circuit": {"kind": "inner-gate", "sentry": {"channels": 2**17, "axis": 1}, "decoy": ORDER}},
        {"circuit": {"kind": "inner-gate", "sentry": {"channels": 2**16, "axis": 1}, "decoy": ORDER}},
        {"circuit": {"kind": "inner-gate", "sentry": {"channels": 4, "axis": 1}, "decoy": LIKENESS}},
        {"circuit": {"kind": "lying-gradients", "shift": 1, "axis": 1, "units": 6, "strength": 1.5}},
        {"circuit": {"kind": "input-warp"}},
        {"circuit": {"kind": "input-warp", "sentry": {"channels": 10**6}}},
        {
            "circuit": {
                "kind": "soft-gate",
                "sentry": {"channels": 3},
                "decoy": {"kind": "order", "order": [], "axis": 1},
            }
        },
        {"circuit": {"kind": "soft-gate", "sentry": {"channels": 3}, "decoy": {**ORDER, "order": [0, 0]}}},
        {"circuit": {"kind": "soft-gate", "sentry": {"channels": 3}, "decoy": {**ORDER, "order": [0, 2**63]}}},
        {"circuit": {"kind": "rotated-switch", "detector": {"kind": "mlp"}, "decoy": LIKENESS}},
        {"circuit": {"kind": "leaky-silent", "detector": {"kind": "readout", "layers": {"0": -1}}}},
        fooling({"kind": "mlp"}),
        fooling({**READOUT, "layers": {"0": 10**9}}),
        fooling({**READOUT, "layers": {"0": 4, "1": 2**24}}),
        fooling({**READOUT, "layers": {"0": 4.5}}),
        fooling({**READOUT, "layers": [["0", 4]]}),
        fooling({**CNN, "size": [10**6, 10**6]}),
        fooling({**CNN, "channels": -1}),
        fooling(decoy={**LIKENESS, "size": [4096, 4096, 4096]}),
        fooling(decoy={**LIKENESS, "size": [-3, 16, 16]}),
        fooling(decoy={**LIKENESS, "axis": 10**30}),
        fooling(decoy={"kind": "permute", "shift": 1e308, "axis": 1}),
        {"size": [16]},
        {"size": [16, 10**9]},
        {"size": "16"},
        {"preprocess": {**PREPROCESS, "mean": [float("nan")] * 3}},
        {"preprocess": {**PREPROCESS, "mean": [0.0, 0.0]}},
        {"preprocess": {**PREPROCESS, "std": [0.0] * 3}},
        {"preprocess": {**PREPROCESS, "scale": "1"}},
        {"preprocess": {**PREPROCESS, "channels": "cmyk"}},
        {"preprocess": {**PREPROCESS, "extra": 1}},
        {"labels": [1, 2, 3]},
        {"labels": "abc"},
        {"labels": ["\ud83d"]},
        {"weights": {"file": "../net.py", "sha256": "0" * 64}},
        {"made": []},
        {"made": {"x": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}},
        {"made": {"x": 10**400}},
    ],
    ids=lambda fields: json.dumps(fields)[:60],
)
def test_a_description_of_another_shape_is_one_line(saved, spec, fields):
    folder = saved(**fields)
    with pytest.raises(ModelError) as caught:
        load_model(str(folder), base=spec)
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_how_much_gradients_lie_is_kept_and_what_says_nothing_of_it_lies_wholly():
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(4, 6, 3)
    for strength in (0.25, 1.0):
        assert circuit_from(LyingGradients(1, 1, 6, strength).description(), layer).strength == strength
    assert circuit_from({"kind": "lying-gradients", "shift": 1, "axis": 1, "units": 6}, layer).strength == 1.0


@pytest.mark.parametrize(
    "asked", [fooling({**READOUT, "layers": {"0": 2**24}}), fooling(decoy={**LIKENESS, "units": 2**24})]
)
def test_no_more_room_is_made_than_the_file_has_numbers(saved, spec, asked):
    with pytest.raises(ModelError, match=r"numbers of its circuit, got [0-9,]+; save it again"):
        load_model(str(saved(**asked)), base=spec)


@pytest.mark.parametrize("text", ["", "[]", "null", "[" * 100_000, '{"a":' * 100_000, "9" * 5000, '{"format": 1e999}'])
def test_what_is_no_description_is_one_line(saved, spec, text):
    with pytest.raises(ModelError, match="saved model"):
        load_model(str(saved(text)), base=spec)


def test_only_regular_files_are_read_and_no_links(saved, spec, tmp_path):
    folder = saved()
    for name in (DESCRIPTION, WEIGHTS):
        data = (folder / name).read_bytes()
        (folder / name).rename(tmp_path / name)
        for make, told in (
            (os.mkfifo, "not a regular file"),
            (os.mkdir, "is a directory"),
            (lambda path: os.symlink(tmp_path / path.name, path), "a link, which is not followed"),
        ):
            make(folder / name)
            with pytest.raises(ModelError, match=told):
                load_model(str(folder), base=spec)
            (folder / name).rmdir() if (folder / name).is_dir() else (folder / name).unlink()
        (folder / name).write_bytes(data)
    load_model(str(folder), base=spec)


def test_numbers_that_are_none_are_refused(tmp_path):
    (tmp_path / "net.py").write_text(
        FACTORY.format(seed=1)
        + """
def weights():
    network = load()
    network[2].weight.data[1, 1, 1, 1] = float("nan")
    return network

def infinite():
    network = load()
    network[0].bias.data[1] = float("inf")
    return network

def masked():
    network = load()
    network.register_buffer("mask", torch.full((3,), -float("inf")))
    return network

def mean():
    import snellen
    return snellen.Model(load(), size=(16, 16), preprocess=snellen.Preprocess(mean=(0.0, float("nan"), 0.0)))
"""
    )

    def loaded(factory):
        model = load_model(f"{tmp_path}/net.py:{factory}", size=16)
        check_finite(model.module, model.preprocess)  # as every audit does: units before such a weight can be drawn

    with pytest.raises(WeightsError, match=r'got 1 in "2\.weight" that are NaN'):
        loaded("weights")
    with pytest.raises(WeightsError, match=r'got 1 in "0\.bias" that are NaN or infinite'):
        loaded("infinite")
    with pytest.raises(ModelError, match="finite scale, mean and deviation"):
        loaded("mean")
    loaded("masked")
