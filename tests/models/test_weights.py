"""Checkpoints as people have them: prefixes, wrappers, averages and optimizers beside, shards, half precision."""

import json
import os

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from snellen.base import WeightsError
from snellen.models import load_model
from snellen.models.sources.weights import fill, read_weights

NET = """
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
"""


def network(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        parts = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
        return nn.Sequential(*parts)


def before(prefix, state):
    return {prefix + n: t for n, t in state.items()}


WEIGHTS = network(1).state_dict()
OTHERS = network(2).state_dict()
LOSS = {"criterion.weight": torch.ones(3)}


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (WEIGHTS, None),
        (before("module.", WEIGHTS), '"module."'),
        (before("model.net.", WEIGHTS), '"model.net."'),
        (before("module._orig_mod.", WEIGHTS), '"module."'),
        (before("_orig_mod.", WEIGHTS), None),
        (before("backbone.", WEIGHTS), '"backbone."'),
        (before("model.", WEIGHTS) | LOSS, "1 other tensors of the file are not used (criterion.weight)"),
        (before("model.", WEIGHTS) | before("model_ema.", OTHERS), 'others that fit, under "model_ema."'),
        (before("student.", OTHERS) | before("teacher.", WEIGHTS), 'others that fit, under "student."'),
        (before("one.", WEIGHTS) | before("two.", WEIGHTS), '"one."'),
        ({n.replace("0.", "0._fsdp_wrapped_module."): t for n, t in WEIGHTS.items()}, None),
    ],
)
def test_prefixes_are_found_taken_off_and_noted(tmp_path, state, told):
    (tmp_path / "net.py").write_text(NET)
    save_file({n: t.clone() for n, t in state.items()}, tmp_path / "w.safetensors")
    model = load_model(f"{tmp_path}/net.py:net", weights=tmp_path / "w.safetensors")
    assert all(torch.equal(t, WEIGHTS[n]) for n, t in model.module.state_dict().items())
    notes = [n for n in model.provenance["notes"] if n.startswith("weights")]
    assert (any(told in n for n in notes)) if told else not notes


@pytest.mark.parametrize(
    "checkpoint",
    [
        {"epoch": 3, "state_dict": before("module.", WEIGHTS), "optimizer": {"state": {0: {"m": torch.ones(2)}}}},
        {"model": WEIGHTS, "model_ema": OTHERS},
        {"teacher": WEIGHTS, "student": OTHERS},
        {"state_dict": before("model.", WEIGHTS), "hyper_parameters": {"lr": 0.1}},
        {"checkpoint": {"params": {"net": WEIGHTS}}},
        {"model": network(1), "ema": None},
    ],
    ids=["optimizer", "ema", "teacher", "lightning", "nested", "module"],
)
def test_wrappers_of_checkpoints_are_taken_off_and_noted(tmp_path, checkpoint):
    (tmp_path / "net.py").write_text(NET)
    torch.save(checkpoint, tmp_path / "w.ckpt")
    model = load_model(f"{tmp_path}/net.py:net", weights=tmp_path / "w.ckpt", trust_pickle=True)
    assert all(torch.equal(t, WEIGHTS[n]) for n, t in model.module.state_dict().items())
    assert any("taken off" in note for note in model.provenance["notes"])


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (before("model.", WEIGHTS) | {"model.9.weight": torch.ones(1)}, "1 unexpected (9.weight)"),
        ({n: t for n, t in before("model.", WEIGHTS).items() if "4.bias" not in n}, "1 missing (4.bias)"),
        (before("encoder_q.", WEIGHTS) | before("encoder_k.", OTHERS), "2 that fit and differ"),
        (WEIGHTS | {"4.weight": torch.zeros(9, 4)}, "1 of another shape (4.weight (9, 4) for (2, 4))"),
        (WEIGHTS | {"4.weight": torch.ones(2, 4, dtype=torch.int8)}, "4.weight int8 for float32"),
        ({"something": torch.ones(1)}, "missing"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_changed(tmp_path, state, told):
    module = network(3)
    kept = {n: t.clone() for n, t in module.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        fill(module, state, tmp_path / "w.safetensors")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(t, kept[n]) for n, t in module.state_dict().items())


def test_a_module_that_is_wrapped_takes_weights_of_what_it_wraps(tmp_path):
    for state in (WEIGHTS, before("net.", WEIGHTS)):
        wrapped = nn.Module()
        wrapped.backbone = network(4)
        fill(wrapped, state, tmp_path / "w")
        assert all(torch.equal(t, WEIGHTS[n]) for n, t in wrapped.backbone.state_dict().items())


def test_one_name_of_a_tensor_that_has_two_is_enough(tmp_path):
    module = network(4)
    shared = nn.Module()
    shared.first, shared.second = module, nn.Sequential(module[0])
    fill(shared, before("first.", WEIGHTS), tmp_path / "w")
    assert torch.equal(shared.second[0].weight, WEIGHTS["0.weight"])


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_another_precision_is_computed_in_float32_and_noted(tmp_path, kind):
    module = network(4)
    state = {n: t.to(kind) for n, t in WEIGHTS.items() if t.is_floating_point()}
    notes = fill(module, state, tmp_path / "w")
    assert notes == (f"weights: stored as {kind}, computed in float32".replace("torch.", ""),)
    assert module[0].weight.dtype is torch.float32
    assert torch.equal(module[0].weight.to(kind), state["0.weight"])


def shards(folder, weights=WEIGHTS):
    names = sorted(weights)
    halves = {"a.safetensors": names[:3], "b.safetensors": names[3:]}
    for file, part in halves.items():
        save_file({n: weights[n].clone() for n in part}, folder / file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {n: f for f, part in halves.items() for n in part}}))
    return index


def test_sharded_weights_are_read_together_and_their_digest_is_over_all(tmp_path):
    index = shards(tmp_path)
    state, digest = read_weights(index)
    assert {n: t.tolist() for n, t in state.items()} == {n: t.tolist() for n, t in WEIGHTS.items()}
    save_file({n: OTHERS[n].clone() for n in sorted(WEIGHTS)[3:]}, tmp_path / "b.safetensors")
    assert read_weights(index)[1] != digest


@pytest.mark.parametrize(
    "told",
    [
        {"weight_map": {"0.weight": "../a.safetensors"}},
        {"weight_map": {"0.weight": "/etc/passwd"}},
        {"weight_map": {"0.weight": "a.pt"}},
        {"weight_map": {"0.weight": "absent.safetensors"}},
        {"weight_map": {"elsewhere": "a.safetensors"}},
        {"weight_map": {}},
        {"weight_map": 3},
        [],
        "x",
    ],
)
def test_a_foreign_or_damaged_index_is_one_line(tmp_path, told):
    index = shards(tmp_path)
    index.write_text(json.dumps(told))
    with pytest.raises(WeightsError) as caught:
        read_weights(index)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("length", [640, 896, 1152, 1408])
def test_a_header_whose_length_looks_like_a_pickle_is_none(tmp_path, length):
    name = "n" * (length - 60)
    save_file({name: torch.ones(1)}, tmp_path / "w.safetensors")
    assert int.from_bytes((tmp_path / "w.safetensors").read_bytes()[:8], "little") == length
    assert list(read_weights(tmp_path / "w.safetensors")[0]) == [name]


def test_what_is_no_regular_file_is_refused_before_it_is_read(tmp_path):
    os.mkfifo(tmp_path / "w.safetensors")
    for path in (tmp_path / "w.safetensors", tmp_path):
        with pytest.raises(WeightsError, match="no regular file"):
            read_weights(path)
