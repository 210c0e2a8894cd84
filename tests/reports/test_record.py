"""Reading records: whole ones are accepted, and every way to damage one is caught with one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snellen.base import RecordError
from snellen.reports import build, read_record
from snellen.reports.record import blobs


def damage(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    record = json.loads((run / "audit.json").read_text())
    change(record)
    (run / "audit.json").write_text(json.dumps(record))


def line(run: Path) -> str:
    """The one line that reading and building both fail with, nothing written."""
    with pytest.raises(RecordError) as read:
        read_record(run)
    with pytest.raises(RecordError) as built:
        build(run)
    assert str(read.value) == str(built.value)
    assert "\n" not in str(read.value)
    assert not (run / "index.html").exists()
    return str(read.value)


def test_a_whole_record_is_returned_as_it_is(run: Path) -> None:
    assert read_record(run) == json.loads((run / "audit.json").read_text())


def test_fields_of_later_versions_are_let_through(run: Path) -> None:
    damage(run, lambda r: r["units"][0].update(later=[1, {}]))
    assert read_record(run)["units"][0]["later"] == [1, {}]


def test_no_run(tmp_path: Path) -> None:
    assert "snellen audit" in line(tmp_path)
    assert "snellen audit" in line(tmp_path / "missing")


@pytest.mark.parametrize("text", ["", "{", "[1, 2", '{"schema": NaN}', "\x00", "[" * 100_000])
def test_damaged_json(run: Path, text: str) -> None:
    (run / "audit.json").write_text(text)
    assert "damaged" in line(run)


def test_bytes_that_are_no_text(run: Path) -> None:
    (run / "audit.json").write_bytes(b"\xff\xfe\x00")
    assert "damaged" in line(run)


@pytest.mark.parametrize("schema", ["snellen.audit/2", None, 1, "<script>"])
def test_another_schema(run: Path, schema: object) -> None:
    damage(run, lambda r: r.update(schema=schema))
    assert "snellen.audit/1" in line(run)


def test_a_record_that_is_no_object(run: Path) -> None:
    (run / "audit.json").write_text("[]")
    assert "an object" in line(run)


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "model": lambda r: r.pop("model"),
    "model.size": lambda r: r["model"].update(size=[224]),
    "model.parameters": lambda r: r["model"].update(parameters=True),
    "status": lambda r: r.update(status="done"),
    "images.skipped[0].reason": lambda r: r["images"]["skipped"][0].pop("reason"),
    "images.fit.words": lambda r: r["images"].update(fit={"good": True}),
    "images.classes[1].purity": lambda r: r["images"]["classes"][1].update(purity="1"),
    "units": lambda r: r.update(units={}),
    "units[1].layer": lambda r: r["units"][1].update(layer=None),
    "units[0].role": lambda r: r["units"][0].update(role="clas"),
    "units[0].pictures[1].direction": lambda r: r["units"][0]["pictures"][1].update(direction="up"),
    "units[0].pictures[0].response": lambda r: r["units"][0]["pictures"][0].update(response="1"),
    "units[2].natural.quantiles": lambda r: r["units"][2]["natural"]["quantiles"].pop(),
    "units[2].natural.quantiles[7]": lambda r: r["units"][2]["natural"]["quantiles"].__setitem__(7, None),
    "findings[0].claim": lambda r: r["findings"][0].pop("claim"),
    "findings[0].evidence.curves.spearman": lambda r: r["findings"][0]["evidence"]["curves"].pop("spearman"),
    "findings[0].evidence.curves.pearson.lo": lambda r: r["findings"][0]["evidence"]["curves"]["pearson"]["lo"].pop(),
    "findings[1].evidence.raw.cosine.same": lambda r: r["findings"][1]["evidence"]["raw"]["cosine"].pop("same"),
    "findings[1].evidence.ceiling.spearman": lambda r: r["findings"][1]["evidence"]["ceiling"].update(spearman=[]),
}


@pytest.mark.parametrize("where", CHANGES)
def test_the_line_says_where(run: Path, where: str) -> None:
    damage(run, CHANGES[where])
    assert f"expected {where}" in line(run)


def test_a_missing_blob(run: Path) -> None:
    name = next(blobs(read_record(run)))
    (run / name).unlink()
    assert name in line(run)


@pytest.mark.parametrize("data", [b"", b"GIF89a..", b"\x89PNG"])
def test_a_blob_that_is_no_picture(run: Path, data: bytes) -> None:
    name = next(blobs(read_record(run)))
    (run / name).write_bytes(data)
    assert name in line(run)


@pytest.mark.parametrize("name", ["/etc/passwd", "blobs/../audit.json", "../x.png", "blobs/a b.png", 'blobs/".png', ""])
def test_a_blob_outside_the_run(run: Path, name: str) -> None:
    damage(run, lambda r: r["units"][0]["pictures"][0].update(image=name))
    assert "blobs/" in line(run)


def test_a_blob_that_is_a_folder(run: Path) -> None:
    name = next(blobs(read_record(run)))
    (run / name).unlink()
    (run / name).mkdir()
    assert name in line(run)
