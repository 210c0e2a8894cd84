"""Units as functions of a stated layer, or read before their ReLU: what is proved of them, and what is refused."""

import pytest
import torch
from torch import Tensor, nn

from snellen.base import LayerError, ModelError
from snellen.theory.constants import prove_lipschitz
from snellen.theory.proofs import prove

IMAGE = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Block(nn.Module):
    def __init__(self, inward: int, outward: int) -> None:
        super().__init__()
        self.conv, self.norm, self.relu = nn.Conv2d(inward, outward, 3, padding=1), nn.BatchNorm2d(outward), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.norm(self.conv(x)))


class Net(nn.Module):
    """Two blocks, pooled; where `skip`, the image also reaches the classifier past the blocks."""

    def __init__(self, *, skip: bool = False) -> None:
        super().__init__()
        self.low, self.high, self.pool = Block(3, 4), Block(4, 5), nn.AdaptiveAvgPool2d(1)
        self.softmax, self.head, self.skip = nn.Softmax(1), nn.Linear(8 if skip else 5, 3), skip

    def forward(self, x: Tensor) -> Tensor:
        y = self.high(self.low(self.softmax(2 * x - 0.5)))
        features = self.pool(y).view(y.size(0), -1)
        return self.head(torch.cat([features, x.mean((2, 3))], 1) if self.skip else features)


def network(**settings: bool) -> Net:
    torch.manual_seed(0)
    net = Net(**settings).double().eval()
    for norm in (net.low.norm, net.high.norm):
        norm.running_var.uniform_(0.5, 2)
        norm.weight.data.uniform_(0.5, 2)
    return net


def slope_over(net: Net, over: str, read) -> Tensor:
    """The gradient of a unit with respect to a layer's output, by autograd alone."""
    held = {}

    def swap(_module, _inputs, out):
        held["x"] = out.detach().requires_grad_()
        return held["x"]

    handle = net.get_submodule(over).register_forward_hook(swap)
    value = read(net)
    handle.remove()
    return torch.autograd.grad(value, held["x"])[0]


@pytest.mark.parametrize(("over", "affine"), [("pool", True), ("high", True), ("high.norm", False), ("low", False)])
def test_a_unit_over_a_layer(over, affine):
    net = network()
    proof = prove_lipschitz(net, IMAGE, "head", 1, over=over)
    slope = slope_over(net, over, lambda n: n(IMAGE)[0, 1])
    assert proof.affine == affine
    assert float(slope.norm()) <= proof.bound
    if affine:
        assert proof.bound == pytest.approx(float(slope.norm()), rel=1e-6)


def test_what_lies_before_the_layer_needs_no_proof():
    """The softmax is refused on the way from the image, and of no interest on the way from a later layer."""
    with pytest.raises(ModelError, match="Softmax"):
        prove_lipschitz(network(), IMAGE, "head", 1)
    assert prove_lipschitz(network(), IMAGE, "head", 1, over="low").factors[0][0] == "high.conv"


def test_what_bypasses_the_layer_is_refused_in_one_line():
    with pytest.raises(ModelError, match='through "high" alone, but "cat"') as refused:
        prove_lipschitz(network(skip=True), IMAGE, "head", 1, over="high")
    assert "\n" not in str(refused.value)
    with pytest.raises(LayerError, match='depends on the output of "high"'):
        prove_lipschitz(network(), IMAGE, "low", 1, over="high")
    with pytest.raises(LayerError, match='"nowhere"'):
        prove_lipschitz(network(), IMAGE, "head", 1, over="nowhere")


@pytest.mark.parametrize("position", [None, (2, 3)])
def test_before_the_relu_a_block_over_its_input_is_affine(position):
    net = network()
    after = prove_lipschitz(net, IMAGE, "high", 2, position=position, over="low")
    before = prove_lipschitz(net, IMAGE, "high", 2, position=position, pre=True, over="low")
    assert before.affine
    assert not after.affine
    assert before.bound <= after.bound <= 2.5 * before.bound  # one channel of convolution and norm
    held = {}
    net.high.norm.register_forward_hook(lambda m, i, out: held.update(out=out))

    def read(n):
        n(IMAGE)
        channel = held["out"][0, 2]
        return channel.mean() if position is None else channel[position]

    assert before.bound == pytest.approx(float(slope_over(net, "low", read).norm()), rel=1e-6)


def test_no_relu_nothing_before_it():
    with pytest.raises(LayerError, match="/pre"):
        prove_lipschitz(network(), IMAGE, "pool", 0, pre=True, over="high")


class Scaled(nn.Module):
    """Numbers on the way, and a value that enters a sum twice."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = 3 * (x.flatten(1) / 4) - 1
        return self.out(y + y)


def test_numbers_scale_and_shift():
    torch.manual_seed(0)
    net = Scaled().double().eval()
    proof = prove_lipschitz(net, torch.rand(1, 1, 2, 2, dtype=torch.float64), "out", 0)
    assert proof.affine
    assert proof.bound == pytest.approx(1.5 * float(net.out.weight[0].norm().detach()), rel=1e-6)


@pytest.mark.parametrize("mean", [lambda x: x.mean((2, 3)), lambda x: torch.mean(x, dim=-1), lambda x: x.mean(1)])
def test_means_against_the_matrix_written_out(mean):
    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Flatten()

        def forward(self, x: Tensor) -> Tensor:
            return self.out(2 * mean(x))

    torch.manual_seed(0)
    x = torch.rand(1, 3, 4, 2, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda v: Mean()(v).flatten(), x).reshape(-1, 24)
    proof = prove(Mean().eval(), x)
    assert proof.affine
    assert proof.bound == pytest.approx(float(torch.linalg.matrix_norm(jacobian, 2)), rel=1e-6)


class Spread(nn.Module):
    """A mean that is added back to every place, as in a global context block; and a quotient that is no scaling."""

    def __init__(self, *, inverse: bool = False) -> None:
        super().__init__()
        self.pool, self.out, self.inverse = nn.AdaptiveAvgPool2d(1), nn.Flatten(), inverse

    def forward(self, x: Tensor) -> Tensor:
        y = x + 5 * self.pool(x)
        return self.out(1 / y if self.inverse else y)


def test_what_is_broadcast_counts_once_a_place():
    torch.manual_seed(0)
    x = torch.rand(1, 1, 4, 4, dtype=torch.float64)
    proof = prove_lipschitz(Spread().eval(), x, "out", 3)
    jacobian = torch.autograd.functional.jacobian(lambda v: Spread()(v).flatten(), x).reshape(16, 16)
    assert proof.bound == pytest.approx(float(jacobian[3].norm()), rel=1e-6)
    assert prove(Spread().eval(), x).bound == pytest.approx(float(torch.linalg.matrix_norm(jacobian, 2)), rel=1e-6)
    with pytest.raises(ModelError, match="reciprocal"):
        prove_lipschitz(Spread(inverse=True).eval(), x, "out", 3)


class Written(nn.Module):
    """A ReLU that writes over its input, which is read again afterwards."""

    def __init__(self, *, dropped: bool) -> None:
        super().__init__()
        self.relu, self.out, self.dropped = nn.ReLU(inplace=True), nn.Linear(4, 2), dropped

    def forward(self, x: Tensor) -> Tensor:
        y = 2 * x.flatten(1)
        z = self.relu(y)
        return self.out(y) if self.dropped else self.out(y + z)


def test_values_written_over_in_place_are_not_taken_for_what_they_were():
    torch.manual_seed(0)
    image = torch.rand(1, 1, 2, 2)
    for dropped in (False, True):
        net = Written(dropped=dropped).eval()
        proof = prove_lipschitz(net, image, "out", 0)
        assert not proof.affine
        row = float(net.out.weight[0].norm().detach())
        assert proof.bound == pytest.approx((2 if dropped else 4) * row, rel=1e-6)


def test_tokens_average_over_tokens():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Identity(), nn.Linear(4, 3)).double().eval()
    tokens = torch.rand(1, 16, 4, dtype=torch.float64)
    proof = prove_lipschitz(net, tokens, "1", 2)
    assert proof.bound == pytest.approx(float(net[1].weight[2].norm().detach()) / 4, rel=1e-6)


class Called(nn.Module):
    """One operation, then a layer."""

    def __init__(self, call) -> None:
        super().__init__()
        self.call, self.out = call, nn.Flatten()

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.call(x))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.permute(0, 2, 3, 1).flip(1),
        lambda x: torch.flatten(x, 1).unflatten(1, (4, -1)),
        lambda x: nn.functional.dropout(x, 0.5, training=False),
        lambda x: nn.functional.dropout(x, 0.5, False),
    ],
)
def test_reordering_changes_no_distance(call):
    proof = prove_lipschitz(Called(call).eval(), torch.ones(1, 2, 2, 2), "out", 1)
    assert proof.affine
    assert proof.bound == 1.0


@pytest.mark.parametrize("call", [lambda x: x.sort(2).values, lambda x: 3 * torch.sort(x, dim=1)[0]])
def test_sorting_changes_no_distance_and_is_not_affine(call):
    proof = prove_lipschitz(Called(call).eval(), torch.ones(1, 2, 4, 2), "out", 1)
    assert not proof.affine
    x, y = torch.randn(2, 200, 2, 4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ratio = (call(x) - call(y)).flatten(1).norm(dim=1) / (x - y).flatten(1).norm(dim=1)
    assert float(ratio.max()) <= proof.bound


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda x: x.sort(2).indices, "sort"),
        (lambda x: torch.sort(x)[1], "sort"),
        (lambda x: nn.functional.dropout(x, 0.5), "at random"),
        (lambda x: x.mean() / x, "div"),
    ],
)
def test_what_only_looks_like_it_is_refused(call, told):
    torch.manual_seed(0)
    with pytest.raises(ModelError, match=told):
        prove_lipschitz(Called(call).eval(), torch.ones(1, 2, 4, 2), "out", 1)


def test_a_name_proves_nothing():
    class GroupSort(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 100 * x

    assert prove_lipschitz(Called(GroupSort()).eval(), torch.ones(1, 2, 4, 2), "out", 1).bound == 100.0
