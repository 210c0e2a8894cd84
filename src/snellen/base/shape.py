"""Shapes of JSON data: what a damaged or foreign file is caught by, with one line that says where.

Every value is looked at, also those that no shape names: numbers are finite and of a size that can be computed with,
whole numbers have 64 bits, and nothing is nested deeper than anybody would write.
"""

import math
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
        told: the line; where `where` is given, what stands in it after "expected WHERE".
        where: the path to the value, "" for all of the file. It grows on the way out, so that nothing is spent on paths
            while all is well.
    """

    def __init__(self, told: str, where: str | None = None) -> None:
        super().__init__(told)
        self.told, self.where = told, where

    def __str__(self) -> str:
        return self.told if self.where is None else f"expected {self.where or 'the file'}{self.told}"

    def below(self, name: str | int) -> "ShapeError":
        """The same, seen from an object or list that holds the value under this name."""
        if self.where is not None:
            step = f"[{name}]" if isinstance(name, int) else _cut(ascii(name)[1:-1])
            between = "." if self.where and self.where[0] != "[" else ""
            self.where = f"{step}{between}{self.where}"
        return self


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
    try:
        _match(value, shape)
    except ShapeError as error:
        raise (error.below(where) if where else error) from None


def _match(value: Any, shape: Any) -> None:
    if isinstance(shape, type):
        _plain(value, shape)
    elif isinstance(shape, dict):
        _fields(value, shape)
    elif isinstance(shape, Maybe):
        if value is not None:
            _match(value, shape.shape)
    else:
        _CHECKS[type(shape)](value, shape)


def _plain(value: Any, kind: type) -> None:
    if type(value) not in _SCALAR.get(kind, (kind,)):
        raise _mismatch(NAMES[kind], value)
    if kind is not str:
        bounded(value)


def bounded(value: Any, depth: int = 0) -> None:
    """Check a value of no particular shape: bounded numbers, bounded depth.

    Args:
        value: parsed JSON.
        depth: objects and lists that it lies in.

    Raises:
        ShapeError: at the first departure.
    """
    if isinstance(value, dict | list):
        if depth == DEEPEST:
            raise ShapeError(f" to hold at most {DEEPEST} objects and lists inside each other, got more", "")
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            if type(item) is not str:
                try:
                    bounded(item, depth + 1)
                except ShapeError as error:
                    raise error.below(name) from None
    elif type(value) is int and not -WHOLE < value < WHOLE:
        raise _mismatch("a whole number of 64 bits", value)
    elif type(value) is float and not -LARGEST <= value <= LARGEST:
        raise _mismatch(f"a number between -{LARGEST:g} and {LARGEST:g}", value)


def _items(value: Any, shape: Each) -> None:
    if not isinstance(value, list):
        raise _mismatch("a list", value)
    if shape.count is not None and len(value) != shape.count:
        raise ShapeError(f" to have {shape.count} items, got {len(value)}", "")
    if len(value) < shape.least or (shape.most is not None and len(value) > shape.most):
        bounds = f"at least {shape.least}" if shape.most is None else f"{shape.least} to {shape.most}"
        raise ShapeError(f" to have {bounds} items, got {len(value)}", "")
    if not _all_numbers(value, shape.shape):
        for i, item in enumerate(value):
            try:
                _match(item, shape.shape)
            except ShapeError as error:
                raise error.below(i) from None


def _all_numbers(values: list[Any], shape: Any) -> bool:
    """Whether a list of plain numbers is in order, told without a look at each in Python."""
    inner = shape.shape if isinstance(shape, Maybe) else shape
    if isinstance(inner, Whole) and values and set(map(type, values)) == {int}:
        return min(values) >= inner.low and max(values) <= inner.high
    if inner not in (int, float) or not values:
        return False
    allowed = {*_SCALAR[inner], *([type(None)] if isinstance(shape, Maybe) else [])}
    kinds = set(map(type, values))
    if not kinds <= allowed:
        return False
    known = [v for v in values if v is not None] if isinstance(shape, Maybe) else values
    most = WHOLE - 1 if int in kinds else LARGEST
    if not known:
        return True
    return max(known) <= most and min(known) >= -most and math.isfinite(sum(known))  # NaN is neither more nor less


def _fields(value: Any, shape: Mapping[str, Any]) -> None:
    if not isinstance(value, dict):
        raise _mismatch("an object", value)
    name, known = "", 0
    try:
        for name, field in shape.items():
            if name in value:
                known += 1
                _match(value[name], field.shape if isinstance(field, Option) else field)
            elif not isinstance(field, Option):
                raise ShapeError(", got nothing", "")
        for name in sorted(value.keys() - shape.keys()) if len(value) > known else ():
            bounded(value[name], 1)
    except ShapeError as error:
        raise error.below(name) from None


def _exactly(value: Any, shape: Exactly) -> None:
    if isinstance(value, dict) and (unknown := [name for name in value if name not in shape.fields]):
        raise ShapeError(f" to have no field {_shown(unknown[0])}, got one", "")
    _fields(value, shape.fields)


def _named(value: Any, shape: Named) -> None:
    if not isinstance(value, dict):
        raise _mismatch("an object", value)
    if shape.most is not None and len(value) > shape.most:
        raise ShapeError(f" to have at most {shape.most} fields, got {len(value)}", "")
    for name, item in value.items():
        try:
            _match(item, shape.shape)
        except ShapeError as error:
            raise error.below(name) from None


def _kinds(value: Any, shape: Kinds) -> None:
    if not isinstance(value, dict):
        raise _mismatch("an object", value)
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in shape.shapes:
        raise _mismatch("one of " + ", ".join(shape.shapes), kind).below("kind")
    _exactly(value, Exactly({"kind": str, **shape.shapes[kind]}))


def _one_of(value: Any, shape: OneOf) -> None:
    if not (isinstance(value, str) and value in shape.words):
        raise _mismatch("one of " + ", ".join(shape.words), value)


def _whole(value: Any, shape: Whole) -> None:
    if type(value) is not int or not shape.low <= value <= shape.high:
        raise _mismatch(f"a whole number in {shape.low} ... {shape.high}", value)


def _number(value: Any, shape: Number) -> None:
    fits = type(value) in (int, float) and shape.low <= value <= shape.high
    if not fits or (shape.above is not None and value <= shape.above):
        low = f"[{shape.low:g}" if shape.above is None else f"({shape.above:g}"
        raise _mismatch(f"a number in {low}, {shape.high:g}]", value)


def _text(value: Any, shape: Text) -> None:
    fits = isinstance(value, str) and len(value) <= shape.most
    if fits and shape.pattern is not None:
        fits = re.fullmatch(shape.pattern, value) is not None
    elif fits:
        fits = all(c.isprintable() or c in " \t" for c in value)
    if not fits:
        raise _mismatch(f"{shape.told} of at most {shape.most} characters", value)


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


def _mismatch(expected: str, value: Any) -> ShapeError:
    return ShapeError(f" to be {expected}, got {_shown(value)}", "")


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
