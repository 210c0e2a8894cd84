"""Every gate is seen however it is called, and can be held; nothing is left behind."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from snellen.models import Model, observe
from snellen.models.gates import along, by_channel, gates


class Net(nn.Module):
    """Rectifies and thresholds in as many ways as there are."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x = self.act(self.conv(x))
        x = F.relu(x - 0.1)
        y = torch.relu(x - 0.1).clamp(max=3.0)
        gate = (y.mean((1, 2, 3)) > 0.01).float()
        return self.head(torch.where(gate[:, None] > 0, y.mean((2, 3)), -y.mean((2, 3))))


@pytest.fixture
def model():
    torch.manual_seed(1)
    return Model(Net(), size=(8, 8))


@pytest.fixture
def images():
    return torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def seen_by(model, images, change=lambda name, output: None):
    found = {}

    def visit(name, output):
        found[name] = output.clone()
        return change(name, output)

    with torch.no_grad(), gates(model.module, visit):
        result = model(images)
    return found, result


def test_all_gates_are_seen_in_order_and_nothing_changes(model, images):
    with torch.no_grad():
        before = model(images)
    found, after = seen_by(model, images)
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    gates_ = ["conv", "act", "sub", "relu", "sub#2", "relu#2", "clamp", "mean", "gt", "float", "gt#2"]
    assert list(found) == [*gates_, "mean#2", "mean#3", "neg", "where", "head"]
    assert torch.equal(found["relu"], torch.relu(torch.relu(found["conv"]) - 0.1))
    assert found["gt"].dtype is torch.bool
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.module.modules())


@pytest.mark.parametrize("name", ["act", "relu#2", "clamp"])
def test_a_gate_can_be_held(model, images, name):
    """Second derivation: the same pass with the channel zeroed by hand."""
    chosen = torch.tensor([False, True, False, False])

    def change(seen, output):
        return (
            torch.where(along(chosen, output, (8, 8), len(output)), output.new_zeros(()), output)
            if seen == name
            else None
        )

    _, result = seen_by(model, images, change)
    net = model.module
    with torch.no_grad():
        x = torch.relu(net.conv(images))
        x[:, 1] *= name != "act"
        x = torch.relu(x - 0.1)
        y = torch.relu(x - 0.1).clamp(max=3.0)
        y[:, 1] *= name not in ("relu#2", "clamp")
        sign = torch.where(y.mean((1, 2, 3)) > 0.01, 1.0, -1.0)
        torch.testing.assert_close(result, net.head(sign[:, None] * y.mean((2, 3))))


def test_a_held_gate_is_read_as_held(model, images):
    def change(name, output):
        return torch.zeros_like(output) if name == "act" else None

    with gates(model.module, change):
        assert not observe(model, images, ["act"])["act"].any()
    assert observe(model, images, ["act"])["act"].any()


@pytest.mark.parametrize("shape", [(5, 4, 8, 8), (5, 4), (5, 9, 4), (5, 8, 8, 4)])
def test_channels_of_any_shape(shape):
    output = torch.arange(float(torch.tensor(shape).prod())).view(shape)
    seen = by_channel(output, (16, 16), 5)
    assert seen.shape[:2] == (5, 4)
    only = torch.tensor([False, False, True, False])
    kept = by_channel(torch.where(along(only, output, (16, 16), 5), output, -1.0), (16, 16), 5)
    assert torch.equal(kept[:, 2], seen[:, 2])
    assert bool((kept[:, [0, 1, 3]] == -1).all())


def test_what_does_not_count_images_is_left_out():
    assert by_channel(torch.zeros(3, 4), (8, 8), 5) is None
    assert by_channel(torch.zeros(()), (8, 8), 5) is None
    assert by_channel(torch.zeros(()), (8, 8), 1).shape == (1, 1, 1), "of a single image everything belongs to it"
    assert by_channel(torch.zeros(4, 2, 3), (8, 8), 1).shape == (1, 4, 6)
    assert along(torch.arange(4), torch.zeros(4, 2, 3), (8, 8), 1).shape == (4, 1, 1)
    assert by_channel(torch.zeros(5), (8, 8), 5).shape == (5, 1, 1)


class Rare(nn.Module):
    """Gates that no list of names would hold: written out, in a module of its own, of several outputs, compiled."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair()
        self.compiled = torch.jit.script(Compiled())

    def forward(self, x):
        soft, hard = self.pair(x)
        gate = 1 / (1 + (-9 * soft).exp())
        return self.compiled(gate * hard).mean((2, 3))


class Pair(nn.Module):
    def forward(self, x):
        return x.view(x.shape).tanh(), (x - 0.5).abs() + (x - 0.5)


class Compiled(nn.Module):
    def forward(self, x):
        return torch.sigmoid(20 * (x - 0.5))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_gates_are_seen_by_what_they_do_and_not_by_name(images):
    model = Model(Rare(), size=(8, 8))
    found, after = seen_by(model, images)
    assert list(found) == [
        *("pair/tanh", "pair/sub", "pair/abs", "pair/sub#2", "pair/add", "pair[0]", "pair[1]"),
        *("mul", "exp", "add", "rdiv", "mul#2", "sub", "mul#3", "sigmoid", "mean"),
    ]
    before = found["mul#2"]
    torch.testing.assert_close(found["sigmoid"], torch.sigmoid(20 * (before - 0.5)))
    torch.testing.assert_close(after, found["mean"])
    _, shut = seen_by(model, images, lambda name, output: output * 0 if name == "sigmoid" else None)
    assert not shut.any()
    _, one = seen_by(model, images, lambda name, output: output * 0 if name == "pair[1]" else None)
    torch.testing.assert_close(one, torch.sigmoid(torch.tensor(-10.0)).expand(5, 3))


def test_what_a_visitor_computes_is_not_seen(model, images):
    found, _ = seen_by(model, images, lambda name, output: output * 1.0 if name == "act" else None)
    assert not any("clone" in name or "mul" in name for name in found)


def test_hooks_are_gone_after_an_error(model):
    def fail(_name, _output):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"), gates(model.module, fail):
        model(torch.zeros(1, 3, 8, 8))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.module.modules())
