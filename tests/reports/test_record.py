"""Reading records: whole ones are accepted, and every way to damage one is caught with one line."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snellen.base import RecordError
from snellen.record import blobs, encoded, json_schema, read_record
from snellen.reports import build


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
    told = json.loads((run / "audit.json").read_text())
    assert_holds(json.loads(encoded(read_record(run))), told)


def assert_holds(whole: Any, part: Any) -> None:
    """That everything in one JSON value is in another, which may have further fields."""
    if isinstance(part, dict):
        for name, value in part.items():
            assert_holds(whole[name], value)
    elif isinstance(part, list):
        assert len(whole) == len(part)
        for one, other in zip(whole, part, strict=True):
            assert_holds(one, other)
    else:
        assert whole == part


def test_fields_of_later_versions_are_let_through(run: Path) -> None:
    damage(run, lambda r: r["units"][0].update(later=[1, {}]))
    assert read_record(run).units[0].unit == "classifier:0"


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


@pytest.mark.parametrize("text", [b"snellen.audit", b"complete"])
def test_a_text_with_bytes_of_no_text(run: Path, text: bytes) -> None:
    path = run / "audit.json"
    path.write_bytes(path.read_bytes().replace(text, b"\x80" + text[1:], 1))
    with pytest.raises(RecordError, match="expected JSON") as caught:
        read_record(run)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("schema", ["snellen.audit/3", None, 1, "<script>"])
def test_another_schema(run: Path, schema: object) -> None:
    damage(run, lambda r: r.update(schema=schema))
    assert "snellen.audit/2" in line(run)


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
    "findings[1].evidence.raw[...].same": lambda r: r["findings"][1]["evidence"]["raw"]["cosine"].pop("same"),
    "findings[1].evidence.ceiling[...]": lambda r: r["findings"][1]["evidence"]["ceiling"].update(spearman=[]),
}


@pytest.mark.parametrize("where", CHANGES)
def test_the_line_says_where(run: Path, where: str) -> None:
    damage(run, CHANGES[where])
    assert f"expected {where}" in line(run)


def test_a_missing_blob(run: Path) -> None:
    name = next(blobs(read_record(run).units))
    (run / name).unlink()
    assert name in line(run)


@pytest.mark.parametrize("data", [b"", b"GIF89a..", b"\x89PNG"])
def test_a_blob_that_is_no_picture(run: Path, data: bytes) -> None:
    name = next(blobs(read_record(run).units))
    (run / name).write_bytes(data)
    assert name in line(run)


@pytest.mark.parametrize("name", ["/etc/passwd", "blobs/../audit.json", "../x.png", "blobs/a b.png", 'blobs/".png', ""])
def test_a_blob_outside_the_run(run: Path, name: str) -> None:
    damage(run, lambda r: r["units"][0]["pictures"][0].update(image=name))
    assert "blobs/" in line(run)


def test_a_blob_that_is_a_folder(run: Path) -> None:
    name = next(blobs(read_record(run).units))
    (run / name).unlink()
    (run / name).mkdir()
    assert name in line(run)


def _text(change: Callable[[str], str]) -> Callable[[Path], object]:
    """A change of the record's text."""

    def damaged(run: Path) -> None:
        path = run / "audit.json"
        path.write_text(change(path.read_text()))

    return damaged


HOSTILE: dict[str, Callable[[Path], object]] = {
    "a number beyond all": lambda run: damage(run, lambda r: r["units"][0]["pictures"][0].update(response=1e308)),
    "a number beyond floats": _text(lambda text: text.replace('"threshold": 0.7', '"threshold": 1e999')),
    "a whole number beyond 64 bits": lambda run: damage(run, lambda r: r["model"].update(parameters=10**400)),
    "more digits than Python reads": _text(lambda text: text.replace("6998552", "9" * 5000)),
    "a whole number below zero": lambda run: damage(run, lambda r: r["images"].update(count=-1)),
    "true for a number": lambda run: damage(run, lambda r: r["units"][0].update(channel=True)),
    "an object for a number": lambda run: damage(run, lambda r: r["units"][0]["pictures"][0].update(response={})),
    "an object for a setting, deep": lambda run: damage(run, lambda r: r["settings"].update(x=nested(40))),
    "half a surrogate pair": lambda run: damage(run, lambda r: r["model"].update(name="\ud83d")),
    "half a surrogate pair for a key": lambda run: damage(run, lambda r: r["settings"].update({"\udc00": 1})),
    "quantiles out of order": lambda run: damage(run, lambda r: r["units"][0]["natural"]["quantiles"].reverse()),
    "reasons that are none": lambda run: damage(run, lambda r: judge(r, {})),
    "paths that are none": lambda run: damage(run, lambda r: judge(r, {"reasons": [], "paths": {"last": "x"}})),
    "classes that are no number": lambda run: damage(run, lambda r: r["findings"][0]["evidence"].update(classes="x")),
    "resamples below zero": lambda run: damage(run, lambda r: r["findings"][0]["evidence"].update(resamples=-1)),
    "a pipe": lambda run: ((run / "audit.json").unlink(), os.mkfifo(run / "audit.json")),
    "a link": lambda run: (
        (run / "audit.json").rename(run.parent / "elsewhere.json"),
        (run / "audit.json").symlink_to(run.parent / "elsewhere.json"),
    ),
}


def nested(depth: int) -> list[object]:
    inner: list[object] = []
    for _ in range(depth):
        inner = [inner]
    return inner


def judge(record: dict[str, Any], evidence: dict[str, Any]) -> None:
    told = {"check": "judgement", "title": "", "claim": "", "verdict": "consistent", "evidence": evidence}
    record["findings"].append(told)


@pytest.mark.parametrize("how", HOSTILE)
def test_hostile_records_are_one_line(run: Path, how: str) -> None:
    HOSTILE[how](run)
    assert line(run).isprintable()


@pytest.mark.parametrize("tiny", [5e-324, -5e-324, 1e-310, 1e150, -1e150, 0.0])
def test_numbers_at_the_ends_of_what_there_is_are_shown(run: Path, tiny: float) -> None:
    def change(record: dict[str, Any]) -> None:
        for unit in record["units"]:
            unit["natural"].update(quantiles=[tiny] * 101, own_class_mean=tiny)
            for picture in unit["pictures"]:
                picture.update(response=tiny, history=[tiny, -tiny, 0.0])

    damage(run, change)
    build(run)


def test_a_blob_that_is_a_pipe_or_a_link_is_not_opened(run: Path) -> None:
    name = next(blobs(read_record(run).units))
    (run / name).rename(run.parent / "elsewhere")
    (run / name).symlink_to(run.parent / "elsewhere")
    assert "a link, which is not followed" in line(run)
    (run / name).unlink()
    os.mkfifo(run / name)
    assert "not a regular file" in line(run)
    (run / name).unlink()
    (run / name).parent.rename(run.parent / "folder")
    (run / name).parent.symlink_to(run.parent / "folder")
    assert "a link, which is not followed" in line(run)


def test_rows_that_no_page_shows_may_say_anything(run: Path) -> None:
    damage(
        run, lambda r: r["findings"][-1].update(check="judgement", evidence={"reasons": [], "units": [{"unit": "a"}]})
    )
    assert build(run).is_file()


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r["model"].update(provenance=None),
        lambda r: r["model"].update(provenance={"notes": None}),
        lambda r: r["images"].update(labels_from=["a"]),
    ],
)
def test_what_pages_read_if_it_is_there_is_checked_too(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    damage(run, change)
    assert "is damaged" in line(run)


def test_records_of_the_first_version_are_brought_up_to_date(make: Callable[..., Path]) -> None:
    run = make(classes=3, examined=1)
    newest = read_record(run)

    def age(record: dict[str, Any]) -> None:
        record["schema"] = "snellen.audit/1"
        for finding in record["findings"]:
            finding.pop("asks", None)

    damage(run, age)
    old = read_record(run)
    assert old.schema == newest.schema == "snellen.audit/2"
    assert old.units == newest.units
    asked = {finding.check: finding.asks for finding in old.findings}
    assert "the response jumps" in asked["jumps"]
    assert all(len(asked[check]) > 40 for check in ("silent-scan", "agreement", "procedure", "response-gap"))
    assert asked["judgement"] is None
    assert "There the response jumps" in build(run).read_text()


def test_the_json_schema_in_the_docs_is_that_of_the_types() -> None:
    path = Path(__file__).parents[2] / "docs" / "reference" / "audit.schema.json"
    assert json.loads(path.read_text()) == json.loads(json.dumps(json_schema())), (
        "write it again: python -m snellen.record"
    )


def test_records_fit_their_json_schema(make: Callable[..., Path]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    record = json.loads((make(classes=3, examined=1) / "audit.json").read_text())
    jsonschema.Draft202012Validator(json_schema()).validate(record)
    record["units"][0]["role"] = "clas"
    with pytest.raises(jsonschema.ValidationError, match="clas"):
        jsonschema.Draft202012Validator(json_schema()).validate(record)
