"""The Ray runner: jobs that do not need each other's results, on several processes (or machines that share a disk).

Results go to the same store under the same keys as the local runner's: whoever runs the plan afterwards finds them.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from snellen.base import DependencyError, SnellenError, Tell, UsageError
from snellen.jobs.plan import Job, Plan
from snellen.jobs.run import Function, missing, run
from snellen.jobs.store import Store

Make = Callable[[], Mapping[str, Function]]


def run_on_ray(jobs: Sequence[Job], make: Make, folder: Path, *, workers: int, progress: Tell | None = None) -> None:
    """Run the jobs that have a part missing, each on whichever worker is free.

    Args:
        jobs: independent of each other; a job's result must not depend on where it runs.
        make: called once in every worker, for the table of functions; sent there by pickle.
        folder: of the store, which all workers reach.
        workers: processes, at least 1.
        progress: told when a job is done.

    Raises:
        DependencyError: Ray is not installed.
        UsageError: no workers.
        SnellenError: what a job raised.
    """
    if workers < 1:
        raise UsageError(f"expected at least 1 worker, got {workers}")
    left = [job for job in jobs if missing(job, Store(folder))]
    if not left:
        return
    ray = _ray()
    here, mine = os.getcwd(), not ray.is_initialized()
    if mine:
        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        actor = ray.remote(num_cpus=1)(_Worker)
        free = [actor.remote(make, str(folder), here) for _ in range(min(workers, len(left)))]
        _spread(ray, left, free, progress)
    finally:
        if mine:
            ray.shutdown()


class _Worker:
    """A process with a table of functions of its own."""

    def __init__(self, make: Make, folder: str, here: str) -> None:
        os.chdir(here)
        self.functions, self.store = make(), Store(Path(folder))

    def work(self, job: Job) -> None:
        """Run one job; its parts are stored here."""
        run(Plan((job,)), self.functions, self.store)


def _spread(ray: Any, left: Sequence[Job], free: list[Any], progress: Tell | None) -> None:
    done, total, waiting = 0.0, sum(job.cost for job in left), list(left)
    running: dict[Any, tuple[Job, Any]] = {}
    while waiting or running:
        while waiting and free:
            job, worker = waiting.pop(0), free.pop()
            running[worker.work.remote(job)] = (job, worker)
        (finished,), _ = ray.wait(list(running), num_returns=1)
        job, worker = running.pop(finished)
        try:
            ray.get(finished)
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
            raise cause if isinstance(cause, SnellenError) else error from None
        free.append(worker)
        done += job.cost
        if progress is not None:
            progress(job.title, done, total)


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise DependencyError(
            'expected ray for several workers, got no module "ray"; pip install "snellen[ray]"'
        ) from error
    return ray
