"""Pictures drawn by several processes: the same jobs with the same results, only sooner."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch

from snellen.base import Tell, UsageError
from snellen.jobs import Function, Job
from snellen.jobs.ray_runner import run_on_ray
from snellen.studies.drawings import draw
from snellen.studies.request import Request
from snellen.studies.world import open_world


def draw_shared(
    request: Request, jobs: Sequence[Job], folder: Path, *, workers: int, progress: Tell | None = None
) -> None:
    """Store the results of drawing jobs, each drawn by one of several Ray workers that open the model themselves.

    Args:
        request: of the audit.
        jobs: its drawing jobs.
        folder: of the run's store.
        workers: processes; every one computes with as many threads as this one, so that results are the same.
        progress: told when a job is done.

    Raises:
        UsageError: a request for a GPU, which one process keeps busy.
        DependencyError: Ray is not installed.
    """
    if request.device != "cpu":
        raise UsageError(f'expected --workers with --device cpu, got "{request.device}"; leave --workers away')
    make = partial(_functions, request, torch.get_num_threads())
    run_on_ray(jobs, make, folder, workers=workers, progress=progress)


def _functions(request: Request, threads: int) -> Mapping[str, Function]:
    torch.set_num_threads(threads)
    return {"draw": draw(open_world(request))}
