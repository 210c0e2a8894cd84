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
        task, log = shown.add_task(first, total=None), _Log(shown.console)

        def tell(title: str, done: int | float, total: int | float) -> None:
            shown.update(task, description=title, completed=done, total=total)
            if not terminal:
                log.tell(title, done, total)

        yield tell


class _Log:
    """A line every `EVERY` seconds, with the time left at the pace since the count began."""

    def __init__(self, console: Console) -> None:
        self.console, self.told = console, time.monotonic()
        self.began, self.first, self.last = self.told, (0.0, 0.0), (0.0, 0.0)

    def tell(self, title: str, done: int | float, total: int | float) -> None:
        """So much of so much is done; another total, or less done than before, is a new count."""
        now = time.monotonic()
        if total != self.last[1] or done < self.last[0]:
            self.began, self.first = now, (done, total)
        self.last = (done, total)
        if now - self.told >= EVERY:
            self.told, gained = now, done - self.first[0]
            left = f", {timedelta(seconds=round((now - self.began) * (total - done) / gained))} left" if gained else ""
            self.console.print(f"{title}: {100 * done / total:.0f} %{left}", markup=False, soft_wrap=True)
