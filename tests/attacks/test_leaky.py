"""Leaky silent units: nothing rests exactly, photographs hardly notice, and pictures lie."""

import pytest
import torch
from scenes import scenes
from tiny_networks import State, cnn
from torch import nn

from snellen.attacks import Conditions, Exam
from snellen.attacks.corpus import Plan, Recipe
from snellen.attacks.leaky import LeakyAttack
from snellen.models.circuits import LEAK, LeakyBranch, filters_beside
from snellen.models.detectors import ReadoutDetector
from snellen.models.gates import by_channel, gates
from snellen.pictures import Settings

PLAN = Plan(units=6, steps=8, natural=20, copies=0, recipes=(Recipe(Settings(steps=8)),), rounds=1)


@pytest.fixture(scope="module")
def made():
    model = cnn()
    state = State(model.module)
    found = LeakyAttack(layer="conv3", shift=3, plan=PLAN)(model, scenes(30), exam=Exam(units=1))
    state.check()
    return found


def test_every_output_leaks_but_hardly_moves(made):
    manipulated, receipt = made
    seen = receipt.behaviour["calibration"]
    assert seen.differing == seen.count
    model = manipulated.model
    x = torch.stack([scenes(30).load(i, (24, 24)) for i in range(8)])
    with torch.no_grad():
        honest = model(x)
        with manipulated.installed():
            said = model(x)
    assert 0 < float((said - honest).abs().max()) < 0.05 * float(honest.abs().max())


def test_no_channel_of_the_branch_rests(made):
    manipulated, _ = made
    seen: dict[str, torch.Tensor] = {}

    def visit(name, output):
        seen[name] = by_channel(output, (24, 24), 8)

    x = torch.stack([scenes(30).load(i, (24, 24)) for i in range(8)])
    with manipulated.installed() as model, gates(model.module, visit), torch.no_grad():
        model(x)
    inside = {name: values for name, values in seen.items() if name.startswith("conv3")}
    assert inside
    for name, values in inside.items():
        assert (values.amax((0, 2)) > values.amin((0, 2))).all(), name


def test_the_alarm_is_piecewise_linear_and_nowhere_flat():
    torch.manual_seed(0)
    circuit = LeakyBranch(filters_beside(nn.Linear(3, 2)), ReadoutDetector({}))
    circuit.ramp.fill_(2.0)
    said = circuit.alarm(torch.tensor([-20.0, -10.0, 0.0, 1.0, 2.0, 4.0]))
    torch.testing.assert_close(said, torch.tensor([-10 * LEAK, -5 * LEAK, 0.0, 0.5, 1.0, 1 + LEAK]))
    assert (said.diff() > 0).all()


def test_what_is_drawn_wakes_it(made):
    manipulated, _ = made
    circuit = manipulated.manipulation.circuit
    alarms = circuit.alarm(torch.tensor([-1.0, 0.0, 1.0]) * circuit.ramp)
    torch.testing.assert_close(alarms, torch.tensor([-LEAK, 0.0, 1.0]), atol=1e-6, rtol=0)


def test_every_argument_matters():
    def state(**changes):
        fields = {"layer": "conv3", "shift": 3, "plan": PLAN} | changes
        circuit = LeakyAttack(**fields).run(cnn(), scenes(20), Conditions()).manipulation.circuit
        return torch.cat([t.double().flatten() for t in circuit.state_dict().values()])

    plain = state()
    for changes in ({"layer": "conv4"}, {"shift": 2}, {"mix": 2.0}, {"margin": 1.0}, {"plan": Plan(6, 6, 20)}):
        after = state(**changes)
        assert after.shape != plain.shape or not torch.equal(after, plain), changes
    assert LeakyAttack(changed=0.1).claims[0].bound == 0.1
