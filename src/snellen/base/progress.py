"""Who is told how far work is."""

from collections.abc import Callable

Tell = Callable[[str, int | float, int | float], None]
"""Told (title, done, total), as often as there is something to say."""
Note = Callable[[str], None]
"""Told one line that a person should read."""


def silence(*_told: object) -> None:
    """Tells nobody."""
