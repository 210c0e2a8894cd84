"""`snellen.plugins`: what can be named, and which package it comes from."""

import ast
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snellen.attacks.group import ATTACKS
from snellen.base.plugins import Group, Part
from snellen.checks.group import CHECKS
from snellen.images.sources import SOURCES as IMAGES
from snellen.models.sources.source import SOURCES as MODELS
from snellen.pictures import CANVASES, OBJECTIVES
from snellen.structures.group import STRUCTURES

GROUPS: tuple[Group[Any], ...] = (CHECKS, ATTACKS, CANVASES, OBJECTIVES, MODELS, IMAGES, STRUCTURES)


@dataclass(frozen=True)
class Plugin:
    """Something that a name stands for.

    Args:
        group: of the entry points, such as "snellen.checks".
        name: by which it is asked for.
        origin: the package that it comes from, with its version; "snellen" for the house's own.
        what: the first line of its documentation; "" where it has none or cannot be read without running it.
    """

    group: str
    name: str
    origin: str
    what: str


def plugins() -> tuple[Plugin, ...]:
    """Checks, attacks, canvases, objectives and sources: the house's own and those of other packages.

    No code of another package is run.

    Examples:
        >>> "jumps" in [part.name for part in snellen.plugins() if part.group == "snellen.checks"]
        True

    Raises:
        UsageError: two parts of a group have one name.
    """
    return tuple(
        Plugin(group.name, part.name, part.origin, _what(part)) for group in GROUPS for part in group.parts.values()
    )


def _what(part: Part) -> str:
    """The first line of a part's documentation, else of its module's, read from the source."""
    module, _, attribute = part.target.partition(":")
    try:
        tree = ast.parse(_source(module).read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError, ImportError):
        return ""
    own = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == attribute]
    return (ast.get_docstring(own[0] if own else tree) or "").partition("\n")[0]


def _source(module: str) -> Path:
    """The file of a module, found without importing the packages that it lies in."""
    top, *parts = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        raise ImportError(f"no module {top}")
    place = Path(spec.origin)
    if not parts:
        return place
    inside = place.parent.joinpath(*parts)
    return inside / "__init__.py" if inside.is_dir() else inside.with_suffix(".py")
