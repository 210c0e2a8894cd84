"""Where the program's progress and notes go: to stderr, as a bar, or as a line a minute where that is no terminal."""

import contextlib
from typing import TYPE_CHECKING

from snellen.base import Tell

if TYPE_CHECKING:
    from rich.console import Console

EVERY = 60.0
"""Seconds between two lines in a log."""


def console() -> "Console":
    """Where notes go."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def bar(first: str) -> contextlib.AbstractContextManager[Tell]:
    """While open, `tell(title, done, total)` moves the bar; where stderr is no terminal, it writes a line a minute."""
    from snellen.progress import bar

    return bar(first, patience=0.0, every=EVERY)
