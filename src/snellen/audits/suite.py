"""The audit: plans, runs what is not stored yet, and writes the record after every step."""

import datetime
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from snellen.audits.entries import make_record
from snellen.audits.folder import BLOBS, claim, default_folder
from snellen.audits.workers import draw_shared
from snellen.base import Interrupted, RecordError, Tell, UsageError, try_folder
from snellen.checks.check import Check
from snellen.checks.finding import Finding
from snellen.checks.group import checks_for
from snellen.checks.judgement import Judgement, judge
from snellen.images.classes import ANSWERS, Classes
from snellen.jobs import Function, Job, Plan, Store, locked, missing, results, run
from snellen.record import NAME as RECORD
from snellen.record import write_record
from snellen.studies.choice import Chosen, choose
from snellen.studies.plan import drawing_jobs, exemplar_job
from snellen.studies.request import Request
from snellen.studies.study import Entry, Study, classes_by, functions_of, gathered
from snellen.studies.world import Given, World, open_world

NAMED = 3
"""Damaged files that a line names."""


@dataclass(frozen=True, eq=False)
class _Stage:
    """One audit as it goes: what it works on, where it writes, and how far it is."""

    world: World
    store: Store
    folder: Path
    checks: tuple[Check, ...]
    functions: Mapping[str, Function]
    progress: Tell | None
    note: Callable[[str], None]
    workers: int = 1


def run_audit(
    request: Request,
    given: Given | None = None,
    *,
    out: Path | None = None,
    workers: int = 1,
    progress: Tell | None = None,
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
    checks = checks_for(quick=request.quick)
    world = open_world(request, given, progress=progress)
    world.images.digest(progress)
    say = note or (lambda _line: None)
    for line in world.model.provenance.get("notes", ()):
        say(f"{world.model.name}: {line}")
    folder = out or default_folder(world)
    with locked(folder):
        claim(folder, world)
        functions = functions_of(world)
        for check in checks:
            functions |= check.functions(world)
        stage = _Stage(world, Store(folder / BLOBS), folder, checks, functions, progress, say, workers)
        try:
            _work(stage)
        except KeyboardInterrupt as error:
            raise Interrupted(f"interrupted; what is finished is in {folder}, the same command continues it") from error
    return folder


@dataclass(frozen=True, eq=False)
class _Plan:
    """What is known before anything is drawn, and the jobs that see and draw."""

    chosen: Chosen
    classes: Classes
    seeing: Job
    drawing: tuple[Job, ...]

    @property
    def jobs(self) -> tuple[Job, ...]:
        return (self.seeing, *self.drawing)


@dataclass
class _Steps:
    """Jobs done one after the other, each planned when those before it are done.

    Args:
        stage: where.
        total: what all of them may cost.
    """

    stage: _Stage
    total: float
    done: float = 0.0

    def do(self, job: Job) -> Entry:
        """Do a job that is not stored yet; its results."""
        self.total = max(self.total, self.done + job.cost)
        _step(self.stage, job, self.done, self.total)
        self.done += job.cost
        return results(job, self.stage.store)


def _work(stage: _Stage) -> None:
    world = stage.world
    classes = _classes(stage)
    chosen = choose(world, classes)
    plan = _Plan(chosen, classes, exemplar_job(world, chosen), drawing_jobs(world, chosen))
    # what compares the pictures can only be planned when they are drawn: its cost is guessed for the time left
    guess = sum(check.cost(world, len(chosen.all)) for check in stage.checks)
    steps = _Steps(stage, sum(job.cost for job in plan.jobs) + guess)
    if stage.workers != 1:
        for job in plan.drawing:
            _heal(job, stage)
        draw_shared(world.request, plan.drawing, stage.store.root, workers=stage.workers, progress=stage.progress)
    for job in plan.jobs:
        steps.do(job)
        if any(missing(other, stage.store) for other in plan.jobs):  # what is whole is written when it is judged
            _write(stage, _study(steps, plan), complete=False)
    study = _study(steps, plan)
    findings = [replace(found, asks=check.asks) for check in stage.checks for found in check.examine(study)]
    verdicts, model = judge(_drawn(study), findings)
    _write(stage, study, (*findings, model), verdicts, complete=True)


def _study(steps: _Steps, plan: _Plan) -> Study:
    """What is stored so far."""
    store, seeing = steps.stage.store, plan.seeing
    pictures = gathered(results(job, store) for job in plan.drawing)
    seen = results(seeing, store)
    return Study(steps.stage.world, plan.chosen, plan.classes, seen, seeing.keys, pictures, steps.do)


def _drawn(study: Study) -> dict[str, str]:
    """Units with a picture, and the group of each."""
    groups = {str(u): "classes" if u in study.chosen.classes else f"{u.layer} units" for u in study.chosen.all}
    return {entry["unit"]: groups[entry["unit"]] for entry in study.shown}


def _classes(stage: _Stage) -> Classes:
    def do(job: Job) -> Entry:
        _step(stage, job, 0.0, job.cost)
        return results(job, stage.store)

    world = stage.world
    classes = classes_by(world, do)
    if classes.fit is not None and (not classes.fit.good or (classes.source == ANSWERS and len(classes.fit.others))):
        stage.note(f"{world.images.name}: {classes.fit.words}")
    return classes


def _step(stage: _Stage, job: Job, done: float, total: float) -> None:
    """Run one job if it is not stored, with its progress as part of the whole audit's."""
    _heal(job, stage)

    def tell(title: str, part: float | int, _all: float | int) -> None:
        if stage.progress is not None:
            stage.progress(title, done + part, total)

    run(Plan((job,)), stage.functions, stage.store, progress=tell)


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


def _blobs(value: object) -> list[str]:
    if not isinstance(value, dict):
        return []
    image, shown = value.get("image"), value.get("blobs", {})
    return list(dict.fromkeys([*([image] if image else []), *(blob for blobs in shown.values() for blob in blobs)]))


def _write(
    stage: _Stage,
    study: Study,
    findings: Iterable[Finding] = (),
    judged: Iterable[Judgement] = (),
    *,
    complete: bool,
) -> None:
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    if write_record(stage.folder, make_record(study, findings, judged, complete=complete), created=created):
        stage.note(f"{stage.folder}: damaged, and made again: {RECORD}")
