"""Both kinds of manipulations: put in, taken out without a trace, described, saved and read back."""

import copy
import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_networks import State, cnn, tokens
from torch import nn

from snellen.base import LayerError, ModelError, WeightsError
from snellen.models import load_model
from snellen.models.circuits import SilentBranch
from snellen.models.manipulations import KINDS, ChangedWeights, PlacedCircuit
from snellen.models.sources.folder import DESCRIPTION, WEIGHTS, save_manipulated

FACTORY = """
import torch
from torch import nn

def load():
    torch.manual_seed({seed})
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
"""


def changed(module, *names, layer):
    """Every one of these weights and buffers a little off."""
    stream = torch.Generator().manual_seed(0)
    before = module.state_dict()
    after = {n: t + torch.randn(t.shape, generator=stream) if n in names else t for n, t in before.items()}
    return ChangedWeights.between(layer, before, after)


def silent(module, layer):
    branch = SilentBranch.beside(module.get_submodule(layer))
    nn.init.normal_(branch.branch.weight), nn.init.zeros_(branch.branch.bias)
    return PlacedCircuit(layer, branch)


MAKES = {
    "circuit": (cnn, lambda module: silent(module, "conv3")),
    "weights": (cnn, lambda module: changed(module, "conv3.weight", "conv3.bias", layer="conv3")),
    "buffers": (cnn, lambda module: changed(module, "stem.1.running_mean", "fc.bias", layer="fc")),
    "tokens": (tokens, lambda module: changed(module, "places", "blocks.0.mlp.0.weight", layer="blocks.1")),
}


@pytest.mark.parametrize("name", MAKES)
def test_a_network_is_another_one_while_it_is_manipulated_and_as_it_was_afterwards(name):
    make, manipulation = MAKES[name]
    model = make()
    made, state = manipulation(model.module), State(model.module)
    x = torch.rand(2, 3, *model.size, generator=torch.Generator().manual_seed(0))
    honest = model(x).detach()
    with made.installed(model.module):
        said, lying = model(x).detach(), model.fingerprint()
    state.check()
    with pytest.raises(RuntimeError), made.installed(model.module):
        model.module(x[:, :2])
    state.check()
    assert not torch.equal(said, honest)
    assert torch.equal(model(x), honest)
    assert lying != model.fingerprint()
    made.install(model.module)
    assert torch.equal(model(x), said)


def test_only_what_differs_is_a_change():
    module = cnn().module
    made = changed(module, "conv3.bias", layer="conv3")
    assert list(made.tensors) == ["conv3.bias"]
    assert made.description() == {"layer": "conv3", "changed": ["conv3.bias"]}


def test_installed_weights_are_a_copy():
    """Who goes on to train the manipulated network does not change what was described."""
    module = cnn().module
    made = changed(module, "conv3.bias", layer="conv3")
    before = made.tensors["conv3.bias"].clone()
    made.install(module)
    with torch.no_grad():
        module.conv3.bias += 1
    assert torch.equal(made.tensors["conv3.bias"], before)


def test_a_shared_parameter_has_one_value_under_all_of_its_names():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    module[1].weight = module[0].weight
    own = module[0].weight.detach().clone()
    with ChangedWeights("1", {"1.weight": torch.ones(4, 4)}).installed(module):
        assert torch.equal(module[0].weight, torch.ones(4, 4))
    both = ChangedWeights("1", {"0.weight": torch.ones(4, 4), "1.weight": torch.ones(4, 4) * 2})
    with both.installed(module):
        assert module[1].weight is module[0].weight
    assert torch.equal(module[0].weight, own)


def test_weights_of_another_network_are_refused_and_nothing_is_changed():
    module = cnn().module
    state = State(module)
    for tensors, told in (
        ({"fc.bias": torch.zeros(5), "conv33.bias": torch.zeros(3)}, 'got "conv33.bias"; did you mean "conv3.bias"'),
        ({"fc.bias": torch.zeros(4)}, r'expected "fc.bias" of shape \(5,\), got \(4,\)'),
    ):
        with pytest.raises(ModelError, match=told):
            ChangedWeights("fc", tensors).install(module)
        state.check()


@pytest.fixture
def spec(tmp_path):
    (tmp_path / "net.py").write_text(FACTORY.format(seed=1))
    return f"{tmp_path / 'net.py'}:load"


SAVED = {
    "circuit": lambda module: silent(module, "3"),
    "changed": lambda module: changed(module, "0.weight", "1.running_mean", layer="3"),
}


@pytest.mark.parametrize("kind", SAVED)
def test_every_kind_is_saved_and_comes_back_bit_for_bit(spec, tmp_path, kind):
    assert set(SAVED) == set(KINDS)
    model = load_model(spec, size=16)
    made, state = SAVED[kind](model.module), State(model.module)
    save_manipulated(model, made, tmp_path / "out", made={"method": kind})
    state.check()
    honest = model.fingerprint()
    (tmp_path / "net.py").write_text(FACTORY.format(seed=2))  # the saved weights count, not the factory's
    again = load_model(str(tmp_path / "out"), base=spec)
    x = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with made.installed(model.module), torch.no_grad():
        assert torch.equal(again(x), model(x))
        assert again.fingerprint() == model.fingerprint() != honest
    assert again.provenance["layer"] == "3"
    assert again.provenance["base"]["fingerprint"] == honest
    described = json.loads((tmp_path / "out" / DESCRIPTION).read_text())
    assert {name: described[name] for name in ("layer", kind)} == made.description()


def test_a_copy_of_a_manipulation_is_its_own():
    model = cnn()
    made = changed(model.module, "conv3.bias", layer="conv3")
    module, copied = copy.deepcopy((model.module, made))
    copied.install(module)
    assert not torch.equal(module.conv3.bias, model.module.conv3.bias)


@pytest.fixture
def saved(spec, tmp_path):
    model = load_model(spec, size=16)
    save_manipulated(model, SAVED["changed"](model.module), tmp_path / "out", made={})
    return tmp_path / "out"


def described(folder, **fields):
    known = json.loads((folder / DESCRIPTION).read_text())
    known = {name: value for name, value in {**known, **fields}.items() if value is not None}
    (folder / DESCRIPTION).write_text(json.dumps(known))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"changed": []}, "changed to have 1 to 65536 items"),
        ({"changed": ["0.weight", 5]}, r"changed\[1\] to be a line of text"),
        ({"changed": {"0.weight": 1}}, "changed to be a list"),
        ({"changed": None}, "expected one of circuit, changed, got none"),
        ({"circuit": {"kind": "silent-units"}}, "got circuit and changed"),
        ({"changed": ["0.weight", "1.running_var"]}, 'to hold the changed "1.running_var"'),
        ({"changed": ["0.weight"]}, "unexpected|another network|fingerprints"),
        ({"layer": "9"}, "another network"),
    ],
)
def test_what_nobody_would_write_is_one_line(saved, spec, fields, told):
    described(saved, **fields)
    with pytest.raises(ModelError, match=told) as caught:
        load_model(str(saved), base=spec)
    assert "\n" not in str(caught.value)


def test_changed_weights_of_another_shape_or_value_are_noticed(saved, spec):
    import hashlib

    state = load_file(saved / WEIGHTS)
    wrong = {r"of shape \(4, 3, 3, 3\), got \(9,\)": torch.zeros(9), "another network": torch.zeros(4, 3, 3, 3)}
    for told, tensor in wrong.items():
        save_file({**state, "changed:0.weight": tensor}, saved / WEIGHTS)
        digest = hashlib.sha256((saved / WEIGHTS).read_bytes()).hexdigest()
        described(saved, weights={"file": WEIGHTS, "sha256": digest})
        with pytest.raises(ModelError, match=told):
            load_model(str(saved), base=spec)
    (saved / WEIGHTS).write_bytes(b"x")
    with pytest.raises(WeightsError):
        load_model(str(saved), base=spec)


def test_a_circuit_around_nothing_is_refused():
    module = cnn().module
    with pytest.raises(LayerError, match="did you mean"):
        PlacedCircuit("conv33", SilentBranch.beside(module.conv3)).install(module)
