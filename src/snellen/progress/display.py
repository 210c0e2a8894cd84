"""One bar at a time, with the time left.

Rich draws it in a terminal and reckons the time left everywhere. In a notebook its own display, like tqdm's, needs
ipywidgets on both ends; there the bar is an HTML element that IPython itself updates, which every front end shows.
"""

import contextlib
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import timedelta
from html import escape
from typing import Any

from snellen.base.progress import Tell, silence

Watch = bool | Tell | None
"""What functions take as `progress`: True for a bar where somebody watches, False for none, or who is to be told."""
Count = Callable[[int], None]
"""Called with how much was just done."""

PATIENCE = 0.5
"""Seconds of work that are not worth a bar."""
_BETWEEN = 0.2  # seconds between two updates in a notebook
_OPEN: ContextVar[bool] = ContextVar("snellen_bar", default=False)


@contextlib.contextmanager
def bar(first: str, *, shown: bool = True, patience: float | None = None, every: float | None = None) -> Iterator[Tell]:
    """While open, `tell(title, done, total)` moves a bar on stderr or in the notebook; inside another bar it is silent.

    Args:
        first: title until something is told.
        shown: False for none.
        patience: seconds until it appears, by default `PATIENCE`; 0 for at once.
        every: where stderr is no terminal and no notebook runs, seconds between two lines that say how far it is; None
            for none.
    """
    patience = PATIENCE if patience is None else patience
    place = _place(every) if shown and not _OPEN.get() else None
    with _alone(), contextlib.nullcontext(silence) if place is None else place(first, patience) as tell:
        yield tell


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """While open, no other bar appears."""
    token = _OPEN.set(True)
    try:
        yield
    finally:
        _OPEN.reset(token)


@contextlib.contextmanager
def told(progress: Watch, first: str) -> Iterator[Tell]:
    """Whoever is to be told: the given one, or a bar.

    Args:
        progress: as functions take it.
        first: title of a bar until something is told.
    """
    if callable(progress):
        with _alone():
            yield progress
        return
    with bar(first, shown=bool(progress)) as tell:
        yield tell


@contextlib.contextmanager
def counted(progress: bool | Count | None, title: str, total: int) -> Iterator[Count]:
    """Whoever is to be told how much was just done: the given one, or a bar that counts up to a total."""
    if callable(progress):
        with _alone():
            yield progress
        return
    done = 0
    with bar(title, shown=bool(progress)) as tell:

        def more(count: int) -> None:
            nonlocal done
            done += count
            tell(title, done, total)

        yield more


def _place(every: float | None) -> Any:
    """What shows a bar here; None where nobody would see it."""
    if _in_notebook():
        return _notebook
    if sys.stderr is not None and sys.stderr.isatty():
        return _terminal
    return None if every is None else lambda first, _patience: _log(first, every)


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def _estimate(first: str) -> tuple[Any, Any]:
    """Rich's bar, not shown yet, and its task; importing it draws from Python's global generator."""
    state = random.getstate()
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    random.setstate(state)
    shown = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(stderr=True, highlight=False),
        transient=True,
        speed_estimate_period=600,
        get_time=time.monotonic,
    )
    return shown, shown.add_task(first, total=None)


@contextlib.contextmanager
def _terminal(first: str, patience: float) -> Iterator[Tell]:
    shown, task = _estimate(first)
    begun, started = time.monotonic(), patience <= 0
    if started:
        shown.start()

    def tell(title: str, done: int | float, total: int | float) -> None:
        nonlocal started
        shown.update(task, description=title, completed=done, total=total)
        if not started and time.monotonic() - begun >= patience:
            started = True
            shown.start()

    try:
        yield tell
    finally:
        if started:
            shown.stop()


@contextlib.contextmanager
def _notebook(first: str, patience: float) -> Iterator[Tell]:
    from IPython.display import HTML, display

    shown, task = _estimate(first)
    begun, last, handle = time.monotonic(), 0.0, None

    def tell(title: str, done: int | float, total: int | float) -> None:
        nonlocal last, handle
        shown.update(task, description=title, completed=done, total=total)
        now = time.monotonic()
        if now - begun < patience or now - last < _BETWEEN:
            return
        last = now
        page = HTML(_page(shown.tasks[0]))
        if handle is None:
            handle = display(page, display_id=True)
        else:
            handle.update(page)

    try:
        yield tell
    finally:
        if handle is not None:
            handle.update(HTML("<span></span>"))


@contextlib.contextmanager
def _log(first: str, every: float) -> Iterator[Tell]:
    shown, task = _estimate(first)
    last = time.monotonic()

    def tell(title: str, done: int | float, total: int | float) -> None:
        nonlocal last
        shown.update(task, description=title, completed=done, total=total)
        if (now := time.monotonic()) - last >= every:
            last = now
            shown.console.print(_line(shown.tasks[0]), markup=False, soft_wrap=True)

    yield tell


def _line(task: Any) -> str:
    """What the bar shows, in words."""
    left = "" if task.time_remaining is None else f", {timedelta(seconds=task.time_remaining)} left"
    return f"{task.description}: {task.percentage:.0f} %{left}"


def _page(task: Any) -> str:
    """What the bar shows, as HTML."""
    spent = timedelta(seconds=int(task.elapsed or 0))
    percent = f"{task.percentage:.0f}"
    return (
        f'<div style="font-family:monospace"><progress value="{percent}" max="100" style="width:16em"></progress> '
        f"{escape(_line(task))} ({spent} so far)</div>"
    )
