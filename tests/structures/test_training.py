"""A training goes on where it was stopped, is the same each time, and what it leaves is an ordinary model."""

import json
from dataclasses import asdict

import pytest
import torch

import snellen
from snellen.base import ModelError, Seed, SnellenError, UsageError
from snellen.images import open_images
from snellen.structures.dataset import Split, TrainingSet, read, varied
from snellen.structures.group import STRUCTURES
from snellen.structures.saved import load_structured
from snellen.structures.trainer import Trainer
from snellen.structures.training import PAUSED, Course, train

SIZE = 16


@pytest.fixture(scope="module")
def lessons():
    g = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % 2
    pixels = torch.randint(0, 256, (40, 3, SIZE, SIZE), generator=g) // 2 + 100 * labels.view(-1, 1, 1, 1)
    return TrainingSet(pixels.to(torch.uint8), labels)


@pytest.fixture(scope="module")
def coloured():
    """Twenty dark and twenty bright noises, as an image set with classes."""
    g = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % 2
    pixels = torch.rand(40, 3, SIZE, SIZE, generator=g) / 2 + 0.5 * labels.view(-1, 1, 1, 1)
    return open_images((pixels, labels))


def trained(lessons, steps=6, seed=0, **more):
    course = Course(2, SIZE, steps, seed)
    return train(STRUCTURES.load("plain")(batch=16), course, lessons, **more)


def same(one, two):
    pairs = zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_one_seed_gives_one_network_and_another_another(lessons):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one, two = trained(lessons), trained(lessons)
    assert same(one, two)
    assert not same(one, trained(lessons, seed=1))
    assert torch.equal(torch.get_rng_state(), before)
    assert not one.training


class KilledError(Exception):
    pass


def test_a_training_that_is_killed_goes_on_to_the_same_weights(lessons, tmp_path, monkeypatch):
    monkeypatch.setattr("snellen.structures.training._SAVED_EVERY", 2)
    ticks = []

    def kill(_title, done, _total):
        ticks.append(done)
        if done == 5:
            raise KilledError

    with pytest.raises(KilledError):
        trained(lessons, steps=9, pause=tmp_path, tell=kill)
    assert (tmp_path / PAUSED).is_file()
    resumed = []
    went_on = trained(lessons, steps=9, pause=tmp_path, tell=lambda _title, done, _total: resumed.append(done))
    assert resumed[0] == 5  # two epochs of two steps were kept
    assert same(went_on, trained(lessons, steps=9))


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_a_damaged_state_is_begun_again(lessons, tmp_path, damage):
    (tmp_path / PAUSED).write_bytes(damage)
    assert same(trained(lessons, pause=tmp_path), trained(lessons))


def test_the_state_of_another_network_is_begun_again(lessons, tmp_path, monkeypatch):
    monkeypatch.setattr("snellen.structures.training._SAVED_EVERY", 1)
    train(STRUCTURES.load("quadratic")(batch=16), Course(2, SIZE, 4), lessons, pause=tmp_path)
    assert same(trained(lessons, pause=tmp_path), trained(lessons))


@pytest.mark.parametrize("name", STRUCTURES.house)
def test_every_structure_learns_what_is_bright(lessons, name):
    made = STRUCTURES.load(name)(batch=20)
    net = train(made, Course(2, SIZE, 60), lessons)
    with torch.no_grad():
        right = net(lessons.images.float() / 255).argmax(1) == lessons.labels
    assert right.float().mean() >= 0.9


def test_variations_are_mirrored_and_moved_and_stay_in_range():
    g = torch.Generator().manual_seed(0)
    x = torch.rand(64, 3, SIZE, SIZE, generator=g)
    found = varied(x, torch.Generator().manual_seed(1))
    assert found.shape == x.shape
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    middle = (..., slice(2, 14), slice(2, 14))
    kept = [(varied_[middle] - own[middle]).abs().max() == 0 for varied_, own in zip(found, x, strict=True)]
    assert 0 < sum(kept) + 1 < 20  # few are neither mirrored nor moved


def test_batches_are_all_images_once_and_in_another_order_each_time(lessons):
    one, two = ([b for _, b in lessons.batches(10, Seed(s))] for s in (0, 1))
    assert [len(b) for b in one] == [10] * 4
    assert torch.cat(one).sum() == lessons.labels.sum()
    assert not torch.equal(torch.cat(one), torch.cat(two))


def test_reading_keeps_bytes(coloured):
    told = read(coloured, SIZE)
    assert torch.allclose(told.images[3].float() / 255, coloured.load(3, (SIZE, SIZE)), atol=1 / 255)
    assert told.labels.tolist() == list(coloured.labels)


def in_folder(coloured, folder, *, name="quadratic", seed=0, steps=3):
    return Trainer(coloured, SIZE, steps).trained(STRUCTURES.load(name)(), seed, folder)


def test_what_is_trained_is_a_model_for_every_command(coloured, tmp_path):
    folder = in_folder(coloured, tmp_path / "net")
    model = snellen.load_model(f"structure:{folder}")
    assert (model.size, model.labels) == ((SIZE, SIZE), coloured.class_names)
    assert snellen.doctor(f"structure:{folder}").layers
    from snellen.models.sources.folder import lasting

    assert lasting(model) == f"structure:{folder.resolve()}"


def test_a_finished_network_is_not_trained_again_and_another_is_refused(coloured, tmp_path):
    folder = in_folder(coloured, tmp_path / "net")
    before = (folder / "weights.safetensors").stat().st_mtime_ns
    assert in_folder(coloured, folder) == folder
    assert (folder / "weights.safetensors").stat().st_mtime_ns == before
    for other in ({"seed": 1}, {"steps": 4}, {"name": "plain"}):
        with pytest.raises(UsageError, match="another"):
            in_folder(coloured, folder, **other)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": 2}, "another version"),
        ({"structure": "marble"}, "expected one of"),
        ({"structure": "../plain"}, "damaged"),
        ({"size": 20}, "multiple of 8"),
        ({"size": 10**9}, "damaged"),
        ({"labels": ["a"]}, "damaged"),
        ({"labels": ["a", "b", "c"]}, "weights"),
        ({"labels": [str(i) for i in range(60_000)], "size": 4096, "structure": "patches"}, "of the network"),
        ({"weights": "0" * 64}, "got others"),
        ({"more": 1}, "damaged"),
    ],
)
def test_a_foreign_folder_is_one_line(coloured, tmp_path, change, told):
    folder = in_folder(coloured, tmp_path / "net")
    path = folder / "structure.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(SnellenError, match=told) as caught:
        load_structured(str(folder))
    assert "\n" not in str(caught.value)


def test_no_folder_is_one_line(tmp_path):
    with pytest.raises(ModelError, match="snellen structure train"):
        load_structured(str(tmp_path))


def test_every_fifth_image_of_a_class_is_held_out(tmp_path):
    from PIL import Image

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(10):
            Image.new("RGB", (SIZE, SIZE), (20 * i, 0, 100)).save(tmp_path / name / f"{i}.png")
    training, held = Split(str(tmp_path), None).open()
    assert (len(training), len(held)) == (16, 4)
    assert not set(training.ids) & set(held.ids)
    assert held.labels == (0, 0, 1, 1)


def test_images_that_cannot_teach_are_refused(tmp_path):
    for asked in (Split("builtin:train", "builtin:none"), Split(str(tmp_path), None)):
        with pytest.raises(SnellenError):
            asked.open()
    with pytest.raises(UsageError, match="multiple of 8"):
        Trainer(open_images("builtin"), 20)


def test_every_argument_of_a_recipe_is_kept(coloured, tmp_path):
    folder = in_folder(coloured, tmp_path / "net", name="robust")
    made = load_structured(str(folder)).provenance["made"]
    assert made["recipe"] == asdict(STRUCTURES.load("robust")())
