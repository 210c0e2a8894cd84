"""The page of the matrix: every cell in words, whatever is finished; damaged tables refused."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from snellen.base import RecordError
from snellen.reports.matrix import build_matrix

KINDS = ("honest", "permuted", "picture", "silent")


def cell(kind: str, suspicious: int, units: int, **more: Any) -> dict[str, Any]:
    behaviour = {"count": 50, "changed": 1, "differing": 3, "largest": 0.5, "top1": None, "top5": None}
    honest = kind == "honest"
    return {
        "name": f"net-{kind}",
        "case": "net",
        "kind": kind,
        "status": "done",
        "units": units,
        "suspicious": suspicious,
        "checks": {"jumps": {"proves": suspicious, "supports": 1}},
        "by layer alone": 0,
        "behaviour": None if honest else behaviour,
        "pictures": None if honest else {"drawn": 4, "nearer to the decoy": 3},
        "met": (suspicious <= 0.05 * units) if honest else suspicious >= 0.95 * units,
        **more,
    }


def table(folder: Path, cells: list[dict[str, Any]]) -> Path:
    known = {
        "format": 1,
        "bars": {"caught": 0.95, "spared": 0.05},
        "settings": {"units": 20, "steps": 64, "quick": False, "seed": 0},
        "versions": {"snellen": "1", "torch": "2"},
        "cases": [{"name": "net", "model": "net.py:net", "images": "<b>images</b>"}],
        "kinds": list(KINDS),
        "columns": [{"kind": kind, "title": f"<i>{kind}</i>", "words": f"words of {kind}"} for kind in KINDS],
        "cells": cells,
    }
    (folder / "matrix.json").write_text(json.dumps(known))
    return folder


OPEN = {"name": "net-picture", "case": "net", "kind": "picture", "status": "open"}


def test_every_cell_is_told_in_words(tmp_path):
    cells = [cell("honest", 2, 20), cell("permuted", 20, 20), OPEN, cell("silent", 3, 12, recovered=None)]
    page = build_matrix(table(tmp_path, cells)).read_text()
    words = re.findall(r'<p class="cell-word">([^<]+)</p>', page)
    assert words == ["wrongly accused", "caught", "not yet measured", "missed"]
    assert re.findall(r'<p class="cell-figure">([^<]+)</p>', page) == ["2 of 20", "20 of 20", "3 of 12"]
    assert "23 of 32 manipulated units" in page
    assert "2 of 3 cells miss their bar" in page
    assert "49 of 50 photographs keep their class" in page
    assert "3 of 4 pictures nearer to the decoy" in page
    assert "<b>images</b>" not in page


def test_what_proves_comes_before_what_supports_and_most_units_first(tmp_path):
    counts = {"agreement": (0, 2), "jumps": (3, 0), "starts": (0, 4), "transplants": (5, 1), "siblings": (0, 0)}
    checks = {check: {"proves": proves, "supports": supports} for check, (proves, supports) in counts.items()}
    others = [cell("honest", 0, 2, checks={}), OPEN, cell("silent", 3, 3)]
    page = build_matrix(table(tmp_path, [others[0], cell("permuted", 5, 5, checks=checks), *others[1:]])).read_text()
    said = re.findall(r"<li>([^<]+)</li>", page[page.index("5 of 5<") :])[:3]
    assert said == [
        "transplants: 5 proven",
        "jumps: 3 proven",
        "supported by starts (4), agreement (2), transplants (1)",
    ]


def test_squares_count_units(tmp_path):
    cells = [cell("honest", 1, 20), cell("permuted", 12, 12), OPEN, cell("silent", 0, 3)]
    page = build_matrix(table(tmp_path, cells)).read_text()
    drawn = re.findall(r'<svg[^>]*class="squares"[^>]*aria-label="([^"]+)"[^>]*>(.*?)</svg>', page)
    assert [(name, body.count('"full"'), body.count('"empty"')) for name, body in drawn] == [
        ("1 of 20 units are called suspicious", 1, 19),
        ("12 of 12 units are called suspicious", 12, 0),
        ("0 of 3 units are called suspicious", 0, 3),
    ]


def test_links_lead_to_pages_that_exist(tmp_path):
    (tmp_path / "cells" / "net-silent" / "model").mkdir(parents=True)
    (tmp_path / "cells" / "net-silent" / "model" / "index.html").touch()
    page = build_matrix(
        table(tmp_path, [cell("honest", 0, 2), OPEN, OPEN | {"name": "net-permuted"}, cell("silent", 2, 2)])
    )
    links = re.findall(r'href="(cells/[^"]+)"', page.read_text())
    assert links == ["cells/net-silent/model/index.html"]


def test_a_cell_that_is_open_and_damaged_is_said_too(tmp_path):
    cells = [cell("honest", 0, 2), OPEN | {"case": None}, OPEN | {"name": "net-permuted"}, cell("silent", 2, 2)]
    with pytest.raises(RecordError, match="damaged"):
        build_matrix(table(tmp_path, cells))


@pytest.mark.parametrize(
    ("text", "told"), [("{", "damaged"), ('{"format": 9}', "another version"), (None, "expected a table")]
)
def test_a_damaged_table_is_said_in_one_line(tmp_path, text, told):
    if text is not None:
        (tmp_path / "matrix.json").write_text(text)
    with pytest.raises(RecordError, match=told):
        build_matrix(tmp_path)
