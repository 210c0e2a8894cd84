"""Options of an attack: those fields of it that people set by name, checked before the work."""

from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any

from snellen.base import UsageError, nearest
from snellen.base.shape import Number, OneOf, ShapeError, Text, Whole, match

Shape = Number | OneOf | Text | Whole
_KEY = "snellen.option"
_READ = {Number: float, Whole: int}  # from what stands on a command line


@dataclass(frozen=True)
class Option:
    """A field of an attack that people set.

    Args:
        name: of the field.
        default: its value where nobody sets it.
        help: what it means, for people.
        shape: of the values that make sense.
    """

    name: str
    default: Any
    help: str
    shape: Shape

    @property
    def words(self) -> str:
        """What may be set, for people: "readout|cnn", "a number"."""
        if isinstance(self.shape, OneOf):
            return "|".join(self.shape.words)
        return {Number: "a number", Whole: "a whole number", Text: "a text"}[type(self.shape)]

    def read(self, value: object) -> Any:
        """A value, from the text of a command line or as it is.

        Raises:
            UsageError: it makes no sense.
        """
        told = value
        if isinstance(value, str) and type(self.shape) in _READ:
            try:
                told = _READ[type(self.shape)](value)
            except ValueError:
                raise UsageError(f'expected {self.words} for {self.name}, got "{value}"') from None
        try:
            match(told, self.shape)
        except ShapeError as error:
            if isinstance(self.shape, OneOf):
                one = " or ".join(f'"{word}"' for word in self.shape.words)
                raise UsageError(f'expected the {self.name} {one}, got "{value}"') from None
            raise UsageError(str(error.below(self.name))) from None
        return told


def option(default: Any, help: str, shape: Shape) -> Any:
    """A field of an attack that people set by name; see `Option`."""
    return field(default=default, metadata={_KEY: (help, shape)})


def options_of(attack: type) -> dict[str, Option]:
    """The options of an attack's class, by name."""
    found: dict[str, Option] = {}
    known: tuple[Field[Any], ...] = fields(attack)
    for item in known:
        if _KEY in item.metadata:
            found[item.name] = Option(item.name, item.default, *item.metadata[_KEY])
    return found


def read_options(attack: type, given: Mapping[str, object], *, method: str, beside: Iterable[str]) -> dict[str, Any]:
    """The values of fields that were set.

    Args:
        attack: an attack's class.
        given: what was set, by name.
        method: the attack's name, for messages.
        beside: what else can be set, of which a name may be a misspelling.

    Raises:
        UsageError: the attack has no such option, or a value makes no sense.
    """
    known = options_of(attack)
    for name in given:
        if name not in known:
            hint = nearest(name, [*known, *beside]) or "leave it away"
            has = f"({', '.join(known)})" if known else "(it has none)"
            raise UsageError(f'expected an option of "{method}" {has}, got "{name}"; {hint}')
    return {name: known[name].read(value) for name, value in given.items()}
