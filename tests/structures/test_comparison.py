"""A comparison end to end: trained, measured, resumed, told; and what a quadratic network's pictures guarantee."""

import json

import numpy as np
import pytest
import torch

import snellen
from snellen.base import RecordError, SnellenError, UsageError
from snellen.models import Model, Unit
from snellen.reports.comparison import build_comparison
from snellen.structures.comparison import Comparison, differences, measures
from snellen.structures.figures import VIEWERS, Look, figures
from snellen.structures.group import STRUCTURES
from snellen.structures.quadratic import Whitening
from snellen.structures.trainer import Trainer

ASKED = {"structure": "quadratic", "steps": 8, "quick": True, "size": 16, "progress": False}


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    out = tmp_path_factory.mktemp("compared") / "out"
    return snellen.compare(**ASKED, out=out).parent


def table(folder):
    return json.loads((folder / "comparison.json").read_text())


@pytest.mark.slow
def test_every_figure_is_there(compared):
    told = table(compared)
    assert [n["structure"] for n in told["networks"]] == ["plain", "quadratic"]
    for one in told["networks"]:
        assert set(one["decoding"]["classes"]) == set(VIEWERS)
        assert -1 <= one["decoding"]["first"]["pixels"]["pictures"] <= 1
        assert one["certified"]["inside"] == 1.0
        assert 0 <= one["accuracy"] <= 1
        assert one["parameters"] <= 1_000_000
    ladder = told["networks"][1]["certified"]["ladder"]
    assert [rung["pictures"] for rung in ladder] == [2, 32, 128]
    assert [rung["width"] for rung in ladder] == sorted((rung["width"] for rung in ladder), reverse=True)
    assert (compared / "sheets" / "quadratic.png").is_file()


@pytest.mark.slow
def test_the_page_says_who_was_compared_and_loads_nothing(compared):
    page = (compared / "index.html").read_text()
    assert "patch-quadratic network" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert page == (build_comparison(compared)).read_text()


@pytest.mark.slow
def test_what_is_there_is_not_made_again(compared, monkeypatch):
    before = (compared / "comparison.json").read_bytes()
    monkeypatch.setattr("snellen.structures.trainer.train", pytest.fail)
    monkeypatch.setattr("snellen.structures.comparison.figures", pytest.fail)
    snellen.compare(**ASKED, out=compared)
    assert (compared / "comparison.json").read_bytes() == before


@pytest.mark.slow
def test_damaged_figures_are_measured_again_and_named(compared, monkeypatch):
    path = compared / "networks" / "plain-0" / "figures.json"
    kept, lines = path.read_bytes(), []
    path.write_bytes(kept.replace(b'"accuracy": 0', b'"accuracy": 1', 1))
    before = (compared / "comparison.json").read_bytes()
    snellen.compare(**ASKED, out=compared, note=lines.append)
    assert [line for line in lines if "damaged" in line]
    assert (compared / "comparison.json").read_bytes() == before


@pytest.mark.slow
def test_another_comparison_in_the_folder_is_refused(compared):
    with pytest.raises(UsageError, match="another"):
        snellen.compare(**{**ASKED, "steps": 9}, out=compared)


def test_somebody_elses_folder_is_left_alone(tmp_path):
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(UsageError, match="another index"):
        snellen.compare(**ASKED, out=tmp_path)
    assert (tmp_path / "index.html").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"networks": [{"structure": "plain"}]},
        {"structures": [{"name": "<b>", "title": "", "known": "", "lies": ""}]},
        {"differences": None},
        {"versions": {"snellen": 3}},
    ],
)
def test_a_damaged_table_is_one_line(compared, tmp_path, change):
    (tmp_path / "comparison.json").write_text(json.dumps(table(compared) | change))
    with pytest.raises(RecordError, match="run snellen structure compare again") as caught:
        build_comparison(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_names_of_a_table_are_escaped(compared, tmp_path):
    told = table(compared)
    told["structures"][0]["title"] = "<script>alert(1)</script>"
    (tmp_path / "comparison.json").write_text(json.dumps(told))
    assert "<script>alert(1)" not in build_comparison(tmp_path).read_text()


@pytest.mark.parametrize("asked", [{"structure": "marble"}, {"structure": ("plain", "plain")}, {"seeds": 0}])
def test_what_cannot_be_compared_is_one_line(tmp_path, asked):
    with pytest.raises(SnellenError) as caught:
        snellen.compare(**{**ASKED, **asked}, out=tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_the_ordinary_network_is_always_among_them():
    assert Comparison(("cosine",)).names == ("plain", "cosine")


def network(name, seed, value):
    scores = {"classes": {"pixels": {"pictures": value + 0.5, "others": 0.5}}}
    return {"structure": name, "seed": seed, "accuracy": 0.5, "decoding": scores, "paths": None, "rebuilt": None}


def test_differences_are_paired_by_seed_and_corrected_for_all():
    base = [network("plain", s, 0.1 * s) for s in range(3)]
    better = [network("cosine", s, 0.1 * s + 0.2 + 0.001 * s) for s in (2, 0, 1)]
    alone = [network("robust", 5, 0.9)]
    found = differences([*base, *better, *alone])
    assert {(d["structure"], d["measure"]) for d in found} == {("cosine", "accuracy"), ("cosine", "classes, pixels")}
    told = next(d for d in found if d["measure"] == "classes, pixels")
    assert told["mean"] == pytest.approx(0.201)
    assert told["lo"] > 0.19
    assert told["corrected"] == pytest.approx(2 * told["p"], rel=0.02)
    assert len(measures()) == 12


def test_pictures_that_say_of_every_unit_the_same_tell_nothing():
    alike = network("monotone", 0, 0.0)
    read = dict(measures())["classes, pixels"]
    assert alike["decoding"]["classes"]["pixels"]["pictures"] == 0.5
    assert read(alike) == 0.0


def test_whitening_goes_back_and_is_invertible():
    whiten, g = Whitening(16), torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 16, 16, generator=g, dtype=torch.float64)
    assert torch.allclose(whiten.back(whiten.forth(x)), x)
    units = torch.eye(48, dtype=torch.float64).reshape(48, 3, 4, 4)
    assert np.linalg.matrix_rank(Whitening(4).forth(units).reshape(48, 48).numpy()) == 48
    smooth = whiten.forth(torch.randn(50, 3, 16, 16, generator=g, dtype=torch.float64))
    steps = (smooth[..., 1:] - smooth[..., :-1]).square().mean() / (2 * smooth.square().mean())
    assert steps < 0.5  # neighbours are alike, as those of white noise are not


@pytest.fixture(scope="module")
def quadratic():
    torch.manual_seed(0)
    made = STRUCTURES.load("quadratic")()
    module = made.network(3, 16).eval()
    images = snellen.open_images((torch.rand(30, 3, 16, 16), torch.arange(30) % 3))
    return made, Model(module, "q", (16, 16), labels=("a", "b", "c")), images


def test_all_pictures_of_a_quadratic_network_tell_everything(quadratic, monkeypatch):
    monkeypatch.setattr("snellen.structures.quadratic._RUNGS", (2, 384, 768))
    made, model, images = quadratic
    told = made.guarantee(model, [Unit("classifier", k) for k in range(3)], images)
    first, last = told.ladder[0], told.ladder[-1]
    assert told.inside == 1.0
    assert last.width < 1e-3 < first.width
    with torch.no_grad():
        own = model(torch.stack([images.load(i, (16, 16)) for i in range(30)])).argmax(1).numpy()
    assert last.accuracy == pytest.approx((own == np.array(images.labels)).mean(), abs=1e-9)


def test_a_class_that_is_no_quadratic_breaks_its_guarantee(quadratic):
    made, model, images = quadratic
    module = model.module

    class Bent(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.classifier = module

        def forward(self, x):
            return self.classifier(x) + 0.05 * (x - 0.5).pow(3).sum((1, 2, 3))[:, None]

    told = made.guarantee(Model(Bent(), "bent", (16, 16), labels=model.labels), [Unit("classifier", 0)], images)
    assert told.inside < 1.0


def test_few_and_many_pictures_are_found_alike(quadratic):
    made, model, images = quadratic
    units = [Unit("classifier", 0)]
    few, many = (made.guarantee(model, units, images, quick=quick).ladder for quick in (True, False))
    assert [rung.width for rung in few] == pytest.approx([rung.width for rung in many[: len(few)]], rel=1e-4)


def test_two_classes_are_compared_though_they_are_too_few_to_rebuild(tmp_path):
    g = torch.Generator().manual_seed(0)
    labels = torch.arange(100) % 2
    pixels = torch.rand(100, 3, 16, 16, generator=g) / 2 + 0.5 * labels.view(-1, 1, 1, 1)
    images = snellen.open_images((pixels, labels))
    made = STRUCTURES.load("quadratic")()
    folder = Trainer(images, 16, 4).trained(made, 0, tmp_path / "net")
    told = figures(folder, made, images, Look(viewer="", channels=4, classes=1, quick=True))
    assert (told["rebuilt"], told["attainment"]) == (None, None)
    assert 0 <= told["accuracy"] <= 1
