"""Networks of the transformers library, from folders that `save_pretrained` writes."""

import json
import socket
import sys
import warnings

import numpy as np
import pytest
import torch
from families import FAMILIES, build
from safetensors.torch import load_file, save_file

from snellen.base import DependencyError, ModelError, WeightsError
from snellen.models import load_model, main_layers
from snellen.models.sources.transformers_folder import transformers_config

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
        (changed(path, tmp_path / "text"), ModelError, "vision network"),
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


SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
VIT = {**SMALL, "image_size": 32, "patch_size": 8}
TEXT = {**SMALL, "vocab_size": 50, "bos_token_id": 1, "eos_token_id": 2}
SQUARE = {"height": 32, "width": 32}


@pytest.fixture(scope="module")
def library():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers = pytest.importorskip("transformers", reason="transformers is not installed")
        pytest.importorskip("torchvision", exc_type=ImportError, reason="processors need torchvision")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def saved(path, network, processor=None):
    """The folder that the library writes for them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.eval().save_pretrained(path)
        if processor is not None:
            processor.save_pretrained(path)
    return path


def noted(model):
    return " | ".join(model.provenance["notes"])


def vit(library, **told):
    return library.ViTForImageClassification(library.ViTConfig(**{**VIT, **told}))


PROCESSORS = {
    "plain": ("ViTImageProcessor", {"size": SQUARE}, {}),
    "no normalization": ("ViTImageProcessor", {"size": SQUARE, "do_normalize": False}, {}),
    "no rescaling": (
        "ViTImageProcessor",
        {"size": SQUARE, "do_rescale": False, "image_mean": [120.0, 110.0, 100.0], "image_std": [60.0, 50.0, 40.0]},
        {},
    ),
    "one number for all": ("ViTImageProcessor", {"size": SQUARE, "image_mean": 0.4, "image_std": 0.3}, {}),
    "other factor": ("ViTImageProcessor", {"size": SQUARE, "rescale_factor": 1 / 127.5}, {}),
    "reversed": ("MobileViTImageProcessor", {"size": {"shortest_edge": 36}, "crop_size": SQUARE}, {"channels": "bgr"}),
    "not reversed": (
        "MobileViTImageProcessor",
        {"size": {"shortest_edge": 36}, "crop_size": SQUARE, "do_flip_channel_order": False},
        {},
    ),
    "twice": ("EfficientNetImageProcessor", {"size": SQUARE}, {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}),
    "once": ("EfficientNetImageProcessor", {"size": SQUARE, "include_top": False}, {}),
    "offset": (
        "EfficientNetImageProcessor",
        {
            "size": SQUARE,
            "include_top": False,
            "rescale_offset": True,
            "rescale_factor": 1 / 127.5,
            "do_normalize": False,
        },
        {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)},
    ),
    "crop": ("CLIPImageProcessor", {"size": {"shortest_edge": 40}, "crop_size": SQUARE}, {}),
    "crop by part": ("ConvNextImageProcessor", {"size": {"shortest_edge": 32}, "crop_pct": 0.875}, {}),
    "beit": ("BeitImageProcessor", {"size": SQUARE, "crop_size": SQUARE, "do_center_crop": True}, {}),
    "dinov2": ("BitImageProcessor", {"size": {"shortest_edge": 36}, "crop_size": SQUARE}, {}),
    "siglip": ("SiglipImageProcessor", {"size": SQUARE}, {}),
    "segformer": ("SegformerImageProcessor", {"size": SQUARE}, {}),
    "detr": ("DetrImageProcessor", {"size": SQUARE}, {}),
}


@pytest.mark.parametrize("what", PROCESSORS)
@pytest.mark.parametrize("backend", ["", "Pil"])
def test_the_network_sees_what_its_processor_makes_of_a_picture(library, tmp_path, what, backend):
    name, told, expected = PROCESSORS[what]
    torch.manual_seed(0)
    processor = getattr(library, name + backend)(**told)
    model = load_model(f"transformers:{saved(tmp_path / 'net', vit(library), processor)}")
    assert model.size == (32, 32)
    picture = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    want = processor(picture, return_tensors="pt", do_resize=False, do_center_crop=False)["pixel_values"]
    seen = model.preprocess(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255)
    torch.testing.assert_close(seen, want, rtol=1e-5, atol=1e-5)
    assert model.provenance["preprocess_from"] == f"{name} of the folder"
    assert ("measured" in noted(model)) == bool(expected)
    for field, value in expected.items():
        assert getattr(model.preprocess, field) == value


def test_one_channel_is_what_the_processor_makes_of_grey(library, tmp_path):
    torch.manual_seed(0)
    processor = library.ViTImageProcessor(size=SQUARE, image_mean=[0.3], image_std=[0.2])
    model = load_model(f"transformers:{saved(tmp_path / 'net', vit(library, num_channels=1), processor)}")
    assert (model.preprocess.channels, model.preprocess.mean, model.preprocess.std) == ("grey", (0.3,), (0.2,))
    assert "grey" in noted(model)


def test_what_no_preprocess_says_is_refused(library, tmp_path):
    torch.manual_seed(0)
    swapped = {"image_mean": [0.5] * 3, "image_std": [-0.5, 0.5, 0.5]}
    for number, told in enumerate((swapped, {"image_std": [0.5, 0.5]}, {"image_std": [0.0, 1.0, 1.0]})):
        path = saved(tmp_path / f"net{number}", vit(library), library.ViTImageProcessor(size=SQUARE))
        rewritten(path / "preprocessor_config.json", told)
        with pytest.raises(ModelError) as caught:
            load_model(f"transformers:{path}")
        assert "\n" not in str(caught.value)


def test_without_a_processor_its_defaults_are_a_guess_that_is_noted(library, tmp_path):
    torch.manual_seed(0)
    model = load_model(f"transformers:{saved(tmp_path / 'net', vit(library))}")
    assert (model.size, model.preprocess.mean) == ((32, 32), (0.5, 0.5, 0.5))
    assert "guessed the defaults of ViTImageProcessor" in noted(model)
    assert model.provenance["preprocess_from"].startswith("guessed")


def test_a_backbone_comes_without_a_head_and_is_called_an_embedding(library, tmp_path):
    torch.manual_seed(0)
    network = library.ViTModel(library.ViTConfig(**VIT))
    model = load_model(f"transformers:{saved(tmp_path / 'bare', network)}")
    assert "embedding" in noted(model)
    assert not hasattr(model.module, "classifier")
    assert not model.labels
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        want = network(model.preprocess(images)).last_hidden_state
        torch.testing.assert_close(model(images), want, rtol=1e-5, atol=1e-6)


def test_a_pooler_that_was_never_trained_is_not_made_up(library, tmp_path):
    torch.manual_seed(0)
    path = saved(tmp_path / "dino", library.ViTModel(library.ViTConfig(**VIT), add_pooling_layer=False))
    assert load_model(f"transformers:{path}").module.pooler is None


def test_a_head_that_is_missing_is_left_away_and_noted(library, tmp_path):
    torch.manual_seed(0)
    path = saved(tmp_path / "net", vit(library, id2label={0: "cat", 1: "dog"}))
    rewrite_weights(path, lambda n, t: None if n.startswith("classifier") else (n, t))
    model = load_model(f"transformers:{path}")
    assert "no classifier.bias, classifier.weight" in noted(model)
    assert "embedding" in noted(model)
    assert (type(model.module).__name__, model.labels) == ("ViTModel", ())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda n, t: None if "layer.1.output" in n else (n, t), "missing"),
        (lambda n, t: (n, t[:-1]) if n == "classifier.bias" else (n, t), "classifier.bias (1,) for (2,)"),
        (lambda n, t: (f"elsewhere{hash(n)}.{n}", t), "missing"),
        (lambda n, t: (n, t.to(torch.int8)), "floating point"),
    ],
)
def test_weights_that_do_not_fit_are_refused_in_one_line(library, tmp_path, change, told):
    torch.manual_seed(0)
    path = saved(tmp_path / "net", vit(library))
    rewrite_weights(path, change)
    with pytest.raises(WeightsError) as caught:
        load_model(f"transformers:{path}")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("prefix", ["module.", "backbone.net.", "model.student."])
def test_a_foreign_prefix_is_found_and_noted(library, tmp_path, prefix):
    torch.manual_seed(0)
    network = vit(library)
    path = saved(tmp_path / "net", network)
    rewrite_weights(path, lambda n, t: (prefix + n, t))
    model = load_model(f"transformers:{path}")
    assert f'"{prefix}" was taken off' in noted(model)
    assert all(torch.equal(t, model.module.state_dict()[n]) for n, t in network.state_dict().items())


def test_weights_beside_are_noted_and_weights_inside_without_a_place_are_refused(library, tmp_path):
    torch.manual_seed(0)
    path = saved(tmp_path / "net", vit(library))
    rewrite_weights(path, lambda n, t: (n, t), {"decoder.weight": torch.ones(3)})
    assert "1 tensors of the file are not used (decoder.weight)" in noted(load_model(f"transformers:{path}"))
    rewritten(path / "config.json", {"num_hidden_layers": 1})
    with pytest.raises(WeightsError, match="without a place"):
        load_model(f"transformers:{path}")


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32_and_noted(library, tmp_path, kind):
    torch.manual_seed(0)
    network = vit(library).to(kind)
    model = load_model(f"transformers:{saved(tmp_path / 'net', network)}")
    assert {t.dtype for t in model.module.state_dict().values()} == {torch.float32}
    assert f"stored as {kind}, computed in float32".replace("torch.", "") in noted(model)
    assert all(torch.equal(t.float(), model.module.state_dict()[n]) for n, t in network.state_dict().items())


def test_shards_are_read_together(library, tmp_path):
    torch.manual_seed(0)
    network = vit(library)
    network.save_pretrained(tmp_path / "net", max_shard_size="10KB")
    assert len(list((tmp_path / "net").glob("*.safetensors"))) > 1
    model = load_model(f"transformers:{tmp_path / 'net'}")
    assert all(torch.equal(t, model.module.state_dict()[n]) for n, t in network.state_dict().items())
    assert model.provenance["weights"]["file"] == "model.safetensors.index.json"


@pytest.mark.parametrize("kind", ["CLIP", "Siglip"])
def test_of_a_network_for_texts_and_pictures_the_tower_for_pictures_is_taken(library, tmp_path, kind):
    torch.manual_seed(0)
    config = getattr(library, f"{kind}Config")(text_config=TEXT, vision_config=VIT, projection_dim=12)
    whole = getattr(library, f"{kind}Model")(config)
    model = load_model(f"transformers:{saved(tmp_path / 'net', whole)}")
    assert "only the tower for pictures" in noted(model)
    assert "are not used" in noted(model)
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        if kind == "CLIP":
            want = whole.visual_projection(whole.vision_model(pixels).pooler_output)
            torch.testing.assert_close(model.module(pixels).image_embeds, want, rtol=1e-5, atol=1e-6)
        else:
            want = whole.vision_model(pixels).pooler_output
            torch.testing.assert_close(model.module(pixels).pooler_output, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.needs == "transformers"])
def test_every_architecture_is_the_one_that_was_saved(library, tmp_path, name):
    network, size = build(name)
    model = load_model(f"transformers:{saved(tmp_path / name, network)}", size=size)
    assert type(model.module) is type(network)
    assert all(torch.equal(t, model.module.state_dict()[n]) for n, t in network.state_dict().items())


def test_detectors_and_timm_networks_load(library, tmp_path, timm):
    torch.manual_seed(0)
    trunk = library.ResNetConfig(
        embedding_size=8, hidden_sizes=[8] * 4, depths=[1] * 4, layer_type="basic", out_features=["stage4"]
    )
    layers = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    widths = {"encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "d_model": 16, "num_queries": 5}
    config = library.DetrConfig(
        use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, backbone_config=trunk, **layers, **widths
    )
    detector = library.DetrForObjectDetection(config)
    path = saved(tmp_path / "detr", detector, library.DetrImageProcessor(size={"height": 64, "width": 64}))
    assert load_model(f"transformers:{path}").size == (64, 64)
    inner = timm.create_model("resnet10t")
    config = library.TimmWrapperConfig(architecture="resnet10t", pretrained_cfg=dict(inner.pretrained_cfg))
    model = load_model(f"transformers:{saved(tmp_path / 'timm', library.TimmWrapperForImageClassification(config))}")
    assert (model.size, model.preprocess.mean) == ((176, 176), (0.485, 0.456, 0.406))


def test_labels_are_by_number_or_none(library, tmp_path):
    torch.manual_seed(0)
    for number, (names, labels) in enumerate(
        (
            ({0: "b", 1: "a"}, ("b", "a")),
            ({0: "b", 1: 7}, ("b", "7")),
            ({0: "a", 5: "b"}, ()),
            ({0: "LABEL_0", 1: "LABEL_1"}, ()),
        )
    ):
        path = saved(tmp_path / f"net{number}", vit(library))
        rewritten(path / "config.json", {"id2label": names, "label2id": None})
        assert load_model(f"transformers:{path}").labels == labels


def rewritten(path, told):
    path.write_text(json.dumps(json.loads(path.read_text()) | told))
    return path


def rewrite_weights(path, change, more=None):
    state = load_file(path / "model.safetensors")
    changed = dict(filter(None, (change(n, t.clone().contiguous()) for n, t in state.items())))
    save_file(changed | (more or {}), path / "model.safetensors", metadata={"format": "pt"})


def nested(depth):
    return json.loads('{"a":' * depth + "1" + "}" * depth)


HOSTILE = {
    "preprocessor_config.json": [
        {"size": "x"},
        {"size": -5},
        {"size": 10**9},
        {"size": {"height": 10**6, "width": 10**6}},
        {"size": {"height": 1e12, "width": 32}},
        {"size": {"height": None, "width": []}},
        {"size": {"a": 3}},
        {"size": {"height": 0, "width": 0}, "do_resize": False, "do_center_crop": True, "crop_size": 0},
        {"size": [[[]]]},
        {"crop_size": {"height": 10**7, "width": 10**7}, "do_center_crop": True},
        {"image_mean": "abc"},
        {"image_mean": [0.5]},
        {"image_mean": [None, None, None]},
        {"image_mean": {"a": 1}},
        {"image_std": [0, 0, 0]},
        {"image_std": [1e-300] * 3},
        {"rescale_factor": "a"},
        {"rescale_factor": 1e308},
        {"rescale_factor": [1, 2]},
        {"image_processor_type": "Trainer"},
        {"image_processor_type": ["a"]},
        {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 32}, "crop_pct": 1e-9},
        {"resample": 10**3},
        {"deep": nested(30)},
    ],
    "config.json": [
        {"num_labels": 10**9},
        {"num_labels": -1},
        {"num_labels": "x"},
        {"id2label": 5},
        {"id2label": [1]},
        {"id2label": {"0": "a\ud800", "1": "b"}},
        {"hidden_size": 10**6},
        {"hidden_size": -16},
        {"hidden_size": "16"},
        {"hidden_size": 1e300},
        {"num_hidden_layers": 10**5},
        {"image_size": 10**6},
        {"image_size": [32]},
        {"patch_size": 0},
        {"model_type": ["a"]},
        {"model_type": "nothing"},
        {"architectures": ["GPT2Model"], "model_type": "gpt2"},
        {"hidden_act": "nothing"},
        {"architectures": ["PreTrainedModel"]},
        {"architectures": ["Trainer"]},
        {"attn_implementation": "someone/kernel"},
        {"_attn_implementation": "someone/kernel"},
        {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}},
        {"model_type": "timm_wrapper", "architecture": "hf-hub:someone/net"},
        {
            "model_type": "mine",
            "auto_map": {"AutoConfig": "evil.Config", "AutoModelForImageClassification": "evil.Net"},
        },
        {"deep": nested(30)},
    ],
}


@pytest.mark.parametrize("case", [(name, told) for name, all_ in HOSTILE.items() for told in all_])
def test_a_hostile_folder_is_one_line_and_nothing_is_run_or_fetched(library, tmp_path, monkeypatch, case):
    name, told = case
    torch.manual_seed(0)
    path = saved(tmp_path / "net", vit(library), library.ViTImageProcessor(size=SQUARE))
    (path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    rewritten(path / name, told)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("connected"))
    try:
        load_model(f"transformers:{path}")
    except ModelError as error:
        assert "\n" not in str(error)  # noqa: PT017
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("text", ["", "[]", "7", "{", '{"a": NaN}', '{"a":' * 5000 + "1" + "}" * 5000, "9" * 6000])
@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_configuration_is_one_line(library, tmp_path, name, text):
    torch.manual_seed(0)
    path = saved(tmp_path / "net", vit(library), library.ViTImageProcessor(size=SQUARE))
    (path / name).write_text(text)
    with pytest.raises(ModelError, match="expected a configuration") as caught:
        load_model(f"transformers:{path}")
    assert "\n" not in str(caught.value)


def test_a_table_of_places_that_is_far_larger_than_the_weights_is_refused_before_it_is_made(library, tmp_path):
    torch.manual_seed(0)
    config = library.SwinConfig(image_size=64, embed_dim=8, depths=[1], num_heads=[1], window_size=4)
    path = saved(tmp_path / "net", library.SwinForImageClassification(config))
    rewritten(path / "config.json", {"image_size": 1024, "window_size": 256})  # a table of 4 billion numbers
    with pytest.raises(WeightsError, match="of another network"):
        load_model(f"transformers:{path}")


def test_what_the_library_says_at_length_is_cut(library, tmp_path):
    torch.manual_seed(0)
    path = saved(tmp_path / "net", vit(library))
    for told in ({"dtype": "a" * 10_000}, {"hidden_act": "a" * 10_000}):
        rewritten(path / "config.json", told)
        with pytest.raises(ModelError) as caught:
            load_model(f"transformers:{path}")
        assert len(str(caught.value)) < 600


def test_parts_of_the_library_that_do_not_load_are_one_line(library, tmp_path, monkeypatch):
    torch.manual_seed(0)
    path = saved(tmp_path / "net", vit(library))
    for module, kind in (("modeling_utils", DependencyError), ("models.vit.modeling_vit", ModelError)):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, f"transformers.{module}", None)
            # the library puts itself into the table of modules anew while it loads, so it may be there twice
            for there in (library, sys.modules["transformers"]):
                patch.delitem(vars(there), "ViTForImageClassification", raising=False)
            with pytest.raises(kind) as caught:
                load_model(f"transformers:{path}")
            assert "\n" not in str(caught.value)


def test_an_adapter_is_refused_in_one_line(library, tmp_path):
    torch.manual_seed(0)
    path = saved(tmp_path / "net", vit(library))
    (path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="adapter; merge it"):
        load_model(f"transformers:{path}")


def test_a_network_in_memory_tells_its_size_labels_and_where_its_processor_is(library, tmp_path):
    torch.manual_seed(0)
    path = saved(tmp_path / "net", vit(library, id2label={0: "cat", 1: "dog"}), library.ViTImageProcessor(size=SQUARE))
    rewritten(path / "preprocessor_config.json", {"image_mean": [0.1, 0.2, 0.3]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = transformers_config(library.ViTForImageClassification.from_pretrained(path))
    assert (found.size, found.labels, found.preprocess.mean) == ((32, 32), ("cat", "dog"), (0.1, 0.2, 0.3))
    assert str(path) in found.size_from
    guess = transformers_config(vit(library))
    assert (guess.size, guess.size_from) == ((32, 32), "the network's configuration")
    assert "guessed the defaults of ViTImageProcessor" in guess.notes[0]
    assert transformers_config(torch.nn.Linear(1, 1)) is None
