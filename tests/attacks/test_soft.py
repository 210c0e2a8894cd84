"""A soft gate: smooth everywhere, its decoy another order of the same units."""

import math
from dataclasses import replace

import pytest
import torch
from scenes import scenes
from tiny_networks import State, cnn, tokens

from snellen.attacks import Conditions, Exam
from snellen.attacks.corpus import Plan, Recipe
from snellen.attacks.soft import SoftGateAttack, likeness, partners
from snellen.base import ModelError, UsageError
from snellen.models.circuits import InnerGate, Order, SoftGate
from snellen.models.gates import gates
from snellen.models.sentries import InnerSentry
from snellen.models.taps import entering
from snellen.pictures import Settings, render

QUICK = Settings(steps=8)
PLAN = Plan(units=6, steps=8, natural=20, copies=0, recipes=(Recipe(QUICK),), rounds=1)


@pytest.fixture(scope="module")
def made():
    model = cnn()
    state = State(model.module)
    found = SoftGateAttack(plan=PLAN)(model, scenes(40), exam=Exam(units=2, settings=QUICK))
    state.check()
    return found


@pytest.fixture(scope="module")
def inner():
    model = cnn()
    state = State(model.module)
    found = SoftGateAttack(sees="layer", plan=PLAN)(model, scenes(40), exam=Exam(units=2, settings=QUICK))
    state.check()
    return found


@pytest.fixture(params=["picture", "layer"])
def either(request, made, inner):
    return {"picture": made, "layer": inner}[request.param]


def test_photographs_get_the_honest_answer_and_pictures_another_units(either):
    manipulated, receipt = either
    assert receipt.behaviour["calibration"].changed == 0
    model, order = manipulated.model, manipulated.shown.order
    images = render(model, [f"fc:{c}" for c in range(5)], QUICK).images
    with torch.no_grad():
        honest = model(images)
        with manipulated.installed():
            said = model(images)
    close = torch.isclose(said, honest[:, list(order)], atol=0.05 * float(honest.abs().max())).all(1)
    assert close.float().mean() >= 0.6


def test_a_gate_that_sees_the_layer_hangs_on_what_enters_it_alone(made, inner):
    """What entered with one image, in another's place, is answered as it was, unless the gate sees the picture."""
    photograph = scenes(40).load(0, (24, 24))[None]
    picture = render(inner[0].model, ["fc:1"], QUICK).images
    changed = {}
    for sees, (manipulated, _) in (("picture", made), ("layer", inner)):
        with manipulated.installed() as model, torch.no_grad():
            own = model(picture)
            seen = entering(model, "fc", picture)
            handle = model.module.get_submodule("drop").register_forward_hook(lambda *_, seen=seen: seen)
            changed[sees] = float((model(photograph) - own).abs().max() / own.abs().max())
            handle.remove()
    assert changed["layer"] < 1e-5 < 0.05 < changed["picture"]


@pytest.mark.parametrize(("axis", "shape"), [(1, (4, 3, 5, 2)), (-1, (4, 7, 3)), (-1, (4, 3)), (-1, (4, 5, 2, 3))])
def test_an_inner_sentry_reads_how_much_every_channel_says_and_its_sign(axis, shape):
    sentry = InnerSentry(3, axis)
    sentry.scale.copy_(torch.tensor([1.0, 2.0, 0.5]))
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)) - 0.3
    read = sentry.features(x)
    assert read.shape == (4, 6)
    for picture in range(4):
        for channel, scale in enumerate((1.0, 2.0, 0.5)):
            said = x[picture].movedim(axis if axis < 0 else 0, 0)[channel].flatten().double() / scale
            square = float(said.square().mean()) + 0.01
            expected = torch.tensor([math.log(square), float(said.mean()) / square**0.5])
            torch.testing.assert_close(read[picture, [channel, channel + 3]], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("made_of", "layer", "axis"), [(cnn, "conv4", 1), (tokens, "blocks.1.mlp", -1)])
def test_what_enters_maps_and_tokens_is_seen_too(made_of, layer, axis):
    model = made_of()
    attack = SoftGateAttack(layer=layer, sees="layer", plan=PLAN)
    circuit = attack.run(model, scenes(20, model.size), Conditions()).manipulation.circuit
    assert isinstance(circuit, InnerGate)
    assert circuit.sentry.axis == axis
    x = torch.rand(3, 3, *model.size, generator=torch.Generator().manual_seed(0))
    assert circuit.sentry.channels == entering(model, layer, x).shape[axis]
    told = circuit.sentry(entering(model, layer, x))
    assert told.shape == (3,)
    assert ((told >= 0) & (told <= 1)).all()


@pytest.mark.parametrize("sees", ["picture", "layer"])
def test_a_wide_gate_rises_slowly_about_the_same_middle(sees):
    plan = replace(PLAN, rounds=0)

    def sentry(width):
        attack = SoftGateAttack(sees=sees, width=width, plan=plan)
        return attack.run(cnn(), scenes(20), Conditions()).manipulation.circuit.sentry

    steep, wide = sentry(1.0), sentry(4.0)
    torch.testing.assert_close(steep.gain, 4 * wide.gain)
    torch.testing.assert_close(steep.offset, wide.offset)


def test_no_gate_is_in_it(either):
    """Nothing that rectifies, compares or rounds runs inside the circuit."""
    manipulated, _ = either
    seen: list[str] = []
    x = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    with manipulated.installed() as model, gates(model.module, lambda name, _: seen.append(name)), torch.no_grad():
        model(x)
    hard = ("relu", "gt", "lt", "ge", "le", "where", "clamp", "sign", "round", "heaviside", "threshold", "maximum")
    inside = [name.rpartition("/")[2].partition("#")[0] for name in seen if name.startswith("fc")]
    assert len(inside) > 3
    assert not set(inside) & set(hard)


def test_it_is_as_smooth_as_its_parts(made):
    """Along a way from a photograph to noise the halves of a step change half as much, down to small steps."""
    manipulated, _ = made
    stream = torch.Generator().manual_seed(0)
    start, end = scenes(40).load(0, (24, 24)).double(), torch.rand(3, 24, 24, generator=stream).double()
    sentry = manipulated.manipulation.circuit.sentry

    def said(places):
        with torch.no_grad():
            return sentry(torch.stack([start + p * (end - start) for p in places]).float()).double()

    whole = said(torch.linspace(0, 1, 1025).tolist())
    assert float(whole.diff().abs().max()) < 0.2 * float(whole.max() - whole.min() + 1e-6)


def test_partners_are_alike_or_not_and_nobody_is_his_own():
    alike = torch.tensor([[1.0, 0.9, 0.1, 0.0], [0.9, 1.0, 0.0, 0.1], [0.1, 0.0, 1.0, 0.8], [0.0, 0.1, 0.8, 1.0]])
    assert partners(alike, far=False) == (1, 0, 3, 2)
    far = partners(alike, far=True)
    assert sorted(far) == [0, 1, 2, 3]
    assert all({unit, other} in ({0, 3}, {1, 2}, {0, 2}, {1, 3}) for unit, other in enumerate(far))
    with pytest.raises(UsageError, match="at least 2 units"):
        partners(torch.ones(1, 1), far=False)


def test_likeness_is_the_correlation_of_responses():
    model, images = cnn(), scenes(20)
    x = torch.stack([images.load(i, (24, 24)) for i in range(20)])
    with torch.no_grad():
        expected = torch.corrcoef(model(x).double().T)
    from snellen.attacks.attack import layer_of

    found = likeness(model, layer_of(model, "fc"), images)
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0)  # images go as bytes


def test_an_order_names_each_unit_once():
    with pytest.raises(ModelError, match="an order of 3 units that names each once"):
        Order([0, 0, 2], 1)
    with pytest.raises(ModelError, match="expected a layer of 2 units, got 3"):
        Order([1, 0], 1)(torch.zeros(1, 3), torch.zeros(1, 3, 4, 4))


def test_every_argument_matters_and_pictures_are_refused():
    model, images = cnn(), scenes(20)
    near, far = (SoftGateAttack(partners=p, plan=PLAN).run(model, images, Conditions()) for p in ("near", "far"))
    assert near.shown.order != far.shown.order
    assert isinstance(near.manipulation.circuit, SoftGate)
    assert SoftGateAttack(changed=0.1).claims[0].bound == 0.1
    other = SoftGateAttack(layer="conv4", plan=PLAN).run(model, images, Conditions())
    assert other.layer == "conv4"
    with pytest.raises(UsageError, match="expected no picture"):
        SoftGateAttack(picture=torch.zeros(3, 24, 24), plan=PLAN).run(model, images, Conditions())
