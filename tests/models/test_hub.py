"""What torchvision and timm know of networks that are already in memory."""

import subprocess
import sys

import pytest
import torch
from families import build
from torch import nn

from snellen.base import UsageError
from snellen.models.sources.hub import timm_config, torchvision_config

pytestmark = pytest.mark.global_random  # the libraries' initializers draw


def made(timm, name, **options):
    torch.manual_seed(0)
    return timm.create_model(name, pretrained=False, **options)


def test_a_timm_network_tells_its_size_normalization_and_classes(timm):
    found = timm_config(made(timm, "vit_tiny_patch16_224"))
    assert (found.size, found.size_from) == ((224, 224), "timm's data config")
    assert (found.preprocess.mean, found.preprocess.std) == ((0.5,) * 3, (0.5,) * 3)
    assert found.labels[574] == "golf ball"
    assert (found.notes, found.name) == ((), "vit_tiny_patch16_224")


def test_a_timm_network_built_otherwise_than_its_configuration_says_so(timm):
    small = timm_config(made(timm, "vit_tiny_patch16_224", img_size=64, num_classes=3))
    assert (small.size, small.labels) == ((64, 64), ())
    assert "built for 64x64 px where timm's configuration says 224x224" in small.notes[0]
    grey = timm_config(made(timm, "resnet10t", in_chans=1))
    assert grey.preprocess is None
    assert "takes 1" in grey.notes[0]
    plain, size = build("mlp_mixer")
    found = timm_config(plain)
    assert (found.size, found.size_from, found.preprocess) == (size, "the network's patches", None)
    assert any("preprocessing" in note for note in found.notes)


def test_other_networks_are_not_timms_and_timm_is_not_imported_for_them():
    assert timm_config(nn.Linear(2, 2)) is None
    code = (
        "import sys\nfrom torch import nn\nfrom snellen.models.sources.hub import timm_config\n"
        "from snellen.models.sources.transformers_folder import transformers_config\n"
        "assert timm_config(nn.Linear(1, 1)) is None and transformers_config(nn.Linear(1, 1)) is None\n"
        "sys.exit(any(n in sys.modules for n in ('timm', 'torchvision', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("named", [False, True])
def test_weights_of_torchvision_tell_size_normalization_and_classes(torchvision, named):
    from torchvision.models import EfficientNet_B1_Weights, efficientnet_b1

    torch.manual_seed(0)
    weights = EfficientNet_B1_Weights.IMAGENET1K_V2
    found = torchvision_config(efficientnet_b1(), "EfficientNet_B1_Weights.IMAGENET1K_V2" if named else weights)
    assert (found.size, found.size_from) == ((240, 240), "torchvision's weights metadata")
    assert found.preprocess.mean == pytest.approx((0.485, 0.456, 0.406))
    assert found.labels[574] == "golf ball"
    assert found.provenance["metadata"] == "EfficientNet_B1_Weights.IMAGENET1K_V2"


def test_a_head_of_another_width_has_no_names_and_says_so(torchvision):
    network, _ = build("resnet")
    found = torchvision_config(network, "ResNet18_Weights.DEFAULT")
    assert found.labels == ()
    assert "names 1000 classes, the last layer has 10" in found.notes[0]


def test_segmentation_weights_tell_their_side(torchvision):
    network, _ = build("deeplab")
    found = torchvision_config(network, "DeepLabV3_ResNet50_Weights.DEFAULT")
    assert (found.size, found.preprocess.std) == ((520, 520), pytest.approx((0.229, 0.224, 0.225)))


@pytest.mark.parametrize("weights", ["resnet18", "Nothing.DEFAULT", "ResNet18_Weights.NOTHING", 3, None])
def test_what_are_no_weights_of_torchvision_is_one_line(torchvision, weights):
    with pytest.raises(UsageError) as caught:
        torchvision_config(nn.Linear(1, 1), weights)
    assert "\n" not in str(caught.value)
