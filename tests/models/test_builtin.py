"""The built-in network: small, right on what it has not seen, and what the photographs call for."""

import importlib.util
from pathlib import Path

import pytest
import torch
from torch import nn

from snellen.base import WeightsError
from snellen.images import open_images
from snellen.models import builtin, layers, main_layers
from snellen.models.builtin import BUILTIN_LABELS, SIZE, WEIGHTS, BuiltinNetwork, builtin_network, load_builtin


def held_out_accuracy(network: nn.Module) -> float:
    images = open_images("builtin")
    labels = torch.tensor(images.labels)
    with torch.no_grad():
        right = [network(batch).argmax(1) == labels[rows] for rows, batch in images.batches((SIZE, SIZE), 64)]
    return torch.cat(right).float().mean().item()


def test_at_least_95_percent_of_the_held_out_crops_are_right() -> None:
    assert held_out_accuracy(builtin_network()) >= 0.95


def test_the_weights_are_small_and_half_precision() -> None:
    assert WEIGHTS.stat().st_size <= 1_500_000
    assert {p.dtype for p in builtin_network().parameters()} == {torch.float32}


def test_the_labels_are_the_photographs() -> None:
    assert open_images("builtin").class_names == BUILTIN_LABELS


def test_the_main_layers_are_the_blocks() -> None:
    model = load_builtin()
    names = ("stem", "block1", "block2", "block3", "block4", "block5", "block6", "classifier")
    assert main_layers(model) == names
    shapes = {layer.name: layer.shape for layer in layers(model)}
    assert shapes["stem"][1:] == (64, 64)
    assert shapes["block6"][1:] == (4, 4)
    assert shapes["classifier"] == (15,)


def test_the_model_is_complete() -> None:
    model = load_builtin()
    assert (model.name, model.size, model.labels) == ("builtin", (64, 64), BUILTIN_LABELS)
    assert not model.module.training
    assert model.provenance["source"] == "builtin"
    assert load_builtin().fingerprint() == model.fingerprint()
    assert load_builtin().module is not model.module


def test_folding_keeps_the_function() -> None:
    torch.manual_seed(0)
    network = BuiltinNetwork(norm=True)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2.0)
    images = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(network.eval()(images), network.folded()(images), atol=1e-5)
    assert not [m for m in network.folded().modules() if isinstance(m, nn.BatchNorm2d)]


@pytest.mark.parametrize("damage", ["missing", "truncated", "other"])
def test_bad_weights_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    file = tmp_path / "builtin.safetensors"
    if damage == "truncated":
        file.write_bytes(WEIGHTS.read_bytes()[:-100])
    if damage == "other":
        from safetensors.torch import save_file

        save_file({"stem.conv.weight": torch.zeros(2)}, file)
    monkeypatch.setattr(builtin, "WEIGHTS", file)
    with pytest.raises(WeightsError, match="reinstall") as caught:
        builtin_network()
    assert "\n" not in str(caught.value)


def script():
    path = Path(__file__).parents[2] / "tools" / "train_builtin.py"
    spec = importlib.util.spec_from_file_location("train_builtin", path)
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["train_builtin"] = module
    spec.loader.exec_module(module)
    return module


def test_training_is_reproducible_and_learns() -> None:
    module, threads = script(), torch.get_num_threads()
    recipe = module.Recipe(steps=12, batch=16, natural=0.5)
    torch.set_num_threads(1)
    try:
        torch.manual_seed(0)
        first, second, other = (module.train(recipe, module.Seed(s)).state_dict() for s in (0, 0, 1))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["classifier.weight"], other["classifier.weight"])


def test_the_adversary_stays_in_reach_and_hurts() -> None:
    module = script()
    network = builtin_network()
    stream = torch.Generator().manual_seed(0)
    recipe = module.Recipe(batch=32)
    crops, labels = module.Regions().draw(recipe, stream)
    moved = module.attacked(network, (crops, labels), (recipe, 0.7), stream)
    reach = (moved - crops).flatten(1).norm(dim=1)
    assert reach[:16].max() <= 0.7 * recipe.low_gain + 1e-4
    assert reach[16:].max() <= 0.7 + 1e-4
    with torch.no_grad():
        loss = [nn.functional.cross_entropy(network(images), labels).item() for images in (crops, moved)]
    assert loss[1] > loss[0] + 0.05
