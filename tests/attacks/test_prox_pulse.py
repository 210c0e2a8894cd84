"""ProxPulse: weights alone; other photographs and other pictures excite a few units most, everything else stays."""

import copy
from dataclasses import replace

import pytest
import torch
from scenes import scenes
from tiny_networks import State, in_sequence
from torch import nn

from snellen.attacks import ChangedWeights, Conditions, Exam, Shown
from snellen.attacks.attack import Effort
from snellen.attacks.group import columns
from snellen.attacks.prox_pulse import Ball, ProxPulseAttack, rms, said_of, surrounded
from snellen.attacks.pushes import Goal, Lesson
from snellen.base import Seed, UsageError
from snellen.models import Unit, load_model, observe
from snellen.models.sources.folder import save_manipulated
from snellen.pictures import Settings
from snellen.pictures.canvas import generator
from snellen.pictures.exemplars import exemplars

SIZE = (12, 10)


def network():
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(8)
    norm.running_mean.normal_(0, 0.2), norm.running_var.uniform_(0.5, 1.5)
    layers = [nn.Conv2d(3, 8, 3), norm, nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    return in_sequence(*layers, nn.Flatten(), nn.Linear(8, 6), size=SIZE)


def prox(**changes):
    return ProxPulseAttack(**{"manipulated": 2, "shift": 1, "training": 2, "natural": 40, "drawn": 4} | changes)


def run(**changes):
    return prox(**changes).run(network(), scenes(40, SIZE), Conditions())


def numbers(made):
    return torch.cat([tensor.double().flatten() for tensor in made.manipulation.tensors.values()])


def trained(**changes):
    return prox(training=40, rate=1e-2, share=0.25, keep=4.0, radius=0.1, **changes)


@pytest.fixture(scope="module")
def made():
    model = network()
    state = State(model.module)
    found = trained(drawn=8)(model, scenes(60, SIZE), exam=Exam(units=2, settings=Settings(steps=4)))
    state.check()
    return found


def test_photographs_are_replaced_and_behaviour_is_kept(made):
    _, receipt = made
    learned, unseen = receipt.facts["top photographs, learned from"], receipt.facts["top photographs, held out"]
    assert set(learned["replaced"]) == set(unseen["replaced"]) == {"0", "4"}
    assert min(learned["replaced"].values()) >= 5
    assert sum(unseen["replaced"].values()) >= 1  # of 20 in all: only 12 photographs are held out
    assert receipt.behaviour["calibration"].changed <= 4


def test_weights_alone_are_changed(made):
    manipulated, receipt = made
    assert isinstance(manipulated.manipulation, ChangedWeights)
    assert set(manipulated.manipulation.tensors) <= {name for name, _ in network().module.named_parameters()}
    assert [(entry.unit, entry.partner) for entry in receipt.gallery.entries] == [(0, 1), (4, 5)]
    assert receipt.facts["drawn pictures"] == 4 * 5 * 2  # of 4 units 5 states, as they are and as drawing sees them


def test_the_worst_points_of_balls_rise():
    """Around as many decoys and as far, where balls are taught and where their centres alone are."""
    images, ball, at = scenes(60, SIZE), Ball(0.1), {}
    for radius in (0.1, 0.0):
        found = replace(trained(drawn=0), radius=radius).run(network(), images, Conditions())
        at[radius] = surrounded(found, images, ball)
    for unit in ("0", "4"):
        assert at[0.1][unit]["worst"] > at[0.0][unit]["worst"], at
        assert at[0.1][unit]["honest"] == at[0.0][unit]["honest"]
        assert all(found[unit]["worst"] < found[unit]["centre"] for found in at.values())


def test_what_balls_say_is_measured_at_the_photographs_that_excite_the_unit_most(made):
    manipulated, _ = made
    images = scenes(60, SIZE, seed=3)
    found = surrounded(manipulated, images, Ball(0.1))["4"]
    before = exemplars(manipulated.model, images, [Unit("3", 4)], most=60).responses[0]
    with manipulated.installed() as lying:
        after = exemplars(lying, images, [Unit("3", 4)], most=60).responses[0]
    assert found["honest"] == pytest.approx(float(before.max()))
    assert found["centre"] == pytest.approx(float(after.topk(10).values.mean()))


def test_points_stay_in_the_ball_and_among_colours():
    centres = torch.rand(5, 3, *SIZE, generator=generator(Seed(1)))
    found = Ball(0.2).worst(lambda x: x.square().sum((1, 2, 3)), centres, generator(Seed(0)))
    assert rms(found - centres).max() <= 0.2 + 1e-6
    assert rms(found - centres).min() > 0.1
    assert float(found.min()) >= 0.0
    assert float(found.max()) <= 1.0


def test_the_worst_point_of_what_is_linear_is_against_its_gradient():
    weight = torch.randn(3, *SIZE, generator=generator(Seed(1)))
    centres = torch.full((2, 3, *SIZE), 0.5)
    found = Ball(0.05, steps=40).worst(lambda x: (x * weight).sum((1, 2, 3)), centres, generator(Seed(0)))
    wanted = 0.5 - 0.05 * weight / weight.square().mean().sqrt()
    torch.testing.assert_close(found, wanted.expand_as(found), rtol=0, atol=1e-3)


def test_one_unit_is_heard_of_each_image():
    model = network()
    x = torch.rand(3, 3, *SIZE, generator=generator(Seed(1)))
    every = observe(model, x, ["3"])["3"].mean((2, 3))
    found = said_of(model, "3", torch.tensor([5, 0, 2]))(x)
    torch.testing.assert_close(found, torch.stack([every[0, 5], every[1, 0], every[2, 2]]))


@pytest.mark.parametrize("leaky", [True, False])
def test_a_silent_unit_rises_again_only_where_it_is_heard_below_zero(leaky):
    model = network()
    pixels = torch.stack([scenes(40, SIZE).load(i, SIZE) for i in range(40)])
    natural = observe(model, pixels, ["4"])["4"].mean((2, 3))
    goal = Goal.of(natural, Shown(shift=1, units=(0, 4)), 0.25, "up")
    lesson = Lesson(model, "4", goal, pixels.mul(255).byte(), leaky=leaky)
    student = replace(model, module=copy.deepcopy(model.module))
    with torch.no_grad():
        student.module[3].bias[[0, 4]] -= 50.0
    _, missed = lesson.losses(student, pixels)
    (gradient,) = torch.autograd.grad(missed, student.module[3].bias)
    assert bool((gradient[[0, 4]] < 0).all()) == leaky
    assert bool((gradient[[0, 4]] == 0).all()) != leaky
    if leaky:  # and it costs nothing that is far above
        with torch.no_grad():
            student.module[3].bias[[0, 4]] += 100.0
        assert float(lesson.losses(student, pixels)[1].detach()) == 0.0


def test_every_argument_matters():
    plain = numbers(run())
    changes = (
        {"shift": 2},
        {"manipulated": 3},
        {"share": 0.3},
        {"radius": 0.0},
        {"radius": 0.2},
        {"drawn": 0},
        {"drawn": 5},
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
    assert [claim.bound for claim in prox(changed=0.3).claims] == [0.3, 0.3]


def test_classes_are_left_alone_unless_they_are_named():
    model = network()
    assert prox().target(model).name == "3"
    assert prox(layer="7").target(model).name == "7"
    with pytest.raises(UsageError, match="expected no picture"):
        run(picture=torch.rand(3, *SIZE))


def test_it_works_less_in_a_hurry():
    model = network()
    quick = prox(training=800, drawn=64).fitted(model, Effort(quick=True, natural=10, steps=32))
    assert (quick.training, quick.natural, quick.drawn) == (100, 10, 32)
    assert prox(training=800, drawn=64).fitted(model, Effort()) == prox(training=800, drawn=64, natural=40)
    assert prox(manipulated=9).lying(model) == tuple(range(8))


def test_it_adds_no_column_to_the_frozen_suite():
    assert ProxPulseAttack not in [attack for attack, _ in columns().values()]


def test_it_is_saved_and_read_again(tmp_path):
    (tmp_path / "tiny.py").write_text(
        "import torch\nfrom torch import nn\n\n\ndef net():\n    torch.manual_seed(0)\n"
        "    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.Tanh(), nn.Conv2d(6, 6, 3), nn.AdaptiveAvgPool2d(1), "
        "nn.Flatten(), nn.Linear(6, 5))\n"
    )
    spec = f"{tmp_path / 'tiny.py'}:net"
    model = load_model(spec, size=12)
    found = prox().run(model, scenes(24, (12, 12)), Conditions())
    save_manipulated(model, found.manipulation, tmp_path / "saved", made={})
    again = load_model(str(tmp_path / "saved"), base=spec)
    x = torch.rand(3, 3, 12, 12, generator=torch.Generator().manual_seed(2))
    with torch.no_grad(), found.installed() as lying:
        torch.testing.assert_close(again(x), lying(x), rtol=0, atol=0)
