"""A bar with the time left, on stderr."""

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn

EVERY = 60.0
"""Seconds between two lines in a log."""

Tell = Callable[[str, int | float, int | float], None]


def console() -> Console:
    """Where progress and notes go."""
    return Console(stderr=True, highlight=False)


@contextlib.contextmanager
def bar(first: str) -> Iterator[Tell]:
    """While open, `tell(title, done, total)` moves the bar; where stderr is no terminal, it writes a line a minute."""
    shown = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console(),
        transient=True,
        speed_estimate_period=600,
        get_time=time.monotonic,
    )
    terminal, told = shown.console.is_terminal, time.monotonic()
    with shown if terminal else contextlib.nullcontext():
        task = shown.add_task(first, total=None)

        def tell(title: str, done: int | float, total: int | float) -> None:
            nonlocal told
            shown.update(task, description=title, completed=done, total=total)
            if not terminal and (now := time.monotonic()) - told >= EVERY:
                told = now
                shown.console.print(_line(shown.tasks[0]), markup=False, soft_wrap=True)

        yield tell


def _line(task: Task) -> str:
    """What the bar shows, for a log."""
    left = "" if task.time_remaining is None else f", {timedelta(seconds=task.time_remaining)} left"
    return f"{task.description}: {task.percentage:.0f} %{left}"
