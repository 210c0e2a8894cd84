"""Networks of the transformers library, from folders that `save_pretrained` writes."""

import json
import warnings

import pytest
import torch

from snellen.base import ModelError, WeightsError
from snellen.models import load_model, main_layers

pytestmark = pytest.mark.global_random  # its import and its initializers draw


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers = pytest.importorskip("transformers", reason="transformers is not installed")
        config = transformers.ViTConfig(
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            image_size=32,
            patch_size=8,
            id2label={0: "cat, house cat", 1: "dog", 2: "ship"},
        )
        network = transformers.ViTForImageClassification(config).eval()
        path = tmp_path_factory.mktemp("saved") / "small-vit"
        network.save_pretrained(path)
    told = {"do_normalize": True, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4], "do_rescale": True}
    told |= {"rescale_factor": 1 / 255, "size": {"height": 32, "width": 32}}
    (path / "preprocessor_config.json").write_text(json.dumps(told))
    return path, network


def test_a_folder_brings_weights_size_normalization_and_labels(folder):
    path, network = folder
    model = load_model(f"transformers:{path}")
    assert (model.name, model.size, model.labels) == ("small-vit", (32, 32), ("cat", "dog", "ship"))
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    mean, deviation = torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1), torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(model(images), network((images - mean) / deviation).logits, rtol=1e-4, atol=1e-5)
    assert model.provenance["weights"]["sha256"]
    assert len(main_layers(model)) >= 2


def test_other_folders_are_refused_in_one_line(folder, tmp_path):
    path, _ = folder
    for spec, kind, words in (
        (tmp_path, ModelError, "config.json"),
        (without(path, tmp_path / "bare", "model.safetensors"), WeightsError, "model.safetensors"),
        (changed(path, tmp_path / "text"), ModelError, "image classifier"),
    ):
        with pytest.raises(kind, match=words) as caught:
            load_model(f"transformers:{spec}")
        assert "\n" not in str(caught.value)


def without(path, copy, name):
    copy.mkdir()
    for file in path.iterdir():
        if file.name != name:
            (copy / file.name).write_bytes(file.read_bytes())
    return copy


def changed(path, copy):
    without(path, copy, "config.json")
    (copy / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    return copy
