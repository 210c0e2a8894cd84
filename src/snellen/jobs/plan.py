"""What is to be done, as plain data: jobs with specs, their parts, and the keys that address the results."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from snellen.base import key


@dataclass(frozen=True)
class Job:
    """One call of a named function, which yields one result for each part.

    The key of a part is `key({function, spec, part})`: whatever can change a result belongs in the spec. What is
    computed together (a batch of pictures) is one job with several parts, so its composition is part of every key.

    Args:
        function: name in the table of functions that the runner is given.
        spec: plain data, see `snellen.base.canonical`.
        parts: names of the results, in the order in which they are wanted.
        title: for people; no part of the key.
        cost: for the time left; no part of the key.
    """

    function: str
    spec: Mapping[str, Any]
    parts: tuple[str, ...] = ("result",)
    title: str = field(default="", compare=False)
    cost: float = field(default=1.0, compare=False)

    def __post_init__(self) -> None:
        if not self.parts or len(set(self.parts)) != len(self.parts):
            raise ValueError(f"expected distinct parts, at least one, got {self.parts}")
        if not self.cost > 0:
            raise ValueError(f"expected a positive cost, got {self.cost}")

    @cached_property
    def keys(self) -> Mapping[str, str]:
        """The key of every part."""
        spec = {"function": self.function, "spec": self.spec, "parts": self.parts}
        return {part: key({**spec, "part": part}) for part in self.parts}


@dataclass(frozen=True)
class Plan:
    """Jobs in an order in which each can rely on the results of those before it."""

    jobs: tuple[Job, ...] = ()

    @property
    def cost(self) -> float:
        """Sum of the jobs' costs."""
        return sum(job.cost for job in self.jobs)
