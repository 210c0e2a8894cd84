"""The audit: plans, runs what is not stored yet, and writes the record after every step."""

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snellen.audits.agreeing import agree, compare_procedures
from snellen.audits.examine import agree_job, procedure_job, scan_job, vary_jobs, walk_job
from snellen.audits.folder import BLOBS, claim, default_folder
from snellen.audits.judging import judged
from snellen.audits.paths import compare_paths
from snellen.audits.record import NAME as RECORD
from snellen.audits.record import Results, make_record, write_record
from snellen.audits.scanning import scan
from snellen.audits.varying import vary
from snellen.audits.walking import walk
from snellen.audits.workers import draw_shared
from snellen.base import Interrupted, RecordError, Seed, UsageError, try_folder
from snellen.images.classes import ANSWERS, Classes, classes_of, no_classes
from snellen.jobs import Function, Job, Plan, Progress, Report, Store, locked, missing, results, run
from snellen.studies.choice import Chosen, choose
from snellen.studies.drawings import draw, settings_of
from snellen.studies.natural import find_exemplars, predict
from snellen.studies.plan import drawing_jobs, exemplar_job, path_job, prediction_job
from snellen.studies.request import Request
from snellen.studies.world import Given, World, open_world

NAMED = 3
"""Damaged files that a line names."""


@dataclass(frozen=True, eq=False)
class _Stage:
    """One audit as it goes: what it works on, where it writes, and how far it is."""

    world: World
    store: Store
    folder: Path
    functions: Mapping[str, Function]
    progress: Report | None
    note: Callable[[str], None]
    workers: int = 1


def run_audit(
    request: Request,
    given: Given | None = None,
    *,
    out: Path | None = None,
    workers: int = 1,
    progress: Report | None = None,
    note: Callable[[str], None] | None = None,
) -> Path:
    """Audit a model and return the folder with the record; pages are the report's business.

    A folder that holds the same audit, whole or in part, is continued: what is stored is not computed again, and the
    record that comes out has the same bytes but for its time.

    Args:
        request: what is asked for.
        given: the model or the images themselves, where the request has no word for them.
        out: the folder; by default runs/NAME-KEY, KEY from the request.
        workers: processes that draw; several need Ray. The record is the same for any number.
        progress: told how far the audit is.
        note: told what a person should know, line by line: before the work starts, and what was damaged.

    Raises:
        SnellenError: a bad argument, model, image set or folder; nothing half-written is left.
        Interrupted: Ctrl-C; what was finished is saved.
    """
    if given is not None and workers != 1:
        raise UsageError(
            "expected one worker for what is in memory, got more: processes open models and images by name"
        )
    if out is not None:
        try_folder(out)
    world = open_world(request, given, progress=_counting("checking images", progress))
    world.images.digest(_counting("reading images", progress))
    say = note or (lambda _line: None)
    for line in world.model.provenance.get("notes", ()):
        say(f"{world.model.name}: {line}")
    folder = out or default_folder(world)
    with locked(folder):
        claim(folder, world)
        stage = _Stage(world, Store(folder / BLOBS), folder, functions_of(world), progress, say, workers)
        try:
            _work(stage)
        except KeyboardInterrupt as error:
            raise Interrupted(f"interrupted; what is finished is in {folder}, the same command continues it") from error
    return folder


def functions_of(world: World) -> dict[str, Function]:
    """What every job of an audit calls, by name."""
    return {
        "predict": predict(world),
        "exemplars": find_exemplars(world),
        "draw": draw(world),
        "paths": compare_paths(world),
        "scan": scan(world),
        "walk": walk(world),
        "agree": agree(world),
        "vary": vary(world),
        "procedure": compare_procedures(world),
    }


def _work(stage: _Stage) -> None:
    world = stage.world
    classes = _classes(stage)
    chosen = choose(world, classes)
    seeing, drawing = exemplar_job(world, chosen), drawing_jobs(world, chosen)
    # what compares the pictures can only be planned when they are drawn: its cost is guessed for the time left
    comparing = _guess(world, chosen)
    done, total = 0.0, seeing.cost + sum(job.cost for job in drawing) + comparing
    if stage.workers != 1:
        for job in drawing:
            _heal(job, stage)
        draw_shared(world.request, drawing, stage.store.root, workers=stage.workers, progress=stage.progress)
    for job in (seeing, *drawing):
        _step(stage, job, done, total)
        done += job.cost
        _write(stage, (chosen, classes), (seeing, drawing, ()), complete=False)
    drawn = _merged(stage, seeing, [job for job in drawing if job.spec["direction"] == "max"])
    checks = _Steps(stage, done, total)
    last = [checks.take(path_job(world, chosen, classes, drawn))]
    last += _examined(checks, chosen, drawn)
    _write(stage, (chosen, classes), (seeing, drawing, tuple(job for job in last if job is not None)), complete=True)


@dataclass
class _Steps:
    """Jobs done one after the other, each planned when those before it are done."""

    stage: _Stage
    done: float
    total: float

    def take(self, job: Job | None) -> Job | None:
        """Do a job, if there is one, and return it."""
        if job is not None:
            self.total = max(self.total, self.done + job.cost)
            _step(self.stage, job, self.done, self.total)
            self.done += job.cost
        return job


def _examined(steps: _Steps, chosen: Chosen, drawn: list[dict[str, Any]]) -> list[Job | None]:
    """The checks against manipulation, on units with a picture; jobs whose results are findings."""
    world = steps.stage.world
    shown = [e for e in drawn if e["status"] == "ok" and e["image"] is not None and e["response"] is not None]
    done = [steps.take(plan(world, shown)) for plan in (walk_job, scan_job, agree_job)]
    varied: dict[str, dict[str, Any]] = {}
    for job in vary_jobs(world, shown, chosen):
        steps.take(job)
        for unit, entry in results(job, steps.stage.store).items():
            varied.setdefault(unit, {})[job.spec["variant"]] = entry
    return [*done, steps.take(procedure_job(world, shown, varied))]


def _guess(world: World, chosen: Chosen) -> float:
    """About what the comparisons cost, in forward passes."""
    scale, units = world.request.scale, len(chosen.all)
    varied = 2 * scale.varied * scale.variants * settings_of(world).steps * 3 / 4
    return 4.0 * min(len(world.images), scale.compared) + 50.0 * scale.walks * units + varied


def classes_by(world: World, do: Callable[[Job], Sequence[int]]) -> Classes:
    """Which class of images is which unit, by the network's own answers.

    Args:
        world: model and images.
        do: a job -> the network's answers to its images.
    """
    if world.outputs < 2 or world.class_layer is None:  # numbers that are no classes: an embedding, one value
        return no_classes(world.images)
    job = prediction_job(world)
    answers = dict(zip(job.spec["images"], do(job), strict=True))
    return classes_of(world.images, answers, world.model.labels, world.outputs)


def _classes(stage: _Stage) -> Classes:
    def do(job: Job) -> Sequence[int]:
        _step(stage, job, 0.0, job.cost)
        answers: Sequence[int] = results(job, stage.store)["result"]
        return answers

    world = stage.world
    classes = classes_by(world, do)
    if classes.fit is not None and (not classes.fit.good or (classes.source == ANSWERS and len(classes.fit.others))):
        stage.note(f"{world.images.name}: {classes.fit.words}")
    return classes


def _step(stage: _Stage, job: Job, done: float, total: float) -> None:
    """Run one job if it is not stored, with its progress as part of the whole audit's."""

    _heal(job, stage)

    def report(at: Progress) -> None:
        if stage.progress is not None:
            stage.progress(Progress(at.title, done + at.done, total))

    run(Plan((job,)), stage.functions, stage.store, progress=report)


def _heal(job: Job, stage: _Stage) -> None:
    """Forget results that are damaged, or whose blobs are, so that they are made again; say which."""
    store, lost = stage.store, []
    for key in job.keys.values():
        if not store.has(key):
            continue
        try:
            bad = [blob for blob in _blobs(store.get(key)) if not store.intact(blob)]
        except RecordError:
            bad = [store.path(key).relative_to(stage.folder).as_posix()]
        if bad:
            store.discard(key)
            lost += bad
    if lost:
        names = ", ".join(lost[:NAMED]) + (f" and {len(lost) - NAMED} more" if len(lost) > NAMED else "")
        stage.note(f"{stage.folder}: damaged or gone, and made again: {names}")


def _blobs(value: Any) -> list[str]:
    if not isinstance(value, dict):
        return []
    image, shown = value.get("image"), value.get("blobs", {})
    return list(dict.fromkeys([*([image] if image else []), *(blob for blobs in shown.values() for blob in blobs)]))


def _merged(stage: _Stage, seeing: Job, drawing: Iterable[Job]) -> list[dict[str, Any]]:
    seen = results(seeing, stage.store)
    return [
        {
            "unit": unit,
            "top": seen[unit]["top"],
            "seen": seeing.keys[unit],
            "image": entry["image"],
            "status": entry["status"],
            "response": entry["response"],
        }
        for job in drawing
        for unit, entry in results(job, stage.store).items()
    ]


def _write(
    stage: _Stage, known: tuple[Chosen, Classes], jobs: tuple[Job, tuple[Job, ...], tuple[Job, ...]], *, complete: bool
) -> None:
    """Write the record of what is stored, unless a complete one is there already."""
    seeing, drawing, comparing = jobs
    if not complete and not any(missing(job, stage.store) for job in (seeing, *drawing)):
        return
    pictures: dict[str, list[Mapping[str, Any]]] = {}
    for job in drawing:
        for unit, entry in results(job, stage.store).items():
            pictures.setdefault(unit, []).append(entry)
    findings = [finding for job in comparing for finding in results(job, stage.store).values()]
    seen = results(seeing, stage.store)
    verdicts: dict[str, Mapping[str, Any]] = {}
    if complete:
        findings, verdicts = judged(known[0], (seen, pictures), findings, Seed(stage.world.request.seed))
    found = Results(seen, pictures, findings, verdicts, complete, {unit: seeing.keys[unit] for unit in seen})
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    if write_record(stage.folder, make_record(stage.world, *known, found), created=created):
        stage.note(f"{stage.folder}: damaged, and made again: {RECORD}")


def _counting(title: str, progress: Report | None) -> Callable[[int, int], None] | None:
    """Progress of a count, as an audit tells it."""
    return None if progress is None else lambda done, total: progress(Progress(title, float(done), float(total)))
