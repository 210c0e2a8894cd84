import itertools

import pytest
import torch
import torch.nn.functional as F
from tiny_networks import Cnn, cnn, in_sequence, tokens
from torch import nn

from snellen.base import LayerError, ModelError, UnitError
from snellen.models import Model, Unit, layers, main_layers, observe, response, responses, units


def pictures(n=3, size=(16, 16), seed=0):
    return torch.rand(n, 3, *size, generator=torch.Generator().manual_seed(seed))


def conv(cin=3, cout=4, seed=0):
    torch.manual_seed(seed)
    return nn.Conv2d(cin, cout, 3, padding=1)


class Chain(nn.Module):
    """A convolution, then whatever writes over its output."""

    def __init__(self, after):
        super().__init__()
        self.conv, self.tail = conv(), conv(4, 4, seed=1)
        self.after = after

    def forward(self, x):
        return self.tail(self.after(self.conv(x)))


def add_in_place(y):
    y += 1.0
    return y


WRITERS = {
    "nn.ReLU(inplace=True)": nn.ReLU(inplace=True),
    "F.relu(inplace=True)": lambda y: F.relu(y, inplace=True),
    "+=": add_in_place,
    "mul_": lambda y: y.mul_(0.0),
    "slice": lambda y: y[:, :2].zero_().sum() * 0 + y,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("grad", [False, True])
def test_what_writes_over_a_layer_afterwards_does_not_change_what_was_read(name, grad):
    module = Chain(WRITERS[name])
    x = pictures().requires_grad_(grad)
    found = observe(Model(module, size=(16, 16)), x, ["conv", "tail"])
    torch.testing.assert_close(found["conv"], module.conv(x))
    torch.testing.assert_close(found["tail"], module(x))
    if grad:
        (flowed,) = torch.autograd.grad(found["conv"].sum(), x, retain_graph=True)
        torch.testing.assert_close(flowed, torch.autograd.grad(module.conv(x).sum(), x)[0])
        torch.autograd.grad(found["tail"].sum(), x)


class Bomb(nn.Module):
    def forward(self, x):
        raise AssertionError("ran")


def test_nothing_runs_after_the_deepest_layer():
    model = in_sequence(conv(), nn.ReLU(), Bomb(), nn.Flatten())
    assert set(observe(model, pictures(), ["0", "1"])) == {"0", "1"}
    with pytest.raises(ModelError, match="ran"):
        observe(model, pictures(), ["0", "2"])


def test_a_layer_that_holds_the_deepest_one_is_not_run_to_its_end():
    model = in_sequence(nn.Sequential(conv(), Bomb()))
    assert observe(model, pictures(), ["0.0"])["0.0"].shape == (3, 4, 16, 16)


def test_activations_are_those_of_the_plain_modules():
    model = cnn(size=(16, 16))
    m, x = model.module.eval(), pictures()
    found = observe(model, x, ["stem.0", "stem", "norm", "conv3", "fc", ""])
    with torch.no_grad():
        z = model.preprocess(x)
        torch.testing.assert_close(found["stem.0"], m.stem[0](z))
        torch.testing.assert_close(found["stem"], m.stem(z))
        torch.testing.assert_close(found["norm"], m.norm(m.stem(z)))
        torch.testing.assert_close(found["conv3"], m.conv3(m.conv2(m.pool(m.norm(m.stem(z)))).relu()))
        torch.testing.assert_close(found["fc"], model(x))
        torch.testing.assert_close(found[""], model(x))


def test_gradients_flow_only_where_the_pictures_ask():
    model = cnn(size=(16, 16))
    model.module.eval()
    assert not observe(model, pictures(), ["fc"])["fc"].requires_grad
    x = pictures().requires_grad_()
    (found,) = torch.autograd.grad(observe(model, x, ["conv2"])["conv2"].sum(), x)
    (plain,) = torch.autograd.grad(
        model.module.conv2(model.module.pool(model.module.norm(model.module.stem(model.preprocess(x))))).sum(), x
    )
    torch.testing.assert_close(found, plain)


class Closing(nn.Module):
    def __init__(self, relu):
        super().__init__()
        self.block = Inner(relu)
        self.tail = nn.Flatten()

    def forward(self, x):
        return self.tail(self.block(x))


class Inner(nn.Module):
    def __init__(self, relu):
        super().__init__()
        self.conv, self.relu = conv(), relu

    def forward(self, x):
        return self.relu(self.conv(x) - 0.1)


CLOSING = {
    "nn.ReLU": nn.ReLU(),
    "nn.ReLU in place": nn.ReLU(inplace=True),
    "F.relu": F.relu,
    "F.relu in place": lambda y: F.relu(y, inplace=True),
    "relu_": lambda y: y.relu_(),
    "ReLU6": nn.ReLU6(inplace=True),
    "clamp": lambda y: y.clamp(min=0),
    "clamp_": lambda y: y.clamp_(min=0),
    "nested": nn.Sequential(nn.Sequential(nn.ReLU(inplace=True))),
}


@pytest.mark.parametrize("name", CLOSING)
def test_pre_is_the_value_that_enters_the_closing_relu(name):
    module, x = Closing(CLOSING[name]), pictures()
    before = (module.block.conv(x) - 0.1).detach()
    assert (before < 0).any()
    found = observe(Model(module, size=(16, 16)), x, ["block/pre", "block"])
    torch.testing.assert_close(found["block/pre"], before)
    torch.testing.assert_close(found["block"], CLOSING[name](before.clone()))
    alone = observe(Model(module, size=(16, 16)), x, ["block/pre", "tail"])
    torch.testing.assert_close(alone["block/pre"], before)
    x.requires_grad_()
    (flowed,) = torch.autograd.grad(observe(Model(module), x, ["block/pre"])["block/pre"].sum(), x)
    torch.testing.assert_close(flowed, torch.autograd.grad(module.block.conv(x).sum(), x)[0])


def test_pre_where_no_relu_closes_the_layer_is_an_error():
    with pytest.raises(LayerError, match='"0", but it has no closing ReLU'):
        observe(in_sequence(conv(), nn.ReLU()), pictures(), ["0/pre"])
    last = in_sequence(nn.ReLU(), conv())  # an earlier ReLU is not a closing one
    with pytest.raises(LayerError, match="no closing ReLU"):
        observe(last, pictures(), ["1/pre"])


class Reused(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.relu = conv(3, 3), nn.ReLU(inplace=True)

    def forward(self, x):
        for _ in range(3):
            x = self.relu(self.conv(x))
        return x


@pytest.mark.parametrize("addresses", [["conv"], ["relu"], ["relu/pre"], ["relu", "relu/pre"], ["relu", "conv", ""]])
def test_a_module_that_runs_often_is_read_the_first_time(addresses):
    module, x = Reused(), pictures()
    with torch.no_grad():
        first = module.conv(x)
    found = observe(Model(module, size=(16, 16)), x, addresses)
    plain = {"conv": first, "relu": first.relu(), "relu/pre": first, "": module(x)}
    for address in addresses:
        torch.testing.assert_close(found[address], plain[address].detach())


class Sometimes(nn.Module):
    """Closed by a ReLU in its second run only."""

    def __init__(self):
        super().__init__()
        self.part = Part()

    def forward(self, x):
        return self.part(self.part(x, close=False), close=True)


class Part(nn.Module):
    def forward(self, x, close):
        return (x - 0.5).relu() if close else x * 2.0


@pytest.mark.parametrize("addresses", [["part", "part/pre"], ["part/pre", "part"]])
def test_the_second_run_does_not_replace_the_first_where_pre_is_asked_too(addresses):
    with pytest.raises(LayerError, match="no closing ReLU"):
        observe(Model(Sometimes()), pictures(), addresses)


class Tuples(nn.Module):
    def __init__(self, wrap):
        super().__init__()
        self.inner, self.head = Wrapped(wrap), nn.Flatten()

    def forward(self, x):
        found = self.inner(x)
        return self.head(found["a"] if isinstance(found, dict) else found[0])


class Wrapped(nn.Module):
    def __init__(self, wrap):
        super().__init__()
        self.wrap = wrap

    def forward(self, x):
        return self.wrap(x * 2.0)


@pytest.mark.parametrize("wrap", [lambda y: (y, "state"), lambda y: [y, y + 1], lambda y: {"a": y, "b": y + 1}])
def test_layers_that_return_several_values_are_read_by_their_first_tensor(wrap):
    model = Model(Tuples(wrap), size=(16, 16))
    torch.testing.assert_close(observe(model, pictures(), ["inner"])["inner"], pictures() * 2)
    assert [layer.name for layer in layers(model)] == ["inner", "head"]
    assert units(["inner:2"], model) == (Unit("inner", 2),)


class Silent(nn.Module):
    def __init__(self):
        super().__init__()
        self.says, self.unused, self.conv = Says(), conv(), conv()

    def forward(self, x):
        self.says(x)
        return self.conv(x)


class Says(nn.Module):
    def forward(self, x):
        return None


def test_layers_without_a_tensor_or_that_do_not_run_are_told():
    model = Model(Silent(), size=(16, 16))
    for name in ("says", "unused"):
        with pytest.raises(LayerError, match=f'"{name}", but it did not run'):
            observe(model, pictures(), [name])
    assert [layer.name for layer in layers(model)] == ["conv"]


@pytest.mark.parametrize(("asked", "offered"), [("conv9", "conv2"), ("stem.9", "stem"), ("Conv3", "conv3")])
def test_a_wrong_layer_is_answered_with_the_nearest_names(asked, offered):
    with pytest.raises(LayerError, match=f'"{asked}"; did you mean .*"{offered}') as caught:
        observe(cnn(), pictures(size=(24, 24)), [asked])
    assert "\n" not in str(caught.value)


def test_a_failure_inside_the_network_is_one_line_that_says_the_size():
    torch.manual_seed(0)
    model = in_sequence(nn.Flatten(), nn.Linear(3 * 32 * 32, 2))
    with pytest.raises(ModelError, match="16x12 px") as caught:
        observe(model, pictures(size=(16, 12)), ["1"])
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("it takes 32 px: try --size 32")


def test_a_size_is_offered_only_where_the_size_is_at_fault():
    with pytest.raises(ModelError, match="ran") as caught:
        layers(in_sequence(conv(), Bomb()))
    assert "--size" not in str(caught.value)


class SwinLike(nn.Module):
    """Maps stored channels-last, as torchvision's and timm's Swin do."""

    def __init__(self):
        super().__init__()
        self.patches = conv(3, 6)
        self.stage = nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 6))

    def forward(self, x):
        return self.stage(self.patches(x).permute(0, 2, 3, 1)).mean((1, 2))


@pytest.mark.parametrize("size", [(16, 16), (12, 20), (9, 6)], ids=str)
def test_maps_that_are_held_channels_last_are_turned(size):
    torch.manual_seed(0)
    model, x = Model(SwinLike(), size=size), pictures(size=size)
    stage = next(layer for layer in layers(model) if layer.name == "stage")
    assert (stage.units, stage.shape) == (6, (6, *size))
    found = observe(model, x, ["stage", "patches"])["stage"]
    z = model.module.stage(model.module.patches(x).permute(0, 2, 3, 1)).detach()
    torch.testing.assert_close(found, z.permute(0, 3, 1, 2))
    torch.testing.assert_close(responses(found), z.mean((1, 2)))
    torch.testing.assert_close(response(found, Unit("stage", 4)), z[..., 4].mean((1, 2)))
    at = Unit("stage", 4, (3, 5))
    torch.testing.assert_close(response(found, at), z[:, 3, 5, 4])
    torch.testing.assert_close(response(observe(model, x, [at.address])[at.address], at), z[:, 3, 5, 4])
    assert units([f"stage:5@{size[0] - 1},{size[1] - 1}"], model)
    with pytest.raises(UnitError, match="0-5"):
        units(["stage:6"], model)


def test_as_many_channels_as_rows_are_still_channels():
    torch.manual_seed(0)
    module, x = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1)), pictures(size=(8, 6))
    found = observe(Model(module, size=(8, 8)), x, ["0"])["0"]
    torch.testing.assert_close(response(found, Unit("0", 7)), module(x)[:, 7].mean((1, 2)).detach())
    torch.testing.assert_close(response(found, Unit("0", 7, (6, 5))), module(x)[:, 7, 6, 5].detach())


def test_units_of_maps_vectors_and_tokens_are_means_or_single_places():
    g = torch.Generator().manual_seed(0)
    maps, vectors, words = (torch.randn(s, generator=g) for s in ((2, 5, 3, 4), (2, 7), (2, 17, 6)))
    torch.testing.assert_close(responses(maps), maps.mean((2, 3)))
    torch.testing.assert_close(responses(words), words.mean(1))
    assert torch.equal(responses(vectors), vectors)
    torch.testing.assert_close(response(maps, Unit("a", 4)), maps[:, 4].mean((1, 2)))
    torch.testing.assert_close(response(words, Unit("a", 4)), words[:, :, 4].mean(1))
    assert torch.equal(response(vectors, Unit("a", 4)), vectors[:, 4])
    assert torch.equal(response(maps, Unit("a", 4, (2, 1))), maps[:, 4, 2, 1])
    assert torch.equal(response(vectors, Unit("a", 4, (2, 1))), vectors[:, 4])  # as observed at its address
    with pytest.raises(LayerError, match="a@0,0"):
        response(words, Unit("a", 0, (0, 0)))


def test_a_token_at_a_place_sees_its_patch():
    model = tokens()
    x = pictures(1, (32, 32))
    y = x.clone()
    y[:, :, 8:16, 24:32] += 0.5  # the patch at row 1, column 3
    name = "blocks.0.norm1"
    whole = observe(model, x, [name])[name]
    for row in range(4):
        for column in range(4):
            unit = Unit(name, 2, (row, column))
            a, b = (response(observe(model, z, [unit.address])[unit.address], unit) for z in (x, y))
            assert (a != b).item() == ((row, column) == (1, 3))
            torch.testing.assert_close(a, whole[:, 1 + 4 * row + column, 2])  # a class token, then row by row


def test_layers_come_in_running_order_with_their_shapes():
    found = {layer.name: layer for layer in layers(cnn(size=(24, 20)))}
    order = ["stem.0", "stem.1", "stem.2", "stem", "norm", "pool", "conv2", "conv3", "conv4", "drop", "fc"]
    assert list(found) == order
    assert [layer.depth for layer in found.values()] == list(range(11))
    assert found["stem.0"].shape == (8, 24, 20)
    assert found["conv4"].shape == (6, 6, 5)
    assert found["fc"].shape == (5,)
    assert (found["fc"].units, found["conv2"].units, found["conv2"].kind) == (5, 10, "Conv2d")
    assert [n for n, layer in found.items() if layer.rectified] == ["stem.2", "stem"]
    assert [n for n, layer in found.items() if layer.main] == ["stem.0", "conv2", "conv3", "conv4", "fc"]
    assert layers(cnn(double=True))[0].units == 8


def test_main_layers_are_thinned_evenly_and_keep_the_last():
    torch.manual_seed(0)
    model = in_sequence(*(nn.Conv2d(3, 3, 1) for _ in range(11)))
    assert main_layers(model) == tuple(str(i) for i in range(11))
    assert main_layers(model, 3) == ("0", "5", "10")
    assert main_layers(model, 2) == ("0", "10")
    assert main_layers(model, 1) == ("10",)
    for most in range(2, 12):
        picked = [int(n) for n in main_layers(model, most)]
        gaps = [b - a for a, b in itertools.pairwise(picked)]
        assert len(picked) == most
        assert picked[0] == 0
        assert picked[-1] == 10
        assert max(gaps) - min(gaps) <= 1


def test_blocks_are_main_and_a_wrapped_network_is_opened():
    names = main_layers(tokens())
    assert names == ("patches", "blocks.0", "blocks.1", "head")

    class Wrapper(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = Cnn()

        def forward(self, x):
            return self.net(x)

    torch.manual_seed(0)
    assert main_layers(Model(Wrapper(), size=(16, 16)))[-1] == "net.fc"
    assert len(main_layers(Model(Wrapper(), size=(16, 16)))) == 5


def test_units_are_each_named_once_in_order():
    model = cnn()
    found = units(["fc:3", "fc:2-4", "stem/pre:1", "fc:3"], model)
    assert [str(u) for u in found] == ["fc:3", "fc:2", "fc:4", "stem/pre:1"]
    with pytest.raises(UnitError, match="0-4"):
        units(["fc:5"], model)
    with pytest.raises(UnitError, match="ReLU"):
        units(["fc/pre:1"], model)
    with pytest.raises(LayerError, match="did you mean"):
        units(["fcc:1"], model)
