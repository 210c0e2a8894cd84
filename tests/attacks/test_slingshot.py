"""Gradient slingshots: trained weights lead drawing astray, photographs keep what is said of them."""

import copy
from dataclasses import replace

import pytest
import torch
from scenes import scenes
from tiny_networks import State, in_sequence
from torch import nn

from snellen.attacks import ChangedWeights, Conditions, Exam, Shown
from snellen.attacks.attack import Effort
from snellen.attacks.slingshot import BATCH, SlingshotAttack, Tunnel
from snellen.base import Seed
from snellen.models import load_model
from snellen.models.sources.folder import save_manipulated
from snellen.pictures import STANDARD, Settings

SIZE = (12, 10)


def network():
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(8)
    norm.running_mean.normal_(0, 0.2), norm.running_var.uniform_(0.5, 1.5)
    layers = [nn.Conv2d(3, 8, 3), norm, nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(2)]
    return in_sequence(*layers, nn.Flatten(), nn.Linear(32, 6), size=SIZE)


def sling(**changes):
    return SlingshotAttack(**{"manipulated": 2, "shift": 1, "training": 2, "natural": 24, "drawn": 8} | changes)


def run(**changes):
    return sling(**changes).run(network(), scenes(24, SIZE), Conditions())


def numbers(made):
    return torch.cat([tensor.double().flatten() for tensor in made.manipulation.tensors.values()])


@pytest.fixture(scope="module")
def made():
    model = network()
    state = State(model.module)
    found = sling()(model, scenes(24, SIZE), exam=Exam(units=4, settings=Settings(steps=2)))
    state.check()
    return found


def tunnel(model, *, picture=None, units=(0, 3), seed=0):
    shown = Shown(picture, 0 if picture is not None else 1, units=units)
    decoys = torch.rand(len(units), 3, *SIZE, generator=torch.Generator().manual_seed(1))
    return Tunnel(model, "7", shown, decoys=decoys, rises=torch.full((len(units),), 2.0), seed=Seed(seed))


def exchanged(model):
    """The same network with rows of its last layer in another order: what a slingshot is to be in the tunnel."""
    other = replace(model, module=copy.deepcopy(model.module))
    order = [1, 1, 2, 4, 4, 5]
    with torch.no_grad():
        for tensor in other.module[7].parameters():
            tensor.copy_(tensor[order])
    return other


def missed(model, student, form):
    return float(tunnel(model).missed(student, form).detach())


def test_weights_alone_are_changed(made):
    manipulated, receipt = made
    changed = manipulated.manipulation
    assert isinstance(changed, ChangedWeights)
    assert set(changed.tensors) <= {name for name, _ in network().module.named_parameters()}  # no batch statistics
    assert {"0.weight", "7.weight"} <= set(changed.tensors)
    assert [entry.unit for entry in receipt.gallery.entries] == [0, 3]
    assert [entry.partner for entry in receipt.gallery.entries] == [1, 4]


@pytest.mark.parametrize("form", ["gradient", "activation"])
def test_what_is_taught_is_the_partner_for_those_that_lie_and_the_honest_unit_for_the_others(form):
    model = network()
    assert missed(model, exchanged(model), form) < 1e-9
    assert missed(model, model, form) > 0.1


def test_gradients_are_taught_beside_values():
    model = network()
    beside, steeper = exchanged(model), exchanged(model)
    with torch.no_grad():
        beside.module[7].bias += 0.01  # says something else everywhere, but leads to the same
        steeper.module[7].weight *= 2.0
    values, both = (missed(model, beside, form) for form in ("activation", "gradient"))
    assert values > 0.1
    assert both == pytest.approx(values, rel=1e-4)
    values, both = (missed(model, steeper, form) for form in ("activation", "gradient"))
    assert 0.3 < both - values < 0.6  # half of |g - 2g|^2 / |g|^2, with the tenth that is forgiven


@pytest.mark.parametrize("picture", [None, torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(1))])
def test_the_lead_is_the_gradient_of_the_lure(picture):
    model = network()
    model.module.double()
    found = tunnel(model, picture=picture)
    found.states, found.decoys = found.states.double(), found.decoys.double()
    moves = STANDARD.matrices(torch.rand(BATCH, STANDARD.draws, dtype=torch.float64), SIZE)
    _, lead = found._lure(moves)
    before, step = found.states, torch.randn(found.states.shape, dtype=torch.float64)
    said = []
    for sign in (1, -1):
        found.states = before + sign * 1e-5 * step
        said.append(found._lure(moves)[0].gather(1, found.units[found.turn][:, None])[:, 0])
    expected = (lead * step).flatten(1).sum(1)
    torch.testing.assert_close((said[0] - said[1]) / 2e-5, expected, rtol=2e-3, atol=1e-4)


def test_the_papers_lure_is_highest_at_the_picture_and_rises_by_as_much_as_was_asked():
    found = tunnel(network(), picture=torch.rand(3, *SIZE))
    found.states = torch.zeros_like(found.states)
    start, lead = found._lure(torch.eye(3, dtype=torch.float64).expand(BATCH, 3, 3))
    found.states = found.decoys[found.turn]
    top, none = found._lure(torch.eye(3, dtype=torch.float64).expand(BATCH, 3, 3))
    own = found.units[found.turn][:, None]
    torch.testing.assert_close(top.gather(1, own) - start.gather(1, own), torch.full((BATCH, 1), 2.0))
    assert not none.any()
    towards = torch.cosine_similarity(lead.flatten(1), found.states.flatten(1))
    torch.testing.assert_close(towards, torch.ones(BATCH))


def test_points_are_followed_as_drawing_moves_them():
    model = network()
    found = tunnel(model)
    before, turn = found.states, found.turn
    found.missed(model, "activation")
    steps = found.canvas.length(found.states - before, SIZE)
    moved = (steps - Settings().learning_rate(0)).abs() < 1e-4
    assert moved.sum() > 0.6 * BATCH  # the others were left for new points
    assert torch.equal(found.turn[moved], turn[moved])
    before, uphill = found.states, torch.randn(found.states.shape, generator=torch.Generator().manual_seed(3))
    found._follow(uphill)
    kept = torch.cosine_similarity((found.states - before).flatten(1), uphill.flatten(1)) > 0.999
    assert kept.sum() > 0.6 * BATCH


def test_photographs_count_by_the_variance_of_what_is_said():
    model = network()
    x = torch.stack([scenes(24, SIZE).load(i, SIZE) for i in range(8)])
    student = exchanged(model)
    with torch.no_grad():
        said, learned = model(x), student(x)
    expected = (learned - said).square().mean() / said.var(0).mean()  # the layer is the output
    torch.testing.assert_close(tunnel(model).changed(student, x).detach(), expected)
    assert float(tunnel(model).changed(model, x).detach()) == 0.0


def test_training_brings_a_student_nearer_to_both():
    first, near, held = (
        run(training=steps, rate=3e-3, keep=keep).facts for steps, keep in ((1, 0.1), (15, 0.1), (15, 1000.0))
    )
    assert near["loss in the tunnel"] < 0.8 * first["loss in the tunnel"]
    assert held["loss on photographs"] < 0.5 * near["loss on photographs"]


def test_every_argument_matters():
    plain = numbers(run())
    picture = torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(1))
    changes = (
        {"shift": 2},
        {"manipulated": 3},
        {"form": "activation"},
        {"training": 3},
        {"keep": 1.0},
        {"rate": 1e-3},
        {"natural": 12},
        {"drawn": 4},
        {"layer": "3"},
        {"picture": picture},
    )
    for change in changes:
        after = numbers(run(**change))
        assert after.shape != plain.shape or not torch.equal(after, plain), change
    assert torch.equal(numbers(run()), plain)
    assert not torch.equal(numbers(run(picture=picture)), numbers(run(picture=picture, strength=20.0)))
    assert [claim.bound for claim in sling(changed=0.3).claims] == [0.3, 0.3]


def test_it_works_less_in_a_hurry():
    model = network()
    quick = sling(training=800).fitted(model, Effort(quick=True, natural=10, steps=4))
    assert (quick.training, quick.natural, quick.drawn) == (100, 10, 4)
    assert sling(training=800).fitted(model, Effort()).training == 800
    assert sling(manipulated=2).lying(model) == (0, 3)
    assert sling(manipulated=9).lying(model) == (0, 1, 2, 3, 4, 5)


def test_it_is_saved_and_read_again(tmp_path):
    (tmp_path / "tiny.py").write_text(
        "import torch\nfrom torch import nn\n\n\ndef net():\n    torch.manual_seed(0)\n"
        "    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), "
        "nn.Linear(6, 5))\n"
    )
    spec = f"{tmp_path / 'tiny.py'}:net"
    model = load_model(spec, size=12)
    found = sling().run(model, scenes(24, (12, 12)), Conditions())
    save_manipulated(model, found.manipulation, tmp_path / "saved", made={})
    again = load_model(str(tmp_path / "saved"), base=spec)
    x = torch.rand(3, 3, 12, 12, generator=torch.Generator().manual_seed(2))
    with torch.no_grad(), found.installed() as lying:
        torch.testing.assert_close(again(x), lying(x), rtol=0, atol=0)
