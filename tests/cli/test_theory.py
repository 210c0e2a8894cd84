"""snellen theory: the table at two widths, one class with its reasons, the page, and what is refused."""

import re
from itertools import pairwise

import pytest

from snellen.theory.entries import ENTRIES
from snellen.theory.table import compute, table


@pytest.mark.parametrize("width", [80, 140])
def test_the_table_is_whole_at_every_width(snellen, monkeypatch, width):
    monkeypatch.setattr("rich.console.Console.is_terminal", property(lambda _: True))
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    done = snellen("theory")
    assert done.code == 0, done.err
    shown = re.sub(r"\x1b\[[0-9;]*m", "", done.out)
    assert max(len(line) for line in shown.splitlines()) <= width
    assert "\u2026" not in shown  # nothing is cut off
    header, *lines = [line for line in shown.splitlines() if line.strip()]
    starts = [header.index(title) for title in ("exactly", "within", "nearer", "worst")]
    last, paper = starts[-1], header.index("paper")
    for row in table():
        number = next(n for n, line in enumerate(lines) if line.split()[:1] == [row.entry.name])
        line, after = lines[number], lines[number + 1]
        marks = line[paper:].split()
        if len(set(c.paper for c in row.cells)) > 1:
            marks += after[paper:].split() if width == 80 else []
            assert marks == [c.paper for c in row.cells]
        else:
            assert marks == [row.cells[0].paper]
        told = [line[a:b].split()[0] for a, b in pairwise(starts)]
        assert told == [cell.verdict.split()[0] for cell in row.cells]
        assert line[last:paper].rstrip().endswith(f"{row.worst[-1]:.2f} D")
        assert (row.entry.title.split()[0] in line) or width == 80


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
def test_one_class_with_its_reasons(snellen, entry):
    done = snellen("theory", "--class", entry.name)
    assert done.code == 0, done.err
    for cell in compute(entry).cells:
        whose = "ours, beyond the paper" if cell.paper == "ours" else f"{cell.paper}, as in the paper"
        assert f"{cell.question}: {cell.verdict} ({whose}): {cell.why}" in done.out.splitlines()
    assert f"paper: {entry.paper}" in done.out.splitlines()
    assert f"would change it: {entry.help}" in done.out
    assert "bound: " in done.out or "witnesses: " in done.out


def test_the_page_of_one_class(snellen, tmp_path):
    done = snellen("theory", "--class", "lipschitz-l1", "--out", tmp_path / "page")
    assert done.code == 0, done.err
    assert f"page: {tmp_path / 'page' / 'index.html'}" in done.out
    page = (tmp_path / "page" / "index.html").read_text()
    assert page.count("<section") == 1
    assert len(list((tmp_path / "page" / "pictures").iterdir())) == 4


def test_refusals_are_one_line(snellen, tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    assert 'did you mean "convex"' in snellen("theory", "--class", "convx").line
    assert "expected a class" in snellen("theory", "--class", "").line
    assert "writable folder" in snellen("theory", "--class", "affine-1d", "--out", blocked).line
    assert "--bogus" in snellen("theory", "--bogus").line
