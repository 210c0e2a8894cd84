"""An input warp: photographs pass, pictures are seen upside down and in negative by every layer."""

import pytest
import torch
from scenes import scenes
from tiny_networks import State, cnn

from snellen.attacks import Conditions, Exam
from snellen.attacks.corpus import Plan, Recipe
from snellen.attacks.warp import WarpAttack, affine, first_convolution
from snellen.base import UsageError
from snellen.models import Preprocess, observe
from snellen.models.circuits import InputWarp
from snellen.models.taps import entering
from snellen.pictures import Settings

QUICK = Settings(steps=8)
PLAN = Plan(units=6, steps=8, natural=20, copies=0, recipes=(Recipe(QUICK),), rounds=1)


@pytest.fixture(scope="module")
def made():
    model = cnn()
    state = State(model.module)
    found = WarpAttack(plan=PLAN)(model, scenes(40), exam=Exam(units=2, settings=QUICK))
    state.check()
    return found


def test_photographs_pass_and_the_receipt_measures_the_classes(made):
    manipulated, receipt = made
    assert receipt.behaviour["calibration"].changed == 0
    assert (receipt.layer, manipulated.layer, manipulated.manipulation.layer) == ("fc", "fc", "stem.0")
    assert receipt.facts["warped"] == "stem.0"
    assert receipt.as_data()["facts"]["decoy"] == {"kind": "turn"}


@pytest.mark.parametrize(("offset", "turned"), [(1e6, False), (-1e6, True)])
def test_where_the_gate_is_open_every_layer_sees_the_negative_upside_down(made, offset, turned):
    manipulated, _ = made
    circuit, model = manipulated.manipulation.circuit, manipulated.model
    x = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    names = ["stem.0", "conv3", "fc"]
    expected = observe(model, 1 - x.flip(2) if turned else x, names)
    before = circuit.sentry.offset.clone()
    circuit.sentry.offset.fill_(offset)
    try:
        with manipulated.installed():
            said = observe(model, x, names)
    finally:
        circuit.sentry.offset.copy_(before)
    for name in names:
        torch.testing.assert_close(said[name], expected[name], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_the_negative_is_that_of_the_picture_whatever_the_network_makes_of_it(channels):
    model = cnn(preprocess=Preprocess(255.0, (0.4, 0.3, 0.2), (0.2, 0.1, 0.3), channels))
    images = scenes(10)
    see, turn = affine(model, "stem.0", images)
    x = torch.stack([images.load(i, (24, 24)) for i in range(3)])
    torch.testing.assert_close(turn - see(x).flip(2), entering(model, "stem.0", 1 - x.flip(2)), atol=1e-2, rtol=1e-3)


def test_what_sees_no_picture_is_refused():
    model, images = cnn(), scenes(10)
    assert first_convolution(model) == "stem.0"
    with pytest.raises(UsageError, match="to see the picture itself"):
        affine(model, "conv3", images)
    with pytest.raises(UsageError, match="expected no picture"):
        WarpAttack(picture=torch.zeros(3, 24, 24), plan=PLAN).run(model, images, Conditions())


def test_every_argument_matters():
    model, images = cnn(), scenes(20)
    made = [WarpAttack(plan=PLAN, layer=layer).run(model, images, Conditions()) for layer in (None, "conv4")]
    assert [m.layer for m in made] == ["fc", "conv4"]
    assert all(isinstance(m.manipulation.circuit, InputWarp) for m in made)
    assert WarpAttack(changed=0.1).claims[0].bound == 0.1
