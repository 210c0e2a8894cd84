"""A model is a word, a module in memory or a `Model`, everywhere; what nobody says of a module is called a guess."""

import copy
import gc
import weakref
from types import SimpleNamespace

import pytest
import torch
from tiny_networks import State, cnn
from torch import nn

import snellen
from snellen.base import ModelError, SnellenError, UsageError
from snellen.models import open_model
from snellen.models.sources import entrance

IMAGENET = snellen.Preprocess(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def network(seed=0, channels=3):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(channels, 6, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)
    )


def notes(model):
    return " | ".join(model.provenance["notes"])


def test_a_module_in_memory_is_drawn_as_its_model_is():
    net = network()
    drawn = snellen.render(net, "0:3", steps=3)
    assert torch.equal(drawn.images, snellen.render(open_model(net), "0:3", steps=3).images)
    assert drawn.images.shape == (1, 3, 32, 32)
    assert snellen.render(net, "0:3", steps=2, size=24).images.shape[2:] == (24, 24)
    other = snellen.render(net, "0:3", steps=3, preprocess=IMAGENET)
    assert not torch.equal(drawn.images, other.images)


def test_reading_takes_modules_and_words_too():
    net = network()
    assert [layer.name for layer in snellen.layers(net)] == ["0", "1", "2", "3", "4"]
    assert [layer.name for layer in snellen.layers(net, main=True)] == list(snellen.main_layers(net))
    assert [str(u) for u in snellen.units(["4:0-1"], net)] == ["4:0", "4:1"]
    x = torch.full((2, 3, 32, 32), 0.5)
    torch.testing.assert_close(snellen.observe(net, x, ["0"])["0"], net[0](x))
    assert snellen.layers("builtin") == snellen.layers(snellen.load_model("builtin"))


def test_the_module_is_neither_copied_nor_changed():
    for training in (False, True):
        net = cnn().module.train(training)
        before = State(net)
        assert open_model(net).module is net
        snellen.render(net, "fc:0", steps=2)
        before.check()


def test_what_is_guessed_is_called_a_guess_and_what_is_said_is_not():
    told = notes(open_model(network()))
    assert "a guess: input of 32x32 px (total stride 2)" in told
    assert "a guess: it takes RGB in [0, 1]" in told
    assert notes(open_model(network(), size=48, preprocess=IMAGENET)) == ""
    assert open_model(network(), size=48).size == (48, 48)
    assert open_model(network(), size=(48, 40)).provenance["size_from"] == "asked for"
    assert "one channel" in notes(open_model(network(channels=1)))
    assert open_model(network()).provenance["source"] == "memory"
    assert open_model(network()).name == "Sequential"


def test_weights_metadata_of_torchvision_says_size_preprocessing_and_names():
    transform = SimpleNamespace(mean=[0.5, 0.4, 0.3], std=[0.2, 0.2, 0.1], crop_size=[40])
    weights = SimpleNamespace(meta={"categories": ["a", "b", "c", "d"]}, transforms=lambda: transform)
    expected = snellen.Preprocess(mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1))
    model = open_model(network(), preprocess=weights)
    assert (model.size, model.preprocess, model.labels) == ((40, 40), expected, ("a", "b", "c", "d"))
    assert notes(model) == ""
    model = open_model(network(), preprocess=transform)
    assert (model.size, model.preprocess, model.labels) == ((40, 40), expected, ())
    assert open_model(network(), preprocess=weights, size=24).size == (24, 24)


def test_torchvisions_networks_in_memory_get_its_normalization_as_a_guess(torchvision):
    from torchvision.models import ResNet18_Weights, resnet18

    torch.manual_seed(0)
    net = resnet18(weights=None)
    model = open_model(net)
    assert (model.preprocess, model.size) == (IMAGENET, (224, 224))
    assert "a guess: ImageNet's mean" in notes(model)
    told = open_model(net, preprocess=ResNet18_Weights.IMAGENET1K_V1)
    assert (told.preprocess, told.size, len(told.labels)) == (IMAGENET, (224, 224), 1000)
    assert notes(told) == ""


def test_networks_of_timm_in_memory_say_what_they_want(timm):
    import timm as library

    torch.manual_seed(0)
    net = library.create_model("resnet10t", pretrained=False, num_classes=7).eval()
    model = open_model(net)
    assert model.size == tuple(net.pretrained_cfg["input_size"][1:])
    assert model.preprocess.mean == tuple(net.pretrained_cfg["mean"])
    assert (model.provenance["size_from"], model.provenance["source"]) == ("timm's data config", "memory")
    assert "a guess" not in notes(model)
    assert open_model(net, size=64).size == (64, 64)


def test_networks_of_transformers_in_memory_say_what_they_want():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=48, patch_size=16
    )
    model = open_model(transformers.ViTForImageClassification(config))
    assert model.size == (48, 48)
    assert "preprocessing: no processor came with the network; guessed" in notes(model)
    assert "preprocessing" not in notes(open_model(model.module, preprocess=IMAGENET))
    assert snellen.render(model.module, "classifier:0", steps=2).status == ("ok",)


def test_a_module_is_tried_once_and_again_when_its_shapes_change(monkeypatch):
    tried = []
    settled = entrance.settled
    monkeypatch.setattr(entrance, "settled", lambda *a: tried.append(a) or settled(*a))
    net = network()
    for _ in range(3):
        snellen.render(net, "0:3", steps=1)
    assert len(tried) == 1
    open_model(copy.deepcopy(net)), open_model(net, size=40)
    assert len(tried) == 3
    net[0] = nn.Conv2d(1, 6, 3, 2, 1)
    assert open_model(net).preprocess.channels == "grey"


def test_what_is_known_of_a_module_does_not_keep_it_alive():
    net = network()
    seen = weakref.ref(net)
    open_model(net)
    del net
    gc.collect()
    assert seen() is None


def test_a_model_comes_back_as_it_is_unless_something_else_is_asked_for():
    model = cnn()
    assert open_model(model) is model
    assert open_model(model, preprocess=model.preprocess, size=model.size) is model
    assert open_model(model, size=40).size == (40, 40)
    assert open_model(model, preprocess=IMAGENET).preprocess == IMAGENET
    assert open_model("builtin", preprocess=IMAGENET).preprocess == IMAGENET
    assert open_model("builtin", size=80).size == (80, 80)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"weights": "w.safetensors"}, "load_state_dict"),
        ({"device": "tpu"}, '"tpu"'),
        ({"size": 0}, "0x0"),
        ({"preprocess": "imagenet"}, "snellen.Preprocess"),
    ],
)
def test_options_that_do_not_go_with_a_module_are_one_line(options, told):
    with pytest.raises(UsageError, match="expected") as caught:
        open_model(network(), **options)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("thing", [{"0.weight": 1}, None, 3, nn.Sequential])
def test_what_is_no_model_is_one_line(thing):
    with pytest.raises(ModelError, match=r"expected a model as a word, a torch.nn.Module or a snellen.Model"):
        open_model(thing)


def test_a_module_that_takes_no_pictures_is_one_line():
    torch.manual_seed(0)
    with pytest.raises(SnellenError, match="expected the network to take pictures") as caught:
        snellen.render(nn.Sequential(nn.Linear(7, 3)), "0:1", steps=1)
    assert "\n" not in str(caught.value)


def test_layers_show_themselves_as_a_line_and_as_a_tree():
    torch.manual_seed(0)
    net = nn.ModuleDict({"<b>": nn.Conv2d(3, 4, 3)})

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = net, nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.body["<b>"](x).mean((2, 3)))

    found = snellen.layers(Net())
    assert repr(found).startswith("<2 layers, 2 main, of Net")
    page = found._repr_html_()
    assert '<b title="body.&lt;b&gt;">&lt;b&gt;</b>' in page
    assert [row.depth for row in found.rows] == [0, 1, 0]
    assert copy.copy(found).rows == found.rows
