"""Networks as people hold them: what `render` claims of a unit is what a plain hook reads, one picture at a time."""

import contextlib
import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import snellen
from snellen.base import LayerError, ModelError
from snellen.models import open_model


def cnn(channels=3, out=5):
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, 2, 1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, 2, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, out),
    )


class Net(nn.Module):
    """Parts by name and a forward pass that uses them."""

    def __init__(self, forward, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self._use = forward

    def forward(self, x):
        return self._use(self, x)


def tensor_of(output):
    while not isinstance(output, torch.Tensor):
        output = next(iter(output.values() if hasattr(output, "values") else output))
    return output


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@contextlib.contextmanager
def evaluating(net):
    training = [part for part in net.modules() if part.training]
    for part in training:
        part.training = False
    yield
    for part in training:
        part.training = True


def own_reading(net, layer, channel, picture, *, axis=None, at=None):
    model, said = open_model(net, size=picture.shape[2:]), []
    handle = net.get_submodule(layer).register_forward_hook(lambda _m, _i, o: said.append(tensor_of(o).clone()))
    with torch.no_grad(), evaluating(net):
        prepared = model.preprocess(picture.to(model.dtype))
        net(prepared.to(next(net.parameters()).dtype))
    handle.remove()
    value = said[0].float()
    if axis is None:
        axis = 1 if value.dim() == 4 else value.dim() - 1
    chosen = value.select(axis, channel)
    return float(chosen.mean() if at is None else chosen[0][at])


def left(net):
    tensors = {n: (id(t), t.detach().float().clone()) for n, t in [*net.named_parameters(), *net.named_buffers()]}
    hooks = [len(p._forward_hooks) + len(p._forward_pre_hooks) + len(p._backward_hooks) for p in net.modules()]
    return tensors, hooks, [p.training for p in net.modules()], torch.get_rng_state()


def same(before, after):
    tensors = all(before[0][n][0] == i and torch.equal(before[0][n][1], t) for n, (i, t) in after[0].items())
    return tensors and before[1:3] == after[1:3] and torch.equal(before[3], after[3])


def agrees(net, *units, size=(32, 32), axis=None, at=None, loose=2e-3):
    """Drawn twice and alone: equal; responses are those of a plain hook; nothing is left behind."""
    before = left(net)
    drawn, again = (snellen.render(net, units, steps=3, size=size) for _ in range(2))
    alone = snellen.render(net, units[-1], steps=3, size=size)
    assert same(before, left(net))
    assert torch.equal(drawn.images, again.images)
    assert torch.allclose(alone.images[0], drawn.images[-1], atol=2e-2)
    for unit, picture, claimed in zip(units, drawn.images, drawn.responses.tolist(), strict=True):
        address = snellen.Unit.parse(unit)
        read = own_reading(net, address.layer, address.channel, picture[None], axis=axis, at=at)
        assert claimed == pytest.approx(read, rel=loose, abs=1e-5), unit


def attention(first):
    def forward(net, x):
        tokens = net.stem(x).flatten(2)
        tokens = tokens.transpose(1, 2) if first else tokens.permute(2, 0, 1)
        mixed, _ = net.mix(tokens, tokens, tokens)
        return net.head(net.wide(mixed).mean(1 if first else 0))

    mix = nn.MultiheadAttention(16, 4, batch_first=first)
    return Net(forward, stem=nn.Conv2d(3, 16, 8, 8), mix=mix, wide=nn.Linear(16, 24), head=nn.Linear(24, 5))


@pytest.mark.parametrize("first", [True, False])
def test_attention_that_returns_a_tuple_is_read_per_picture_whichever_axis_is_first(first):
    agrees(attention(first), "mix:3", "wide:20", "head:1")


@pytest.mark.parametrize("size", [(32, 48), (64, 32)])
@pytest.mark.parametrize("prefix", [0, 1, 5])
def test_a_position_behind_prefix_tokens_on_an_oblong_grid_is_the_cell_it_names(prefix, size):
    def forward(net, x):
        tokens = net.stem(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([net.extra.weight.expand(len(x), -1, -1), tokens], 1) if prefix else tokens
        return net.wide(tokens).mean(1)

    extra = nn.Embedding(max(prefix, 1), 16)
    net = Net(forward, stem=nn.Conv2d(3, 16, 8, 8), wide=nn.Linear(16, 24), extra=extra)
    agrees(net, "wide:7@2,3", size=size, at=prefix + 2 * (size[1] // 8) + 3)


def windows(outer):
    def forward(net, x):
        tokens = net.stem(x)
        n, c, h, w = tokens.shape
        tokens = tokens.view(n, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 3, 5, 1).reshape(n, -1, 16, c)
        tokens = net.wide((tokens if outer else tokens.transpose(0, 1)).reshape(-1, 16, c)).unflatten(
            0, (n, -1) if outer else (-1, n)
        )
        return net.head(tokens.mean((1, 2) if outer else (0, 2)))

    return Net(forward, stem=nn.Conv2d(3, 16, 4, 4), wide=nn.Linear(16, 24), head=nn.Linear(24, 5))


@pytest.mark.parametrize("outer", [True, False])
def test_windows_folded_into_the_batch_are_put_together(outer):
    agrees(windows(outer), "wide:3", "head:1")


def test_crops_and_frames_folded_into_the_batch_are_put_together():
    def crops(net, x):
        parts = torch.cat([x[..., :16, :16], x[..., 16:, 16:], x[..., :16, 16:]])
        return net.head(net.body(parts).view(3, len(x), -1).mean(0))

    def frames(net, x):
        said = net.body(x.unsqueeze(1).expand(-1, 4, -1, -1, -1).flatten(0, 1))
        return net.head(said.unflatten(0, (-1, 4)).mean(1))

    for forward in (crops, frames):
        agrees(Net(forward, body=cnn(out=16), head=nn.Linear(16, 5)), "body.3:3", "body.7:1", "head:1")


def test_a_module_called_twice_is_read_the_first_time():
    def siamese(net, x):
        return net.head(torch.cat([net.body(x), net.body(x.flip(3))], 1))

    agrees(Net(siamese, body=cnn(out=16), head=nn.Linear(32, 1)), "body.3:3", "body.7:1", "head:0")


@pytest.mark.parametrize(("channels", "size"), [(4, (32, 32)), (6, (32, 48))])
def test_a_map_with_channels_last_as_wide_as_high_as_deep(channels, size):
    def forward(net, x):
        return net.head(net.wide(net.norm(net.stem(x).permute(0, 2, 3, 1))).mean((1, 2)))

    parts = {"norm": nn.LayerNorm(channels), "wide": nn.Linear(channels, channels), "head": nn.Linear(channels, 5)}
    agrees(Net(forward, stem=nn.Conv2d(3, channels, 8, 8), **parts), "norm:3", "wide:2", size=size, axis=3)


def test_batch_norm_and_group_norm_over_a_sequence_have_their_channels_second():
    def forward(net, x):
        return net.head(net.act(net.group(net.batch(net.stem(x).flatten(2)))).mean(2))

    parts = {"batch": nn.BatchNorm1d(16), "group": nn.GroupNorm(4, 16), "act": nn.ReLU(), "head": nn.Linear(16, 5)}
    agrees(Net(forward, stem=nn.Conv2d(3, 16, 8, 8), **parts), "batch:3", "group:10", "act:15", axis=1)


def _inference():
    with torch.inference_mode():
        return cnn()


def _parametrized():
    net = cnn().train()
    nn.utils.parametrizations.weight_norm(net[0])
    nn.utils.parametrizations.spectral_norm(net[3])
    return net


@pytest.mark.parametrize(
    ("make", "loose"),
    [
        (lambda: cnn().half(), 2e-2),
        (lambda: cnn().bfloat16(), 5e-2),
        (lambda: cnn().double(), 2e-3),
        (lambda: cnn().train(), 2e-3),
        (lambda: cnn(channels=1), 2e-3),
        (_inference, 2e-3),
        (_parametrized, 2e-3),
    ],
    ids=["half", "bfloat16", "double", "training", "grey", "inference weights", "parametrized"],
)
def test_weights_of_any_kind(make, loose):
    agrees(make(), "0:3", "7:1", loose=loose)


@contextlib.contextmanager
def _double():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("caller", [torch.no_grad, torch.inference_mode, _double])
def test_whatever_the_caller_has_switched(caller):
    net = cnn()
    with caller():
        drawn = snellen.render(net, ["0:3", "7:1"], steps=2, size=32)
    assert drawn.responses[1] == pytest.approx(own_reading(net, "7", 1, drawn.images[1:]), rel=2e-3, abs=1e-5)


def test_units_before_a_nan_are_the_same_alone_and_in_company_and_those_behind_it_refused():
    net = cnn()
    with torch.no_grad():
        net[3].weight[2] = float("nan")
    drawn, alone = (snellen.render(net, units, steps=3, size=32) for units in (["0:3", "0:2"], ["0:2"]))
    assert torch.allclose(drawn.images[1], alone.images[0], atol=2e-2)
    with pytest.raises(LayerError, match="not finite"):
        snellen.render(net, "7:1", steps=1, size=32)


@dataclasses.dataclass
class Answer:
    scores: torch.Tensor


@pytest.mark.parametrize(
    "wrap",
    [
        lambda y: None,
        lambda y: "cat",
        lambda y: y.argmax(1),
        lambda y: Answer(y),
        lambda y: ((y, y), None),
        lambda y: [{"scores": v[v > v.mean()]} for v in y],
    ],
    ids=["none", "text", "index", "dataclass", "nested", "ragged"],
)
def test_inner_units_are_drawn_whatever_the_network_returns(wrap):
    agrees(Net(lambda net, x: wrap(net.body(x)), body=cnn()), "body.0:3", "body.7:1")


@pytest.mark.parametrize(
    "draw",
    [
        lambda y: F.dropout(y, 0.5, True),
        lambda y: y + torch.randn_like(y),
    ],
    ids=["dropout", "noise"],
)
def test_random_numbers_refuse_what_follows_and_leave_what_comes_before(draw):
    net = Net(lambda net, x: net.head(draw(net.body(x))), body=cnn(out=16), head=nn.Linear(16, 5))
    agrees(net, "body.0:1", "body.7:2")
    with pytest.raises(LayerError, match="random numbers"):
        snellen.render(net, "head:1", steps=1, size=32)


@pytest.mark.parametrize(
    "mix", [lambda y: y - y.mean(0), lambda y: y + y.std(0, unbiased=False)], ids=["centre", "deviation"]
)
def test_what_mixes_the_pictures_of_a_batch_is_refused(mix):
    net = Net(lambda net, x: net.head(mix(net.body(x))), body=cnn(out=16), head=nn.Linear(16, 5))
    agrees(net, "body.7:2")
    with pytest.raises(LayerError, match="others go through"):
        snellen.render(net, "head:1", steps=1, size=32)


@pytest.mark.parametrize(
    "hook",
    [
        lambda net: net[3].register_forward_pre_hook(lambda _m, a: (a[0] * 2,)),
        lambda net: net[3].register_forward_hook(lambda _m, _a, _k, o: o + 1, with_kwargs=True),
        lambda net: net[3].register_forward_hook(lambda _m, _a, _o: None, always_call=True),
        lambda net: net[3].register_full_backward_pre_hook(lambda _m, g: g),
        lambda net: net[3].register_full_backward_hook(lambda _m, _i, _g: None),
    ],
    ids=["pre", "kwargs", "always", "backward pre", "backward"],
)
def test_hooks_of_the_user_stay_and_count(hook):
    net = cnn()
    hook(net)
    agrees(net, "0:1", "3:1")


def test_gradients_and_graphs_of_a_training_loop_stay():
    net = cnn()
    net(torch.rand(4, 3, 32, 32)).sum().backward()
    kept = [p.grad.clone() for p in net.parameters()]
    pending = net(torch.rand(4, 3, 32, 32)).sum()
    snellen.render(net, "3:1", steps=2, size=32)
    assert net.training
    assert all(torch.equal(k, p.grad) for k, p in zip(kept, net.parameters(), strict=True))
    pending.backward()


def test_weights_changed_in_place_between_two_calls_are_read_anew():
    net = cnn()
    snellen.render(net, "3:1", steps=1, size=32)
    with torch.no_grad():
        net[3].weight.mul_(2)
    agrees(net, "3:1")


def test_a_layer_replaced_by_a_narrower_one_is_surveyed_anew():
    net = cnn()
    snellen.render(net, "7:4", steps=1, size=32)
    net[7] = nn.Linear(16, 3)
    with pytest.raises(snellen.SnellenError, match="0-2"):
        snellen.render(net, "7:4", steps=1, size=32)


@pytest.mark.parametrize("size", [(1, 1), (4, 4)])
def test_tiny_pictures(size):
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Flatten(), nn.Linear(8 * size[0] * size[1], 5))
    agrees(net, "0:3", "2:1", size=size)


@pytest.mark.parametrize("name", ["a:b", "*", "a b"])
def test_names_with_signs_in_them(name):
    net = Net(lambda net, x: net.get_submodule(name)(net.stem(x)).mean((2, 3)), stem=nn.Conv2d(3, 8, 3))
    net.add_module(name, nn.Conv2d(8, 8, 3))
    agrees(net, f"{name}:1")


def test_a_data_parallel_wrapper():
    agrees(nn.DataParallel(cnn()), "module.0:3", "module.7:1")


@pytest.mark.parametrize("channels", [2, 4, 12])
def test_other_numbers_of_channels_end_in_one_line(channels):
    with pytest.raises(ModelError, match=f"{channels} channels"):
        snellen.render(cnn(channels=channels), "0:1", steps=1, size=32)


def test_an_empty_network_ends_in_one_line():
    for net in (nn.Sequential(), nn.Identity()):
        with pytest.raises(LayerError):
            snellen.render(net, "0:1", steps=1, size=32)
