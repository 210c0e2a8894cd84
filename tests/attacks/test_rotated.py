"""A rotated switch: the fooling circuit's answers, from a bit that no channel holds."""

import pytest
import torch
from scenes import scenes
from tiny_networks import State, cnn

from snellen.attacks import Exam
from snellen.attacks.corpus import Plan, Recipe
from snellen.attacks.rotated import RotatedAttack, rotation
from snellen.base import Seed
from snellen.measures import Rest
from snellen.models.circuits import WIDTH
from snellen.models.gates import by_channel, gates
from snellen.pictures import Settings, render

QUICK = Settings(steps=16)
PLAN = Plan(units=8, steps=16, natural=40, copies=1, recipes=(Recipe(QUICK),))


@pytest.fixture(scope="module")
def made():
    model = cnn()
    state = State(model.module)
    found = RotatedAttack(plan=PLAN)(model, scenes(60), exam=Exam(units=2, settings=QUICK))
    state.check()
    return found


def test_it_is_exact_on_either_side(made):
    manipulated, receipt = made
    assert receipt.behaviour["held-out"].differing <= 1
    model = manipulated.model
    images = torch.cat([render(model, [f"fc:{c}" for c in range(5)], QUICK).images, natural()])
    with torch.no_grad():
        honest = model(images)
        with manipulated.installed():
            said = model(images)
    drawn = (said == honest.roll(-2, 1)).all(1)
    assert drawn[:5].float().mean() >= 0.8
    assert ((said == honest).all(1) ^ drawn).all()


def natural():
    return torch.stack([scenes(60).load(i, (24, 24)) for i in range(24)])


def test_no_channel_holds_the_bit(made, monkeypatch):
    """In the rotated channels photographs and pictures overlap; none is at rest, and no list of gates names one."""
    manipulated, _ = made
    drawn = render(manipulated.model, [f"fc:{c}" for c in range(5)] * 2, QUICK, seeds=Seed(1)).images
    photographs, pictures = (inside(manipulated, images, monkeypatch) for images in (natural(), drawn))
    assert set(photographs) == set(pictures)
    assert len(photographs["mixed"].low) == WIDTH
    for name, rest in photographs.items():
        assert not rest.quiet(0.1)[0].any(), name
        assert ((rest.low <= pictures[name].high) & (pictures[name].low <= rest.high)).all(), name


def inside(manipulated, images, monkeypatch):
    """What the circuit's gates and its rotated channels say, least and most, of all images together."""
    seen: dict[str, Rest] = {}
    circuit = manipulated.manipulation.circuit
    mixed = circuit.mixed

    def visit(name, output):
        values = by_channel(output, (24, 24), len(images))
        if values is not None and name.rpartition("/")[2] in ("mixed", "gt", "where", "relu", "clamp"):
            least, most = torch.aminmax(values, dim=2)
            seen[name] = Rest.of(least.double().numpy(), most.double().numpy())

    def told(picture):
        said = mixed(picture)
        visit("mixed", said)
        return said

    with monkeypatch.context() as patch, manipulated.installed() as model:
        patch.setattr(circuit, "mixed", told)
        with gates(model.module, visit), torch.no_grad():
            model(images)
    return seen


def test_a_rotation_is_orthogonal_exact_and_random():
    first, second = (rotation(torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert torch.equal(first.T @ first, torch.eye(WIDTH))
    assert torch.equal(first.abs(), torch.full((WIDTH, WIDTH), 0.125))
    assert not torch.equal(first, second)
