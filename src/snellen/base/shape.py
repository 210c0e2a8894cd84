"""Shapes of JSON data: what a damaged or foreign file is caught by, with one line that says where.

Every value is looked at, also those that no shape names: numbers are finite and of a size that can be computed with,
whole numbers have 64 bits, and nothing is nested deeper than anybody would write.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LARGEST = 1e150
"""Of numbers, so that the product of two of them is one."""
WHOLE = 2**63
"""Whole numbers lie below this, on either side of zero."""
DEEPEST = 32
"""Objects and lists inside each other."""


class ShapeError(ValueError):
    """Where a value departs from its shape: "expected units[3].layer to be text, got null".

    Args:
        told: the line.
        where: the path to the value; "" where all of it is meant.
    """

    def __init__(self, told: str, where: str = "") -> None:
        super().__init__(told)
        self.where = where


@dataclass(frozen=True)
class Each:
    """A list whose items all have one shape; `count` of them, where that is fixed, else `least` to `most`."""

    shape: Any
    count: int | None = None
    least: int = 0
    most: int | None = None


@dataclass(frozen=True)
class Maybe:
    """A value of this shape, or null."""

    shape: Any


@dataclass(frozen=True)
class Option:
    """A field of an object that may be missing; of this shape where it is there."""

    shape: Any


@dataclass(frozen=True)
class OneOf:
    """One of these texts."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Whole:
    """A whole number, low <= n <= high."""

    low: int = 1 - WHOLE
    high: int = WHOLE - 1


@dataclass(frozen=True)
class Number:
    """A number, low <= x <= high; `above` it must lie strictly, where that is given."""

    low: float = -LARGEST
    high: float = LARGEST
    above: float | None = None


@dataclass(frozen=True)
class Text:
    """A text of at most `most` characters: of this pattern where there is one, else one line that can be printed."""

    most: int = 1000
    pattern: str | None = None
    told: str = "a line of text"


@dataclass(frozen=True)
class Exactly:
    """An object with these fields and no others."""

    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Named:
    """An object from any names to values of one shape."""

    shape: Any
    most: int | None = None


@dataclass(frozen=True)
class Kinds:
    """An object whose field `kind` is one of these names, and which has the shape that belongs to it."""

    shapes: Mapping[str, Any]


NAMES: Mapping[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}
_SCALAR: Mapping[Any, tuple[type, ...]] = {str: (str,), int: (int,), float: (int, float), bool: (bool,)}


def match(value: Any, shape: Any, where: str = "") -> None:
    """Check a value against a shape; further fields of objects are allowed but for `Exactly`.

    Args:
        value: parsed JSON.
        shape: a type of `NAMES`, a mapping of field to shape, or one of the classes above.
        where: the path that led here.

    Raises:
        ShapeError: at the first departure, in document order.
    """
    if isinstance(shape, type):
        _plain(value, shape, where)
    elif isinstance(shape, Mapping):
        _fields(value, shape, where)
    elif isinstance(shape, Maybe):
        if value is not None:
            match(value, shape.shape, where)
    else:
        _CHECKS[type(shape)](value, shape, where)


def _plain(value: Any, kind: type, where: str) -> None:
    if type(value) not in _SCALAR.get(kind, (kind,)):
        raise _mismatch(where, NAMES[kind], value)
    bounded(value, where)


def bounded(value: Any, where: str = "", depth: int = 0) -> None:
    """Check a value of no particular shape: bounded numbers, bounded depth.

    Raises:
        ShapeError: at the first departure.
    """
    if isinstance(value, dict | list):
        if depth == DEEPEST:
            raise ShapeError(f"expected at most {DEEPEST} objects and lists inside each other, got more at {where}")
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        for name, item in inside:
            if type(item) is not str:
                bounded(item, _below(where, name), depth + 1)
    elif type(value) is int and not -WHOLE < value < WHOLE:
        raise _mismatch(where, "a whole number of 64 bits", value)
    elif type(value) is float and not -LARGEST <= value <= LARGEST:
        raise _mismatch(where, f"a number between -{LARGEST:g} and {LARGEST:g}", value)


def _items(value: Any, shape: Each, where: str) -> None:
    if not isinstance(value, list):
        raise _mismatch(where, "a list", value)
    if shape.count is not None and len(value) != shape.count:
        raise ShapeError(f"expected {where} to have {shape.count} items, got {len(value)}")
    if len(value) < shape.least or (shape.most is not None and len(value) > shape.most):
        bounds = f"at least {shape.least}" if shape.most is None else f"{shape.least} to {shape.most}"
        raise ShapeError(f"expected {where} to have {bounds} items, got {len(value)}")
    if not _all_numbers(value, shape.shape):
        for i, item in enumerate(value):
            match(item, shape.shape, f"{where}[{i}]")


def _all_numbers(values: list[Any], shape: Any) -> bool:
    """Whether a list of plain numbers is in order, told without a look at each in Python."""
    inner = shape.shape if isinstance(shape, Maybe) else shape
    if inner not in (int, float) or not values:
        return False
    allowed = {*_SCALAR[inner], *([type(None)] if isinstance(shape, Maybe) else [])}
    kinds = set(map(type, values))
    if not kinds <= allowed:
        return False
    known = [v for v in values if v is not None] if isinstance(shape, Maybe) else values
    most = WHOLE - 1 if int in kinds else LARGEST
    return not known or (max(known) <= most and min(known) >= -most)


def _fields(value: Any, shape: Mapping[str, Any], where: str) -> None:
    if not isinstance(value, dict):
        raise _mismatch(where, "an object", value)
    for name, field in shape.items():
        inner = field.shape if isinstance(field, Option) else field
        if name not in value and inner is not field:
            continue
        if name not in value:
            raise ShapeError(f"expected {_below(where, name)}, got nothing", _below(where, name))
        match(value[name], inner, _below(where, name))
    for name, item in value.items():
        if name not in shape:
            bounded(item, _below(where, name), 1)


def _exactly(value: Any, shape: Exactly, where: str) -> None:
    if isinstance(value, dict) and (unknown := [name for name in value if name not in shape.fields]):
        raise ShapeError(f"expected {where or 'the file'} to have no field {_shown(unknown[0])}, got one")
    _fields(value, shape.fields, where)


def _named(value: Any, shape: Named, where: str) -> None:
    if not isinstance(value, dict):
        raise _mismatch(where, "an object", value)
    if shape.most is not None and len(value) > shape.most:
        raise ShapeError(f"expected {where} to have at most {shape.most} fields, got {len(value)}")
    for name, item in value.items():
        match(item, shape.shape, _below(where, name))


def _kinds(value: Any, shape: Kinds, where: str) -> None:
    if not isinstance(value, dict):
        raise _mismatch(where, "an object", value)
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in shape.shapes:
        raise _mismatch(_below(where, "kind"), "one of " + ", ".join(shape.shapes), kind)
    match(value, Exactly({"kind": str, **shape.shapes[kind]}), where)


def _one_of(value: Any, shape: OneOf, where: str) -> None:
    if not (isinstance(value, str) and value in shape.words):
        raise _mismatch(where, "one of " + ", ".join(shape.words), value)


def _whole(value: Any, shape: Whole, where: str) -> None:
    if type(value) is not int or not shape.low <= value <= shape.high:
        raise _mismatch(where, f"a whole number in {shape.low} ... {shape.high}", value)


def _number(value: Any, shape: Number, where: str) -> None:
    fits = type(value) in (int, float) and shape.low <= value <= shape.high
    if not fits or (shape.above is not None and value <= shape.above):
        low = f"[{shape.low:g}" if shape.above is None else f"({shape.above:g}"
        raise _mismatch(where, f"a number in {low}, {shape.high:g}]", value)


def _text(value: Any, shape: Text, where: str) -> None:
    fits = isinstance(value, str) and len(value) <= shape.most
    if fits and shape.pattern is not None:
        fits = re.fullmatch(shape.pattern, value) is not None
    elif fits:
        fits = all(c.isprintable() or c in " \t" for c in value)
    if not fits:
        raise _mismatch(where, f"{shape.told} of at most {shape.most} characters", value)


_CHECKS: Mapping[type, Any] = {
    Each: _items,
    Exactly: _exactly,
    Named: _named,
    Kinds: _kinds,
    OneOf: _one_of,
    Whole: _whole,
    Number: _number,
    Text: _text,
}


def _below(where: str, name: str | int) -> str:
    if isinstance(name, int):
        return f"{where}[{name}]"
    return f"{where}.{_cut(name)}" if where else _cut(name)


def _mismatch(where: str, expected: str, value: Any) -> ShapeError:
    return ShapeError(f"expected {where or 'the file'} to be {expected}, got {_shown(value)}", where)


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        return f"{NAMES[type(value)]} of {len(value)}"
    if isinstance(value, int) and not -WHOLE < value < WHOLE:
        return "one of far more digits"  # whose text can be refused by Python
    return _cut(ascii(value))


def _cut(text: str, most: int = 40) -> str:
    return text if len(text) <= most else f"{text[:most]}..."
