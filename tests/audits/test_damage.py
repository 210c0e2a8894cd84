"""What a disk, a hand or another program did to a run: noticed, named, made again; nobody else's files touched."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from snellen.audits import run_audit
from snellen.base import Interrupted, OutputError, RecordError, UsageError
from snellen.reports import build
from snellen.studies.request import Request

Damage = Callable[[bytes], bytes]
DAMAGES: dict[str, Damage] = {
    "flipped": lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 4]) + data[len(data) // 2 + 1 :],
    "cut": lambda data: data[: len(data) * 2 // 3],
    "emptied": lambda _: b"",
}


@pytest.fixture(scope="module")
def ask(network, pictures) -> Callable[..., Request]:
    return lambda **changes: Request(
        **{"model": network, "images": str(pictures), "steps": 4, "units": ("8:0", "2:1"), "quick": True, **changes}
    )


@pytest.fixture(scope="module")
def finished(ask, tmp_path_factory) -> Path:
    return run_audit(ask(), out=tmp_path_factory.mktemp("audit") / "run")


def content(run: Path) -> dict[str, bytes]:
    found = {str(p.relative_to(run)): p.read_bytes() for p in run.rglob("*") if p.is_file() and p.name != ".lock"}
    found["audit.json"] = json.dumps({**json.loads(found["audit.json"]), "created": None}).encode()
    return {name: data for name, data in found.items() if not name.endswith(".html")}


def some(run: Path, suffix: str) -> Path:
    """A result, or a picture of the record."""
    return some_of(run, suffix, recorded=suffix != ".json")


def some_of(run: Path, suffix: str, *, recorded: bool) -> Path:
    record = (run / "audit.json").read_text()
    return next(p for p in sorted((run / "blobs").rglob(f"*{suffix}")) if (p.name in record) == recorded)


def healing(told: list[str]) -> Callable[[str], None]:
    """Keeps what an audit says of damage, and nothing else that it says."""
    return lambda line: told.append(line) if "made again" in line else None


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".json"])
def test_whatever_is_damaged_is_named_and_made_again(finished, ask, suffix, how):
    before, path = content(finished), some(finished, suffix)
    path.write_bytes(DAMAGES[how](path.read_bytes()))
    if suffix != ".json":
        with pytest.raises(RecordError, match=re.escape(path.name)):
            build(finished)
    told: list[str] = []
    run_audit(ask(), out=finished, note=healing(told))
    assert content(finished) == before
    assert len(told) == 1
    assert path.relative_to(finished).as_posix() in told[0]
    assert "damaged or gone, and made again" in told[0]
    build(finished)


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_picture_that_only_checks_look_at_is_made_again(finished, ask, how):
    before, path = content(finished), some_of(finished, ".png", recorded=False)
    path.write_bytes(DAMAGES[how](path.read_bytes()))
    told: list[str] = []
    run_audit(ask(), out=finished, note=healing(told))
    assert content(finished) == before
    assert len(told) == 1
    assert path.relative_to(finished).as_posix() in told[0]


def test_an_edited_response_does_not_reach_the_record(finished, ask):
    """Sound JSON, ten times as much: only a digest can tell."""
    before = content(finished)
    for path in (finished / "blobs").rglob("*.json"):
        text = path.read_text()
        edited = re.sub(r'("response": )(-?[\d.e-]+)', lambda m: m[1] + repr(10 * float(m[2])), text)
        if edited != text:
            path.write_text(edited)
            break
    else:
        pytest.fail("no result with a response")
    told: list[str] = []
    run_audit(ask(), out=finished, note=healing(told))
    assert content(finished) == before
    assert path.name in told[0]


def test_a_damaged_picture_of_an_interrupted_audit_is_named_and_drawn_again(finished, ask, tmp_path):
    def interrupt(title, _done, _total):
        if title == "jumps":
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        run_audit(ask(), out=tmp_path / "run", progress=interrupt)
    path = some(tmp_path / "run", ".png")
    path.write_bytes(DAMAGES["flipped"](path.read_bytes()))
    told: list[str] = []
    run_audit(ask(), out=tmp_path / "run", note=healing(told))
    assert content(tmp_path / "run") == content(finished)
    assert path.name in told[0]


@pytest.mark.parametrize("text", ["{", "[]", "null", ""])
def test_a_damaged_record_is_named_and_written_again(finished, ask, text):
    before = content(finished)
    (finished / "audit.json").write_text(text)
    told: list[str] = []
    run_audit(ask(), out=finished, note=healing(told))
    assert content(finished) == before
    assert told == [f"{finished}: damaged, and made again: audit.json"]


@pytest.mark.parametrize("text", ["{", "[]", "null", "", "[" * 100_000])
def test_a_folder_that_does_not_say_whose_it_is_is_refused_in_one_line(ask, tmp_path, text):
    (tmp_path / "request.json").write_text(text)
    with pytest.raises(OutputError, match=r"request\.json to say whose") as caught:
        run_audit(ask(), out=tmp_path)
    assert "\n" not in str(caught.value)


def test_an_identity_of_odd_types_is_another_audit(ask, tmp_path):
    run = run_audit(ask(steps=1, units=("8:0",)), out=tmp_path / "run")
    held = json.loads((run / "request.json").read_text())
    (run / "request.json").write_text(json.dumps({**held, "world": []}))
    with pytest.raises((UsageError, OutputError), match=r"other weights|world"):
        run_audit(ask(steps=1, units=("8:0",)), out=run)


def test_files_of_other_people_are_not_swept(ask, tmp_path):
    """A folder with somebody's hidden downloads becomes a run, and is one that goes on."""
    theirs = [".film.mkv.part", ".a.0123.part", "below/.b.part", "blobs-of-mine/.c.0123456789ab.snellen-part"]
    for name in theirs:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("theirs")
    for _ in range(2):
        run_audit(ask(steps=1, units=("8:0",)), out=tmp_path)
        assert [(tmp_path / name).read_text() for name in theirs] == ["theirs"] * 4


@pytest.mark.parametrize("name", ["index.html", "audit.json", "blobs", "pages"])
def test_a_folder_with_files_that_an_audit_would_replace_is_refused(ask, tmp_path, name):
    (tmp_path / name).write_text("theirs")
    with pytest.raises(UsageError, match=f"{name} of unknown origin"):
        run_audit(ask(), out=tmp_path)
    assert (tmp_path / name).read_text() == "theirs"
    assert not (tmp_path / "request.json").exists()


def test_what_a_killed_audit_left_is_taken_up(finished, ask, tmp_path):
    run = run_audit(ask(), out=tmp_path / "run")
    left = [run / ".audit.json.0123456789ab.snellen-part"]
    left += [path.with_name(f".{path.name}.0123456789ab.snellen-part") for path in (run / "blobs").rglob("*.png")]
    for path in left:
        path.write_bytes(b"half")
    run_audit(ask(), out=run)
    assert content(run) == content(finished)


def test_another_number_of_threads_goes_on(finished, ask):
    """Pixels are equal for any number: a run is resumed, and a finished record stays as it is."""
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("*") if p.is_file() and p.name != ".lock"}
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        run_audit(ask(), out=finished)
    finally:
        torch.set_num_threads(threads)
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_a_place_that_cannot_be_written_to_is_told_before_anything_is_loaded(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="not a directory"):
        run_audit(Request("nowhere.py:net"), out=tmp_path / "file" / "run")


def test_images_are_counted_while_they_are_checked_and_read(ask, tmp_path):
    seen = []
    run_audit(ask(steps=1, units=("8:0",)), out=tmp_path / "run", progress=lambda *told: seen.append(told))
    for title in ("checking images", "reading images"):
        assert [(done, total) for what, done, total in seen if what == title] == [(i + 1.0, 24.0) for i in range(24)]


@pytest.mark.parametrize("name", [".png", ".jpg"])
def test_a_pipe_in_place_of_a_blob_does_not_hold_an_audit_up(finished, ask, name):
    before, path = content(finished), some(finished, name)
    path.unlink()
    os.mkfifo(path)
    run_audit(ask(), out=finished)
    assert content(finished) == before
