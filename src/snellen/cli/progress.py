"""A bar with the time left, on stderr."""

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

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
    )
    terminal = shown.console.is_terminal
    with shown if terminal else contextlib.nullcontext():
        task = shown.add_task(first, total=None)
        started = told = time.monotonic()

        def tell(title: str, done: int | float, total: int | float) -> None:
            nonlocal told
            shown.update(task, description=title, completed=done, total=total)
            if not terminal and time.monotonic() - told >= EVERY:
                told = time.monotonic()
                rest = (told - started) * (total - done) / done if done else None
                left = "" if rest is None else f", {timedelta(seconds=round(rest))} left"
                shown.console.print(f"{title}: {100 * done / total:.0f} %{left}", markup=False, soft_wrap=True)

        yield tell
