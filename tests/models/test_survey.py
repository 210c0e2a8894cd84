"""What a survey establishes: each kind of network that was once read wrong without a word, or refused for no reason."""

import copy
import itertools
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torch.utils.checkpoint as checkpoints
from tiny_networks import IMAGENET, State, cnn, tokens
from torch import nn

from snellen.base import LayerError, ModelError, SnellenError, UnitError
from snellen.models import Model, Unit, layers, main_layers, observe, response, units
from snellen.models.survey import survey
from snellen.pictures import render

SIZE = (32, 32)


def pictures(n=4, size=SIZE, seed=3):
    return torch.rand(n, 3, *size, generator=torch.Generator().manual_seed(seed))


def seeded(make, *arguments, **named):
    torch.manual_seed(0)
    return make(*arguments, **named)


def plainly(model, layer, picture, axis):
    """Every channel's mean by a hook of its own over one picture alone."""
    caught = []
    handle = model.module.get_submodule(layer).register_forward_hook(lambda m, i, o: caught.append(o))
    with torch.no_grad():
        model.module.eval()(model.preprocess(picture))
    handle.remove()
    value = caught[0][0] if isinstance(caught[0], tuple) else caught[0]
    return value.movedim(axis, -1).flatten(0, -2).mean(0)


def assert_read_right(module, layer, channels, axis):
    """The layer has these channels; what is read and drawn in company is what a plain hook reads of a picture alone."""
    model, x = Model(module, size=SIZE), pictures()
    found = next(x for x in layers(model) if x.name == layer)
    assert found.units == channels
    read = observe(model, x, [layer])[layer]
    each = [response(read, Unit(layer, c)) for c in range(channels)]
    own = torch.stack([plainly(model, layer, x[i : i + 1], axis) for i in range(len(x))])
    torch.testing.assert_close(torch.stack(each, 1), own, rtol=1e-4, atol=1e-5)
    chosen = [0, channels - 1, channels // 2]
    drawn = render(model, [f"{layer}:{c}" for c in chosen], steps=3)
    for row, c in enumerate(chosen):
        alone = render(model, f"{layer}:{c}", steps=3)
        torch.testing.assert_close(alone.images[0], drawn.images[row], rtol=0, atol=1e-4)
        own = plainly(model, layer, drawn.images[row : row + 1], axis)[c]
        torch.testing.assert_close(drawn.responses[row], own, rtol=1e-3, atol=1e-4)
    with pytest.raises(UnitError, match=f"0-{channels - 1}"):
        units([f"{layer}:{channels}"], model)


class Windows(nn.Module):
    """Patches of 4 px in windows of 4 x 4, as rows of one batch: the windows of a picture first, or its place first."""

    def __init__(self, outer):
        super().__init__()
        self.patches, self.inside, self.head = nn.Conv2d(3, 12, 4, 4), nn.Linear(12, 10), nn.Linear(10, 5)
        self.outer = outer

    def forward(self, x):
        y = self.patches(x)
        n = len(y)
        y = y.view(n, 12, 2, 4, 2, 4).permute(*((0, 2, 4, 3, 5, 1) if self.outer else (2, 4, 0, 3, 5, 1)))
        y = self.inside(y.reshape(-1, 16, 12)).relu()
        y = y.view(n, 4, 16, 10).mean((1, 2)) if self.outer else y.view(4, n, 16, 10).mean((0, 2))
        return self.head(y)


@pytest.mark.parametrize("outer", [True, False])
def test_windows_of_a_picture_are_read_together_and_have_no_positions(outer):
    net = seeded(Windows, outer)
    assert_read_right(net, "inside", 10, 2)
    model = Model(net, size=SIZE)
    assert observe(model, pictures(3), ["inside"])["inside"].shape == (3, 64, 10)
    with pytest.raises(UnitError, match="no positions"):
        units(["inside:0@0,0"], model)


class SequenceFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 12, 8, 8)
        layer = nn.TransformerEncoderLayer(12, 2, 16, dropout=0.0)
        self.encoder, self.head = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(12, 5)

    def forward(self, x):
        return self.head(self.encoder(self.patches(x).flatten(2).permute(2, 0, 1)).mean(0))


@pytest.mark.parametrize("layer", ["encoder.layers.0", "encoder.layers.1.linear2", "encoder"])
def test_pictures_may_be_the_second_axis(layer):
    assert_read_right(seeded(SequenceFirst), layer, 12, 2)


class Lines(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches, self.conv, self.norm = nn.Conv2d(3, 12, 8, 8), nn.Conv1d(12, 20, 3, padding=1), nn.BatchNorm1d(20)
        self.relu, self.head = nn.ReLU(), nn.Linear(20, 5)

    def forward(self, x):
        return self.head(self.relu(self.norm(self.conv(self.patches(x).flatten(2)))).mean(2))


@pytest.mark.parametrize("layer", ["conv", "norm", "relu"])
def test_channels_of_sequences_are_those_of_convolutions(layer):
    assert_read_right(seeded(Lines), layer, 20, 1)


class Volumes(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv3d(1, 6, 3, padding=1), nn.Linear(6, 5)

    def forward(self, x):
        return self.head(self.conv(x[:, None]).relu().mean((2, 3, 4)))


def test_channels_of_volumes_are_those_of_convolutions():
    assert_read_right(seeded(Volumes), "conv", 6, 1)


class Cube(nn.Module):
    """8 x 8 positions of 8 channels, held channels last: no shape says which axis is which."""

    def __init__(self):
        super().__init__()
        self.patches, self.inside, self.act, self.head = (
            nn.Conv2d(3, 8, 4, 4),
            nn.Linear(8, 8),
            nn.GELU(),
            nn.Linear(8, 5),
        )

    def forward(self, x):
        return self.head(self.act(self.inside(self.patches(x).permute(0, 2, 3, 1))).mean((1, 2)))


@pytest.mark.parametrize("layer", ["inside", "act"])
def test_where_all_sides_are_equal_the_layer_says_which_holds_the_channels(layer):
    assert_read_right(seeded(Cube), layer, 8, 3)


class Registers(nn.Module):
    """Patches of 8 px with three tokens before them, or after."""

    def __init__(self, first=True):
        super().__init__()
        self.patches, self.extra = nn.Conv2d(3, 6, 8, 8), nn.Parameter(torch.randn(1, 3, 6))
        self.norm, self.head, self.first = nn.LayerNorm(6), nn.Linear(6, 5), first

    def forward(self, x):
        y = self.patches(x).flatten(2).transpose(1, 2)
        extra = self.extra.expand(len(y), -1, -1)
        y = torch.cat([extra, y] if self.first else [y, extra], 1)
        return self.head(self.norm(y).mean(1))


@pytest.mark.parametrize("size", [(32, 32), (24, 40), (48, 16)], ids=str)
def test_a_position_among_tokens_is_the_cell_that_it_names(size):
    model = Model(seeded(Registers), size=size)
    found = next(x for x in layers(model) if x.name == "norm")
    rows, columns = size[0] // 8, size[1] // 8
    assert (found.grid, found.prefix) == ((rows, columns), 3)
    x = pictures(1, size)
    for row, column in itertools.product(range(rows), range(columns)):
        changed = x.clone()
        changed[:, :, row * 8 : row * 8 + 8, column * 8 : column * 8 + 8] += 0.5
        address = f"norm@{row},{column}"
        before, after = (observe(model, z, [address])[address] for z in (x, changed))
        assert before.shape == (1, 6)
        assert not torch.equal(before, after)
        other = f"norm@{(row + 1) % rows},{column}"
        torch.testing.assert_close(*(observe(model, z, [other])[other] for z in (x, changed)))


def test_where_tokens_are_not_where_a_grid_would_have_them_positions_are_refused():
    model = Model(seeded(Registers, first=False), size=SIZE)
    with pytest.raises(UnitError, match="no positions"):
        units(["norm:0@0,0"], model)
    assert units(["norm:5"], model)


class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.mean, self.head = nn.Conv2d(3, 8, 3, 2), nn.Linear(8, 6), nn.Linear(6, 5)

    def forward(self, x):
        y = self.mean(self.body(x).mean((2, 3)))
        y = y + torch.randn_like(y) * float(np.random.rand() + random.random())
        return self.head(F.dropout(y, 0.5, training=True))


def test_a_layer_that_draws_random_numbers_is_refused_and_those_before_it_are_not():
    model = Model(seeded(Noisy), size=SIZE)
    state = State(model.module)
    with pytest.raises(LayerError, match='"head": it says something else each time'):
        render(model, "head:1", steps=2)
    first, second = (render(model, "mean:1", steps=3) for _ in range(2))
    assert torch.equal(first.images, second.images)
    assert [x.name for x in layers(model)] == ["body", "mean"]
    assert any("random numbers" in note for note in survey(model).notes)
    assert survey(model).outputs == 0
    state.check()


def test_batch_statistics_are_refused():
    module = seeded(nn.Sequential, nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.ReLU())
    found = survey(Model(module, size=SIZE))
    assert [x.name for x in found.layers] == ["0"]
    assert "others go through" in found.refused["1"]


class Remembers(nn.Module):
    """Says what it says now and half of what it said last time."""

    def __init__(self, kind):
        super().__init__()
        self.conv, self.tail, self.kind = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), kind
        self.register_buffer("past", torch.zeros(4, 30, 30))
        self.last, self.calls, self.history = None, 0, []

    def forward(self, x):
        y = self.conv(x)
        if self.kind == "buffer":
            y = y + self.past
            self.past.copy_(y[0].detach() * 0.5)
        elif self.kind == "attribute":
            before, self.last = self.last, y[0].detach() * 0.5
            y = y if before is None else y + before
        elif self.kind == "number":
            self.calls += 1
            y = y * self.calls
        else:
            self.history.append(y[0].detach())
            y = y + sum(self.history)
        return self.tail(y)


@pytest.mark.parametrize("kind", ["buffer", "attribute", "number", "list"])
def test_a_network_that_remembers_is_refused_where_it_does_and_left_as_it_was(kind):
    model = Model(seeded(Remembers, kind), size=SIZE)
    state = State(model.module)
    found = survey(model)
    assert [x.name for x in found.layers] == ["conv"]
    assert found.refused["tail"].startswith("it says something else")
    render(model, "conv:1", steps=3)
    with pytest.raises(LayerError):
        render(model, "tail:1", steps=3)
    state.check()
    assert (model.module.last, model.module.calls, model.module.history) == (None, 0, [])


class Keeps(nn.Module):
    """Collects features and clears them at the end of a pass, as detectors do; a pass that stops early never clears."""

    def __init__(self):
        super().__init__()
        self.conv, self.head, self.kept, self.named = nn.Conv2d(3, 8, 3), nn.Linear(8, 5), [], {"deep": []}

    def forward(self, x):
        y = self.conv(x)
        self.kept.append(y)
        self.named["deep"].append(y)
        y = self.head(y.mean((2, 3)))
        self.kept.clear(), self.named["deep"].clear()
        return y


def test_what_a_network_keeps_of_a_pass_is_gone_after_one_that_stopped_early():
    net = seeded(Keeps)
    kept, named = net.kept, net.named
    render(net_model := Model(net, size=SIZE), "conv:1", steps=2)
    observe(net_model, pictures(), ["conv"])
    assert net.kept is kept
    assert net.named is named
    assert (kept, named) == ([], {"deep": []})


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_layers_before_a_weight_that_is_no_number_are_the_same_alone_and_in_company(bad):
    model = cnn()
    with torch.no_grad():
        model.module.conv3.weight[0, 0, 0, 0] = bad
    with pytest.raises(LayerError, match="not finite"):
        render(model, "fc:0", steps=2)
    whole = render(cnn(), ["conv2:1", "fc:0"], steps=4)
    found = render(model, ["conv2:1", "stem:2"], steps=4)
    torch.testing.assert_close(found.images[0], render(model, "conv2:1", steps=4).images[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(found.images[0], whole.images[0], rtol=0, atol=1e-5)


class Frozen(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.stem, self.body, self.head, self.how = nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 8, 3, 2), nn.Linear(8, 5), how

    def forward(self, x):
        x = self.stem(x)
        with self.how():
            y = self.body(x).relu()
        return self.head(y.mean((2, 3)))


@pytest.mark.parametrize("how", [torch.no_grad, torch.inference_mode])
def test_units_behind_a_closed_gradient_are_read_and_one_line_refuses_to_draw_them(how):
    model = Model(seeded(Frozen, how), size=SIZE)
    for unit in ("body:1", "head:1"):
        with pytest.raises(LayerError, match="expected gradients") as caught:
            render(model, unit, steps=2)
        assert "\n" not in str(caught.value)
    assert render(model, "stem:1", steps=2).status == ("ok",)
    assert observe(model, pictures(), ["head"])["head"].shape == (4, 5)
    assert [x.drawable for x in layers(model)] == [True, False, False]


class Checkpointed(nn.Module):
    def __init__(self, reentrant):
        super().__init__()
        self.body, self.head, self.reentrant = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), nn.Linear(8, 5), reentrant

    def forward(self, x):
        if self.reentrant is None:
            return self.head(self.body(x).mean((2, 3)))
        return self.head(checkpoints.checkpoint(self.body, x, use_reentrant=self.reentrant).mean((2, 3)))


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints_change_no_picture(reentrant):
    plain, model = (Model(seeded(Checkpointed, how), size=SIZE) for how in (None, reentrant))
    found, expected = (render(m, ["head:1", "head:2"], steps=8) for m in (model, plain))
    assert torch.equal(found.images, expected.images)
    if reentrant:
        with pytest.raises(LayerError, match="reentrant checkpoint"):
            render(model, "body.0:1", steps=2)
    else:
        assert torch.equal(*(render(m, "body.0:1", steps=4).images for m in (model, plain)))


def test_the_users_hooks_stay_and_what_they_change_is_what_is_read():
    net, seen = seeded(nn.Sequential, nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)), []
    net[0].register_forward_hook(lambda m, i, o: o * 2 + 1)
    net[2].register_forward_pre_hook(lambda m, i: seen.append(len(i[0])))
    net[0].register_full_backward_hook(lambda m, i, o: seen.append("backward"))
    state, model = State(net), Model(net, size=SIZE)
    drawn = render(model, "0:1", steps=3)
    own = (net[0].forward(drawn.images) * 2 + 1)[:, 1].mean()
    torch.testing.assert_close(drawn.responses[0], own)
    render(model, "2:1", steps=1)
    assert "backward" in seen
    state.check()


class Swallows(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Linear(8, 5)

    def forward(self, x):
        try:
            x = self.second(self.first(x).relu())
        except Exception:
            x = torch.zeros(len(x), 8, 4, 4)
        return self.head(x.mean((2, 3)))


def test_the_end_of_a_pass_is_not_swallowed_by_a_network():
    assert_read_right(seeded(Swallows), "second", 8, 1)


class Views(nn.Module):
    """`.view` after convolutions, which fails where they are held channels-last."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 12, 3)
        self.hidden, self.out = nn.Linear(12 * 7 * 7, 40), nn.Linear(40, 6)

    def forward(self, x):
        x = F.max_pool2d(self.second(F.max_pool2d(self.first(x).relu(), 2)).relu(), 2)
        return self.out(self.hidden(x.view(len(x), -1)).relu())


@pytest.mark.parametrize(("layer", "channels"), [("second", 12), ("hidden", 40), ("out", 6)])
def test_views_of_convolutions_work(layer, channels):
    net = seeded(Views)
    assert_read_right(net, layer, channels, 1)
    assert not survey(Model(net, size=SIZE)).fast


def test_usual_networks_are_drawn_fast():
    assert survey(cnn()).fast
    assert survey(tokens()).fast


class Cut(nn.Module):
    """`nn.Sequential(*backbone.children())`: the usual way of cutting a network, which registers all of it twice."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.stem = nn.Conv2d(3, 4, 3)
        self.backbone.blocks = nn.Sequential(*(nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU()) for _ in range(3)))
        self.features, self.head = nn.Sequential(*self.backbone.children()), nn.Linear(4, 5)

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))


def test_modules_that_stand_under_two_names_have_one_and_are_found_by_both():
    model = Model(seeded(Cut), size=SIZE)
    assert main_layers(model) == ("backbone.stem", *(f"backbone.blocks.{i}.0" for i in range(3)), "head")
    assert units(["features.0:1"], model) == (Unit("backbone.stem", 1),)
    a, b = (render(model, f"{name}:1", steps=3) for name in ("features.0", "backbone.stem"))
    torch.testing.assert_close(a.responses, b.responses, rtol=0.2, atol=0.05)  # other random streams
    x = pictures()
    assert torch.equal(*(observe(model, x, [name])[name] for name in ("features.0", "backbone.stem")))


class Wrapped(nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self.backbone, self.head = backbone, nn.Linear(4, 7)

    def forward(self, x):
        return self.head(self.backbone(x))


def test_main_layers_of_a_wrapped_network_are_its_blocks():
    names = main_layers(Model(seeded(Wrapped, tokens().module), size=(32, 32)))
    assert names == ("backbone.patches", "backbone.blocks.0", "backbone.blocks.1", "backbone.head", "head")


class Headed(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.body, self.kind = (
            nn.Sequential(nn.Conv2d(3, 16, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
            kind,
        )
        self.squeeze, self.prototypes = nn.Linear(16, 10), nn.Parameter(torch.randn(10, 10))
        self.head, self.other, self.one = nn.Linear(16, 10), nn.Linear(16, 10), nn.Linear(16, 1)
        self.norm, self.wide, self.pool = nn.LayerNorm(16), nn.Conv2d(3, 10, 5), nn.AdaptiveAvgPool2d(1)

    def forward(self, x):
        f = self.body(x)
        return {
            "plain": lambda: self.head(f),
            "softmax": lambda: self.head(f).softmax(1),
            "log softmax": lambda: self.head(f).log_softmax(1),
            "sigmoid": lambda: self.head(f).sigmoid(),
            "convolution": lambda: self.pool(self.wide(x)),
            "tuple": lambda: (self.head(f), f),
            "cosine": lambda: F.normalize(self.squeeze(f), dim=1) @ F.normalize(self.prototypes, dim=1).T,
            "ensemble": lambda: (self.head(f) + self.other(f)) / 2,
            "regression": lambda: self.one(f),
            "embedding": lambda: self.norm(f),
            "features": lambda: f,
            "map": lambda: self.wide(x),
            "detections": lambda: [{"boxes": f[0], "scores": f[1]}],
        }[self.kind]()


@pytest.mark.parametrize("kind", ["plain", "softmax", "log softmax", "sigmoid", "tuple", "convolution"])
def test_classes_are_in_the_layer_whose_responses_are_the_output(kind):
    found = survey(Model(seeded(Headed, kind), size=SIZE))
    assert (found.outputs, found.class_layer) == (10, "wide" if kind == "convolution" else "head")


@pytest.mark.parametrize("kind", ["cosine", "ensemble", "regression", "embedding", "features", "map", "detections"])
def test_where_no_layer_is_the_output_there_are_no_classes_but_units(kind):
    model = Model(seeded(Headed, kind), size=SIZE)
    found = survey(model)
    assert (found.outputs, found.class_layer) == (0, None)
    assert render(model, "body.0:3", steps=2).status == ("ok",)


def test_train_mode_statistics_and_generators_are_as_they_were():
    model = cnn()
    model.module.train()
    state = State(model.module)
    plain = render(cnn(), "fc:1", steps=3)
    assert torch.equal(render(model, "fc:1", steps=3).images, plain.images)
    state.check()


def test_half_precision_networks_are_drawn_in_the_precision_of_pictures():
    model = Model(tokens().module.half(), size=(32, 32), preprocess=IMAGENET)
    found = render(model, "head:1", steps=3)
    assert found.images.dtype is torch.float32
    torch.testing.assert_close(found.responses, render(tokens(), "head:1", steps=3).responses, rtol=0.1, atol=0.05)


def test_weights_made_in_inference_mode_draw_what_others_draw_and_stay():
    with torch.inference_mode():
        model = cnn()
    assert model.module.fc.weight.is_inference()
    held = dict(model.module.named_parameters())
    torch.testing.assert_close(render(model, "fc:1", steps=3).images, render(cnn(), "fc:1", steps=3).images)
    assert all(p is held[name] for name, p in model.module.named_parameters())


def test_a_network_that_is_built_anew_is_surveyed_anew_and_one_that_is_not_is_not():
    model, passes = cnn(), []
    model.module.register_forward_pre_hook(lambda m, i: passes.append(len(i[0])))
    first = survey(model)
    count = len(passes)
    assert survey(model) is first
    assert survey(Model(model.module, size=model.size, preprocess=model.preprocess)) is first
    assert len(passes) == count
    model.module.conv4 = copy.deepcopy(model.module.conv4)
    assert survey(model) is not first
    assert survey(model, (20, 28)).layer("conv2").shape == (10, 10, 14)


@pytest.mark.parametrize("most", [1])
def test_a_network_that_takes_single_pictures_only_says_so(most):
    class Single(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            if len(x) > most:
                raise ValueError("one at a time")
            return self.conv(x)

    with pytest.raises(SnellenError) as caught:
        layers(Model(seeded(Single), size=SIZE))
    assert "one at a time" in str(caught.value)
    assert isinstance(caught.value, ModelError)
