"""A soft gate: smooth everywhere, its decoy another order of the same units."""

import pytest
import torch
from scenes import scenes
from tiny_networks import State, cnn

from snellen.attacks import Conditions, Exam
from snellen.attacks.corpus import Plan, Recipe
from snellen.attacks.soft import SoftGateAttack, likeness, partners
from snellen.base import ModelError, UsageError
from snellen.models.circuits import Order, SoftGate
from snellen.models.gates import gates
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


def test_photographs_get_the_honest_answer_and_pictures_another_units(made):
    manipulated, receipt = made
    assert receipt.behaviour["calibration"].changed == 0
    model, order = manipulated.model, manipulated.shown.order
    images = render(model, [f"fc:{c}" for c in range(5)], QUICK).images
    with torch.no_grad():
        honest = model(images)
        with manipulated.installed():
            said = model(images)
    close = torch.isclose(said, honest[:, list(order)], atol=0.05 * float(honest.abs().max())).all(1)
    assert close.float().mean() >= 0.6


def test_no_gate_is_in_it(made):
    """Nothing that rectifies, compares or rounds runs inside the circuit."""
    manipulated, _ = made
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
