"""How far work is, for whoever watches: a bar in a terminal or a notebook, and nothing where nobody looks."""

from snellen.progress.display import Tell, Watch, bar, counted, told

__all__ = ["Tell", "Watch", "bar", "counted", "told"]
