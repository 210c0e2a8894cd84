"""The local runner: does what is not stored yet, one job after the other, and stores each part as it appears."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from snellen.base import Tell
from snellen.jobs.plan import Job, Plan
from snellen.jobs.store import Store


@dataclass(frozen=True)
class Context:
    """What a job's function may use beside its spec.

    Args:
        store: for blobs; the values that the function yields are stored by the runner.
        keys: the key of every part, for a blob that belongs to it.
        tick: call with the fraction of the job that is done, in [0, 1].
    """

    store: Store
    keys: Mapping[str, str]
    tick: Callable[[float], None]


Function = Callable[[Mapping[str, Any], Context], Iterator[tuple[str, Any]]]


def missing(job: Job, store: Store) -> tuple[str, ...]:
    """The parts of a job that are not stored."""
    return tuple(part for part, key in job.keys.items() if not store.has(key))


def results(job: Job, store: Store) -> dict[str, Any]:
    """The stored results of a job by part; parts that are not there yet are left out."""
    return {part: store.get(key) for part, key in job.keys.items() if store.has(key)}


def run(plan: Plan, functions: Mapping[str, Function], store: Store, *, progress: Tell | None = None) -> int:
    """Run every job that has a part missing and return how many ran.

    A function yields `(part, value)` with plain data for values; each is stored at once, so that a killed run loses at
    most what was being computed. A job of which some parts are stored runs whole, and what is stored stays as it is.

    Args:
        plan: the jobs.
        functions: what they call, by name.
        store: of the results.
        progress: told how far the run is, in units of cost.

    Raises:
        ValueError: a function yields a part that its job does not have, or leaves one out.
        OutputError: the store cannot be written to.
    """
    done, ran = 0.0, 0
    for job in plan.jobs:
        if missing(job, store):
            _run_one(job, functions[job.function], Context(store, job.keys, _ticker(job, done, plan.cost, progress)))
            ran += 1
        done += job.cost
        if progress is not None:
            progress(job.title, done, plan.cost)
    return ran


def _run_one(job: Job, function: Function, context: Context) -> None:
    context.tick(0.0)
    for part, value in function(job.spec, context):
        if part not in job.keys:
            raise ValueError(f'expected parts {job.parts} of job "{job.function}", got "{part}"')
        context.store.put(job.keys[part], value)
    if left := missing(job, context.store):
        raise ValueError(f'expected parts {job.parts} of job "{job.function}", got none for {left}')


def _ticker(job: Job, done: float, total: float, progress: Tell | None) -> Callable[[float], None]:
    def tick(fraction: float) -> None:
        if progress is not None:
            progress(job.title, done + job.cost * min(max(fraction, 0.0), 1.0), total)

    return tick
