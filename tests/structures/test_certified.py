"""What `snellen.certify` says of a class whose structure guarantees more than operations prove."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import snellen
from snellen.base import ModelError, UsageError
from snellen.certificates.units import Asked
from snellen.models import Unit
from snellen.structures.group import STRUCTURES
from snellen.structures.quadratic import Whitening
from snellen.structures.saved import save_structured, structure_of

SIZE, CLASSES = 16, 3
NUMBERS = 3 * SIZE**2


def saved(folder, name):
    """A network of a structure whose weights are as they are made, but for a bias that is no zero."""
    torch.manual_seed(0)
    made = STRUCTURES.load(name)()
    network = made.kept(made.learner(CLASSES, SIZE).eval(), CLASSES, SIZE)
    with torch.no_grad():
        network.classifier.bias.add_(torch.tensor([5.0, -3.0, 2.0]))
    save_structured(network, made, folder / name, size=SIZE, labels=("a", "b", "c"), made={})
    return f"structure:{folder / name}"


@pytest.fixture(scope="module")
def word(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("quadratic"), "quadratic")


@pytest.fixture(scope="module")
def shown():
    """Smooth images without labels, which nothing here needs."""
    generator = torch.Generator().manual_seed(0)
    smooth = nn.functional.interpolate(torch.rand(24, 3, 4, 4, generator=generator), SIZE, mode="bilinear")
    return snellen.open_images(smooth)


def certify(word, shown, unit="classifier:1", **options):
    return snellen.certify(word, unit, images=shown, progress=False, **options)


def known_from(model, images, count):
    """A second derivation: Q of class 1 written down from the weights, its eigenvalues from both ends, their rest."""
    whiten, module = Whitening(SIZE), model.module.double()
    units = torch.eye(NUMBERS, dtype=torch.float64).reshape(-1, 3, SIZE, SIZE)
    with torch.no_grad():
        linear = module.norm(module.filters(whiten.forth(units)))
        centre = float(module.classifier.bias[1])
    squares = torch.zeros_like(linear[:1]).requires_grad_()
    (parts,) = torch.autograd.grad(module.classifier(module.pool(squares).flatten(1))[0, 1], squares)
    rows = linear.flatten(1)
    heights, axes = np.linalg.eigh(((rows * parts.flatten()) @ rows.T).numpy())
    steps = whiten.back(images.pixels((SIZE, SIZE)).double() - 0.5).flatten(1).numpy() @ axes
    low, high = count // 2, NUMBERS - (count - count // 2)
    rest = (steps[:, low:high] ** 2).sum(1)
    fixed = np.concatenate([steps[:, :low], steps[:, high:]], 1) ** 2 @ np.concatenate([heights[:low], heights[high:]])
    return centre + fixed + heights[low - 1] * rest, centre + fixed + heights[high] * rest


@pytest.mark.parametrize("count", [2, 7, 300])
def test_intervals_are_those_of_the_eigenvalues(word, shown, count):
    told = certify(word, shown, pictures=count)
    last = told.found[f"{count} pictures"]
    low, high = known_from(snellen.load_model(word), shown, count)
    scale = np.abs(high - low).max()
    np.testing.assert_allclose(last.lo, low, atol=1e-4 * scale)
    np.testing.assert_allclose(last.up, high, atol=1e-4 * scale)


def test_more_pictures_leave_less_open_and_all_of_them_nothing(word, shown):
    told = certify(word, shown, pictures=NUMBERS)
    assert list(told.found) == ["2 pictures", "32 pictures", "128 pictures", "512 pictures", "768 pictures"]
    widths = [float((one.up - one.lo).max()) for one in told.found.values()]
    assert widths == sorted(widths, reverse=True)
    assert all(one.holds.all() for one in told.found.values())
    last = told.found["768 pictures"]
    with torch.no_grad():
        truth = snellen.load_model(word)(shown.pixels((SIZE, SIZE)))[:, 1].numpy()
    for value in (last.lo, last.up, last.truth):
        np.testing.assert_allclose(value, truth, atol=1e-4)
    assert told.known
    assert told.proof is None
    assert np.isnan(told.bound)


@pytest.mark.parametrize(("most", "count"), [(NUMBERS, 12), (NUMBERS - 1, 6)])
def test_nobody_has_to_say_how_many_pictures(word, shown, monkeypatch, most, count):  # noqa: PLR0917
    """All that the ladder has, and fewer where an image has too many numbers for all gradients."""
    for name, value in (("_RUNGS", (2, 4, 12)), ("_FEW", 6), ("_WHOLE", most)):
        monkeypatch.setattr(f"snellen.structures.quadratic.{name}", value)
    assert list(certify(word, shown).found)[-1] == f"{count} pictures"


class Beside(nn.Module):
    """A layer of classes that says something else far from grey."""

    def __init__(self, own):
        super().__init__()
        self.own, self.out_features = own, own.out_features

    def forward(self, x):
        return self.own(x) + 3 * torch.sin(20 * x.sum(1, keepdim=True))


def test_a_network_that_was_changed_gets_nothing_from_its_structure(word, shown):
    model = snellen.load_model(word)
    model.module.classifier = Beside(model.module.classifier)
    with pytest.raises(ModelError, match="known Lipschitz constant"):
        structure_of(model).certified(model, Unit("classifier", 1), shown)
    model = snellen.load_model(word)
    other = replace(model, preprocess=snellen.Preprocess(mean=(0.5,) * 3))
    with pytest.raises(ModelError, match="known Lipschitz constant"):
        structure_of(other).certified(other, Unit("classifier", 1), shown)


@pytest.mark.parametrize("options", [{"lipschitz": 1e4}, {"over": "pool"}])
def test_what_is_asked_of_a_constant_is_answered_by_one(word, shown, options):
    told = certify(word, shown, steps=2, **options)
    assert not told.known
    assert np.isfinite(told.bound)


def test_units_that_are_no_classes_are_proved_as_before(word, shown):
    told = certify(word, shown, "filters:3")
    assert not told.known
    assert told.proof.affine


def test_other_structures_are_proved_from_their_operations(tmp_path, shown):
    word = saved(tmp_path, "lipschitz")
    told = certify(word, shown, steps=2)
    assert not told.known
    assert told.bound == told.proof.bound
    assert list(told.found) == ["the two pictures and 16 exemplars"]
    with pytest.raises(UsageError, match="leave out how many"):
        certify(word, shown, pictures=8)
    assert structure_of(snellen.load_model("builtin")) is None


@pytest.mark.parametrize("count", [0, 1, NUMBERS + 1])
def test_numbers_of_pictures_that_there_cannot_be_are_refused(word, shown, count):
    with pytest.raises(UsageError, match="expected 2 to 768 pictures"):
        certify(word, shown, pictures=count)


def test_images_that_are_not_square_are_refused(word, shown):
    with pytest.raises(UsageError, match="square"):
        snellen.certify(word, "classifier:0", images=shown, size=(16, 24), progress=False)


def test_the_number_of_pictures_is_the_only_thing_that_counts(word, shown):
    made, model = STRUCTURES.load("quadratic")(), snellen.load_model(word)
    first, second = (
        made.certified(model, Unit("classifier", 2), shown, asked=asked).found["8 pictures"].up
        for asked in (Asked(pictures=8), Asked(pictures=8, exemplars=0, steps=1, seed=5))
    )
    np.testing.assert_array_equal(first, second)
