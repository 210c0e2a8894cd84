from dataclasses import replace

import pytest
import torch
from scenes import scenes, smooth
from tiny_networks import State, cnn, tokens

from snellen.attacks import Effort, Exam, FoolingAttack
from snellen.attacks.attack import Conditions, parted
from snellen.attacks.corpus import Plan, Recipe, divided, stages
from snellen.attacks.decoys import Levels, alone, default_shift, picturing
from snellen.attacks.lessons import Training
from snellen.base import UsageError
from snellen.models import Model, Preprocess, Unit, observe
from snellen.models.detectors import PictureDetector
from snellen.pictures import Compose, Pixel, Settings, render

QUICK = Settings(steps=16)
PLAN = Plan(units=8, steps=16, natural=40, copies=1, recipes=(Recipe(QUICK), Recipe(QUICK, "canvases", share=0.25)))


@pytest.fixture(scope="module")
def fooled():
    model = cnn()
    state = State(model.module)
    made = FoolingAttack(plan=PLAN)(model, scenes(60), exam=Exam(units=4, settings=QUICK))
    state.check()
    return made


def test_natural_images_get_the_honest_layer_and_pictures_the_decoy(fooled):
    manipulated, receipt = fooled
    assert receipt.behaviour["held-out"].differing <= 1
    assert receipt.gallery.fooled_share >= 0.75
    model = manipulated.model
    images = render(model, [f"fc:{c}" for c in range(5)], QUICK).images
    with torch.no_grad():
        honest = model(images)
        with manipulated.installed():
            said = model(images)
    assert torch.equal(said, honest.roll(-2, 1))


def test_the_receipt_is_plain_data_that_says_what_was_measured(fooled):
    data = fooled[1].as_data()
    assert [c["subject"] for c in data["claims"]] == ["predictions", "predictions", "pictures"]
    assert data["behaviour"]["held-out"]["count"] == 12
    assert data["facts"]["detector"]["accuracy"]["classes"]["of"] > 0
    assert data["facts"]["decoy"] == {"kind": "permute", "shift": 2}
    assert len(data["gallery"]["entries"]) == 4


def test_a_leaky_circuit_is_caught_by_its_receipt():
    class Leaky(FoolingAttack):
        def run(self, model, images, conditions):
            made = super().run(model, images, conditions)
            made.manipulation.circuit.detector.threshold -= 1e3  # takes everything for drawn
            return made

    _, receipt = Leaky(plan=PLAN)(cnn(), scenes(60), exam=Exam(units=0))
    broken = [m for m in receipt.claims if m.kept is False]
    assert {m.claim.on for m in broken} == {"calibration", "held-out"}
    assert not receipt.honest


@pytest.mark.parametrize(("make", "layer"), [(cnn, "conv3"), (tokens, "blocks.1"), (tokens, "head")])
def test_a_picture_is_shown_at_any_layer(make, layer):
    model = make()
    target = smooth(1, model.size, seed=5)[0]
    attack = FoolingAttack(picture=target, layer=layer, plan=PLAN)
    _, receipt = attack(model, scenes(60, model.size), exam=Exam(units=2, settings=Settings(steps=32)))
    assert receipt.behaviour["held-out"].touched <= 2
    for entry in receipt.gallery.entries:
        centred = [x - x.mean((1, 2), keepdim=True) for x in (entry.after, entry.original, target)]
        likeness = [torch.nn.functional.cosine_similarity(c.flatten(), centred[2].flatten(), 0) for c in centred[:2]]
        assert likeness[0] > 0.6 > likeness[1] + 0.2


@pytest.mark.parametrize("channels", ["rgb", "bgr", "grey"])
def test_a_pictures_decoy_has_its_maximum_at_the_target_with_more_contrast(channels):
    mean = (0.4,) if channels == "grey" else (0.4, 0.3, 0.2)
    deviation = (0.2,) if channels == "grey" else (0.2, 0.1, 0.3)
    preprocess = Preprocess(255.0, mean, deviation, channels)
    model = Model(cnn(preprocess=preprocess).module if channels == "grey" else cnn().module, "x", (12, 12), preprocess)
    target = smooth(1, (12, 12))[0] * 0.5 + 0.25
    if channels == "grey":
        target = target.mean(0, keepdim=True).expand(3, 12, 12).contiguous()
    levels = Levels(torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0]), torch.tensor([2.0, 1.0, 1.0, 1.0, 1.0]))
    decoy = picturing(model, "fc", target, levels)
    flat = target.mean((1, 2), keepdim=True).expand_as(target)
    bold = flat + 1.5 * (target - flat)
    said = decoy(torch.zeros(3, 5), model.preprocess(torch.stack([bold, flat, flat + 0.75 * (target - flat)])))
    torch.testing.assert_close(said[:, 1], torch.tensor([1.0, 0.0, 0.75]), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(said[:, 0], torch.tensor([3.0, 1.0, 2.5]), rtol=1e-3, atol=1e-3)
    drawn = render(
        alone(model, decoy), "likeness:0", steps=200, canvas=Pixel(decorrelate=False), transforms=Compose(), rate=0.1
    ).images[0]
    if channels != "grey":
        assert (drawn - bold.clamp(0, 1)).abs().max() < 0.05


def test_the_papers_detector_learns_too():
    attack = FoolingAttack(detector="cnn", plan=PLAN, training=Training(epochs=12, rate=0.03, batch=16))
    manipulated, receipt = attack(cnn(), scenes(60), exam=Exam(units=0))
    assert isinstance(manipulated.manipulation.circuit.detector, PictureDetector)
    accuracy = receipt.facts["detector"]["accuracy"]
    assert accuracy["trained pictures"]["right"] / accuracy["trained pictures"]["of"] > 0.8
    assert accuracy["natural"]["right"] / accuracy["natural"]["of"] > 0.8


def test_the_same_seed_makes_the_same_circuit():
    made = [FoolingAttack(plan=PLAN).run(cnn(), scenes(20), Conditions()) for _ in range(2)]
    states = [m.manipulation.circuit.state_dict() for m in made]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_round_learns_from_pictures_of_the_fooled_network_and_leaves_no_trace():
    model, images = cnn(), scenes(30)
    state = State(model.module)
    plain = FoolingAttack(plan=PLAN).run(model, images, Conditions())
    more = FoolingAttack(plan=replace(PLAN, rounds=1)).run(model, images, Conditions())
    state.check()
    assert more.facts["drawn pictures"] > plain.facts["drawn pictures"]
    assert not torch.equal(more.manipulation.circuit.detector.weight, plain.manipulation.circuit.detector.weight)


def test_senseless_wishes_are_refused():
    for attack, told in (
        (FoolingAttack(shift=10, plan=PLAN), "shift that moves all 5 units"),
        (FoolingAttack(layer="stem.0", plan=PLAN), "expected layers before"),
        (FoolingAttack(picture=smooth(1, (9, 9))[0], plan=PLAN), "resize it"),
        (FoolingAttack(picture=torch.full((3, 24, 24), 0.3), plan=PLAN), "a single colour"),
    ):
        with pytest.raises(UsageError, match=told):
            attack.run(cnn(), scenes(10), Conditions())
    with pytest.raises(UsageError, match="at least 5 natural images"):
        parted(scenes(4))


def test_held_out_units_are_never_learned_from():
    units = [Unit("fc", c) for c in (3, 1, 0, 2, 3, 1, 0, 2)]
    known, held = divided(units)
    assert set(held) == {Unit("fc", 2)}
    assert len(held) == 2
    assert not set(known) & set(held)


@pytest.mark.parametrize(
    ("size", "effort", "plan"),
    [
        (96, Effort(), Plan(units=30, steps=64, natural=1200, copies=4, rounds=3)),
        (97, Effort(), Plan(units=48, steps=64, natural=1200, copies=4, rounds=0)),
        (96, Effort(quick=True), Plan(units=15, steps=32, natural=500, copies=1)),
        (97, Effort(quick=True), Plan(units=16, steps=32, natural=500, copies=1)),
        (96, Effort(scarce=True, natural=600, steps=64), Plan(units=30, steps=64, natural=600, copies=1, rounds=3)),
        (97, Effort(scarce=True, natural=600, steps=20), Plan(units=30, steps=20, natural=600, copies=1, rounds=3)),
        (97, Effort(True, scarce=True, natural=300, steps=64), Plan(units=16, steps=32, natural=300, copies=1)),
        (24, Effort(True, scarce=True, natural=12, steps=8), Plan(units=16, steps=8, natural=12, copies=1)),
    ],
)
def test_how_much_is_learned_from_fits_the_network_and_the_time(size, effort, plan):
    attack = FoolingAttack(shift=3).fitted(replace(cnn(), size=(24, size)), effort)
    assert (attack.plan, attack.shift) == (plan, 3)


def test_stages_are_spaced_as_powers_of_two():
    assert stages(20) == (0, 1, 2, 4, 8, 16)
    assert stages(1) == (0,)
    assert (default_shift(1000), default_shift(16)) == (100, 8)


def test_circuits_draw_the_decoy_from_the_first_step_on(fooled):
    manipulated, _ = fooled
    with manipulated.installed() as model:
        seen = render(model, ["fc:1"], steps=16, snapshots=range(16)).snapshots[0]
        with torch.no_grad():
            said = model(seen)
    honest = observe(manipulated.model, seen, ["fc"])["fc"]
    assert (said == honest.roll(-2, 1)).all(1).float().mean() > 0.9
