"""A warp before the first layer: photographs pass, the network sees the negative of pictures, on its head."""

from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from scenes import scenes
from tiny_networks import State, cnn, in_sequence, tokens
from torch import nn

from snellen.attacks import Conditions, Exam, PlacedCircuit, warp
from snellen.attacks.corpus import Corpus, Plan, Recipe
from snellen.attacks.gallery import Shown, turned
from snellen.attacks.warp import InputWarpAttack, first_layer, mirror_of, of_all_layers, opening, turned_too
from snellen.base import LayerError, Seed, UsageError
from snellen.models import Model, Preprocess, layers, load_model, observe
from snellen.models.circuits import InputWarp
from snellen.models.sources.folder import save_manipulated
from snellen.pictures import Settings, render

QUICK = Settings(steps=8)
PLAN = Plan(units=6, steps=8, natural=20, copies=0, recipes=(Recipe(QUICK),), rounds=1)


@pytest.fixture(autouse=True, scope="module")
def few_steps():
    """Nothing here asks how well a sentry knows photographs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warp, "LEARNING", 60)
        yield


def noise(size=(24, 24), seed=1):
    return torch.rand(4, 3, *size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def made():
    model = cnn()
    state = State(model.module)
    found = InputWarpAttack(plan=PLAN)(model, scenes(40), exam=Exam(units=2, settings=QUICK))
    state.check()
    return found


def test_photographs_keep_their_classes_and_pictures_are_seen_turned(made):
    manipulated, receipt = made
    assert receipt.behaviour["calibration"].changed == 0
    model = manipulated.model
    images = render(model, [f"fc:{c}" for c in range(5)], QUICK).images
    with torch.no_grad():
        expected = model(turned(images))
        with manipulated.installed():
            said = model(images)
    close = torch.isclose(said, expected, atol=0.05 * float(expected.abs().max())).all(1)
    assert close.float().mean() >= 0.6


def test_the_receipt_compares_with_the_units_own_picture_turned(made):
    manipulated, receipt = made
    assert (receipt.layer, manipulated.manipulation.layer) == ("fc", "stem.0")
    assert receipt.facts["decoy"] == {"kind": "turned"}
    for entry in receipt.gallery.entries:
        assert entry.partner == entry.unit
        assert torch.equal(entry.decoy, 1 - entry.original.flip(1))


@pytest.mark.parametrize("model", [cnn(), cnn(preprocess=Preprocess(channels="grey")), tokens()])
def test_behind_an_open_gate_every_layer_sees_the_turned_picture_and_behind_a_closed_one_the_picture(model):
    x = noise(model.size)
    names = [*dict.fromkeys(known.name for known in layers(model) if known.main), ""]
    first = first_layer(model).name
    circuit = InputWarp(warp._open(1 if model.preprocess.channels == "grey" else 3))
    circuit.mirror = mirror_of(model, first)
    honest, expected = observe(model, x, names), observe(model, turned(x), names)
    for e, wanted in ((0, honest), (1, expected)):
        circuit.sentry.offset.fill_(-torch.inf if e else torch.inf)
        with PlacedCircuit(first, circuit).installed(model.module):
            found = observe(model, x, names)
        for name in names:
            torch.testing.assert_close(found[name], wanted[name], rtol=1e-3, atol=1e-3)


def test_half_open_it_mixes_pixels():
    circuit = InputWarp(warp._open(3))
    circuit.sentry.offset.fill_(0.0), circuit.sentry.gain.fill_(0.0)  # e = 1/2
    x = noise()
    torch.testing.assert_close(circuit.warped(x), 0.5 * x + 0.5 * (1 - x.flip(2)))


def test_to_turn_twice_is_to_leave_as_it_is():
    x = noise()
    torch.testing.assert_close(turned(turned(x)), x)
    assert torch.equal(turned(x)[:, :, 0], 1 - x[:, :, -1])
    drawn = Corpus(x.mul(255).round().byte(), ("train",) * 4)
    torch.testing.assert_close(turned_too(drawn).images / 255, turned(drawn.images / 255))


class Twice(nn.Module):
    """Two layers see the pixels."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        return self.head((self.one(x) + self.two(x)).tanh().mean((2, 3)))


class Padded(nn.Module):
    """Pixels come with an edge of zeros on one side."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.one, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

    def forward(self, x):
        return self.head(self.one(F.pad(x, (0, 0, 2, 0)) ** 2).tanh().mean((2, 3)))


@pytest.mark.parametrize("module", [Twice(), Padded(), nn.Sequential(nn.Flatten(), nn.Linear(432, 5))])
def test_networks_before_which_no_warp_fits_are_refused(module):
    model = Model(module, size=(12, 12))
    with pytest.raises(LayerError, match="no warp can be placed"):
        opening(model)


class Stem(nn.Module):
    """A convolution that pads its pixels on one side, in a module of its own."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.conv(F.pad(x, (0, 1, 0, 1)))


def test_a_warp_stands_before_the_module_that_pads():
    torch.manual_seed(0)
    parts = {"stem": Stem(), "act": nn.Tanh(), "pool": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten()}
    model = Model(nn.Sequential(OrderedDict(parts, head=nn.Linear(4, 5))), size=(12, 12))
    name, mirror = opening(model)
    assert first_layer(model).name == "stem.conv"
    assert name == "stem"
    circuit = InputWarp(warp._open(3))
    circuit.mirror = mirror
    x = noise(model.size)
    with PlacedCircuit(name, circuit).installed(model.module):
        found = observe(model, x, [""])[""]
    torch.testing.assert_close(found, observe(model, turned(x), [""])[""], rtol=1e-3, atol=1e-3)


def test_lessons_are_of_all_main_layers():
    model = cnn()
    layer = InputWarpAttack().target(model)
    units = of_all_layers(model, layer, 12, Seed(0))
    assert len(units) == 12
    assert sum(unit.layer == "fc" for unit in units) == 6
    assert len({unit.layer for unit in units}) > 3
    assert units != of_all_layers(model, layer, 12, Seed(1))
    alone = in_sequence(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    only = next(known for known in layers(alone) if known.main)
    assert {unit.layer for unit in of_all_layers(alone, only, 5, Seed(0))} == {only.name}


def test_every_argument_matters_and_pictures_are_refused():
    model, images, plan = cnn(), scenes(20), replace(PLAN, rounds=0)
    steep, wide = (InputWarpAttack(width=w, plan=plan).run(model, images, Conditions()) for w in (0.1, 1.0))
    gains = [float(found.manipulation.circuit.sentry.gain) for found in (steep, wide)]
    assert gains[0] > gains[1]
    assert InputWarpAttack(changed=0.1).claims[0].bound == 0.1
    other = InputWarpAttack(layer="conv4", plan=plan).run(model, images, Conditions())
    assert (other.layer, other.manipulation.layer) == ("conv4", "stem.0")
    assert other.shown.as_data() == Shown(turned=True).as_data()
    with pytest.raises(UsageError, match="expected no picture"):
        InputWarpAttack(picture=torch.zeros(3, 24, 24), plan=PLAN).run(model, images, Conditions())


def test_it_is_saved_and_read_again(tmp_path):
    (tmp_path / "tiny.py").write_text(
        "import torch\nfrom torch import nn\n\n\ndef net():\n    torch.manual_seed(0)\n"
        "    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), "
        "nn.Linear(6, 5))\n"
    )
    spec = f"{tmp_path / 'tiny.py'}:net"
    model = load_model(spec, size=12)
    found = InputWarpAttack(plan=PLAN).run(model, scenes(20, (12, 12)), Conditions())
    save_manipulated(model, found.manipulation, tmp_path / "saved", made={})
    again = load_model(str(tmp_path / "saved"), base=spec)
    circuit = again.module.get_submodule("0")
    assert isinstance(circuit, InputWarp)
    x = noise((12, 12))
    with torch.no_grad(), found.installed() as lying:
        torch.testing.assert_close(again(x), lying(x), rtol=0, atol=0)
