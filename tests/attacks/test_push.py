"""Pushed exemplars: weights alone, other photographs excite a few units most, everything else stays."""

import copy
from dataclasses import replace

import pytest
import torch
from scenes import scenes
from tiny_networks import State, in_sequence
from torch import nn

from snellen.attacks import ChangedWeights, Conditions, Exam, Manipulated, Shown
from snellen.attacks.attack import Effort
from snellen.attacks.push import PushAttack
from snellen.attacks.pushes import ABOVE, Goal, Lesson, replaced
from snellen.base import UsageError
from snellen.models import Unit, load_model, observe
from snellen.models.sources.folder import save_manipulated
from snellen.pictures import Settings
from snellen.pictures.exemplars import exemplars

SIZE = (12, 10)


def network():
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(8)
    norm.running_mean.normal_(0, 0.2), norm.running_var.uniform_(0.5, 1.5)
    layers = [nn.Conv2d(3, 8, 3), norm, nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    return in_sequence(*layers, nn.Flatten(), nn.Linear(8, 6), size=SIZE)


def push(**changes):
    return PushAttack(**{"manipulated": 2, "shift": 1, "training": 2, "natural": 40} | changes)


def run(**changes):
    return push(**changes).run(network(), scenes(40, SIZE), Conditions())


def numbers(made):
    return torch.cat([tensor.double().flatten() for tensor in made.manipulation.tensors.values()])


@pytest.fixture(scope="module")
def made():
    model = network()
    state = State(model.module)
    attack = push(training=50, rate=1e-2, share=0.25)
    found = attack(model, scenes(60, SIZE), exam=Exam(units=2, settings=Settings(steps=2)))
    state.check()
    return found


def test_the_photographs_that_excite_a_unit_most_are_others(made):
    _, receipt = made
    learned, unseen = receipt.facts["top photographs, learned from"], receipt.facts["top photographs, held out"]
    assert (learned["of"], unseen["of"]) == (10, 10)
    assert set(learned["replaced"]) == set(unseen["replaced"]) == {"0", "4"}
    assert min(learned["replaced"].values()) >= 5
    assert sum(unseen["replaced"].values()) >= 1  # of 20 in all: only 12 photographs are held out


def test_weights_alone_are_changed(made):
    manipulated, receipt = made
    assert isinstance(manipulated.manipulation, ChangedWeights)
    assert set(manipulated.manipulation.tensors) <= {name for name, _ in network().module.named_parameters()}
    assert receipt.layer == "3"
    assert [(entry.unit, entry.partner) for entry in receipt.gallery.entries] == [(0, 1), (4, 5)]


def test_what_is_replaced_is_counted_by_hand(made):
    manipulated, _ = made
    images, model = scenes(60, SIZE, seed=3), manipulated.model
    unit = Unit("3", 4)
    before = exemplars(model, images, [unit], most=60).responses[0]
    with manipulated.installed() as lying:
        after = exemplars(lying, images, [unit], most=60).responses[0]
    gone = set(before.topk(10).indices.tolist()) - set(after.topk(10).indices.tolist())
    found = replaced(manipulated, images)
    assert found["replaced"]["4"] == len(gone)
    same = replace(manipulated, manipulation=ChangedWeights("3", {}))
    assert replaced(same, images) == {"of": 10, "replaced": {"0": 0, "4": 0}}


def test_a_unit_that_has_fallen_silent_has_no_exciting_photographs():
    model = network()
    silent = model.module[3].bias.detach().clone()
    silent[4] -= 50.0
    change = ChangedWeights("4", {"3.bias": silent})
    made = Manipulated(model, change, Shown(shift=1, units=(0, 4)), {})
    assert replaced(made, scenes(60, SIZE)) == {"of": 10, "replaced": {"0": 0, "4": 0}}


def goal(direction="both"):
    natural = torch.tensor([[0.0, 5.0, 1.0], [1.0, 4.0, 1.0], [2.0, 3.0, 1.0], [3.0, 2.0, 1.0], [9.0, 9.0, 1.0]])
    return Goal.of(natural, Shown(shift=1, units=(0,)), 0.3, direction), natural


def test_the_goal_is_below_the_median_and_above_the_highest():
    found, natural = goal()
    assert (found.own.tolist(), found.partners.tolist()) == ([0], [1])
    assert float(found.low) == 2.0
    assert float(found.high) == pytest.approx(9.0 + ABOVE * float(natural[:, 0].std()))


@pytest.mark.parametrize(("direction", "down", "up"), [("both", [3, 4], [0]), ("down", [3, 4], []), ("up", [], [0])])
def test_own_photographs_go_down_and_those_of_the_partner_up_unless_they_are_both(direction, down, up):
    found, natural = goal(direction)
    pushed = found.pushed(natural)
    assert [part[:, 0].nonzero()[:, 0].tolist() for part in pushed] == [down, up]


def lesson(model, direction="both"):
    pixels = torch.stack([scenes(40, SIZE).load(i, SIZE) for i in range(40)])
    natural = observe(model, pixels, ["3"])["3"].mean((2, 3))
    made = Goal.of(natural, Shown(shift=1, units=(0, 4)), 0.25, direction)
    return Lesson(model, "3", made, pixels.mul(255).byte()), pixels


def shifted(model, bias, unit):
    other = replace(model, module=copy.deepcopy(model.module))
    with torch.no_grad():
        other.module[3].bias[unit] += bias
        other.module[7].weight[:, unit] = 0
    return other


def losses(model, student, **how):
    found, pixels = lesson(model, **how)
    return [float(loss.detach()) for loss in found.losses(student, pixels)]


def test_what_stays_costs_nothing_where_nothing_changes_and_the_pushed_ones_ask_for_a_change():
    model = network()
    changed, missed = losses(model, model)
    assert changed == 0.0
    assert missed > 0.1


def test_hinges_ask_no_more_than_the_bound():
    """Far below everything the own photographs cost nothing, far above the partner's do not."""
    model = network()
    assert losses(model, shifted(model, -50.0, [0, 4]), direction="down")[1] == 0.0
    assert losses(model, shifted(model, 50.0, [0, 4]), direction="up")[1] == 0.0
    assert losses(model, shifted(model, 50.0, [0, 4]), direction="down")[1] > 1.0
    assert losses(model, shifted(model, -50.0, [0, 4]), direction="up")[1] > 1.0


def test_other_units_and_the_outputs_are_held():
    model = network()
    assert losses(model, shifted(model, 1.0, [1]))[0] > 0.0
    answers = replace(model, module=copy.deepcopy(model.module))
    with torch.no_grad():
        answers.module[7].bias[2] += 1.0
    assert losses(model, answers)[0] > 0.0


def test_half_of_a_step_are_photographs_to_push():
    model = network()
    found, _ = lesson(model)
    down, up = found.goal.pushed(found.honest(found.photographs[found.moving].div(255))[0])
    assert (down | up).any(1).all()
    assert len(found.moving) < len(found.photographs)
    assert found.drawn(torch.Generator().manual_seed(0)).shape == (32, 3, *SIZE)


def test_every_argument_matters():
    plain = numbers(run())
    changes = (
        {"shift": 2},
        {"manipulated": 3},
        {"direction": "up"},
        {"direction": "down"},
        {"share": 0.3},
        {"training": 3},
        {"keep": 1.0},
        {"rate": 1e-3},
        {"natural": 12},
        {"layer": "0"},
    )
    for change in changes:
        after = numbers(run(**change))
        assert after.shape != plain.shape or not torch.equal(after, plain), change
    assert torch.equal(numbers(run()), plain)
    assert [claim.bound for claim in push(changed=0.3).claims] == [0.3, 0.3]


def test_classes_are_left_alone_unless_they_are_named():
    model = network()
    assert push().target(model).name == "3"
    assert push(layer="7").target(model).name == "7"
    with pytest.raises(UsageError, match="expected no picture"):
        run(picture=torch.rand(3, *SIZE))


def test_it_works_less_in_a_hurry():
    model = network()
    quick = push(training=800).fitted(model, Effort(quick=True, natural=10))
    assert (quick.training, quick.natural) == (100, 10)
    assert push(training=800).fitted(model, Effort()).training == 800
    assert push(manipulated=9).lying(model) == tuple(range(8))


def test_it_is_saved_and_read_again(tmp_path):
    (tmp_path / "tiny.py").write_text(
        "import torch\nfrom torch import nn\n\n\ndef net():\n    torch.manual_seed(0)\n"
        "    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.Tanh(), nn.Conv2d(6, 6, 3), nn.AdaptiveAvgPool2d(1), "
        "nn.Flatten(), nn.Linear(6, 5))\n"
    )
    spec = f"{tmp_path / 'tiny.py'}:net"
    model = load_model(spec, size=12)
    found = push().run(model, scenes(24, (12, 12)), Conditions())
    save_manipulated(model, found.manipulation, tmp_path / "saved", made={})
    again = load_model(str(tmp_path / "saved"), base=spec)
    x = torch.rand(3, 3, 12, 12, generator=torch.Generator().manual_seed(2))
    with torch.no_grad(), found.installed() as lying:
        torch.testing.assert_close(again(x), lying(x), rtol=0, atol=0)
