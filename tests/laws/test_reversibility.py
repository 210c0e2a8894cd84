"""Law 2: reading, drawing and editing leave a network, its surroundings and all global state as they were."""

import contextlib
import itertools

import pytest
import torch
from tiny_networks import State, cnn, tokens
from torch import nn

from snellen.base import LayerError, ModelError
from snellen.models import Model, layers, main_layers, observe, units
from snellen.models.edits import frozen, streamlined
from snellen.pictures import Objective, render

NETS = {"cnn": (cnn, "stem/pre:1"), "tokens": (tokens, "blocks.0:1")}


def pictures(model, n=2, grad=False):
    x = torch.rand(n, 3, *model.size, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    return x.requires_grad_(grad)


def first(model):
    return "stem" if model.name == "cnn" else "blocks.0"


def last(model):
    return "fc" if model.name == "cnn" else "head"


def gradient_through(model):
    x = pictures(model, grad=True)
    observe(model, x, [first(model)])[first(model)].sum().backward()


def edited(model):
    with streamlined(model.module), frozen(model.module):
        model(pictures(model))


WORK = {
    "layers": layers,
    "main_layers": main_layers,
    "units": lambda m: units([f"{last(m)}:*"], m),
    "observe": lambda m: observe(m, pictures(m), [first(m), last(m)]),
    "observe a missing layer": lambda m: observe(m, pictures(m), [first(m), "missing"]),
    "observe no closing ReLU": lambda m: observe(m, pictures(m), [f"{last(m)}/pre"]),
    "observe a wrong size": lambda m: observe(m, pictures(m)[..., :1, :1], [last(m)]),
    "edits": edited,
    "render": lambda m: render(m, [f"{last(m)}:0", f"{last(m)}:1"], steps=3),
    "render below zero": lambda m: render(m, f"{first(m)}:0", steps=3, direction="min", batch=1),
    "render in bfloat16": lambda m: render(m, f"{last(m)}:0", steps=3, precision="bfloat16"),
    "render a product": lambda m: render(m, Objective.of(f"{last(m)}:0") * Objective.of(f"{first(m)}:1"), steps=3),
    "render a wrong unit": lambda m: render(m, f"{last(m)}:99", steps=3),
    "render a wrong size": lambda m: render(m, f"{last(m)}:0", steps=3, size=(3, 3)),
}


def prepared(name):
    """Hooks, gradients, parts in training mode and weights that ask for nothing: as a user may have left them."""
    model = NETS[name][0]()
    model.module.register_forward_hook(lambda *a: None)
    parts = list(model.module.modules())
    parts[1].register_forward_pre_hook(lambda *a: None)
    for i, parameter in enumerate(model.module.parameters()):
        if i % 3 == 0:
            parameter.requires_grad_(False)
        elif i % 3 == 1:
            parameter.grad = torch.full_like(parameter, 0.5)
    if name == "cnn":
        parts[-1].train()
        model.module.pool.train()
    return model


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("name", NETS)
def test_everything_is_as_it_was(name, work):
    model = prepared(name)
    state = State(model.module)
    with contextlib.suppress(LayerError, ModelError):
        WORK[work](model)
    state.check()


@pytest.mark.parametrize("grad", [False, True])
def test_the_callers_mode_for_gradients_and_numbers_survives(grad):
    model = prepared("cnn")
    with torch.set_grad_enabled(grad):
        torch.set_default_dtype(torch.float64)
        try:
            state = State(model.module)
            for work in ("layers", "observe", "render"):
                WORK[work](model)
            state.check()
        finally:
            torch.set_default_dtype(torch.float32)


def test_gradients_of_pictures_do_not_come_with_gradients_of_weights_of_other_layers():
    model = cnn()
    x = pictures(model, grad=True)
    observe(model, x, ["conv2"])["conv2"].sum().backward()
    assert x.grad is not None
    assert model.module.fc.weight.grad is None


class Breaks(nn.Module):
    """Fails at the n-th pass, deep inside."""

    def __init__(self, part, error, at):
        super().__init__()
        self.part, self.error, self.at = part, error, at
        self.passes = itertools.count(1)  # not a number: those are as before after every reading
        part.drop.register_forward_hook(self.count)

    def count(self, *_):
        if next(self.passes) >= self.at:
            raise self.error

    def forward(self, x):
        return self.part(x)


ERRORS = {
    "error": (RuntimeError("broken"), ModelError),
    "assertion": (AssertionError(), ModelError),
    "exit": (SystemExit(3), SystemExit),
    "out of memory": (torch.OutOfMemoryError("CUDA out of memory"), torch.OutOfMemoryError),
    "no memory": (MemoryError(), MemoryError),
}


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_network_that_breaks_midway_is_as_it_was(error, precision):
    inner = prepared("cnn")
    raised, told = ERRORS[error]
    model = Model(Breaks(inner.module, raised, at=5), "breaks", inner.size, inner.preprocess)
    state = State(model.module)
    with pytest.raises(told):
        render(model, "part.fc:0", steps=8, precision=precision)
    state.check()
    with pytest.raises(told):
        observe(model, pictures(model), ["part.stem/pre", "part.fc"])
    state.check()


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("at", [1, 2])
def test_a_network_that_breaks_while_it_is_surveyed_is_as_it_was(error, at):
    inner = prepared("cnn")
    raised, told = ERRORS[error]
    model = Model(Breaks(inner.module, raised, at=at), "breaks", inner.size, inner.preprocess)
    state = State(model.module)
    with pytest.raises(told):
        layers(model)
    state.check()


def test_a_person_who_interrupts_gets_the_network_as_it_was():
    inner = prepared("cnn")
    model = Model(Breaks(inner.module, KeyboardInterrupt(), at=4), "breaks", inner.size, inner.preprocess)
    state = State(model.module)
    model.module.at = 99
    with pytest.raises(KeyboardInterrupt):
        render(model, "part.fc:0", steps=8, progress=_interrupt_everything(model.module))
    state.check()
    model.module.at = 0  # what a callback sets on a network is, like all else, as it was
    with pytest.raises(KeyboardInterrupt):
        observe(model, pictures(model), ["part.fc"])
    state.check()
    model.module.add_module("more", nn.Identity())  # so that it is surveyed anew
    state = State(model.module)
    with pytest.raises(KeyboardInterrupt):
        layers(model)
    state.check()


def _interrupt_everything(module):
    def progress(_):
        module.at = 0  # from now on every pass is interrupted, the last one of the finished picture too

    return progress
