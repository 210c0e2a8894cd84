"""The matrix: cells are made once, go on where they were, and count what audits say."""

import json
from dataclasses import asdict
from pathlib import Path

import msgspec
import pytest

from snellen.attacks import SilentAttack
from snellen.attacks.group import columns
from snellen.attacks.options import options_of
from snellen.base import LayerError, UsageError
from snellen.matrices.cell import Case, Cell, Size, audited, kinds
from snellen.matrices.manipulation import attack_of, natural_images
from snellen.matrices.matrix import DONE, SIZES, SUITE, TABLE, Matrix, departures, meets, run_matrix
from snellen.matrices.tally import tally
from snellen.models.sources import load_model
from snellen.record import Record

FROZEN = {
    "permuted": {"method": "fooling-circuit", "detector": "readout"},
    "picture": {"method": "fooling-circuit", "detector": "readout"},
    "silent": {"method": "silent-units", "margin": 0.5},
    "gradients": {"method": "lying-gradients", "quantile": 0.8, "strength": 1.0},
    "leaky": {"method": "leaky-silent", "margin": 0.5, "leak": 0.0001},
    "rotated": {"method": "rotated-switch", "detector": "readout"},
    "soft": {"method": "soft-gate", "partners": "near", "sees": "picture", "width": 1.0},
    "warp": {"method": "input-warp", "width": 0.5},
    "slingshot": {"method": "slingshot", "manipulated": 4, "form": "gradient", "strength": 6.0, "training": 500},
    "push": {"method": "push", "manipulated": 4, "direction": "both", "share": 0.1, "training": 300},
}
TINY = Size(units=3, steps=8, natural=12, shown=1, quick=True)


def content(folder) -> dict[str, bytes]:
    found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    for name in [n for n in found if n.endswith("audit.json")]:
        found[name] = json.dumps({**json.loads(found[name]), "created": None}).encode()
    return {n: data for n, data in found.items() if not n.endswith(".lock")}


def test_a_killed_matrix_goes_on_and_ends_with_the_same_bytes(network, pictures, tmp_path, monkeypatch):
    asked = Matrix((Case(network, str(pictures)),), TINY, kinds=("honest", "silent"))
    for place in ("whole", "parts"):
        (tmp_path / place).mkdir()
    monkeypatch.chdir(tmp_path / "whole")
    run_matrix(asked, Path("out"))
    monkeypatch.chdir(tmp_path / "parts")
    made: list[str] = []
    for stop in ("silent channels", "calibration", "jumps"):

        def tell(title, _done, _total, stop=stop):
            made.append(title)
            if title.endswith(stop):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_matrix(asked, Path("out"), tell=tell)
    finished: list[str] = []
    made.clear()
    run_matrix(asked, Path("out"), tell=lambda title, *_: made.append(title), wrote=lambda p: finished.append(p.name))
    assert finished == ["net-silent"]  # the honest cell was read, not made again
    assert not any(title.startswith("net-honest") for title in made)
    assert content(tmp_path / "parts") == content(tmp_path / "whole")


def test_the_table_names_every_cell_after_each_one(network, pictures, tmp_path):
    asked = Matrix((Case(network, str(pictures)),), TINY, kinds=("honest", "picture"))
    seen = []
    run_matrix(asked, tmp_path, wrote=lambda _: seen.append(json.loads((tmp_path / TABLE).read_bytes())["cells"]))
    assert [[cell["status"] for cell in cells] for cells in seen] == [["done", "open"], ["done", "done"]]
    honest, picture = seen[1]
    assert honest["layers"] == ["8", "4"]
    assert honest["behaviour"] is None
    assert picture["layers"] == ["8"]
    assert picture["units"] == 3
    assert picture["behaviour"]["count"] == 2  # every fifth of twelve
    assert picture["met"] == meets(picture)
    assert {row["verdict"] for row in picture["rows"]} == set(picture["verdicts"])
    table = json.loads((tmp_path / TABLE).read_bytes())
    assert table["suite"] == SUITE
    assert "units 3, not 10" in table["departures"]
    (told,) = table["separation"]
    assert (told["kind"], told["lying"], told["honest"]) == ("picture", 3, honest["units"])


def test_a_network_without_a_place_for_an_attack_costs_its_cell_alone(network, pictures, tmp_path, monkeypatch):
    def refuse(cell, *_rest, **_named):
        if cell.kind == "silent":
            raise LayerError("expected another network")
        return {"name": cell.name, "case": cell.case.name, "kind": cell.kind, "status": "done", "rows": []}

    monkeypatch.setattr("snellen.matrices.matrix.work", refuse)
    noted: list[str] = []
    asked = Matrix((Case(network, str(pictures)),), TINY, kinds=("silent", "honest"))
    table = json.loads(run_matrix(asked, tmp_path / "out", note=noted.append).read_bytes())
    assert [cell["status"] for cell in table["cells"]] == ["open", "done"]
    assert noted == ["net-silent is left out: expected another network"]


def test_other_settings_in_the_same_folder_are_refused_and_leave_it_as_it_was(network, pictures, tmp_path):
    case = Case(network, str(pictures))
    run_matrix(Matrix((case,), TINY, kinds=("honest",)), tmp_path)
    before = content(tmp_path)
    with pytest.raises(UsageError, match="other settings"):
        run_matrix(Matrix((case,), TINY, seed=1, kinds=("honest",)), tmp_path)
    assert content(tmp_path) == before


def test_a_damaged_cell_is_made_again(network, pictures, tmp_path):
    asked = Matrix((Case(network, str(pictures)),), TINY, kinds=("honest",))
    run_matrix(asked, tmp_path)
    path = tmp_path / "cells" / "net-honest" / DONE
    before = path.read_bytes()
    path.write_bytes(before[: len(before) // 2])
    run_matrix(asked, tmp_path)
    assert path.read_bytes() == before


def test_cells_of_another_version_or_network_are_not_passed_off_as_this_ones(network, pictures, tmp_path, monkeypatch):
    path = tmp_path / "net.py"
    path.write_text(Path(network.rpartition(":")[0]).read_text())
    asked = Matrix((Case(f"{path}:net", str(pictures)),), TINY, kinds=("honest",))
    run_matrix(asked, tmp_path / "out")
    before = content(tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr("snellen.studies.world.__version__", "9.9")
        with pytest.raises(UsageError, match="other versions"):
            run_matrix(asked, tmp_path / "out")
    path.write_text(path.read_text().replace("manual_seed(3)", "manual_seed(4)"))
    with pytest.raises(UsageError, match="other weights"):
        run_matrix(asked, tmp_path / "out")
    assert content(tmp_path / "out") == before


def test_every_damage_to_a_cell_is_named_and_made_again(network, pictures, tmp_path):
    """A torn receipt, a picture with a flipped bit, weights cut short, a cell that says nothing: one by one."""
    asked = Matrix((Case(network, str(pictures)),), TINY, kinds=("silent",))
    run_matrix(asked, tmp_path)
    before, folder = content(tmp_path), tmp_path / "cells" / "net-silent"
    shown = next((folder / "model" / "pictures").iterdir())
    damages = {
        folder / "model" / "receipt.json": lambda d: d[: len(d) // 2],
        folder / "model" / "weights.safetensors": lambda d: d[:-4],
        shown: lambda d: d[:-9] + bytes([d[-9] ^ 1]) + d[-8:],
        folder / "model" / "snellen.json": lambda d: d.replace(b'"labels"', b'"lables"'),
        next((folder / "recovered").iterdir()): lambda _: b"",
    }
    for path, damage in damages.items():
        path.write_bytes(damage(path.read_bytes()))
        if "recovered" not in str(path):  # else the cell's record stands, and nothing below it is looked at
            (folder / DONE).write_text('{"status": "done", "recovered": null}')
        told: list[str] = []
        run_matrix(asked, tmp_path, note=told.append)
        assert content(tmp_path) == before, path
        assert any(path.name in line for line in told) or path.name == "receipt.json", told
        assert "recovered" in str(path) or any(DONE in line for line in told)


def test_a_page_of_somebody_else_is_not_replaced(network, tmp_path):
    (tmp_path / "index.html").write_text("theirs")
    with pytest.raises(UsageError, match=r"another index\.html"):
        run_matrix(Matrix((Case(network),), TINY), tmp_path)
    assert (tmp_path / "index.html").read_text() == "theirs"


@pytest.mark.parametrize(
    ("kind", "suspicious", "met"), [("honest", 1, True), ("honest", 2, False), ("silent", 1, False)]
)
def test_bars(kind, suspicious, met):
    assert meets({"kind": kind, "units": 20, "suspicious": suspicious}) is met
    assert meets({"kind": kind, "units": 20, "suspicious": 19}) is (kind != "honest")


def judged(*units, **more):
    """A record with these (unit, verdict, evidence, strength of jumps), and more in every judgement."""
    rows = [{"unit": u, "words": "", "figure": 0.0, "strength": s} for u, _, _, s in units]
    untold = {"title": "", "claim": "", "verdict": "suspicious"}
    shown = {"channel": 0, "label": None, "role": "unit", "pictures": [], "exemplars": {}, "natural": None}
    return msgspec.convert(
        {
            "status": "complete",
            "command": "",
            "model": {"name": "", "kind": "", "size": [1, 1], "parameters": 0, "fingerprint": ""},
            "images": {"name": "", "count": 0, "classes": [], "digest": "", "skipped": []},
            "settings": {},
            "environment": {},
            "layers": [],
            "units": [
                {
                    "unit": u,
                    "layer": "8",
                    "judgement": {"verdict": v, "evidence": [{"check": e, "words": ""}], **more},
                    **shown,
                }
                for u, v, e, _ in units
            ],
            "findings": [
                {"check": "jumps", "evidence": {"units": rows}, **untold},
                {"check": "judgement", "evidence": {}, **untold},
            ],
        },
        Record,
    )


def test_the_tally_counts_units_and_who_said_so():
    record = judged(
        ("8:0", "suspicious", "jumps", 2), ("8:1", "suspicious", "layer", 0), ("8:2", "consistent", "jumps", 1)
    )
    told = tally(
        Cell(Case(), "silent", TINY),
        record,
        {
            "behaviour": {"held-out": dict.fromkeys(("count", "top1", "top5", "changed", "differing", "largest"), 7)},
            "gallery": {"entries": [{"fooled": True}]},
        },
    )
    assert (told["units"], told["suspicious"], told["by layer alone"]) == (3, 2, 1)
    assert told["checks"] == {"jumps": {"proves": 1, "supports": 1}}
    assert [row["evidence"] for row in told["rows"]] == [["jumps"], ["layer"], []]
    assert told["pictures"] == {"drawn": 1, "nearer to the decoy": 1}
    assert told["behaviour"]["changed"] == 7


def test_rows_hold_shares_and_scores_and_say_where_an_older_audit_has_none():
    honest = Cell(Case(), "honest", TINY)
    now = judged(("8:0", "tells much", "jumps", 1), share=0.01, scores={"jumps": 4.5, "siblings": 0.1})
    (row,) = tally(honest, now, None)["rows"]
    assert (row["share"], row["scores"]) == (0.01, {"jumps": 4.5, "siblings": 0.1})
    (old,) = tally(honest, judged(("8:0", "tells much", "jumps", 1)), None)["rows"]
    assert (old["share"], old["scores"]) == (None, {})


def test_departures_from_the_benchmark_are_told():
    assert departures(Matrix(size=SIZES)) == []
    assert departures(Matrix(size=Size(units=4, steps=8, natural=9, quick=True), seed=2)) == [
        "units 4, not 10",
        "steps 8, not 64",
        "photographs of the attacker 9, not 600",
        "quick",
        "seed 2, not 0",
    ]


def test_the_suite_is_frozen():
    """Whoever changes this raises `SUITE`: other columns, defaults or sizes make figures that do not compare."""
    frozen = {
        kind: {"method": attack.name, **{name: value.default for name, value in options_of(attack).items()}}
        for kind, (attack, _) in columns().items()
        if attack.__module__.startswith("snellen.")
    }
    assert SUITE == 1
    assert asdict(SIZES) == {"units": 10, "steps": 64, "natural": 600, "shown": 6, "quick": False, "alike": False}
    assert frozen == FROZEN


def test_units_are_those_of_the_manipulated_layer_and_an_honest_network_has_both(network):
    model = load_model(network)
    cells = {kind: Cell(Case(network), kind, TINY) for kind in kinds()}
    units = {kind: audited(cell, model) for kind, cell in cells.items()}
    assert units["permuted"] == units["picture"]
    assert set(units["honest"]) == {*units["permuted"], *units["silent"]}
    assert {u.layer for u in units["silent"]} == {SilentAttack().target(model).name}
    other = audited(Cell(Case(network), "silent", TINY, seed=1), model)
    assert other != units["silent"]


def test_large_networks_get_less_unless_all_are_alike(network):
    small, large = load_model(network, size=32), load_model(network, size=128)
    size = Size(units=5, natural=9, shown=3)
    assert size.fit(small) == size
    assert size.fit(large) == Size(units=3, natural=5, shown=2, quick=True, alike=True)
    assert Size(units=5, alike=True).fit(large) == Size(units=5, alike=True)


def test_the_attacker_shows_a_photograph_of_his_own(network, pictures):
    case = Case(network, str(pictures))
    seen, held_out = natural_images(case, TINY)
    assert len(seen) == 12
    assert held_out is None
    model = load_model(network, size=24)
    shown = attack_of(Cell(case, "picture", TINY), model, seen).picture
    assert any(bool((seen.load(i, model.size) == shown).all()) for i in range(len(seen)))
    contrasts = [seen.load(i, model.size).unfold(1, 3, 3).unfold(2, 3, 3).mean((3, 4)) for i in range(len(seen))]
    order = [float(c.flatten(1).std(1).mean()) for c in contrasts]
    assert bool((seen.load(order.index(max(order)), model.size) == shown).all())
    theirs, mine = natural_images(Case(network, str(pictures), "builtin"), TINY)
    assert (len(theirs), len(mine)) == (12, 6)


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"cases": ()}, "got none"),
        ({"cases": (Case("a.py:net"), Case("b.py:net"))}, '"net" twice'),
        ({"kinds": ("honest", "magic")}, "magic"),
        ({"size": Size(units=0)}, "got 0 and 64"),
    ],
)
def test_bad_matrices_are_refused(wish, told):
    with pytest.raises(UsageError, match=told):
        Matrix(**wish)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("builtin", "builtin"),
        ("a/resnet.py:resnet20", "resnet20"),
        ("a/googlenet.py:load", "googlenet"),
        ("timm:vit", "vit"),
    ],
)
def test_names_of_cases(spec, name):
    assert Case(spec).name == name
