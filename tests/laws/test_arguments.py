"""Law 10: every argument of every constructor changes something that can be seen."""

import inspect
from dataclasses import fields, replace

import pytest
import torch
from tiny_networks import cnn, in_sequence
from torch import nn

from snellen.base import Seed
from snellen.models import Model, Preprocess, Unit, layers, observe, response
from snellen.pictures import Compose, Fourier, Jitter, Pixel, Rotate, Scale, Settings, render

SIZE = (12, 14)


def canvas_seen(canvas):
    state = canvas.start(SIZE, [Seed(0)])
    return torch.cat([state.flatten(), canvas.draw(state, SIZE).flatten()])


def transform_seen(transform):
    draws = torch.rand(4, transform.draws, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return transform.matrices(draws, SIZE)


def preprocess_seen(preprocess):
    return preprocess(torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)))


def sleepy():
    """A net with a unit that only redirected gradients wake, and one that is awake."""
    torch.manual_seed(0)
    net = in_sequence(nn.Conv2d(3, 2, 3), nn.ReLU(), size=SIZE)
    with torch.no_grad():
        net.module[0].weight[0] = 0.1
        net.module[0].bias.copy_(torch.tensor([-2.2, 1.0]))
    return net


def settings_seen(settings):
    made = render(sleepy(), ["1:0", "1:1"], settings)
    return torch.cat([made.images.flatten(), made.history.flatten()])


def unit_seen(unit):
    model = cnn()
    x = torch.rand(1, 3, *model.size, generator=torch.Generator().manual_seed(0))
    return response(observe(model, x, [unit.address])[unit.address], unit)


CASES = [
    (canvas_seen, Fourier(), {"decay": 1.3, "spread": 0.02, "decorrelate": False}),
    (canvas_seen, Pixel(), {"spread": 0.02, "decorrelate": False}),
    (transform_seen, Jitter(0.1), {"reach": 0.2}),
    (transform_seen, Scale(0.8, 1.2), {"low": 0.7, "high": 1.3}),
    (transform_seen, Rotate(10.0), {"degrees": 20.0}),
    (transform_seen, Compose((Jitter(0.1),)), {"parts": (Jitter(0.2),)}),
    (preprocess_seen, Preprocess(), {"scale": 2.0, "mean": (0.1, 0.0, 0.0), "std": (1.0, 2.0, 1.0), "channels": "bgr"}),
    (
        preprocess_seen,
        Preprocess(channels="bgr"),
        {**dict.fromkeys(("scale",), 3.0), "channels": "grey", "mean": (0.0, 0.0, 0.2), "std": (2.0, 1.0, 1.0)},
    ),
    (
        settings_seen,
        Settings(steps=12),
        {
            "steps": 13,
            "rate": 0.06,
            "settle": 0.9,
            "redirect": 1,
            "canvas": Pixel(),
            "transforms": Jitter(0.05),
            "precision": "bfloat16",
            "optimizer": "adam",
        },
    ),
    (unit_seen, Unit("stem", 0), {"layer": "stem.0", "channel": 1, "position": (2, 3), "pre": True}),
]


SAME = {"compiled"}  # faster ways to the same result; tests/models/test_compiled.py sees that it is taken


@pytest.mark.parametrize(
    ("seen", "plain", "changes"), CASES, ids=lambda v: type(v).__name__ if hasattr(v, "__dataclass_fields__") else ""
)
def test_every_argument_changes_something(seen, plain, changes):
    assert {f.name for f in fields(plain)} - SAME == set(changes), "each argument needs a line in this table"
    before = seen(plain)
    assert torch.equal(seen(replace(plain)), before)
    for name, value in changes.items():
        assert getattr(plain, name) != value
        after = seen(replace(plain, **{name: value}))
        assert after.shape != before.shape or not torch.equal(after, before), name


def test_every_argument_of_a_model_is_used():
    module = cnn().module
    plain = Model(module)
    x = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    assert (Model(module, name="other").name, plain.name) == ("other", "model")
    assert layers(Model(module, size=(32, 16)))[0].shape == (8, 32, 16)
    assert layers(plain)[0].shape == (8, 224, 224)
    assert not torch.equal(Model(module, preprocess=Preprocess(scale=2.0))(x), plain(x))
    assert Model(module, labels=("a",)).labels == ("a",)
    assert Model(module, provenance={"from": "here"}).provenance == {"from": "here"}
    assert {f.name for f in fields(Model)} == {"module", "name", "size", "preprocess", "labels", "provenance"}


def test_every_argument_of_render_changes_something():
    model, passes, done = cnn(), [], []
    model.module.register_forward_pre_hook(lambda _, x: passes.append(len(x[0])))
    common = {"model": model, "targets": ["fc:0", "fc:1"], "settings": Settings(steps=3)}
    plain = render(**common)
    start = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    for changes in (
        {"model": cnn(1)},
        {"targets": ["fc:2", "fc:1"]},
        {"settings": Settings(steps=3, rate=0.1)},
        {"direction": "min"},
        {"size": (24, 25)},
        {"seeds": Seed(1)},
        {"start": start},
        {"rate": 0.3},
    ):
        made = render(**(common | changes))
        assert made.images.shape != plain.images.shape or not torch.equal(made.images, plain.images), changes
    layers(model)  # its survey sends two pictures together
    passes.clear()
    render(**common, batch=1, progress=done.append)
    assert max(passes) == 1
    assert sum(done) == 6
    assert plain.snapshots is None
    assert render(**common, snapshots=[0, 2]).snapshots.shape == (2, 2, 3, 24, 24)
    known = {"model", "targets", "settings", "direction", "size", "seeds", "start", "batch", "progress", "changes"}
    known |= {"snapshots", "preprocess"}  # the latter is for modules in memory: tests/models/test_opened.py
    assert set(inspect.signature(render).parameters) == known
