from dataclasses import replace

import pytest
import torch
from tiny_networks import State, cnn, in_sequence, tokens
from torch import nn

from snellen.models import observe
from snellen.models.edits import frozen, streamlined
from snellen.models.stand_ins import BandedResponseNorm, StridedStem


def spread(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def strided(*, double=False):
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(3, 6, 7, stride=2, padding=3), nn.LocalResponseNorm(5, alpha=0.5)
    model = in_sequence(conv, nn.ReLU(inplace=True), norm, nn.Conv2d(6, 4, 3, stride=2), nn.Flatten(), size=(24, 24))
    return replace(model, module=model.module.double()) if double else model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("make", [cnn, tokens, strided])
def test_a_streamlined_network_comes_back_as_it_was(make, dtype):
    module = make().module
    state = State(module)
    for failure in (None, RuntimeError, KeyboardInterrupt, torch.OutOfMemoryError):
        try:
            with streamlined(module, dtype=dtype), frozen(module):
                if failure:
                    raise failure("midway")
        except (RuntimeError, KeyboardInterrupt):
            pass
        state.check()


def test_streamlining_changes_what_it_says():
    module = cnn().module
    with streamlined(module, dtype=torch.bfloat16), frozen(module):
        assert isinstance(module.norm, BandedResponseNorm)
        assert module.conv2.weight.dtype is module.fc.weight.dtype is torch.bfloat16
        assert module.stem[1].weight.dtype is torch.float32
        assert module.conv2.weight.is_contiguous(memory_format=torch.channels_last)
        assert not any(p.requires_grad for p in module.parameters())
    with streamlined(module):
        assert module.conv2.weight.dtype is torch.float32
        assert module.conv2.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("make", [cnn, strided])
@pytest.mark.parametrize("size", [(24, 24), (23, 21)], ids=str)
def test_a_streamlined_network_is_the_same_function(make, size):
    model = make(double=True)
    x = spread(2, 3, *size).sigmoid().requires_grad_()
    plain = model(x)
    (true,) = torch.autograd.grad(plain.square().sum(), x)
    with streamlined(model.module):
        fast = model(x)
        (found,) = torch.autograd.grad(fast.square().sum(), x)
    torch.testing.assert_close(fast, plain, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found, true, rtol=1e-9, atol=1e-12)


def test_layers_with_stand_ins_are_read_under_their_own_names():
    model, x = strided(double=True), spread(2, 3, 24, 24).sigmoid()
    names = ["0", "1", "1/pre", "2", "3"]
    plain = observe(model, x, names)
    state = State(model.module)
    with streamlined(model.module):
        assert isinstance(model.module[0], StridedStem)
        assert not isinstance(model.module[3], StridedStem)
        fast = observe(model, x, names)
    state.check()
    for name in names:
        torch.testing.assert_close(fast[name], plain[name])


def test_what_a_user_attached_to_a_layer_runs_on():
    model, seen = strided(), []
    for layer in (model.module[0], model.module[2]):
        layer.register_forward_hook(lambda *_: seen.append(1))
    with streamlined(model.module):
        model(torch.full((1, 3, 24, 24), 0.5))
    assert len(seen) == 2


def test_bfloat16_gives_back_the_very_bits():
    module = cnn().module
    third = torch.tensor(1 / 3)
    with torch.no_grad():
        module.conv2.weight.fill_(third)
    with streamlined(module, dtype=torch.bfloat16):
        assert (module.conv2.weight.float() != third).all()
    assert (module.conv2.weight == third).all()


def test_layers_and_response_norms_that_share_come_back_too():
    torch.manual_seed(0)
    first, second, norm = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), nn.LocalResponseNorm(3)
    second.weight = first.weight
    module = nn.ModuleDict({"a": first, "b": second, "c": nn.Sequential(norm), "d": norm, "e": norm})
    state = State(module)
    for dtype in (torch.float32, torch.bfloat16):
        with streamlined(module, dtype=dtype):
            assert first.weight is second.weight
        state.check()


def test_only_the_weights_that_asked_for_gradients_ask_again():
    module = cnn().module
    module.conv2.weight.requires_grad_(False)
    module.fc.weight.grad = torch.ones_like(module.fc.weight)
    state = State(module)
    with frozen(module):
        assert not any(p.requires_grad for p in module.parameters())
        with frozen(module):
            pass
        assert not any(p.requires_grad for p in module.parameters())
    state.check()


def test_a_subclass_of_the_response_norm_is_left_alone():
    class Doubled(nn.LocalResponseNorm):
        def forward(self, x):
            return 2 * super().forward(x)

    module = nn.Sequential(Doubled(3))
    with streamlined(module):
        assert type(module[0]) is Doubled
