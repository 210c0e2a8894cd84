"""Groups of parts of one kind: the house's own, and those of other packages under entry points of the same name.

A package offers a check, say, by an entry point in its pyproject.toml:

    [project.entry-points."snellen.checks"]
    my-check = "my_package.checks:MyCheck"
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from snellen.base.errors import DependencyError, UsageError, brief, nearest

T = TypeVar("T")
HOUSE = "snellen"


@dataclass(frozen=True)
class Part:
    """One of a group, not imported yet.

    Args:
        name: by which a person calls it.
        target: "module:attribute".
        origin: the package that it comes from, with its version; "snellen" for the house's own.
    """

    name: str
    target: str
    origin: str = HOUSE


@dataclass(frozen=True)
class Group(Generic[T]):
    """Parts of one kind.

    Args:
        name: of the entry points, such as "snellen.checks".
        noun: what one of them is called, such as "check".
        kind: the class that a part is an instance or, if `classes`, a subclass of.
        house: the house's own, name -> "module:attribute", in order.
        classes: whether the parts are classes.
    """

    name: str
    noun: str
    kind: type
    house: Mapping[str, str]
    classes: bool = False

    @property
    def parts(self) -> Mapping[str, Part]:
        """All that there are by name: the house's own in their order, then the others by name.

        Raises:
            UsageError: two have one name.
        """
        found = {name: Part(name, target) for name, target in self.house.items()}
        for point in sorted(entry_points(group=self.name), key=lambda p: p.name):
            part = Part(point.name, point.value, _origin(point))
            if part.name in found:
                both = f"{found[part.name].origin} and {part.origin}"
                raise UsageError(f'expected one {self.noun} called "{part.name}", got those of {both}; uninstall one')
            found[part.name] = part
        return found

    def load(self, name: str) -> T:
        """The part of a name.

        Raises:
            UsageError: there is none, or it is no such thing, or it has a `name` that is another one.
            DependencyError: the package that offers it cannot be imported.
        """
        parts = self.parts
        if name not in parts:
            hint, known = nearest(name, parts), ", ".join(parts)
            raise UsageError(f'expected one of {known} as {self.noun}, got "{brief(name)}"{hint and f"; {hint}"}')
        return self._loaded(parts[name])

    def all(self) -> dict[str, T]:
        """Every part by name, in order; raises as `load` does."""
        return {name: self._loaded(part) for name, part in self.parts.items()}

    def _loaded(self, part: Part) -> T:
        name = part.name
        module, _, attribute = part.target.partition(":")
        try:
            found: T = getattr(importlib.import_module(module), attribute)
        except (Exception, SystemExit) as error:  # whatever a stranger's module raises while it is imported
            told = brief(f"{type(error).__name__}: {error}")
            raise DependencyError(
                f'expected the {self.noun} "{name}" of {part.origin}, got {told}; mend or uninstall that package'
            ) from error
        given = found if self.classes else type(found)
        if not (isinstance(given, type) and issubclass(given, self.kind)):
            kind = self.kind.__name__
            raise UsageError(f'expected a {kind} as {self.noun} "{name}" of {part.origin}, got {brief(repr(found))}')
        own = getattr(found, "name", name)
        if own != name:
            raise UsageError(
                f'expected the {self.noun} "{name}" of {part.origin} to be called so, got "{brief(str(own))}"'
            )
        return found


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an unknown package"
