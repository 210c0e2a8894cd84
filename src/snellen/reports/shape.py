"""Shapes of JSON data: what a damaged or foreign record is caught by, with one line that says where."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class ShapeError(Exception):
    """Where a value departs from its shape: "expected units[3].layer to be text, got null"."""


@dataclass(frozen=True)
class Each:
    """A list whose items all have one shape; `count` of them, where that is fixed."""

    shape: Any
    count: int | None = None


@dataclass(frozen=True)
class Maybe:
    """A value of this shape, or null."""

    shape: Any


@dataclass(frozen=True)
class OneOf:
    """One of these texts."""

    words: tuple[str, ...]


NAMES: Mapping[Any, str] = {str: "text", int: "a whole number", float: "a number", list: "a list", dict: "an object"}
TYPES: Mapping[Any, tuple[type, ...]] = {float: (int, float), int: (int,)}


def match(value: Any, shape: Any, where: str = "") -> None:
    """Check a value against a shape; further fields of objects are allowed.

    Args:
        value: parsed JSON.
        shape: a type of `NAMES`, a mapping of field to shape, `Each`, `Maybe` or `OneOf`.
        where: the path that led here.

    Raises:
        ShapeError: at the first departure, in document order.
    """
    if isinstance(shape, Maybe):
        if value is not None:
            match(value, shape.shape, where)
    elif isinstance(shape, Each):
        _items(value, shape, where)
    elif isinstance(shape, OneOf):
        if not (isinstance(value, str) and value in shape.words):
            raise _mismatch(where, "one of " + ", ".join(shape.words), value)
    elif isinstance(shape, Mapping):
        _fields(value, shape, where)
    elif not isinstance(value, TYPES.get(shape, (shape,))) or isinstance(value, bool):
        raise _mismatch(where, NAMES[shape], value)


def _items(value: Any, shape: Each, where: str) -> None:
    if not isinstance(value, list):
        raise _mismatch(where, "a list", value)
    if shape.count is not None and len(value) != shape.count:
        raise ShapeError(f"expected {where} to have {shape.count} items, got {len(value)}")
    for i, item in enumerate(value):
        match(item, shape.shape, f"{where}[{i}]")


def _fields(value: Any, shape: Mapping[str, Any], where: str) -> None:
    if not isinstance(value, dict):
        raise _mismatch(where, "an object", value)
    for name, inner in shape.items():
        path = f"{where}.{name}" if where else name
        if name not in value:
            raise ShapeError(f"expected {path}, got nothing")
        match(value[name], inner, path)


def _mismatch(where: str, expected: str, value: Any) -> ShapeError:
    got = "null" if value is None else repr(value)
    return ShapeError(f"expected {where or 'the record'} to be {expected}, got {got[:40]}")
