"""Bar 5: killed at any moment and started again, an audit ends with the bytes of an undisturbed one."""

import json
import multiprocessing
import random
import time
from pathlib import Path

import pytest

from snellen.audits import run_audit
from snellen.studies.request import Request

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["snellen.audits", "filelock", "PIL.JpegImagePlugin", "PIL.PngImagePlugin"])


def start(request: Request, run: Path) -> multiprocessing.process.BaseProcess:
    process = CONTEXT.Process(target=run_audit, args=(request,), kwargs={"out": run})
    process.start()
    return process


def content(run: Path) -> dict[str, bytes]:
    found = {str(p.relative_to(run)): p.read_bytes() for p in run.rglob("*") if p.is_file() and p.name != ".lock"}
    record = json.loads(found["audit.json"])
    assert record["status"] == "complete"
    found["audit.json"] = json.dumps({**record, "created": None}).encode()
    return found


def killed_and_continued(request: Request, folder: Path, moments: random.Random) -> int:
    """Compare an undisturbed run with one that is killed five times; returns how many kills hit it at work."""
    started = time.monotonic()
    undisturbed = start(request, folder / "undisturbed")
    undisturbed.join()
    lasted = time.monotonic() - started
    assert undisturbed.exitcode == 0
    hits = 0
    for _ in range(5):
        process = start(request, folder / "disturbed")
        process.join(moments.uniform(0.02, 0.16) * lasted)  # five together end before the work does
        process.kill()
        process.join()
        hits += process.exitcode != 0
    last = start(request, folder / "disturbed")
    last.join()
    assert last.exitcode == 0
    assert content(folder / "disturbed") == content(folder / "undisturbed")
    return hits


def test_an_audit_killed_five_times_ends_with_the_same_bytes(network, pictures, tmp_path):
    request = Request(network, str(pictures), steps=12, quick=True)
    assert killed_and_continued(request, tmp_path, random.Random(1)) == 5


@pytest.mark.slow
def test_the_audit_of_the_builtin_network_killed_five_times_ends_with_the_same_bytes(tmp_path):
    assert killed_and_continued(Request(quick=True), tmp_path, random.Random(2)) == 5
