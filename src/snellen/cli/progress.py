"""A bar with the time left, on stderr."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Tell = Callable[[str, int | float, int | float], None]


def console() -> Console:
    """Where progress and notes go."""
    return Console(stderr=True, highlight=False)


@contextlib.contextmanager
def bar(first: str) -> Iterator[Tell]:
    """While open, `tell(title, done, total)` moves the bar; nothing is drawn where stderr is no terminal."""
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
    )
    with shown if shown.console.is_terminal else contextlib.nullcontext():
        task = shown.add_task(first, total=None)

        def tell(title: str, done: int | float, total: int | float) -> None:
            shown.update(task, description=title, completed=done, total=total)

        yield tell
