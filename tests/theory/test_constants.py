"""Proved Lipschitz constants: never below what a search finds, tight where they should be, refused where unknown."""

import pytest
import torch
from torch import Tensor, nn

from snellen.base import LayerError, ModelError
from snellen.theory import Lipschitz
from snellen.theory.certificate import certify
from snellen.theory.constants import prove_lipschitz
from snellen.theory.norms import Kernel, convolution_norm, matrix_norm
from snellen.theory.proofs import Proof, prove


def layer_proof(layer: nn.Module, shape: tuple[int, ...]) -> Proof:
    """Of a layer alone, over inputs of a shape."""
    x = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return prove(layer.eval(), x, module=layer)


def kernel(conv: nn.Conv2d, rows: slice = slice(None)) -> Kernel:
    weight = conv.weight[rows]
    return Kernel(weight, conv.stride, conv.dilation, conv.groups if len(weight) == len(conv.weight) else 1)


def as_matrix(function, shape: tuple[int, ...]) -> Tensor:
    """The linear part of an affine function of one input, written out."""
    count = int(torch.tensor(shape).prod())
    zero = function(torch.zeros(1, *shape, dtype=torch.float64))
    return torch.stack(
        [(function(e.reshape(1, *shape)) - zero).flatten() for e in torch.eye(count, dtype=torch.float64)], 1
    )


CONVOLUTIONS = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 3},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 4, "stride": 4},
    {"kernel_size": 3, "padding": 2, "dilation": 2},
    {"kernel_size": (1, 3), "padding": (0, 1)},
    {"kernel_size": 3, "padding": 1, "groups": 2},
]


@pytest.mark.parametrize("settings", CONVOLUTIONS)
def test_convolutions_against_the_matrix_written_out(settings):
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, **settings).double()
    true = float(torch.linalg.matrix_norm(as_matrix(conv, (4, 8, 8)), 2).detach())
    proved = convolution_norm(kernel(conv), (8, 8))
    assert true <= proved
    stride = conv.stride[0]
    assert proved <= (1.25 if stride == 1 else 2.6) * true
    row = float(torch.linalg.matrix_norm(as_matrix(lambda x: conv(x)[:, :1], (4, 8, 8)), 2).detach())
    assert row <= convolution_norm(kernel(conv, slice(1)), (8, 8)) <= 2.6 * row


def test_a_patch_embedding_is_exact():
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 5, 4, stride=4).double()
    true = float(torch.linalg.matrix_norm(as_matrix(conv, (3, 8, 8)), 2).detach())
    assert convolution_norm(kernel(conv), (8, 8)) == pytest.approx(true, rel=1e-6)


def test_norms_are_no_power_iteration():
    """A matrix on which few power iterations from a fixed start fall short: the bound does not."""
    weight = torch.diag(torch.tensor([1.0, 0.999, 0.5], dtype=torch.float64))
    assert matrix_norm(weight) >= 1.0
    wide = torch.randn(3000, 2100, generator=torch.Generator().manual_seed(0))
    assert matrix_norm(wide) >= float(torch.linalg.vector_norm(wide @ torch.ones(2100)) / 2100**0.5)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.AvgPool2d(2), (2, 6, 6)),
        (nn.AvgPool2d(3, stride=2, padding=1), (2, 7, 7)),
        (nn.AdaptiveAvgPool2d(1), (2, 6, 6)),
        (nn.AdaptiveAvgPool2d((2, 3)), (2, 6, 6)),
        (nn.AdaptiveAvgPool2d((3, 4)), (2, 7, 6)),
        (nn.AvgPool2d(2, ceil_mode=True), (1, 3, 3)),
        (nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True, count_include_pad=False), (2, 6, 7)),
        (nn.AvgPool2d(3, stride=1, divisor_override=2), (2, 5, 5)),
        (nn.AvgPool2d(2, divisor_override=-1), (1, 4, 4)),
        (nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect").double(), (2, 5, 5)),
        (nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular").double(), (2, 5, 5)),
        (nn.Conv2d(2, 3, 3, padding=2, padding_mode="replicate").double(), (2, 5, 5)),
        (nn.Conv2d(4, 6, 3, padding=2, dilation=2, groups=2).double(), (4, 7, 6)),
        (nn.Conv1d(2, 3, 3, stride=2).double(), (2, 9)),
        (nn.Conv3d(1, 2, 2).double(), (1, 3, 4, 3)),
        (nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1, output_padding=1).double(), (2, 4, 5)),
        (nn.ConvTranspose2d(2, 4, 3, groups=2, dilation=2).double(), (2, 4, 5)),
        (nn.Upsample(scale_factor=2), (2, 3, 3)),
        (nn.Upsample(size=(5, 7), mode="bilinear"), (2, 3, 4)),
        (nn.Upsample(size=(5, 7), mode="bilinear", align_corners=True), (2, 3, 4)),
        (nn.Upsample(size=(2, 2), mode="bilinear"), (1, 5, 5)),
        (nn.ReflectionPad2d(2), (1, 4, 4)),
        (nn.ReplicationPad2d((3, 0, 1, 2)), (1, 4, 4)),
        (nn.CircularPad2d(2), (1, 4, 4)),
        (nn.ConstantPad2d((1, -1, 0, 2), 5.0), (1, 4, 4)),
        (nn.PixelShuffle(2), (4, 3, 3)),
        (nn.Unfold(2), (2, 4, 4)),
        (nn.Linear(12, 5).double(), (12,)),
    ],
)
def test_affine_layers_against_the_matrix_written_out(layer, shape):
    torch.manual_seed(0)  # the layers were made while tests were collected, when nothing was seeded
    if isinstance(layer, nn.Linear | nn.modules.conv._ConvNd):
        layer.reset_parameters()
    true = float(torch.linalg.matrix_norm(as_matrix(layer, shape), 2).detach())
    proof = layer_proof(layer, shape)
    assert proof.affine
    assert true <= proof.bound <= 4.5 * true


@pytest.mark.parametrize(
    "layer",
    [
        nn.MaxPool2d(2),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.MaxPool2d(2, stride=1, dilation=2),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
        nn.GELU(),
        nn.GELU(approximate="tanh"),
        nn.SiLU(),
        nn.Sigmoid(),
        nn.LeakyReLU(0.2),
        nn.LeakyReLU(-3.0),
        nn.PReLU(init=2.5).double(),
        nn.Hardtanh(-2.0, 0.1),
        nn.ELU(alpha=2.0),
        nn.CELU(alpha=0.5),
        nn.SELU(),
        nn.Mish(),
        nn.Hardswish(),
        nn.Hardsigmoid(),
        nn.LogSigmoid(),
        nn.Softshrink(),
        nn.Softplus(beta=3.0),
        nn.Tanh(),
        nn.ReLU6(),
    ],
)
def test_nonlinear_layers_against_their_jacobian(layer):
    generator = torch.Generator().manual_seed(0)
    proof = layer_proof(layer, (2, 6, 6))
    assert not proof.affine
    worst = 0.0
    for _ in range(40):
        x = 2 * torch.randn(1, 2, 6, 6, generator=generator, dtype=torch.float64)
        jacobian = torch.autograd.functional.jacobian(lambda v: layer(v).flatten(), x).reshape(-1, 72)
        worst = max(worst, float(torch.linalg.matrix_norm(jacobian, 2)))
    assert worst <= proof.bound <= 2.5 * worst


CURVES = {"gelu": nn.GELU(), "tanh gelu": nn.GELU(approximate="tanh"), "silu": nn.SiLU(), "mish": nn.Mish(),
          "hardswish": nn.Hardswish(), "hardsigmoid": nn.Hardsigmoid(), "sigmoid": nn.Sigmoid(), "selu": nn.SELU(),
          "tanh": nn.Tanh(), "softplus": nn.Softplus(), "logsigmoid": nn.LogSigmoid()}  # fmt: skip


@pytest.mark.parametrize("name", CURVES)
def test_slopes_on_a_fine_grid(name):
    x = torch.linspace(-12, 12, 400_001, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(CURVES[name](x).sum(), x)
    steepest, proved = float(slope.abs().max()), layer_proof(CURVES[name], (4,)).bound
    assert steepest <= proved <= 1.01 * steepest


class Branches(nn.Module):
    """Sums and concatenations, as networks have them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.left, self.right = (
            nn.Conv2d(3, 4, 3, padding=1),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.Conv2d(4, 2, 1),
        )
        self.norm, self.pool, self.head = nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.cat([x + torch.relu(self.left(x)), self.right(x)], 1)
        return self.head(self.pool(x).flatten(1))


def network() -> nn.Module:
    torch.manual_seed(0)
    net = Branches().double().eval()
    net.norm.running_var.uniform_(0.5, 2)
    return net


@pytest.mark.parametrize("layer", ["stem", "left", "right", "head"])
def test_a_network_with_branches_never_beats_its_constant(layer):
    net = network()
    image = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    proof = prove_lipschitz(net, image, layer, 1)
    held = {}
    handle = net.get_submodule(layer).register_forward_hook(lambda _m, _i, out: held.update(out=out))
    worst = 0.0
    for _ in range(30):
        x = torch.rand(1, 3, 8, 8, dtype=torch.float64, requires_grad=True)
        net(x)
        (slope,) = torch.autograd.grad(held["out"][0, 1].mean(), x)
        worst = max(worst, float(slope.norm()))
    handle.remove()
    assert worst <= proof.bound
    assert proof.affine == (layer == "stem")
    assert all(factor >= 0 for _, factor in proof.factors)


def test_what_is_not_proved_is_refused_by_name():
    class Softmax(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scores, self.out = nn.Softmax(1), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.scores(x.flatten(1)) * x.flatten(1))

    torch.manual_seed(0)
    with pytest.raises(ModelError, match="Softmax"):
        prove_lipschitz(Softmax().eval(), torch.rand(1, 1, 2, 2), "out", 0)
    with pytest.raises(LayerError, match="nowhere"):
        prove_lipschitz(network(), torch.rand(1, 3, 8, 8, dtype=torch.float64), "nowhere", 0)


def test_certificates_hold_and_a_wrong_constant_is_caught():
    net = network()
    torch.manual_seed(1)
    images = torch.rand(40, 3, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        truth = net(images)[:, 1].numpy()
    proof = prove_lipschitz(net, images[:1], "head", 1)
    found = certify(Lipschitz(proof.bound), (images[:5], truth[:5]), (images[5:], truth[5:]))
    assert found.holds.all()
    assert 0 <= found.relative_width.min() <= found.relative_width.max() <= 1
    narrow = certify(Lipschitz(found.needed), (images[:1], truth[:1]), (images[5:], truth[5:]))
    assert (narrow.up - narrow.lo).max() < (found.up - found.lo).max()
    tiny = float(abs(truth[5:] - truth[0]).max() / (images[5:] - images[0]).flatten(1).norm(dim=1).max() / 10)
    assert not certify(Lipschitz(tiny), (images[:1], truth[:1]), (images[5:], truth[5:])).holds.all()


class GroupSort(nn.Module):
    """Sorts pairs of features."""

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (-1, 2)).sort(2).values.flatten(1, 2)


def constrained(kind: str) -> nn.Module:
    """Layers of norm one by construction: orthogonal, or spectrally normalized (both ways that PyTorch has)."""
    torch.manual_seed(0)
    wrap = {
        "orthogonal": nn.utils.parametrizations.orthogonal,
        "spectral": lambda m: nn.utils.parametrizations.spectral_norm(m, n_power_iterations=200),
        "spectral-hook": lambda m: nn.utils.spectral_norm(m, n_power_iterations=200),
    }[kind]
    layers = [nn.Flatten()]
    for inward, outward in ((48, 24), (24, 16), (16, 4)):
        layers += [wrap(nn.Linear(inward, outward)), GroupSort()]
    return nn.Sequential(*layers[:-1]).double()


@pytest.mark.parametrize("kind", ["orthogonal", "spectral", "spectral-hook"])
@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm`|.*deprecated.*:FutureWarning")
def test_layers_of_norm_one_give_constants_that_guarantee_something(kind):
    """L is about 1, whatever the depth; true responses stay inside, and the intervals are narrow near an exemplar."""
    net = constrained(kind)
    images = torch.rand(60, 3, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    net.train()
    net(images)
    net.eval()
    near = images[:1] + 0.02 * torch.randn(20, 3, 4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    asked = torch.cat([images[30:], near.clamp(0, 1)])
    with torch.no_grad():
        known_values, truth = net(images[:30])[:, 1].numpy(), net(asked)[:, 1].numpy()
    proof = prove_lipschitz(net, images[:1], "5", 1)
    worst = 0.0
    for _ in range(50):
        x = torch.rand(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(net(x)[0, 1], x)
        worst = max(worst, float(slope.norm()))
    assert worst <= proof.bound <= 1.02
    found = certify(Lipschitz(proof.bound), (images[:30], known_values), (asked, truth))
    assert found.holds.all()
    assert found.relative_width[-20:].max() < 1.0


class Preprocessed(nn.Module):
    """Channels turned around, scaled and shifted by buffers, and pooled by functions instead of layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)
        self.register_buffer("mean", torch.rand(1, 3, 1, 1, dtype=torch.float64))
        self.register_buffer("std", torch.tensor([0.5, 2.0, 4.0], dtype=torch.float64).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv((x.flip(1) * 255 - self.mean) / self.std)
        y = nn.functional.max_pool2d(y, 3, 2, ceil_mode=True)
        return nn.functional.adaptive_avg_pool2d(self.std.flatten()[1] * y, 1).flatten(1)


def test_buffers_flips_and_pooling_functions_are_followed():
    torch.manual_seed(0)
    net = Preprocessed().double().eval()
    x = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    before = prove_lipschitz(net, x, "conv", 1, position=(2, 3))
    assert before.affine
    row = torch.autograd.functional.jacobian(lambda v: net.conv((v.flip(1) * 255 - net.mean) / net.std)[0, 1, 2, 3], x)
    assert float(row.norm()) <= before.bound <= 4.1 * float(row.norm())  # the smallest std counts for all channels

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.out = net, nn.Flatten()

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.net(x))

    proof = prove_lipschitz(Whole().eval(), x, "out", 1)
    assert not proof.affine
    worst = 0.0
    for _ in range(20):
        x = torch.rand(1, 3, 8, 8, dtype=torch.float64)
        worst = max(worst, float(torch.autograd.functional.jacobian(lambda v: net(v)[0, 1], x).norm()))
    assert worst <= proof.bound <= 20 * worst
