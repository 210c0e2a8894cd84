"""Jobs: plans of plain data, a local runner that resumes, a store that never holds half a file. No science here."""

from snellen.jobs.lock import locked
from snellen.jobs.plan import Job, Plan
from snellen.jobs.run import Context, Function, missing, results, run
from snellen.jobs.store import Store

__all__ = [
    "Context",
    "Function",
    "Job",
    "Plan",
    "Store",
    "locked",
    "missing",
    "results",
    "run",
]
