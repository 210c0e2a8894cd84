"""Killed at any moment, or on a disk that fills up at any byte: the same command ends with a calm run's bytes."""

import contextlib
import errno
import json
import multiprocessing
import os
import random
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from snellen.base import writer
from snellen.cli import main

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["snellen.matrices.matrix", "snellen.reports", "snellen.cli.app", "filelock", "skimage"])
WRITING = ("audit", "deceive", "matrix", "visualize")


def words(command: str, tiny: Path, images: Path) -> list[str]:
    """A small job of each command; it writes into OUT of the folder in which it is called."""
    net, shown = f"{tiny}:net", ["--images", str(images)]
    return {
        "audit": ["audit", net, *shown, "--units", "6:0", "--units", "2:1", "--steps", "4", "--quick"],
        "deceive": ["deceive", net, *shown, "--method", "silent-units", "--size", "32", "--steps", "4", "--units", "1"],
        "matrix": [
            *("matrix", "--case", f"{net}={images}", "--kind", "honest", "--kind", "silent"),
            *("--units", "1", "--steps", "4", "--quick"),
        ],
        "visualize": ["visualize", net, "6:*", "2:0-3", "--steps", "8"],
        "certify": ["certify", net, "2:1", *shown, "--steps", "8"],
    }[command] + ([] if command == "certify" else ["--out", "OUT"])


def work(asked: list[str], place: Path) -> None:
    """The program as a process: in a folder, with what it prints in a file."""
    os.chdir(place)
    with open("printed", "w") as printed, contextlib.redirect_stdout(printed):
        main(asked)


def start(asked: list[str], place: Path) -> multiprocessing.process.BaseProcess:
    place.mkdir(exist_ok=True)
    process = CONTEXT.Process(target=work, args=(asked, place))
    process.start()
    return process


def content(place: Path) -> dict[str, bytes]:
    """All files but locks; times of records left out."""
    found = {str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file() and p.name != ".lock"}
    assert not [name for name in found if name.endswith("-part")]
    for name in found:
        if name.endswith("audit.json"):
            found[name] = json.dumps({**json.loads(found[name]), "created": None}).encode()
        if name.endswith("index.html"):
            found[name] = re.sub(rb"20\d\d-\d\d-\d\dT[\d:+]+", b"", found[name])
    return found


def killed(asked: list[str], folder: Path, moments: random.Random, kills: int) -> int:
    """Compares a calm run with one that is killed so often; returns how many kills hit it at work."""
    start(["--version"], folder / "warm").join()  # the first process waits for what all others share
    started = time.monotonic()
    calm = start(asked, folder / "calm")
    calm.join()
    lasted = time.monotonic() - started
    assert calm.exitcode == 0
    hits = 0
    for _ in range(kills):
        process = start(asked, folder / "killed")
        process.join(moments.uniform(0.02, 0.9) * lasted)
        process.kill()
        process.join()
        hits += process.exitcode != 0
        if process.exitcode == 0:  # it was done: the next kill hits one that starts from nothing
            shutil.rmtree(folder / "killed")
    last = start(asked, folder / "killed")
    last.join()
    assert last.exitcode == 0
    assert content(folder / "killed") == content(folder / "calm")
    return hits


def test_pictures_killed_three_times_end_with_the_same_bytes(tiny, images, tmp_path):
    assert killed(words("visualize", tiny, images), tmp_path, random.Random(0), 3) > 0


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("command", [*WRITING, "certify"])
def test_ten_kills_of_every_command_end_with_the_same_bytes(command, tiny, images, tmp_path):
    """Together fifty."""
    assert killed(words(command, tiny, images), tmp_path, random.Random(command), 10) >= 5


class Disk:
    """Stands for `open` where files are written: after so many bytes there is no space left."""

    def __init__(self, room: float) -> None:
        self.room, self.written = room, 0

    def __call__(self, path: Path, mode: str):
        file, disk = open(path, mode), self  # noqa: SIM115 - closed with what stands for it

        class Counted:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                file.close()

            def write(self, data: bytes) -> None:
                fits = max(0, int(min(len(data), disk.room - disk.written)))
                file.write(data[:fits])
                disk.written += fits
                if fits < len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            def flush(self) -> None:
                file.flush()

            def fileno(self) -> int:
                return file.fileno()

        return Counted()


def filled(snellen: Callable, asked: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten tries with ever more room, each in what the one before left, then one on a disk that is large enough."""
    for place in ("calm", "full"):
        (folder / place).mkdir()
    monkeypatch.chdir(folder / "calm")
    whole = Disk(float("inf"))
    monkeypatch.setattr(writer, "open", whole, raising=False)
    assert snellen(*asked).code == 0
    monkeypatch.chdir(folder / "full")
    refused = 0
    for step in range(10):
        disk = Disk(whole.written * step / 10)
        monkeypatch.setattr(writer, "open", disk, raising=False)
        done = snellen(*asked)
        if done.code:
            assert "no space left on device" in done.line
            refused += 1
        assert not list((folder / "full").rglob("*-part"))
    assert refused > 1
    monkeypatch.setattr(writer, "open", Disk(float("inf")), raising=False)
    assert snellen(*asked).code == 0
    assert content(folder / "full") == content(folder / "calm")


def test_pictures_on_a_disk_that_fills_up_ten_times(snellen, tiny, images, tmp_path, monkeypatch):  # noqa: PLR0917
    filled(snellen, words("visualize", tiny, images), tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("command", ["audit", "deceive", "matrix"])
def test_every_command_on_a_disk_that_fills_up_ten_times(command, snellen, tiny, images, tmp_path, monkeypatch):  # noqa: PLR0917
    filled(snellen, words(command, tiny, images), tmp_path, monkeypatch)


@pytest.mark.slow
def test_a_certificate_needs_no_disk(snellen, tiny, images, tmp_path, monkeypatch):  # noqa: PLR0917
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(writer, "open", Disk(0), raising=False)
    assert snellen(*words("certify", tiny, images)).code == 0
    assert sorted(tmp_path.rglob("*")) == before
