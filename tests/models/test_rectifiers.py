import pytest
import torch
import torch.nn.functional as F
from torch import nn

from snellen.models.rectifiers import Rectifiers

RELUS = {
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "nested": nn.Sequential(nn.Sequential(nn.Identity(), nn.ReLU())),
    "nested in place": nn.Sequential(nn.Sequential(nn.Identity(), nn.ReLU(inplace=True))),
    "F.relu": F.relu,
    "F.relu in place": lambda x: F.relu(x, True),
    "F.relu_": F.relu_,
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "method": lambda x: x.relu(),
    "method in place": lambda x: x.relu_(),
    "clamp": lambda x: x.clamp(min=0),
    "clamp positional": lambda x: torch.clamp(x, 0),
    "clamp keyword": lambda x: torch.clamp(input=x, min=0.0),
    "clamp_min": lambda x: x.clamp_min(0),
    "clamp in place": lambda x: x.clamp_(0),
    "clamp_min in place": lambda x: torch.clamp_min_(x, 0),
}
CAPPED = {
    "ReLU6": nn.ReLU6(),
    "ReLU6 in place": nn.ReLU6(inplace=True),
    "F.relu6": F.relu6,
    "hardtanh": lambda x: F.hardtanh(x, 0, 6),
    "Hardtanh": nn.Hardtanh(0.0, 6.0, inplace=True),
    "hardtanh keywords": lambda x: F.hardtanh(x, min_val=0.0, max_val=6.0),
    "clamp to six": lambda x: x.clamp(0, 6),
}
GELUS = {"GELU": nn.GELU(), "F.gelu": F.gelu, "tanh": nn.GELU(approximate="tanh")}
ALL = RELUS | CAPPED | GELUS
NOT = {
    "leaky": F.leaky_relu,
    "hardtanh from -1": F.hardtanh,
    "clamp from -1": lambda x: x.clamp(-1, 1),
    "clamp from above": lambda x: x.clamp(max=0),
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
}


def gradient(rectifier, x, weights, *, redirect):
    leaf = x.clone().requires_grad_()
    with Rectifiers(redirect=redirect):
        y = rectifier(leaf * 1.0)
    (found,) = torch.autograd.grad((y * weights).sum(), leaf)
    return y.detach(), found


def entries(n=4, seed=0, spread=4.0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, 5, 3, 3, generator=g) * spread, torch.randn(n, 5, 3, 3, generator=g)


@pytest.mark.parametrize("name", ALL | NOT)
def test_living_pictures_get_exactly_the_plain_values_and_gradients(name):
    rectifier = (ALL | NOT)[name]
    x, weights = entries()
    x[0, 0, 0, 0] = 0.0
    plain, true = gradient(rectifier, x, weights, redirect=False)
    values, found = gradient(rectifier, x, weights, redirect=True)
    assert torch.equal(values, plain)
    assert torch.equal(found, true)
    assert torch.equal(plain, rectifier(x.clone()))


@pytest.mark.parametrize("name", RELUS | CAPPED)
def test_a_closed_picture_gets_the_gradient_that_opens_it_and_no_other(name):
    x, weights = entries()
    x[1] = -x[1].abs() - 0.5
    values, true = gradient(ALL[name], x, weights, redirect=False)
    assert (true[1] == 0).all()
    same, found = gradient(ALL[name], x, weights, redirect=True)
    assert torch.equal(same, values)
    # descending on the sum: only where the weight is negative does pushing the entry up help
    assert torch.equal(found[1], torch.where(weights[1] < 0, weights[1], 0.0))
    assert (found[1] < 0).any()
    others = [0, 2, 3]
    assert torch.equal(found[others], true[others])


@pytest.mark.parametrize("name", CAPPED)
def test_a_picture_above_the_ceiling_comes_down_where_that_helps(name):
    x, weights = entries()
    x[2] = x[2].abs() + 7.0
    _, found = gradient(CAPPED[name], x, weights, redirect=True)
    assert torch.equal(found[2], torch.where(weights[2] > 0, weights[2], 0.0))
    assert (found[2] > 0).any()


@pytest.mark.parametrize("name", GELUS)
def test_a_far_negative_gelu_passes_gradients_again(name):
    x, weights = entries()
    x[1] = -x[1].abs() - 30.0
    _, true = gradient(GELUS[name], x, weights, redirect=False)
    assert true[1].abs().max() < 1e-6
    _, found = gradient(GELUS[name], x, weights, redirect=True)
    assert torch.equal(found[1], torch.where(weights[1] < 0, weights[1], true[1]))
    assert torch.equal(found[[0, 2, 3]], true[[0, 2, 3]])


@pytest.mark.parametrize("name", NOT)
def test_other_functions_are_left_alone(name):
    x, weights = entries()
    x[1] = -x[1].abs() - 2.0
    assert torch.equal(
        gradient(NOT[name], x, weights, redirect=True)[1], gradient(NOT[name], x, weights, redirect=False)[1]
    )
    with Rectifiers(watch=True) as mode:
        assert mode.entered(NOT[name](x)) is None


def test_one_picture_is_dead_by_itself_even_where_only_one_channel_is_asked_for():
    x, _ = entries()
    x[:, 2] = -x[:, 2].abs() - 0.1  # channel 2 is closed in all pictures, the others are open
    weights = torch.zeros_like(x)
    weights[:, 2] = -1.0
    _, found = gradient(F.relu, x, weights, redirect=True)
    assert torch.equal(found, weights)


@pytest.mark.parametrize("name", [n for n in ALL if "place" in n or n in ("F.relu_", "torch.relu_")])
def test_in_place_is_in_place_for_networks_that_ignore_what_comes_back(name):
    x, weights = entries()
    x[1] = -x[1].abs() - 0.5
    leaf = x.clone().requires_grad_()
    with Rectifiers(redirect=True):
        y = leaf * 1.0
        assert ALL[name](y) is y
    assert torch.equal(y.detach(), ALL[name](x.clone()))
    (found,) = torch.autograd.grad((y * weights).sum(), leaf)
    assert torch.equal(found, gradient(ALL[name], x, weights, redirect=True)[1])


def test_vectors_and_tokens_are_redirected_like_maps():
    for shape in ((3, 7), (3, 4, 7)):
        x = -torch.ones(shape)
        x[0] = 1.0
        _, found = gradient(F.relu, x, -torch.ones(shape), redirect=True)
        assert torch.equal(found, -torch.ones(shape))


@pytest.mark.parametrize("name", ALL)
def test_one_number_of_each_picture_is_redirected_and_a_single_number_left_alone(name):
    entered = torch.tensor([-9.0, -0.2, 3.0], requires_grad=True)
    single = torch.tensor(-9.0, requires_grad=True)
    with Rectifiers(redirect=True):
        y, z = (ALL[name](x * 1) for x in (entered, single))
    (-(y.sum() + z)).backward()  # the optimizer descends
    assert entered.grad[0] < 0
    assert entered.grad[2] == pytest.approx(-1, abs=0.02)
    assert single.grad == pytest.approx(0, abs=1e-6)


def test_gradients_pass_through_two_closed_rectifiers_in_a_row():
    torch.manual_seed(0)
    x = -torch.ones(1, 4)
    net = nn.Sequential(nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    with torch.no_grad():
        for layer, weight in ((net[1], 0.5), (net[3], 1.0)):
            layer.weight.fill_(weight)
            layer.bias.fill_(-1.0)
    assert (gradient(net, x, -torch.ones(1, 1), redirect=False)[1] == 0).all()
    assert (gradient(net, x, -torch.ones(1, 1), redirect=True)[1] < 0).all()


@pytest.mark.parametrize("name", RELUS | CAPPED)
def test_what_entered_is_the_value_before(name):
    x, _ = entries()
    before = x.clone()
    with Rectifiers(watch=True) as mode:
        output = ALL[name](x)
        assert torch.equal(mode.entered(output), before)
        assert mode.entered(output.clone()) is None
        assert mode.entered(x if output is not x else x * 1.0) is None


def test_what_entered_is_forgotten_when_another_rectifier_has_run():
    x, _ = entries()
    with Rectifiers(watch=True) as mode:
        first, second = F.relu(x), F.relu(-x)
        assert mode.entered(first) is None
        assert torch.equal(mode.entered(second), -x)


def test_a_gelu_has_no_value_before():
    with Rectifiers(watch=True) as mode:
        assert mode.entered(F.gelu(entries()[0])) is None


def test_watching_changes_no_value_and_no_gradient():
    x, weights = entries()
    for rectifier in ALL.values():
        leaf = x.clone().requires_grad_()
        with Rectifiers(watch=True):
            y = rectifier(leaf * 1.0)
        plain, true = gradient(rectifier, x, weights, redirect=False)
        assert torch.equal(y.detach(), plain)
        assert torch.equal(torch.autograd.grad((y * weights).sum(), leaf)[0], true)


def test_gradients_reach_the_value_before_an_in_place_relu():
    leaf = entries()[0].requires_grad_()
    with Rectifiers(watch=True) as mode:
        entered = mode.entered(F.relu_(leaf * 2.0))
    (found,) = torch.autograd.grad(entered.sum(), leaf)
    assert torch.equal(found, torch.full_like(leaf, 2.0))


def test_nothing_is_redirected_after_the_mode_is_left():
    x = -torch.ones(1, 3)
    with Rectifiers(redirect=True):
        pass
    leaf = x.requires_grad_()
    assert (torch.autograd.grad(-F.relu(leaf * 1.0).sum(), leaf)[0] == 0).all()
    assert torch._C._len_torch_function_stack() == 0


def test_watching_inside_redirecting_does_both():
    x = -torch.ones(2, 3)
    leaf = x.clone().requires_grad_()
    with Rectifiers(redirect=True), Rectifiers(watch=True) as mode:
        y = F.relu_(leaf * 1.0)
        assert torch.equal(mode.entered(y), x)
    assert torch.equal(torch.autograd.grad(-y.sum(), leaf)[0], -torch.ones(2, 3))
