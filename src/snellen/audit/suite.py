"""The audit: plans, runs what is not stored yet, and writes the record after every step."""

import datetime
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snellen.audit.choose import Chosen, choose
from snellen.audit.drawing import draw
from snellen.audit.folder import claim, default_folder
from snellen.audit.labels import Classes, named_classes, no_classes, predicted_classes
from snellen.audit.paths import compare_paths
from snellen.audit.plan import drawing_jobs, exemplar_job, path_job, prediction_job
from snellen.audit.record import Results, make_record, write_record
from snellen.audit.request import Request
from snellen.audit.seeing import find_exemplars, predict
from snellen.audit.world import World, open_world
from snellen.jobs import Function, Job, Plan, Progress, Report, Store, locked, missing, results, run


class Interrupted(KeyboardInterrupt):
    """A person stopped the audit; what was finished is saved."""


@dataclass(frozen=True, eq=False)
class _Stage:
    """One audit as it goes: what it works on, where it writes, and how far it is."""

    world: World
    store: Store
    folder: Path
    functions: Mapping[str, Function]
    progress: Report | None


def run_audit(
    request: Request,
    *,
    out: Path | None = None,
    progress: Report | None = None,
    note: Callable[[str], None] | None = None,
) -> Path:
    """Audit a model and return the folder with the record; pages are the report's business.

    A folder that holds the same audit, whole or in part, is continued: what is stored is not computed again, and the
    record that comes out has the same bytes but for its time.

    Args:
        request: what is asked for.
        out: the folder; by default runs/NAME-KEY, KEY from the request.
        progress: told how far the audit is.
        note: told what a person should know before the work starts, line by line.

    Raises:
        SnellenError: a bad argument, model, image set or folder; nothing half-written is left.
        Interrupted: Ctrl-C; what was finished is saved.
    """
    world = open_world(request)
    for line in world.model.provenance.get("notes", ()):
        if note is not None:
            note(f"{world.model.name}: {line}")
    folder = out or default_folder(world)
    with locked(folder):
        claim(folder, world)
        functions: dict[str, Function] = {
            "predict": predict(world),
            "exemplars": find_exemplars(world),
            "draw": draw(world),
            "paths": compare_paths(world),
        }
        stage = _Stage(world, Store(folder / "blobs"), folder, functions, progress)
        try:
            _work(stage)
        except KeyboardInterrupt as error:
            raise Interrupted(f"interrupted; what is finished is in {folder}, the same command continues it") from error
    return folder


def _work(stage: _Stage) -> None:
    world = stage.world
    classes = _classes(stage)
    chosen = choose(world, classes)
    seeing, drawing = exemplar_job(world, chosen), drawing_jobs(world, chosen)
    # the comparison's job can only be planned when its pictures are drawn: its cost is guessed for the time left
    comparing = 2.0 * min(len(world.images), world.request.scale.compared) + len(chosen.all)
    total = seeing.cost + sum(job.cost for job in drawing) + comparing
    done = 0.0
    for job in (seeing, *drawing):
        _step(stage, job, done, total)
        done += job.cost
        _write(stage, (chosen, classes), (seeing, drawing, None), complete=False)
    drawn = _merged(stage, seeing, [job for job in drawing if job.spec["direction"] == "max"])
    last = path_job(world, chosen, classes, drawn)
    if last is not None:
        _step(stage, last, done, done + last.cost)
    _write(stage, (chosen, classes), (seeing, drawing, last), complete=True)


def _classes(stage: _Stage) -> Classes:
    world = stage.world
    if not world.outputs:
        return no_classes(world.images)
    named = named_classes(world.images, world.model.labels, world.outputs)
    if named is not None:
        return named
    job = prediction_job(world)
    _step(stage, job, 0.0, job.cost)
    return predicted_classes(world.images, results(job, stage.store)["result"], world.model.labels)


def _step(stage: _Stage, job: Job, done: float, total: float) -> None:
    """Run one job if it is not stored, with its progress as part of the whole audit's."""

    _heal(job, stage)

    def report(at: Progress) -> None:
        if stage.progress is not None:
            stage.progress(Progress(at.title, done + at.done, total))

    run(Plan((job,)), stage.functions, stage.store, progress=report)


def _heal(job: Job, stage: _Stage) -> None:
    """Forget results whose blobs are gone, so that they are made again."""
    for part, value in results(job, stage.store).items():
        if not all((stage.folder / blob).is_file() for blob in _blobs(value)):
            stage.store.discard(job.keys[part], ".json")


def _blobs(value: Any) -> list[str]:
    if not isinstance(value, dict):
        return []
    image, shown = value.get("image"), value.get("blobs", {})
    return [*([image] if image else []), *(blob for blobs in shown.values() for blob in blobs)]


def _merged(stage: _Stage, seeing: Job, drawing: Iterable[Job]) -> list[dict[str, Any]]:
    seen = results(seeing, stage.store)
    return [
        {"unit": unit, "top": seen[unit]["top"], "image": entry["image"], "status": entry["status"]}
        for job in drawing
        for unit, entry in results(job, stage.store).items()
    ]


def _write(
    stage: _Stage, known: tuple[Chosen, Classes], jobs: tuple[Job, tuple[Job, ...], Job | None], *, complete: bool
) -> None:
    """Write the record of what is stored, unless a complete one is there already."""
    seeing, drawing, comparing = jobs
    if not complete and not any(missing(job, stage.store) for job in (seeing, *drawing)):
        return
    pictures: dict[str, list[Mapping[str, Any]]] = {}
    for job in drawing:
        for unit, entry in results(job, stage.store).items():
            pictures.setdefault(unit, []).append(entry)
    findings = list(results(comparing, stage.store).values()) if comparing is not None else []
    found = Results(results(seeing, stage.store), pictures, findings, complete)
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    write_record(stage.folder, make_record(stage.world, *known, found), created=created)
