import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import scenes, smooth
from tiny_networks import State, cnn, in_sequence, tokens
from torch import nn

from snellen.attacks import Exam, SilentAttack
from snellen.attacks.attack import Conditions
from snellen.attacks.branches import dense, filters, patches
from snellen.base import LayerError, UsageError
from snellen.models.circuits import SilentBranch
from snellen.models.taps import entering

NO_PICTURES = Exam(units=0)


@st.composite
def convolutions(draw):
    """A chain with one convolution or linear layer of any kind in its middle, and its path."""
    groups = draw(st.sampled_from([1, 2, 4]))
    kernel = draw(st.sampled_from([1, 2, 3, (3, 1)]))
    mode = draw(st.sampled_from(["zeros", "reflect", "circular"]))
    padding = draw(st.integers(0, 1)) if kernel != 1 else 0
    torch.manual_seed(draw(st.integers(0, 999)))
    middle = nn.Conv2d(
        4,
        8,
        kernel,
        stride=draw(st.sampled_from([1, 2])),
        padding=padding,
        groups=groups,
        bias=draw(st.booleans()),
        padding_mode=mode,
    )
    after = [nn.BatchNorm2d(8), nn.ReLU()] if draw(st.booleans()) else [nn.ReLU()]
    tail = [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 6)]
    chain = in_sequence(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), middle, *after, *tail, size=(9, 11))
    return chain, draw(st.sampled_from(["2", str(5 + len(after))]))


@settings(max_examples=25, deadline=None)
@given(made=convolutions(), show=st.booleans(), seed=st.integers(0, 99))
def test_outputs_on_calibration_images_are_the_same_to_the_last_bit(made, show, seed):
    model, layer = made
    images = scenes(10, (9, 11), seed=seed)
    picture = torch.rand(3, 9, 11, generator=torch.Generator().manual_seed(seed)) if show else None
    _, receipt = SilentAttack(picture=picture, layer=layer)(model, images, exam=NO_PICTURES)
    (exact,) = [m for m in receipt.claims if m.claim.exact]
    assert exact.kept, exact
    assert receipt.behaviour["calibration"].largest == 0.0
    assert receipt.behaviour["calibration"].touched == 0


def test_borders_are_covered_where_the_padding_is_not_zero():
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 3, padding=1)
    model = in_sequence(conv, nn.Flatten(), nn.Linear(4 * 81, 3), size=(9, 9))
    manipulated, _ = SilentAttack(layer="0", shift=1)(model, scenes(10, (9, 9)), exam=NO_PICTURES)
    branch = manipulated.manipulation.circuit.branch
    said = branch(torch.stack([scenes(10, (9, 9)).load(i, (9, 9)) for i in range(4)]))
    assert (said <= 0).all()
    inner = torch.zeros_like(said, dtype=torch.bool)
    inner[:, :, 1:-1, 1:-1] = True
    lowered = SilentBranch.beside(conv)  # what the released code does: a maximum without the borders
    lowered.branch.load_state_dict(branch.state_dict())
    room = said.masked_fill(~inner, -torch.inf).amax((0, 2, 3))
    assert (said.amax((0, 2, 3)) > room + 1e-6).any()


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_filters_are_orthogonal_and_as_long_as_the_units_own(groups):
    torch.manual_seed(0)
    conv = nn.Conv2d(6, 6, 3, groups=groups)
    own = dense(conv)
    toward = own.roll(-2, 0)
    made = filters(own, toward, mix=3.0)
    norms = own.flatten(1).norm(dim=1)
    torch.testing.assert_close(made.flatten(1).norm(dim=1), norms)
    along = (made * own).flatten(1).sum(1) / norms
    torch.testing.assert_close(along, norms / 10**0.5)  # 1 part of w, 3 parts orthogonal to it


def test_a_dense_filter_says_what_the_grouped_layer_says():
    torch.manual_seed(0)
    conv = nn.Conv2d(6, 4, 3, groups=2, bias=False)
    x = torch.randn(2, 6, 5, 5)
    torch.testing.assert_close(nn.functional.conv2d(x.double(), dense(conv)).float(), conv(x))


def test_the_direction_of_largest_summed_response_is_the_sum_of_all_patches():
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 2, 3, padding=1, stride=2)
    x = torch.randn(1, 3, 6, 6)
    found = patches(SilentBranch.beside(conv), x)
    unfolded = nn.functional.unfold(x.double(), 3, padding=1, stride=2).sum(2).view(1, 3, 3, 3)
    torch.testing.assert_close(found, unfolded)
    rows = torch.randn(2, 5, 4)
    torch.testing.assert_close(patches(SilentBranch.beside(nn.Linear(4, 3)), rows), rows.double().sum((0, 1))[None])


def test_the_branch_wakes_on_what_natural_images_never_do():
    model = cnn()
    manipulated, _ = SilentAttack(layer="conv3", shift=3)(model, scenes(20), exam=NO_PICTURES)
    wild = torch.rand(4, 3, 24, 24, generator=torch.Generator().manual_seed(0)).round()
    calm = model(wild)
    with manipulated.installed():
        loud = model(wild)
    assert not torch.equal(calm, loud)


def test_held_out_images_that_wake_the_branch_are_counted_and_a_margin_keeps_it_asleep():
    model = cnn()
    few, other = scenes(5), scenes(40, seed=7)
    exam = Exam(held_out=other, units=0)
    _, tight = SilentAttack(layer="conv3", margin=0.0)(model, few, exam=exam)
    woken, needed = tight.facts["held-out images that wake it"], tight.facts["margin at which none would"]
    assert woken > 0
    assert tight.behaviour["held-out"].touched == woken
    _, wide = SilentAttack(layer="conv3", margin=needed * 1.001)(model, few, exam=exam)
    assert wide.facts["held-out images that wake it"] == 0
    assert wide.behaviour["held-out"].differing == 0


def test_a_leaky_branch_is_caught_by_its_receipt():
    class Awake(SilentAttack):
        def run(self, model, images, conditions):
            made = super().run(model, images, conditions)
            made.manipulation.circuit.branch.bias.data += 2 * made.ranges[0].room[1]  # wakes on ordinary images
            return made

    _, receipt = Awake(layer="conv3")(cnn(), scenes(20), exam=NO_PICTURES)
    (exact,) = [m for m in receipt.claims if m.claim.exact]
    assert exact.kept is False
    assert exact.figure > 0
    assert not receipt.honest


@pytest.mark.parametrize(("make", "layer"), [(cnn, "conv4"), (cnn, "fc"), (tokens, "blocks.0.mlp.0"), (cnn, "stem.0")])
def test_the_model_comes_back_as_it_was(make, layer):
    model = make()
    state = State(model.module)
    SilentAttack(picture=smooth(1, model.size)[0], layer=layer)(model, scenes(10, model.size), exam=Exam(units=1))
    state.check()


def test_every_argument_matters():
    model, images = cnn(), scenes(10)

    def made(**changes):
        circuit = SilentAttack(**({"layer": "conv3"} | changes)).run(model, images, Conditions()).manipulation.circuit
        return torch.cat([circuit.branch.weight.flatten(), circuit.branch.bias])

    plain = made()
    for changes in (
        {"picture": smooth(1, (24, 24), seed=3)[0]},
        {"layer": "conv4"},
        {"shift": 3},
        {"mix": 2.0},
        {"strength": 20.0},
        {"margin": 0.7},
    ):
        after = made(**changes)
        assert after.shape != plain.shape or not torch.equal(after, plain), changes


def test_senseless_wishes_are_refused():
    model, images = cnn(), scenes(10)
    for attack, error, told in (
        (SilentAttack(layer="pool"), LayerError, "expected a convolution"),
        (SilentAttack(layer="conv33"), LayerError, "did you mean"),
        (SilentAttack(layer="conv3", shift=20), UsageError, "shift that moves all 10 units"),
        (SilentAttack(layer="conv3", picture=torch.rand(3, 5, 5, generator=torch.Generator())), UsageError, "resize"),
    ):
        with pytest.raises(error, match=told):
            attack.run(model, images, Conditions())


def test_it_goes_three_quarters_in_beside_linear_layers_where_convolutions_are_few():
    assert SilentAttack().target(cnn()).name == "conv4"  # of four
    assert SilentAttack().target(tokens()).name == "blocks.1.mlp.0"  # of nine linear layers, beside one convolution
    assert SilentAttack(layer="conv2").target(cnn()).name == "conv2"


def test_what_enters_a_layer_is_read_without_a_trace():
    model = cnn()
    state = State(model.module)
    x = smooth(2, model.size)
    found = entering(model, "conv3", x)
    state.check()
    assert found.shape == (2, 10, 12, 12)
