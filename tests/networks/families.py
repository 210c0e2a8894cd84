"""One small network of random weights for each family that people bring: narrow, shallow, and the same every time.

Each function builds one by a library's own classes, or plainly where a family has no library here. `FAMILIES` names
them; `build` gives one in eval mode with its input size. Nothing is as it is at birth where that would leave a layer
without a say: weights are drawn at a scale that carries a picture to the output, statistics of batch norms, scales of
layers and zeroed gains at random.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

CLASSES = 10


@dataclass(frozen=True)
class Family:
    """How to make a network, the side of its pictures, and the distribution that it needs."""

    make: Callable[[], nn.Module]
    size: tuple[int, int]
    needs: str | None


FAMILIES: dict[str, Family] = {}


def family(side, needs=None):
    """Enter the decorated function into `FAMILIES` under its own name."""

    def enter(make):
        FAMILIES[make.__name__] = Family(make, (side, side), needs)
        return make

    return enter


def build(name, seed=0):
    """A network of a family in eval mode and the height and width of its pictures; torch's generator is not moved."""
    known = FAMILIES[name]
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.default_generator.manual_seed(seed)
        return _lively(known.make()).eval(), known.size


def _lively(module):
    scales = ("gamma", "layer_scale", "lambda1", "lambda_1", "lambda_2", "pos_embed", "class_token", "cls_token")
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Linear | nn.Conv2d) and not hasattr(part, "parametrizations"):
                nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.running_mean.normal_(0, 0.1), part.running_var.uniform_(0.5, 1.5)
                part.weight.uniform_(0.5, 1.5)
        for name, weight in module.named_parameters():
            if any(s in name for s in scales) or (not weight.any() and not name.endswith("bias")):
                weight.normal_(0, 0.5)
    return module


# ---------------------------------------------------------------------------------------------- convolutions


@family(64, "torchvision")
def resnet():
    from torchvision.models.resnet import BasicBlock, ResNet

    return ResNet(BasicBlock, [1, 1, 1, 1], num_classes=CLASSES)


@family(64, "torchvision")
def resnext():
    from torchvision.models.resnet import Bottleneck, ResNet

    return ResNet(Bottleneck, [1, 1, 1, 1], num_classes=CLASSES, groups=8, width_per_group=4)


@family(32, "torchvision")
def vgg():
    from torchvision.models.vgg import VGG, make_layers

    features = make_layers([8, "M", 16, "M", 24, 24, "M"], batch_norm=True)
    with torch.device("meta"):  # a hundred million weights that are replaced below
        network = VGG(features, init_weights=False)
    network.avgpool = nn.AdaptiveAvgPool2d(2)
    network.classifier = nn.Sequential(
        nn.Linear(24 * 4, 32), nn.ReLU(True), nn.Dropout(), nn.Linear(32, 32), nn.ReLU(True), nn.Linear(32, CLASSES)
    )
    return network


@family(64, "torchvision")
def densenet():
    from torchvision.models import DenseNet

    return DenseNet(growth_rate=8, block_config=(2, 2, 2), num_init_features=16, num_classes=CLASSES)


@family(64, "torchvision")
def efficientnet():
    from torchvision.models.efficientnet import EfficientNet, FusedMBConvConfig, MBConvConfig

    blocks = [
        FusedMBConvConfig(2, 3, 2, 8, 16, 1),
        MBConvConfig(4, 3, 2, 16, 24, 2, 1.0, 1.0),
        MBConvConfig(4, 5, 2, 24, 32, 1, 1.0, 1.0),
    ]
    return EfficientNet(blocks, dropout=0.2, num_classes=CLASSES, last_channel=64)


@family(64, "torchvision")
def convnext():
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    return ConvNeXt(
        [CNBlockConfig(8, 16, 1), CNBlockConfig(16, 24, 1), CNBlockConfig(24, None, 2)], num_classes=CLASSES
    )


@family(64, "torchvision")
def mobilenet_v3():
    from torchvision.models.mobilenetv3 import InvertedResidualConfig, MobileNetV3

    blocks = [
        InvertedResidualConfig(16, 3, 16, 16, True, "RE", 2, 1, 1.0),
        InvertedResidualConfig(16, 3, 48, 24, False, "RE", 2, 1, 1.0),
        InvertedResidualConfig(24, 5, 64, 24, True, "HS", 2, 1, 1.0),
        InvertedResidualConfig(24, 5, 64, 24, True, "HS", 1, 1, 1.0),
    ]
    return MobileNetV3(blocks, last_channel=64, num_classes=CLASSES)


@family(64, "torchvision")
def regnet():
    from torchvision.models.regnet import BlockParams, RegNet

    return RegNet(
        BlockParams([1, 2, 1], [16, 24, 32], [8, 8, 8], [1.0] * 3, [2, 2, 2], 0.25), num_classes=CLASSES, stem_width=16
    )


@family(299, "torchvision")
def inception_v3():
    from torchvision.models import inception_v3 as make

    return make(
        weights=None, init_weights=False, num_classes=CLASSES
    )  # its widths are fixed; a second and a half a pass


@family(64, "torchvision")
def deeplab():
    from torchvision.models._utils import IntermediateLayerGetter
    from torchvision.models.resnet import Bottleneck, ResNet
    from torchvision.models.segmentation.deeplabv3 import ASPP, DeepLabV3

    trunk = ResNet(Bottleneck, [1, 1, 1, 1], width_per_group=16, replace_stride_with_dilation=[False, True, True])
    head = nn.Sequential(ASPP(2048, [2, 4], 32), nn.Conv2d(32, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, CLASSES, 1))
    return DeepLabV3(IntermediateLayerGetter(trunk, {"layer4": "out"}), head)


class UNet(nn.Module):
    """Two steps down, two up, with skips by concatenation; a map of logits."""

    def __init__(self, width=8):
        super().__init__()
        self.down1, self.down2 = self._pair(3, width), self._pair(width, 2 * width)
        self.middle = self._pair(2 * width, 4 * width)
        self.up2, self.up1 = nn.ConvTranspose2d(4 * width, 2 * width, 2, 2), nn.ConvTranspose2d(2 * width, width, 2, 2)
        self.join2, self.join1 = self._pair(4 * width, 2 * width), self._pair(2 * width, width)
        self.out = nn.Conv2d(width, CLASSES, 1)

    @staticmethod
    def _pair(before, after):
        return nn.Sequential(
            nn.Conv2d(before, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
            nn.Conv2d(after, after, 3, padding=1),
            nn.ReLU(inplace=True),
        )

    def forward(self, x):
        first = self.down1(x)
        second = self.down2(F.max_pool2d(first, 2))
        x = self.middle(F.max_pool2d(second, 2))
        x = self.join2(torch.cat([second, self.up2(x)], 1))
        return self.out(self.join1(torch.cat([first, self.up1(x)], 1)))


@family(64)
def u_net():
    return UNet()


class Yolo(nn.Module):
    """SiLU convolutions, a split and joined block, a pyramid, and a list of one map for each scale."""

    def __init__(self, width=8, anchors=3):
        super().__init__()
        self.stem = nn.Sequential(self._conv(3, width, 2), self._conv(width, 2 * width, 2))
        self.split = self._conv(2 * width, 2 * width)
        self.inner = nn.Sequential(self._conv(width, width), self._conv(width, width))
        self.join = self._conv(3 * width, 2 * width)
        self.deep = nn.Sequential(self._conv(2 * width, 4 * width, 2), nn.MaxPool2d(5, 1, 2))
        self.lateral = self._conv(4 * width, 2 * width)
        self.neck = self._conv(4 * width, 2 * width)
        outputs = anchors * (5 + CLASSES)
        self.heads = nn.ModuleList([nn.Conv2d(2 * width, outputs, 1), nn.Conv2d(4 * width, outputs, 1)])

    @staticmethod
    def _conv(before, after, stride=1):
        return nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.SiLU(inplace=True)
        )

    def forward(self, x):
        one, two = self.split(self.stem(x)).chunk(2, 1)
        fine = self.join(torch.cat([one, two, two + self.inner(two)], 1))
        coarse = self.deep(fine)
        up = F.interpolate(self.lateral(coarse), scale_factor=2.0, mode="nearest")
        return [self.heads[0](self.neck(torch.cat([fine, up], 1))), self.heads[1](coarse)]


@family(64)
def yolo():
    return Yolo()


@family(32)
def discriminator():
    """As DCGAN's, with spectral norms; one logit of shape (n, 1, 1, 1)."""
    norm = nn.utils.parametrizations.spectral_norm
    return nn.Sequential(
        norm(nn.Conv2d(3, 8, 4, 2, 1)),
        nn.LeakyReLU(0.2, inplace=True),
        norm(nn.Conv2d(8, 16, 4, 2, 1, bias=False)),
        nn.BatchNorm2d(16),
        nn.LeakyReLU(0.2, inplace=True),
        norm(nn.Conv2d(16, 24, 4, 2, 1, bias=False)),
        nn.InstanceNorm2d(24, affine=True),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(24, 1, 4),
    )


class Autoencoder(nn.Module):
    """A picture to a code and back; the output is a picture."""

    def __init__(self, code=12):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.ELU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ELU(), nn.Flatten(), nn.Linear(1024, code)
        )
        self.decoder = nn.Sequential(
            nn.Linear(code, 1024),
            nn.ELU(),
            nn.Unflatten(1, (16, 8, 8)),
            nn.ConvTranspose2d(16, 8, 4, 2, 1),
            nn.ELU(),
            nn.ConvTranspose2d(8, 3, 4, 2, 1),
            nn.Sigmoid(),
        )

    def forward(self, x):
        return self.decoder(self.encoder(x))


@family(32)
def autoencoder():
    return Autoencoder()


# ---------------------------------------------------------------------------------------------- tokens


@family(32, "torchvision")
def vit():
    from torchvision.models import VisionTransformer

    return VisionTransformer(32, 8, 2, 4, 24, 48, num_classes=CLASSES)


@family(32, "timm")
def vit_timm():
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(32, 8, embed_dim=24, depth=2, num_heads=4, num_classes=CLASSES)


@family(64, "torchvision")
def maxvit():
    from torchvision.models import MaxVit

    return MaxVit(
        input_size=(64, 64),
        stem_channels=8,
        partition_size=4,
        block_channels=[8, 16],
        block_layers=[1, 1],
        head_dim=4,
        stochastic_depth_prob=0.0,
        num_classes=CLASSES,
    )


@family(32, "timm")
def mlp_mixer():
    from timm.models.mlp_mixer import MlpMixer

    return MlpMixer(num_classes=CLASSES, img_size=32, patch_size=8, num_blocks=2, embed_dim=24)


@family(32, "timm")
def deit():
    """Distilled: a class and a distillation token before the patches, two heads."""
    from timm.models.deit import VisionTransformerDistilled

    return VisionTransformerDistilled(
        img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=4, num_classes=CLASSES
    )


@family(32, "transformers")
def deit_transformers():
    from transformers import DeiTConfig, DeiTForImageClassificationWithTeacher

    return DeiTForImageClassificationWithTeacher(DeiTConfig(image_size=32, patch_size=8, **_narrow()))


@family(64, "torchvision")
def swin():
    from torchvision.models import SwinTransformer

    return SwinTransformer([4, 4], 12, [2, 2], [2, 4], [4, 4], num_classes=CLASSES)


@family(64, "torchvision")
def swin_v2():
    from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformer, SwinTransformerBlockV2

    parts = {"block": SwinTransformerBlockV2, "downsample_layer": PatchMergingV2}
    return SwinTransformer([4, 4], 12, [2, 2], [2, 4], [4, 4], num_classes=CLASSES, **parts)


@family(64, "timm")
def swin_timm():
    from timm.models.swin_transformer import SwinTransformer

    return SwinTransformer(64, 4, embed_dim=12, depths=(2, 2), num_heads=(2, 4), window_size=4, num_classes=CLASSES)


@family(64, "timm")
def swin_v2_timm():
    from timm.models.swin_transformer_v2 import SwinTransformerV2

    return SwinTransformerV2(64, 4, embed_dim=12, depths=(2, 2), num_heads=(2, 4), window_size=4, num_classes=CLASSES)


@family(64, "transformers")
def swin_transformers():
    from transformers import SwinConfig, SwinForImageClassification

    return SwinForImageClassification(SwinConfig(**_windows()))


@family(64, "transformers")
def swin_v2_transformers():
    from transformers import Swinv2Config, Swinv2ForImageClassification

    return Swinv2ForImageClassification(Swinv2Config(**_windows()))


@family(28, "transformers")
def dinov2_registers():
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersForImageClassification

    return Dinov2WithRegistersForImageClassification(
        Dinov2WithRegistersConfig(image_size=28, patch_size=7, mlp_ratio=2, num_register_tokens=4, **_narrow(mlp=False))
    )


@family(28, "timm")
def dinov2_registers_timm():
    """As DINOv2 comes: no head, an embedding."""
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(
        28, 7, embed_dim=24, depth=2, num_heads=4, num_classes=0, reg_tokens=4, no_embed_class=True, init_values=1e-5
    )


@family(32, "transformers")
def clip_vision():
    """The tower with its projection: an embedding."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(image_size=32, patch_size=8, projection_dim=16, **_narrow(labels=False))
    )


@family(32, "transformers")
def siglip_vision():
    """Its tower pools by attention and has no class token."""
    from transformers import SiglipVisionConfig, SiglipVisionModel

    return SiglipVisionModel(SiglipVisionConfig(image_size=32, patch_size=8, **_narrow(labels=False)))


@family(32, "transformers")
def siglip_classifier():
    from transformers import SiglipConfig, SiglipForImageClassification

    vision = {"image_size": 32, "patch_size": 8, **_narrow(labels=False)}
    return SiglipForImageClassification(SiglipConfig(text_config=_text(), vision_config=vision, num_labels=CLASSES))


@family(32, "transformers")
def beit():
    from transformers import BeitConfig, BeitForImageClassification

    return BeitForImageClassification(BeitConfig(image_size=32, patch_size=8, **_narrow()))


@family(64, "transformers")
def segformer():
    """A map of logits at a quarter of the size."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    return SegformerForSemanticSegmentation(_segformer(SegformerConfig))


@family(64, "transformers")
def segformer_classifier():
    from transformers import SegformerConfig, SegformerForImageClassification

    return SegformerForImageClassification(_segformer(SegformerConfig))


class SequenceFirst(nn.Module):
    """An image tower as open_clip's and OpenAI's CLIP: patches, then blocks over (tokens, pictures, width)."""

    def __init__(self, width=24, embedding=16):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 8, 8, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(width) / math.sqrt(width))
        self.positional_embedding = nn.Parameter(torch.randn(17, width) / math.sqrt(width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList([_Block(width, 4) for _ in range(2)])
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.randn(width, embedding) / math.sqrt(width))

    def forward(self, x):
        x = self.conv1(x).flatten(2).permute(0, 2, 1)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], 1) + self.positional_embedding
        x = self.ln_pre(x).permute(1, 0, 2)
        for block in self.transformer.resblocks:
            x = block(x)
        return self.ln_post(x.permute(1, 0, 2)[:, 0]) @ self.proj


class _Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x):
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


@family(32)
def open_clip():
    return SequenceFirst()


class Encoder(nn.Module):
    """`nn.TransformerEncoder` as it is by default: the sequence first."""

    def __init__(self, width=24):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, 8)
        self.places = nn.Parameter(torch.randn(16, 1, width))
        layer = nn.TransformerEncoderLayer(width, 4, 48)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x):
        x = self.patches(x).flatten(2).permute(2, 0, 1) + self.places
        return self.head(self.encoder(x).mean(0))


@family(32)
def transformer_encoder():
    return Encoder()


def _narrow(*, mlp=True, labels=True):
    told = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
    return told | ({"intermediate_size": 48} if mlp else {}) | ({"num_labels": CLASSES} if labels else {})


def _windows():
    return {
        "image_size": 64,
        "patch_size": 4,
        "embed_dim": 12,
        "depths": [2, 2],
        "num_heads": [2, 4],
        "window_size": 4,
        "num_labels": CLASSES,
    }


def _text():
    return {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "vocab_size": 50,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }


def _segformer(kind):
    return kind(
        num_encoder_blocks=3,
        depths=[1, 1, 1],
        sr_ratios=[4, 2, 1],
        hidden_sizes=[8, 16, 24],
        patch_sizes=[7, 3, 3],
        strides=[4, 2, 2],
        num_attention_heads=[1, 2, 4],
        mlp_ratios=[2, 2, 2],
        decoder_hidden_size=24,
        num_labels=CLASSES,
    )
