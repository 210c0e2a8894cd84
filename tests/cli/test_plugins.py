"""Another package's check, canvas, objective, source and images: each of few lines, and used like the house's own."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = (Path(__file__).parents[2] / "docs" / "how-to" / "attack.md").read_text()
PARTS = {
    "attack": re.search(r"^# Add an attack$.*?^```python$(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)[1],
    "check": '''
from snellen.checks import UnitCheck, UnitRow


class Brightness(UnitCheck):
    """How bright the pictures are."""

    name = "brightness"
    short = "brightness"
    title = "How bright are the pictures?"
    asks = "A dark picture shows little."

    def rows(self, exhibit):
        for unit, picture in zip(exhibit.units, exhibit.pictures):
            yield UnitRow(str(unit), f"Its picture's mean is {float(picture.mean()):.2f}.", float(picture.mean()))

    def claim(self, rows):
        return f"The brightest of {len(rows)} pictures has a mean of {max(row.figure for row in rows):.2f}."
''',
    "canvas": '''
from dataclasses import dataclass

from snellen.pictures import Pixel


@dataclass(frozen=True)
class Tall(Pixel):
    """Rows in place of columns."""

    def plane(self, state, size):
        return state.transpose(2, 3)

    def start(self, size, seeds):
        return super().start(size[::-1], seeds)

    def fit(self, images):
        return super().fit(images).transpose(2, 3)
''',
    "objective": '''
from dataclasses import dataclass

from snellen import Objective


@dataclass(frozen=True)
class Loud(Objective):
    """The largest value in a layer."""

    layer: str

    @property
    def addresses(self):
        return frozenset({self.layer})

    def score(self, activations):
        return activations[self.layer].flatten(1).amax(1)
''',
    "source": """
import torch

from snellen.models import Source


def find(name):
    layers = [torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4 * 14 * 14, 3)]
    return torch.nn.Sequential(*layers)


TOYS = Source("toys", "NAME", find)
""",
    "images": """
import numpy as np

from snellen.images import ImageSource, open_images


def find(name, progress):
    pixels = np.random.default_rng(int(name)).integers(0, 255, (8, 16, 16, 3), dtype=np.uint8)
    return open_images(pixels)


NOISE = ImageSource("noise", "SEED", find)
""",
}
POINTS = """
[snellen.attacks]
rolled-rows = zoo.attack:Rolled

[snellen.checks]
brightness = zoo.check:Brightness

[snellen.canvases]
tall = zoo.canvas:Tall

[snellen.objectives]
loud = zoo.objective:Loud

[snellen.sources]
toys = zoo.source:TOYS

[snellen.images]
noise = zoo.images:NOISE
"""
pytestmark = pytest.mark.global_random  # the package draws its images


@pytest.fixture
def zoo(install):
    """The package as an installer leaves it."""
    assert all(len([line for line in code.splitlines() if line.strip()]) <= 25 for code in PARTS.values())
    modules = {f"zoo/{name}.py": code for name, code in PARTS.items()}
    return install("zoo", "3.1", {"zoo/__init__.py": "", **modules}, POINTS)


def words(*more):
    return [str(word) for word in more]


@pytest.mark.usefixtures("zoo")
def test_its_parts_are_listed_with_where_they_come_from(snellen):
    lines = snellen("plugins").out.splitlines()
    found = {line.split()[1]: " ".join(line.split()[2:]) for line in lines if "zoo 3.1" in line}
    assert found == {
        "rolled-rows": "zoo 3.1 Every unit has another one's weights.",
        "brightness": "zoo 3.1 How bright the pictures are.",
        "tall": "zoo 3.1 Rows in place of columns.",
        "loud": "zoo 3.1 The largest value in a layer.",
        "toys": "zoo 3.1",
        "noise": "zoo 3.1",
    }
    assert "zoo" not in sys.modules


@pytest.mark.usefixtures("zoo")
def test_its_check_is_in_the_record_and_on_the_page(snellen, tmp_path):
    asked = ("audit", "toys:some", "--images", "noise:3", "--size", 16, "--units", "3:0-1", "--quick", "--steps", 2)
    done = snellen(*words(*asked, "--out", tmp_path / "run", "--canvas", "tall"))
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "run" / "audit.json").read_text())
    assert record["model"]["provenance"]["source"] == "toys"
    assert record["settings"]["canvas"]["type"] == "Tall"
    found = next(f for f in record["findings"] if f["check"] == "brightness")
    assert [row["unit"] for row in found["evidence"]["units"]] == ["3:0", "3:1"]
    page = (tmp_path / "run" / "index.html").read_text()
    assert "How bright are the pictures?" in page
    assert "A dark picture shows little." in page
    again = snellen(*words(*asked, "--out", tmp_path / "run", "--canvas", "tall"))
    assert again.code == 0, again.err


@pytest.mark.usefixtures("zoo")
def test_its_attack_manipulates_its_network_and_its_check_looks_at_it(snellen, tmp_path):
    quick, lie = ("--images", "noise:3", "--size", 16, "--quick", "--steps", 2), tmp_path / "lie"
    done = snellen(*words("deceive", "toys:some", "--method", "rolled-rows", *quick, "--units", 1, "--out", lie))
    assert done.code == 0, done.err
    assert "Rows of weights were exchanged" in (lie / "index.html").read_text()
    asked = ("--base", "toys:some", "--images", "noise:3", "--units", "3:0", "--quick", "--steps", 2)
    done = snellen(*words("audit", lie, *asked, "--out", tmp_path / "run"))
    assert done.code == 0, done.err
    assert "How bright are the pictures?" in (tmp_path / "run" / "index.html").read_text()


@pytest.mark.usefixtures("zoo")
def test_its_canvas_and_objective_draw(snellen, tmp_path):
    for canvas, target in (("tall", "3:1"), ("fourier", "loud(1)"), ("fourier", "deepdream(0)")):
        out = tmp_path / f"{canvas}-{target[:4]}"
        more = ("--canvas", canvas, "--steps", 3, "--size", 16, "--out", out)
        done = snellen(*words("visualize", "toys:some", target, *more))
        assert done.code == 0, done.err
        assert len(list(out.glob("*.png"))) == 1
    assert [p.name for p in (tmp_path / "fourier-loud").glob("*.png")] == ["Loud_layer_1-max.png"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("toys:some", "3:1"), "expected a model as"),
        (("builtin", "classifier:1", "--canvas", "tall"), "expected one of fourier, pixel as canvas"),
        (("builtin", "loud(block1)"), "expected one of deepdream as objective"),
    ],
)
def test_without_it_its_names_are_unknown(snellen, tmp_path, asked, told):
    assert told in snellen(*words("visualize", *asked, "--out", tmp_path / "p")).line


def test_a_saved_model_does_not_name_it(tmp_path):
    from snellen.base import ModelError
    from snellen.models.sources.folder import _check_base

    _check_base("torchvision:resnet18", tmp_path)
    with pytest.raises(ModelError, match="runs no code"):
        _check_base("toys:some", tmp_path)


def test_a_broken_package_is_one_line_where_it_is_used_and_nothing_elsewhere(zoo, snellen, tmp_path):
    (zoo / "zoo" / "check.py").write_text("import nowhere\n")
    done = snellen(*words("visualize", "toys:some", "3:1", "--size", 16, "--steps", 2, "--out", tmp_path / "p"))
    assert done.code == 0, done.err
    line = snellen(
        *words("audit", "toys:some", "--images", "noise:3", "--size", 16, "--quick", "--out", tmp_path / "run")
    ).line
    assert 'the check "brightness" of zoo 3.1, got ModuleNotFoundError' in line
    assert not (tmp_path / "run").exists()
    (zoo / "zoo" / "attack.py").write_text("import nowhere\n")
    told = " ".join(snellen("deceive", "--help").out.split())
    assert 'Options of --method rolled-rows: expected the method "rolled-rows" of zoo 3.1, got ModuleNotFound' in told
    assert "Options of --method silent-units: --margin" in told


def test_help_looks_for_no_package():
    code = "import sys; from snellen.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
    done = subprocess.run(
        [sys.executable, "-c", code + "print('importlib.metadata' in sys.modules, file=sys.stderr)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.strip() == "False"


@pytest.mark.usefixtures("zoo")
def test_its_untrained_network_is_the_same_each_time():
    from snellen.models import load_model

    first, second = (load_model("toys:some", size=16) for _ in range(2))
    assert first.fingerprint() == second.fingerprint()


def test_an_error_in_its_code_is_its_own(zoo, snellen, tmp_path):
    """Not a defect of snellen: the line names the part and the package."""
    path = zoo / "zoo" / "source.py"
    path.write_text(path.read_text().replace("    layers = [", "    [][1]\n    layers = ["))
    line = snellen(*words("visualize", "toys:some", "3:1", "--size", 16, "--steps", 2, "--out", tmp_path / "p")).line
    assert line.startswith("IndexError: ")
    assert "defect of snellen" not in line
    assert 'raised in the source of models "toys" of zoo 3.1: report it there' in line


def test_a_package_that_ends_the_process_or_cannot_be_loaded_spoils_nothing_else(zoo, snellen, tmp_path):
    (zoo / "zoo" / "source.py").write_text("raise SystemExit(0)\n")
    asked = ("3:1", "--size", 16, "--steps", 2, "--out", tmp_path / "p")
    assert "of zoo 3.1, got SystemExit" in snellen(*words("visualize", "toys:some", *asked)).line
    line = snellen(*words("visualize", "nothing", *asked)).line
    assert "expected a model as" in line
    assert '"toys:..."' in line


def test_a_source_may_have_a_hyphen(install, snellen, tmp_path):
    code = PARTS["source"].replace('"toys"', '"my-toys"')
    install("hyphen", "1", {"hyphen_toys.py": code}, "[snellen.sources]\nmy-toys = hyphen_toys:TOYS\n")
    done = snellen(*words("visualize", "my-toys:some", "3:1", "--size", 16, "--steps", 2, "--out", tmp_path / "p"))
    assert done.code == 0, done.err
