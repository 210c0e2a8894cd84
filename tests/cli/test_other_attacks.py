"""An attack of another package, that of docs/how-to/attack.md: 25 lines and an entry point, and it is there."""

import json
import re
from pathlib import Path

import pytest

import snellen as package
from snellen.attacks.group import ATTACKS, columns
from snellen.base import UsageError

DOCS = (Path(__file__).parents[2] / "docs" / "how-to" / "attack.md").read_text()
ATTACK = re.search(r"^# Add an attack$.*?^```python$(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)[1]


@pytest.fixture
def rolled(install):
    """The package as an installer leaves it."""
    assert len([line for line in ATTACK.split("class Rolled")[1].splitlines() if line.strip()]) <= 25
    install("rolled", "1", {"rolled_rows.py": ATTACK}, "[snellen.attacks]\nrolled-rows = rolled_rows:Rolled\n")


def words(tiny, images, out, *more):
    quick = ("--images", images, "--size", "32", "--quick", "--steps", "4", "--units", "2")
    return ("deceive", f"{tiny}:net", "--out", out, *quick, *more)


@pytest.mark.usefixtures("rolled")
def test_it_is_asked_for_by_name_and_its_receipt_says_what_it_does(tiny, images, tmp_path, snellen):
    out = tmp_path / "out"
    done = snellen(*words(tiny, images, out, "--method", "rolled-rows", "--by", "2"))
    assert done.code == 0, done.err
    assert "a claim did not hold" in done.err  # a network with other classes is not an honest one
    receipt = json.loads((out / "receipt.json").read_text())
    assert (receipt["method"], receipt["title"], receipt["facts"]["by"]) == ("rolled-rows", "rolled rows", 2)
    assert receipt["facts"]["decoy"] == {"kind": "permute", "shift": 2}
    assert receipt["claims"][0]["kept"] is False
    page = (out / "index.html").read_text()
    assert "Rows of weights were exchanged in the layer <code>6</code>." in page
    assert "Receipt: rolled rows in" in page
    assert json.loads((out / "snellen.json").read_text())["changed"] == ["6.weight", "6.bias"]


@pytest.mark.usefixtures("rolled")
def test_its_network_is_audited_and_compared_like_any_other(tiny, images, tmp_path):
    lie = package.deceive(
        f"{tiny}:net", images=images, size=32, out=tmp_path / "out", method="rolled-rows", steps=2, units=1, by=1
    )
    audit = package.audit(
        str(lie.folder), base=f"{tiny}:net", images=images, units="6:0-1", steps=2, quick=True, out=tmp_path / "audit"
    )
    assert audit.page.is_file()
    honest, lying = lie.manipulated.model, lie.model
    import torch

    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(lying(x), honest(x).roll(-1, 1))
        assert torch.equal(package.load_model(str(lie.folder), base=f"{tiny}:net")(x), lying(x))


@pytest.mark.usefixtures("rolled")
def test_it_has_a_column_of_the_matrix(tiny, images, tmp_path, snellen):
    out = tmp_path / "out"
    case = ("matrix", "--case", f"{tiny}:net={images}", "--kind", "rolled", "--out", out)
    done = snellen(*case, "--units", "2", "--steps", "4", "--quick")
    assert done.code == 0, done.err
    table = json.loads((out / "matrix.json").read_text())
    assert table["columns"] == [{"kind": "rolled", "title": "rolled rows", "words": "every unit is another one"}]
    (cell,) = table["cells"]
    assert (cell["name"], cell["layers"]) == ("net-rolled", ["6"])
    assert "<b>rolled rows</b> every unit is another one" in (out / "index.html").read_text()


@pytest.mark.usefixtures("rolled")
@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--by", "many"], 'expected a whole number for by, got "many"'),
        (["--by", "0"], "expected by to be a whole number in 1 ... 100, got 0"),
        (["--margin", "1"], 'expected an option of "rolled-rows" (by), got "margin"'),
        (["--hold-out", "x"], 'got "hold_out"; did you mean "held_out"'),
        (["--preprocess", "x"], 'got "--preprocess"; leave it away'),
        (["--progress=1"], 'got "--progress"; leave it away'),
        (["--by"], 'expected a whole number for by, got ""'),
    ],
)
def test_its_options_are_checked_before_the_work(tiny, images, tmp_path, snellen, more, told):  # noqa: PLR0917
    done = snellen(*words(tiny, images, tmp_path / "out", "--method", "rolled-rows", *more))
    assert told in done.line
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("rolled")
def test_it_is_listed_where_people_look(snellen):
    told = " ".join(snellen("deceive", "--help").out.split())
    assert "Options of --method rolled-rows: --by a whole number how many rows further [default: 1]" in told
    assert "Options of --method silent-units: --margin a number" in told
    assert list(ATTACKS.parts)[-1] == "rolled-rows"
    assert list(columns())[-1] == "rolled"


def test_nobody_takes_the_name_of_another(rolled, monkeypatch):
    import rolled_rows

    for field, told in (("name", "to be called so"), ("columns", "of different kinds")):
        with monkeypatch.context() as patch:
            patch.setattr(rolled_rows.Rolled, field, getattr(ATTACKS.load("silent-units"), field))
            with pytest.raises(UsageError, match=told):
                columns()


def test_without_the_package_it_is_not_there(tiny, images, tmp_path, snellen):
    done = snellen(*words(tiny, images, tmp_path / "out", "--method", "rolled-rows"))
    assert 'got "rolled-rows"' in done.line
