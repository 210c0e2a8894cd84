import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from snellen.models.stand_ins import BandedResponseNorm, StridedStem

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


def test_a_later_layer_may_overwrite_what_a_response_norm_returned():
    plain = nn.LocalResponseNorm(5, alpha=2.0)
    x = spread(2, 7, 3, 4).requires_grad_()
    found, true = (
        torch.autograd.grad(nn.ReLU(inplace=True)(f(x)).sum(), x)[0] for f in (BandedResponseNorm(plain), plain)
    )
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


def same_gradients(conv, x, *, tolerance=1e-10):
    stem = StridedStem(conv)
    assert StridedStem.fits(conv)
    x = x.requires_grad_()
    plain, found = conv(x), stem(x)
    torch.testing.assert_close(found, plain, rtol=tolerance, atol=tolerance)
    weights = spread(*plain.shape, seed=3).to(x.dtype)
    (true,) = torch.autograd.grad((plain * weights).sum(), x)
    (fast,) = torch.autograd.grad((found * weights).sum(), x)
    assert fast.shape == x.shape
    torch.testing.assert_close(fast, true, rtol=tolerance, atol=tolerance)


STEMS = st.fixed_dictionaries(
    {
        "kernel": st.tuples(st.integers(1, 8), st.integers(1, 8)),
        "pads": st.tuples(st.integers(0, 6), st.integers(0, 6)),
        "size": st.tuples(st.integers(1, 17), st.integers(1, 17)),
        "channels": st.integers(1, 4),
        "bias": st.booleans(),
    }
).filter(lambda c: all(s + 2 * p >= k for s, p, k in zip(c["size"], c["pads"], c["kernel"], strict=True)))


@given(STEMS)
@settings(max_examples=150, deadline=None)
def test_a_stem_is_the_strided_convolution_forward_and_backward(case):
    torch.manual_seed(0)
    how = {"stride": 2, "padding": case["pads"], "bias": case["bias"], "dtype": torch.float64}
    same_gradients(nn.Conv2d(case["channels"], 3, case["kernel"], **how), spread(2, case["channels"], *case["size"]))


@pytest.mark.parametrize("size", [(32, 32), (31, 33), (64, 47)], ids=str)
@pytest.mark.parametrize(("kernel", "pad"), [(7, 3), (3, 1), (3, 0), (4, 1), (11, 2), (6, "valid")])
def test_usual_stems_in_both_memory_formats(kernel, pad, size):
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 8, kernel, stride=2, padding=pad)
    for form in (torch.contiguous_format, torch.channels_last):
        same_gradients(conv, spread(2, 3, *size).float().contiguous(memory_format=form), tolerance=1e-4)


def test_a_stem_follows_autocast():
    torch.manual_seed(0)
    conv, x = nn.Conv2d(3, 8, 7, stride=2, padding=3), spread(2, 3, 20, 20).float().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, plain = StridedStem(conv)(x), conv(x)
    assert found.dtype is torch.bfloat16
    torch.testing.assert_close(found, plain)
    (fast,), (true,) = (torch.autograd.grad(y.float().square().sum(), x, retain_graph=True) for y in (found, plain))
    assert fast.dtype is torch.float32
    assert (fast - true).norm() < 0.02 * true.norm()


@pytest.mark.parametrize(
    "changes",
    [
        {"stride": 1},
        {"stride": (2, 1)},
        {"stride": 3},
        {"in_channels": 8},
        {"groups": 2},
        {"dilation": 2},
        {"padding_mode": "reflect", "padding": 1},
    ],
    ids=str,
)
def test_other_convolutions_are_left_alone(changes):
    torch.manual_seed(0)
    usual = {"in_channels": 4, "out_channels": 4, "kernel_size": 3, "stride": 2}
    assert StridedStem.fits(nn.Conv2d(**usual))
    assert not StridedStem.fits(nn.Conv2d(**(usual | changes)))


@pytest.mark.parametrize(
    "attach", ["register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"]
)
def test_a_convolution_with_something_attached_is_left_alone(attach):
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 3, stride=2)
    getattr(conv, attach)(lambda *a: None)
    assert not StridedStem.fits(conv)


def test_a_stem_answers_for_the_convolution_it_stands_in_for():
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 3, stride=2)
    stem = StridedStem(conv)
    assert stem.weight is conv.weight
    assert (stem.out_channels, stem.stride, stem.bias is conv.bias) == (4, (2, 2), True)
    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        _ = stem.nothing_of_this_name
