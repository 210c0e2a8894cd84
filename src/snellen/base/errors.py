"""Every error this package raises on purpose. Each message is one line: "expected X, got Y; do Z".

SnellenError
├── UsageError        an argument or a command line that makes no sense
├── ModelError        a model that cannot be loaded, called or traced
│   ├── WeightsError      weights that are missing, refused or do not fit
│   └── LayerError        a layer that the model does not have
│       └── UnitError         a unit that the layer does not have
├── ImageError        images that cannot be found or read
├── RecordError       a run directory that is missing, damaged or of another version
├── OutputError       a place that cannot be written to
└── DependencyError   an optional package that is not installed

Interrupted, which is Ctrl-C, is none of them.
"""

import difflib
from collections.abc import Iterable


class SnellenError(Exception):
    """Base of every error that the command line prints as one line before it exits with 2.

    Args:
        message: what was expected, what came instead and what to do. What cannot be printed is escaped, whoever's
            words are quoted: a message is one line.
    """

    def __init__(self, message: str) -> None:
        super().__init__(_printable(message))


class UsageError(SnellenError):
    """An argument or a command line that makes no sense."""


class ModelError(SnellenError):
    """A model that cannot be loaded, called or traced."""


class WeightsError(ModelError):
    """Weights that are missing, refused (pickled) or do not fit the module."""


class LayerError(ModelError):
    """A layer that the model does not have."""


class UnitError(LayerError):
    """A unit that the layer does not have, or an address that does not parse."""


class ImageError(SnellenError):
    """Images that cannot be found or read."""


class RecordError(SnellenError):
    """A run directory that is missing, damaged or of another version."""


class OutputError(SnellenError):
    """A place that cannot be written to."""


class DependencyError(SnellenError):
    """An optional package that is not installed."""


class Interrupted(KeyboardInterrupt):
    """A person stopped the work; what was finished is saved."""


def nearest(name: str, candidates: Iterable[str], *, most: int = 3) -> str:
    """A hint such as `did you mean "layer3.1", "layer3.0"?`, or "" where nothing is near.

    Args:
        name: what was asked for.
        candidates: what there is.
        most: how many names to offer.
    """
    pool = list(dict.fromkeys(candidates))
    found = difflib.get_close_matches(name, pool, n=most, cutoff=0.5)
    lowered = name.lower()
    found += [c for c in pool if lowered and c not in found and (lowered in c.lower() or c.lower() in lowered)]
    quoted = ", ".join(f'"{c}"' for c in found[:most])
    return f"did you mean {quoted}?" if quoted else ""


def brief(text: str, most: int = 120) -> str:
    """A person's own words as a message quotes them: on one line, its end left out where it is long."""
    shown = _printable(text[:most])
    return shown if len(text) <= most else f"{shown}..."


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
