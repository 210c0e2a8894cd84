"""What once was proved and is not true, and what is of the same kinds: a number that holds, or one line of refusal."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from snellen.base import ModelError, SnellenError
from snellen.theory.constants import prove_lipschitz


class Net(nn.Module):
    """One operation, then a layer that gives it a name."""

    def __init__(self, call, **parts) -> None:
        super().__init__()
        self.call, self.out = call, nn.Identity()
        for name, part in parts.items():
            if isinstance(part, Tensor):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.call(self, x))


def ones(count: int) -> nn.Linear:
    layer = nn.Linear(count, 1, bias=False)
    nn.init.ones_(layer.weight)
    return layer


def hooked(layer: nn.Module, *, before: bool = False, hook=None) -> nn.Module:
    if before:
        layer.register_forward_pre_hook(hook or (lambda _m, given: (50 * given[0],)))
    else:
        layer.register_forward_hook(hook or (lambda _m, _i, out: 50 * out))
    return layer


def patched(layer: nn.Module) -> nn.Module:
    inner = layer.forward
    layer.forward = lambda x: 50 * inner(x)
    return layer


@fx.wrap
def relu(x: Tensor) -> Tensor:
    return 100 * x


class ReLU(nn.ReLU):
    """Another function under its parent's name."""

    def forward(self, x: Tensor) -> Tensor:
        return 7 * x

    __call__ = forward


class Tripled(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 3 * weight


class Claims(torch.autograd.Function):
    """Multiplies by 9, with a gradient of 1."""

    @staticmethod
    def forward(x):
        return 9 * x

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, grad):
        return grad


def added_by_name(net: Net, x: Tensor) -> Tensor:
    y = net.l(x)
    z = y
    y += 9 * x
    return z


def written_through_a_view(net: Net, x: Tensor) -> Tensor:
    y = 1 * x
    y.view(len(y), -1)[:, :2] *= 20
    return y


def written_through_data(net: Net, x: Tensor) -> Tensor:
    y = 1 * x
    y.data.mul_(20)
    return y


def written_with_out(net: Net, x: Tensor) -> Tensor:
    y = torch.empty_like(x)
    torch.mul(x, 20, out=y)
    return y


def row(weight: Tensor) -> nn.Conv2d:
    conv = nn.Conv2d(3, 64, 1, bias=False)
    nn.init.zeros_(conv.weight)
    conv.weight.data[5, :, 0, 0] = weight
    return conv


def weighted(layer: nn.Module, **settings) -> nn.Module:
    return nn.utils.parametrizations.weight_norm(layer, **settings)


MAP = (3, 2, 2)
TRUE: dict[str, tuple[Net, tuple[int, ...], int, float]] = {
    "a list with one value four times": (Net(lambda n, x: n.l(torch.cat([x, x, x, x], 1)), l=ones(4)), (1,), 0, 4.0),
    "a stack of one value": (Net(lambda n, x: torch.stack([x, x, x]).sum(0)), (2,), 0, 3.0),
    "grey to RGB": (Net(lambda n, x: n.c(torch.cat([x] * 3, 1)).flatten(1), c=nn.Conv2d(3, 1, 1, bias=False)),
                    (1, 1, 1), 0, 0.0),
    "an alias that is added to": (Net(added_by_name, l=ones(1)), (1,), 0, 10.0),
    "a view that is written to": (Net(written_through_a_view), (4,), 1, 20.0),
    "data that is written to": (Net(written_through_data), (4,), 1, 20.0),
    "a result that is written": (Net(written_with_out), (4,), 1, 20.0),
    "a hook": (Net(lambda n, x: n.l(x), l=hooked(ones(1))), (1,), 0, 50.0),
    "a hook before": (Net(lambda n, x: n.l(x), l=hooked(ones(1), before=True)), (1,), 0, 50.0),
    "a hook that writes": (Net(lambda n, x: n.l(x), l=hooked(ones(1), hook=lambda m, i, o: o.mul_(50))), (1,), 0, 50.0),
    "a patched instance": (Net(lambda n, x: n.l(x), l=patched(ones(1))), (1,), 0, 50.0),
    "a subclass": (Net(lambda n, x: n.r(x), r=ReLU()), (1,), 0, 7.0),
    "one row after permute": (Net(lambda n, x: n.c(x).permute(0, 2, 3, 1), c=row(torch.tensor([0.6, 0.8, 0.0]))),
                              MAP, 5, 0.5),
    "a row of zeros after permute": (Net(lambda n, x: n.c(x).permute(0, 2, 3, 1), c=row(torch.ones(3))), MAP, 4, 0.0),
    "a name": (Net(lambda n, x: relu(x)), (4,), 0, 100.0),
    "a size": (Net(lambda n, x: x / x.shape[1]), (4,), 0, 0.25),
    "a size in a product": (Net(lambda n, x: x * x.numel() / len(x)), (4,), 0, 4.0),
    "a mask of a buffer": (Net(lambda n, x: 3 * x * n.m, m=torch.tensor([True, False])), (2,), 0, 3.0),
    "a parametrization": (Net(lambda n, x: n.l(x), l=nn.utils.parametrize.register_parametrization(
        ones(1), "weight", Tripled())), (1,), 0, 3.0),
    "a weight norm": (Net(lambda n, x: n.l(x), l=weighted(ones(4))), (4,), 0, 2.0),
    "a gradient that is cut": (Net(lambda n, x: x + 8 * x.detach()), (2,), 0, 9.0),
    "a module called again": (Net(lambda n, x: n.l(n.l(n.l(x))), l=hooked(ones(1), hook=lambda m, i, o: 3 * o)),
                              (1,), 0, 27.0),
    "negative slopes": (Net(lambda n, x: F.leaky_relu(x, -4.0)), (2,), 0, 4.0),
    "learned slopes": (Net(lambda n, x: n.p(x), p=nn.PReLU(init=6.0)), (2,), 0, 6.0),
    "a steep unit": (Net(lambda n, x: F.elu(x, alpha=5.0)), (2,), 0, 5.0),
    "a choice": (Net(lambda n, x: torch.where(n.m, 5 * x, x), m=torch.tensor([True, False])), (2,), 0, 5.0),
    "what is repeated": (Net(lambda n, x: n.l(x.repeat(1, 9)), l=ones(9)), (1,), 0, 9.0),
    "what is expanded": (Net(lambda n, x: n.l(x.expand(-1, 9)), l=ones(9)), (1,), 0, 9.0),
    "a broadcast sum": (Net(lambda n, x: n.l(torch.zeros(4) + x), l=ones(4)), (1,), 0, 4.0),
    "a dropout at rest": (Net(lambda n, x: n.l(n.d(x)), l=ones(1), d=nn.Dropout()), (1,), 0, 1.0),
}  # fmt: skip


@pytest.mark.parametrize("name", TRUE)
def test_proofs_are_of_the_network_that_runs(name):
    net, shape, channel, true = TRUE[name]
    net = net.eval()
    torch.manual_seed(0)
    image = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))
    if name == "grey to RGB":
        true = abs(float(net.c.weight.detach().sum()))
    proof = prove_lipschitz(net, image, "out", channel)
    assert proof.bound == pytest.approx(true, rel=1e-5, abs=1e-9)


def infinite(value: float) -> nn.Linear:
    layer = nn.Linear(4, 2)
    layer.weight.data[0, 1] = value
    return layer


def counted(net: Net, x: Tensor) -> Tensor:
    net.number = getattr(net, "number", 0) + 1
    return net.number * x


def remembered(net: Net, x: Tensor) -> Tensor:
    before, net.before = getattr(net, "before", None), x
    return x if before is None else x + before.sum()


def grown(net: Net, x: Tensor) -> Tensor:
    net.b.mul_(2)
    return x * net.b


def filled(net: Net, x: Tensor) -> Tensor:
    net.b.copy_(x[0])
    return x + net.b


def swallowed(net: Net, x: Tensor) -> Tensor:
    try:
        return x * float(x.mean())
    except Exception:
        return x


def as_array(net: Net, x: Tensor) -> Tensor:
    return x * float(np.asarray(x.detach()).sum())


VARIANCE = nn.BatchNorm1d(4)
VARIANCE.running_var.fill_(-1.0)

REFUSED: dict[str, tuple[Net, str]] = {
    "a number taken out": (Net(lambda n, x: x + 9 * x.mean().item() * torch.ones(4)), "leaves it as a number"),
    "a gradient that lies": (Net(lambda n, x: Claims.apply(x)), "its own gradient"),
    "an array": (Net(as_array), "takes one out"),
    "a list of numbers": (Net(lambda n, x: x * sum(x[0].tolist())), "takes one out"),
    "a number taken out on the quiet": (Net(swallowed), "what was read"),
    "control that depends on values": (Net(lambda n, x: x if x.sum() > 1 else -x), "depends on values"),
    "an infinite weight": (Net(lambda n, x: n.l(x), l=infinite(torch.inf)), "infinite"),
    "a weight that is no number": (Net(lambda n, x: n.l(x), l=infinite(torch.nan)), "infinite ones or NaN"),
    "an infinite buffer": (Net(lambda n, x: x.clamp(max=9) * n.b, b=torch.tensor([1.0, torch.inf, 0, 0])), "infinite"),
    "a divisor of zero": (Net(lambda n, x: x / n.b, b=torch.tensor([1.0, 0.0, 1.0, 1.0])), "finite"),
    "a negative variance": (Net(lambda n, x: n.l(x), l=VARIANCE), "finite"),
    "a weight that overflows": (Net(lambda n, x: x * 1e200 * 1e200), "finite"),
    "a softplus with a jump": (Net(lambda n, x: n.l(x), l=nn.Softplus(threshold=0.0)), "jump"),
    "a softplus with a wide jump": (Net(lambda n, x: n.l(x), l=nn.Softplus(beta=1e-9)), "jump"),
    "bits read as integers": (Net(lambda n, x: x.double().view(torch.int64) * 1e-9), "view"),
    "integers": (Net(lambda n, x: x.to(torch.int32) * 0.1), "mul|_to_copy"),
    "half precision": (Net(lambda n, x: x.half().float()), "float16"),
    "rounding": (Net(lambda n, x: x.round()), "round"),
    "cancellation": (Net(lambda n, x: (x + 1e8) - 1e8), "rounding"),
    "a threshold": (Net(lambda n, x: n.l(x), l=nn.Threshold(0.5, 3.0)), "threshold"),
    "a gate": (Net(lambda n, x: x * (x > 0)), "gt"),
    "a square": (Net(lambda n, x: x * x), "mul"),
    "a product of features": (Net(lambda n, x: x @ x.T @ x), "mm"),
    "a weight from the image": (Net(lambda n, x: F.linear(torch.ones(1, 4), x.T @ x)), "mm"),
    "a divisor from the image": (Net(lambda n, x: x / (1 + x.abs())), "div"),
    "a mask from the image": (Net(lambda n, x: x.masked_fill(x > 0.5, 3.0)), "gt"),
    "places from the image": (Net(lambda n, x: x.gather(1, x.argsort(1))), "sort"),
    "dropout at work": (Net(lambda n, x: F.dropout(x)), "at random"),
    "noise": (Net(lambda n, x: x + torch.randn(4)), "at random"),
    "memory of calls": (Net(counted), "what was read"),
    "memory of images": (Net(remembered), "other images failed"),
    "a buffer that grows": (Net(grown, b=torch.ones(4)), "writes over"),
    "a buffer that holds the image": (Net(filled, b=torch.ones(4)), "writes over"),
    "the other images of a batch": (Net(lambda n, x: x - x.mean(0)), "batch"),
    "the first image of a batch": (Net(lambda n, x: x[:1].expand_as(x)), "batch"),
    "memory that nothing was written to": (Net(lambda n, x: x + torch.empty(4)), "finite"),
    "batch norm in training": (Net(lambda n, x: F.batch_norm(x, None, None, training=True)), "training|normalization"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_bounded_is_refused_in_one_line(name):
    net, told = REFUSED[name]
    net = net.eval()
    torch.manual_seed(0)
    with pytest.raises(SnellenError, match=told) as refused:
        prove_lipschitz(net, torch.rand(1, 4, generator=torch.Generator().manual_seed(0)), "out", 0)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("call", "shape"),
    [(lambda n, x: n.c(x[0]), (3, 4, 4)), (lambda n, x: n.c(x.squeeze(0)), (3, 4, 4)), (lambda n, x: n.c(x), (4, 4))],
)
def test_convolutions_without_a_batch_are_refused_in_one_line(call, shape):
    torch.manual_seed(0)
    with pytest.raises(ModelError, match=r"^expected a network .*$"):
        prove_lipschitz(Net(call, c=nn.Conv2d(3, 2, 1)).eval(), torch.rand(1, *shape), "out", 0)


def test_an_unknown_operand_is_refused_in_one_line():
    torch.manual_seed(0)
    net = Net(lambda n, x: torch.sparse.mm(n.s[0], x.T).T, s=(torch.eye(4).to_sparse(),))
    with pytest.raises(ModelError, match=r"^expected .*$"):
        prove_lipschitz(net.eval(), torch.rand(1, 4), "out", 0)


def test_a_half_network_over_its_own_weights_is_refused():
    torch.manual_seed(0)
    with pytest.raises(ModelError, match="float16"):
        prove_lipschitz(nn.Sequential(nn.Linear(4, 2), nn.ReLU()).half().eval(), torch.rand(1, 4).half(), "1", 0)


class Turned(nn.Module):
    """A layer that holds its maps channels-last, before one that works on the last axis."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.turn, self.head = nn.Conv2d(3, 4, 3, padding=1), Net(lambda _n, x: x.permute(0, 2, 3, 1)), None
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.turn(torch.relu(self.conv(x))))


def test_a_unit_over_a_layer_that_is_channels_last():
    torch.manual_seed(0)
    net = Turned().double().eval()
    proof = prove_lipschitz(net, torch.rand(1, 3, 8, 8, dtype=torch.float64), "head", 1, over="turn")
    assert proof.affine
    assert proof.bound == pytest.approx(float(net.head.weight[1].norm().detach()) / 8, rel=1e-6)


def test_proofs_leave_the_network_as_it_was():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout())
    before = {k: v.clone() for k, v in net.state_dict().items()}
    modes = [part.training for part in net.modules()]
    held = [(len(p._forward_hooks), len(p._forward_pre_hooks), p.forward) for p in net.modules()]
    state = torch.random.get_rng_state()
    prove_lipschitz(net, torch.rand(1, 3, 8, 8, generator=torch.Generator()), "2", 0)
    assert [part.training for part in net.modules()] == modes
    assert [(len(p._forward_hooks), len(p._forward_pre_hooks), p.forward) for p in net.modules()] == held
    assert all(bool((before[k] == v).all()) for k, v in net.state_dict().items())
    assert bool((torch.random.get_rng_state() == state).all())
