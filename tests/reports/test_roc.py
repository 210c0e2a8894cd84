"""How well scores separate, on the page of the matrix: charts in words, a table of areas, nothing of older tables."""

import json
import re

import pytest

from snellen.base import RecordError
from snellen.reports.matrix import build_matrix
from snellen.reports.roc import Area, Separation, at, chart, lines, named

BAD = "<script>alert(1)</script>"


def table(folder, **more):
    cells = [{"name": "net-honest", "kind": "honest", "status": "open"}]
    cells += [{"name": "net-silent", "kind": "silent", "status": "open"}]
    known = {
        "format": 1,
        "bars": {"caught": 0.95, "spared": 0.05},
        "settings": {"units": 20, "steps": 64, "quick": False, "seed": 0},
        "versions": {"snellen": "1", "torch": "2"},
        "cases": [{"name": "net", "model": "net.py:net", "images": "photographs"}],
        "kinds": ["honest", "silent"],
        "columns": [{"kind": "silent", "title": f"silent {BAD}", "words": "words"}],
        "checks": {"jumps": "jumps", "other": BAD},
        "cells": cells,
    }
    (folder / "matrix.json").write_text(json.dumps(known | more))
    return folder


def part(**more):
    area = {"area": 0.75, "low": 0.5, "high": 1.0}
    checks = {"jumps": area, "other": {"area": 0.9, "low": None, "high": None}, f"my-{BAD}": area}
    told = {"kind": "silent", "networks": ["net"], "lying": 2, "honest": 1}
    return told | {"curve": [[0, 0], [0.25, 0.5], [1, 1]], "together": area, "checks": checks} | more


def separation(**areas):
    checks = {name: Area(value) for name, value in areas.items()}
    return Separation(
        kind="silent",
        networks=("net", "other"),
        lying=7,
        honest=1,
        curve=((0.0, 0.0), (0.25, 0.5), (1.0, 1.0)),
        together=Area(0.75, 0.5, 1.0),
        checks=checks,
    )


def test_the_page_tells_areas_intervals_and_counts(tmp_path):
    page = build_matrix(
        table(tmp_path, separation=[part()], suite=1, departures=["quick", "seed 3, not 0"])
    ).read_text()
    assert "<h2>How well scores separate</h2>" in page
    assert "Area <b>0.75</b>, 95 % interval 0.50 to 1.00; 2 manipulated units, 1 honest one, 1 network." in page
    assert "suite 1, but for quick; seed 3, not 0" in page
    assert re.findall(r"<td>(?:<b>)?(0\.\d+)", page) == ["0.75", "0.75", "0.90", "0.75"]
    assert "<td><b>0.90</b>" in page
    assert page.count("<b>0.90</b>") == 1


def test_names_are_escaped_everywhere(tmp_path):
    page = build_matrix(table(tmp_path, separation=[part()], departures=[BAD])).read_text()
    assert BAD not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 5  # head of a column, chart, table, two checks


def test_a_table_that_says_nothing_of_it_reads_as_before(tmp_path):
    page = build_matrix(table(tmp_path)).read_text()
    assert "<h2>How well scores separate</h2>" not in page
    assert "Benchmark" not in page
    nothing = build_matrix(table(tmp_path, separation=[])).read_text()
    assert nothing == page


@pytest.mark.parametrize(
    "damage",
    [
        {"curve": [[0, 0]]},
        {"curve": [[0, 0], [1.5, 1]]},
        {"curve": [[0, 0], [1, 1, 1]]},
        {"together": {"area": -0.1, "low": None, "high": None}},
        {"kind": BAD},
        {"lying": 0},
    ],
)
def test_damage_is_said_in_one_line(tmp_path, damage):
    with pytest.raises(RecordError, match="damaged"):
        build_matrix(table(tmp_path, separation=[part(**damage)]))


def test_the_curve_runs_from_corner_to_corner_and_says_what_it_shows():
    drawn = str(chart(separation(jumps=0.75), "silent units"))
    (left, bottom), (right, top) = at(0, 0), at(1, 1)
    (data,) = re.findall(r'class="line" d="M([^"]+)"', drawn)
    points = [tuple(map(float, pair.split())) for pair in data.split("L")]
    assert points[0] == (left, bottom)
    assert points[-1] == (right, top)
    assert points[1] == (left + (right - left) / 4, (top + bottom) / 2)
    assert bottom > top, "a larger share of manipulated units lies higher"
    words = "silent units: area under the curve 0.75, 7 manipulated units, 1 honest one, 2 networks"
    assert f'aria-label="{words}"' in drawn
    assert drawn.count('class="chance"') == 1


def test_the_table_marks_the_largest_and_leaves_out_who_says_nothing():
    ours, theirs = separation(jumps=0.9, siblings=0.9, mine=0.6), separation(decoding=0.4)
    checks = named([ours, theirs], {"siblings": "siblings", "jumps": "jumps", "gradients": "g", "decoding": "telling"})
    assert list(checks.items()) == [
        ("siblings", "siblings"),
        ("jumps", "jumps"),
        ("decoding", "telling"),
        ("mine", "mine"),
    ]
    first, second = lines([ours, theirs], {"silent": "Silent"}, list(checks))
    assert first.title == "Silent"
    assert [(area and area.area, best) for area, best in first.areas] == [
        (0.9, True),
        (0.9, True),
        (None, False),
        (0.6, False),
    ]
    assert [best for _, best in second.areas] == [False] * 4, "less than chance is nobody's best"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (1.0, "1.00"),
        (0.9999, "0.999"),
        (0.996, "0.996"),
        (0.994, "0.99"),
        (0.0, "0.00"),
        (0.002, "0.002"),
        (0.5, "0.50"),
    ],
)
def test_what_is_not_quite_one_never_looks_so(value, told):
    assert Area(value).figure == told
