"""One check alone: the pictures and photographs that it needs, then its finding; nothing is kept unless asked for."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from snellen.audits.examine import agree_job, procedure_job, scan_job, vary_jobs, walk_job
from snellen.audits.judging import judged
from snellen.audits.suite import classes_by, functions_of
from snellen.base import Seed, UsageError
from snellen.findings import Finding
from snellen.images.classes import Classes, no_classes
from snellen.jobs import Job, Plan, Report, Store, results, run
from snellen.studies.choice import Chosen, choose
from snellen.studies.plan import drawing_jobs, exemplar_job, path_job
from snellen.studies.request import Request
from snellen.studies.world import Given, World, open_world

Entry = Mapping[str, Any]


def find(check: str, request: Request, given: Given | None = None, *, progress: Report | None = None) -> Finding:
    """The finding of one check on the units of a request.

    Args:
        check: "jumps", "silent-scan", "agreement", "procedure", "response-gap" or "path-similarity".
        request: names the units.
        given: the model or the images themselves, where the request has no word for them.
        progress: told how far it is.

    Raises:
        UsageError: no unit has a picture, or the check needs others beside those that were named.
        SnellenError: a bad model, unit or image set.
    """
    world = open_world(request, given)
    with tempfile.TemporaryDirectory(prefix="snellen-") as folder:
        bench = _Bench(world, Store(Path(folder) / "blobs"), progress)
        classes = bench.classes() if check == "path-similarity" else no_classes(world.images)
        return _FINDERS[check](bench, choose(world, classes), classes)


class _Bench:
    """A place to do jobs one after the other.

    Args:
        world: model and images.
        store: of the results.
        progress: told how far the jobs are.
    """

    def __init__(self, world: World, store: Store, progress: Report | None) -> None:
        self.world, self.store, self._progress = world, store, progress
        self._functions = functions_of(world)

    def do(self, *jobs: Job) -> dict[str, Any]:
        """The results of jobs, by part."""
        run(Plan(jobs), self._functions, self.store, progress=self._progress)
        return {part: value for job in jobs for part, value in results(job, self.store).items()}

    def classes(self) -> Classes:
        """What the images' classes are, as an audit finds it."""
        return classes_by(self.world, lambda job: self.do(job)["result"])

    def shown(self, chosen: Chosen) -> list[dict[str, Any]]:
        """Every unit's picture and top photographs; units without a picture are left out.

        Raises:
            UsageError: no unit has one.
        """
        seeing = exemplar_job(self.world, chosen)
        seen = self.do(seeing)
        drawn = self.do(*(job for job in drawing_jobs(self.world, chosen) if job.spec["direction"] == "max"))
        entries = [
            {
                "unit": unit,
                "top": seen[unit]["top"],
                "seen": seeing.keys[unit],
                **{name: drawn[unit][name] for name in ("image", "status", "response")},
            }
            for unit in map(str, chosen.all)
        ]
        good = [e for e in entries if e["status"] == "ok" and e["image"] is not None and e["response"] is not None]
        if not good:
            told = f'"{entries[0]["unit"]}" is {entries[0]["status"]}'
            raise UsageError(f"expected a unit with a picture, got none: {told}; name others")
        return good


def _planned(
    plan: Callable[[World, Sequence[Entry]], Job | None],
) -> Callable[[_Bench, Chosen, Classes], Finding]:
    """A check that needs one job once the pictures are drawn."""

    def found(bench: _Bench, chosen: Chosen, _classes: Classes) -> Finding:
        return _result(bench, plan(bench.world, bench.shown(chosen)))

    return found


def _procedure(bench: _Bench, chosen: Chosen, _classes: Classes) -> Finding:
    shown = bench.shown(chosen)
    varied: dict[str, dict[str, Any]] = {}
    for job in vary_jobs(bench.world, shown, chosen):
        for unit, entry in bench.do(job).items():
            varied.setdefault(unit, {})[job.spec["variant"]] = entry
    return _result(bench, procedure_job(bench.world, shown, varied))


def _response_gap(bench: _Bench, chosen: Chosen, _classes: Classes) -> Finding:
    seen = bench.do(exemplar_job(bench.world, chosen))
    pictures: dict[str, list[Entry]] = {}
    for job in drawing_jobs(bench.world, chosen):
        for unit, entry in bench.do(job).items():
            pictures.setdefault(unit, []).append(entry)
    findings, _ = judged(chosen, (seen, pictures), (), Seed(bench.world.request.seed))
    found = next((f for f in findings if f["check"] == "response-gap"), None)
    return _finding(found)


def _path_similarity(bench: _Bench, chosen: Chosen, classes: Classes) -> Finding:
    groups = {unit.layer for unit in chosen.inner} | ({"classes"} if chosen.classes else set())
    if len(groups) > 1:
        raise UsageError(f"expected units of one layer, got {', '.join(sorted(groups))}; look at one at a time")
    shown = bench.shown(chosen)
    drawn = Chosen(_those(chosen.classes, shown), _those(chosen.inner, shown))
    job = path_job(bench.world, drawn, classes, shown)
    return _finding(None if job is None else next(iter(bench.do(job).values())))


def _those(units: Sequence[Any], shown: Sequence[Entry]) -> tuple[Any, ...]:
    names = {entry["unit"] for entry in shown}
    return tuple(unit for unit in units if str(unit) in names)


def _result(bench: _Bench, job: Job | None) -> Finding:
    return _finding(None if job is None else bench.do(job)["result"])


def _finding(data: Entry | None) -> Finding:
    if data is None:
        raise UsageError("expected units that the check can compare, got too few; name at least two of a layer")
    return Finding.from_data(data)


_FINDERS: Mapping[str, Callable[[_Bench, Chosen, Classes], Finding]] = {
    "jumps": _planned(walk_job),
    "silent-scan": _planned(scan_job),
    "agreement": _planned(agree_job),
    "procedure": _procedure,
    "response-gap": _response_gap,
    "path-similarity": _path_similarity,
}
