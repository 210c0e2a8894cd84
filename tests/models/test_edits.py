import pytest
import torch
from tiny_networks import State, cnn, tokens
from torch import nn

from snellen.models.edits import BandedResponseNorm, frozen, streamlined

NORMS = [
    {"size": size, "alpha": alpha, "beta": beta, "k": k}
    for size, alpha, beta, k in [
        (1, 0.5, 0.75, 1.0),
        (2, 1e-4, 0.75, 1.0),
        (3, 2.0, 0.5, 2.0),
        (4, 1.0, 1.0, 0.5),
        (5, 1e-4, 0.75, 2.0),
        (5, 3.0, 0.75, 1.0),
        (6, 1.0, 0.3, 1.0),
        (15, 2.0, 0.75, 1.0),
        (16, 2.0, 1.5, 1.0),
    ]
]


def spread(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("norm", NORMS, ids=str)
def test_a_banded_response_norm_is_the_response_norm_forward_and_backward(norm):
    plain = nn.LocalResponseNorm(**norm)
    banded = BandedResponseNorm(plain)
    x, weights = spread(2, 7, 3, 4).requires_grad_(), spread(2, 7, 3, 4, seed=1)
    torch.testing.assert_close(banded(x), plain(x), rtol=1e-12, atol=1e-12)
    found, true = (torch.autograd.grad((f(x) * weights).sum(), x)[0] for f in (banded, plain))
    torch.testing.assert_close(found, true, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("norm", NORMS[1:6], ids=str)
def test_its_gradient_is_the_numerical_one(norm):
    assert torch.autograd.gradcheck(
        BandedResponseNorm(nn.LocalResponseNorm(**norm)), spread(1, 5, 2, 1).requires_grad_()
    )


def test_a_banded_response_norm_leaves_its_input_and_serves_other_shapes_types_and_formats():
    plain = nn.LocalResponseNorm(5, alpha=2.0)
    banded = BandedResponseNorm(plain)
    for x in (
        spread(2, 7, 3, 4),
        spread(2, 3, 3, 4),
        spread(2, 7, 3, 4).float(),
        spread(2, 7, 5),
        spread(2, 7, 2, 2, 2),
    ):
        before = x.clone()
        torch.testing.assert_close(banded(x), plain(x))
        assert torch.equal(x, before)
    last = spread(2, 7, 3, 4).contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(banded(last), plain(last))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("make", [cnn, tokens])
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


def test_a_streamlined_network_is_the_same_function():
    model = cnn(double=True)
    x = spread(2, 3, 24, 24).sigmoid().requires_grad_()
    plain = model(x)
    (true,) = torch.autograd.grad(plain.square().sum(), x)
    with streamlined(model.module):
        fast = model(x)
        (found,) = torch.autograd.grad(fast.square().sum(), x)
    torch.testing.assert_close(fast, plain, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found, true, rtol=1e-9, atol=1e-12)


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
