"""Drawn by several processes, an audit is the same to the last byte."""

import json
import sys

import pytest

from snellen.audits import run_audit
from snellen.base import DependencyError, UsageError
from snellen.jobs import Job, Store
from snellen.jobs.ray_runner import run_on_ray
from snellen.studies.request import Request


def content(run):
    found = {str(p.relative_to(run)): p.read_bytes() for p in (run / "blobs").rglob("*") if p.is_file()}
    record = json.loads((run / "audit.json").read_bytes())
    return {**found, "audit.json": json.dumps({**record, "created": None})}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.global_random  # Ray draws names from Python's global generator
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_two_workers_draw_what_one_process_draws(network, pictures, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="Ray is an extra: pip install 'snellen[ray]'")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    request = Request(network, str(pictures), steps=6, quick=True)
    alone = run_audit(request, out=tmp_path / "alone")
    told = []
    shared = run_audit(request, out=tmp_path / "shared", workers=2, progress=lambda *at: told.append(at))
    assert content(alone) == content(shared)
    told = [title for title, _, _ in told if "images" not in title]
    assert told[0].startswith("max pictures"), "drawn before anything else"


@pytest.mark.slow
@pytest.mark.global_random
@pytest.mark.filterwarnings("ignore")
def test_what_fails_in_a_worker_fails_here(tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="Ray is an extra: pip install 'snellen[ray]'")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")

    def make():
        def function(spec, context):
            if spec["n"] == 2:
                raise UsageError("expected another number")
            yield "result", spec["n"]

        return {"square": function}

    jobs = [Job("square", {"n": n}) for n in range(3)]
    with pytest.raises(UsageError, match="another number"):
        run_on_ray(jobs, make, tmp_path / "blobs", workers=1)
    assert Store(tmp_path / "blobs").get(jobs[0].keys["result"]) == 0


def test_several_workers_need_ray_and_say_so(network, pictures, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    request = Request(network, str(pictures), steps=6, quick=True)
    with pytest.raises(DependencyError, match=r'pip install "snellen\[ray\]"'):
        run_audit(request, out=tmp_path / "run", workers=2)
    with pytest.raises(UsageError, match="at least 1 worker"):
        run_on_ray([], dict, tmp_path, workers=0)
