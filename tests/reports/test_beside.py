"""Two audits side by side."""

import base64
import re
from pathlib import Path
from types import ModuleType

import pytest

from snellen.base import RecordError
from snellen.record import read_record
from snellen.reports import build
from snellen.reports.beside import build_beside


@pytest.fixture
def runs(tmp_path: Path, records: ModuleType) -> tuple[Path, Path]:
    plan = {"classes": 4, "exemplars": 2, "side": 48}
    honest = records.make_run(tmp_path / "honest", records.Plan(**plan, examined=0))
    other = records.make_run(tmp_path / "other", records.Plan(**plan, examined=4, seed=1))
    return honest, other


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def pictures(page: str) -> list[bytes]:
    return [base64.b64decode(data) for data in re.findall(r'src="data:image/\w+;base64,([^"]+)"', page)]


def test_columns_hold_the_photograph_and_both_pictures_of_one_unit(runs):
    page = text_of(build_beside(*runs))
    found = pictures(page)
    records = [read_record(run) for run in runs]
    drawn = [u for u in records[0].units if any(p.direction == "max" and p.image for p in u.pictures)]
    first = drawn[0].unit
    wide = len(found) // 3
    for row, (run, record) in enumerate([(runs[0], records[0]), *zip(runs, records, strict=True)]):
        unit = next(u for u in record.units if u.unit == first)
        blob = unit.exemplars.top[0].image if row == 0 else unit.pictures[0].image
        assert found[row * wide] == (run / blob).read_bytes()
    assert page.count('class="sign"') >= 1
    assert 'href="../other/index.html"' in page
    assert page.count("<img") == page.count(' alt="')


def test_it_says_how_far_photographs_excite_both_alike(runs):
    assert "are the same in both networks for 0 of" in text_of(build_beside(*runs))
    same = text_of(build_beside(runs[0], runs[0]))
    assert re.search(r"are the same in both networks for (\d+) of \1 units, and excite it exactly as much", same)


def test_runs_without_a_common_unit_are_refused(runs, tmp_path, records):
    lone = records.make_run(tmp_path / "lone", records.Plan(classes=0, unit_layers=1, exemplars=2, side=48))
    with pytest.raises(RecordError, match="audit the same units"):
        build_beside(
            records.make_run(tmp_path / "classes", records.Plan(classes=3, unit_layers=0, exemplars=2, side=48)), lone
        )


def test_the_report_links_to_it_where_it_exists(runs):
    assert "beside.html" not in text_of(build(runs[0]))
    build_beside(*runs)
    assert 'href="beside.html"' in text_of(build(runs[0]))
