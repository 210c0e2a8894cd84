"""One cell of the matrix: a network, manipulated in one way or not at all; where and how much it is examined."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from snellen.attacks.group import columns
from snellen.attacks.plans import SMALL
from snellen.base import Seed
from snellen.models import Layer, Model, Unit

HONEST = "honest"


@dataclass(frozen=True)
class Case:
    """A network and its photographs.

    Args:
        model: as `snellen.load_model` takes it.
        images: what the auditor has; None for the built-in photographs.
        attacker: what the attacker has; None for the same, and for the training part of the built-in photographs.
    """

    model: str = "builtin"
    images: str | None = None
    attacker: str | None = None

    @property
    def name(self) -> str:
        """A short name: of the factory, or of its file where the factory is called `load`."""
        place, colon, last = self.model.rpartition(":")
        word = last if colon and last != "load" else Path(place or last).stem
        return "".join(c if c.isalnum() or c in "-_." else "-" for c in word)


@dataclass(frozen=True)
class Size:
    """How much work goes into a cell.

    Args:
        units: audited units of a manipulated layer, at most.
        steps: of every picture.
        natural: photographs that the attacker uses, at most, and half as many to measure with.
        shown: units whose pictures the receipt compares.
        quick: smaller audits, and detectors that learn from fewer pictures.
        alike: the same for all networks; else those that take more than 96 px get `quick` and half of the rest.
    """

    units: int = 20
    steps: int = 64
    natural: int = 600
    shown: int = 6
    quick: bool = False
    alike: bool = False

    def fit(self, model: Model) -> "Size":
        """How much work it is for a network."""
        if self.alike or max(model.size) <= SMALL:
            return self
        halves = {name: -(-getattr(self, name) // 2) for name in ("units", "natural", "shown")}
        return replace(self, quick=True, alike=True, **halves)


@dataclass(frozen=True)
class Cell:
    """A row and a column of the matrix.

    Args:
        case: the network.
        kind: "honest", or that of an attack's column.
        size: how much work.
        seed: root of all random numbers.
    """

    case: Case
    kind: str
    size: Size
    seed: int = 0

    @property
    def name(self) -> str:
        """What its folder is called."""
        return f"{self.case.name}-{self.kind}"

    def asked(self) -> dict[str, Any]:
        """Everything that decides on the cell, as plain data."""
        return asdict(self)


def kinds() -> tuple[str, ...]:
    """All columns: honest networks, and what the attacks declare."""
    return HONEST, *columns()


def audited(cell: Cell, model: Model) -> tuple[Unit, ...]:
    """Units that lie, chosen by the seed; of an honest network some of every layer that an attack takes."""
    most, known = cell.size.fit(model).units, columns()
    if cell.kind != HONEST:
        attack = known[cell.kind][0]()
        return _drawn(cell, attack.target(model), attack.lying(model), most)
    layers = dict.fromkeys(attack().target(model) for attack, _ in known.values())
    return tuple(unit for layer in layers for unit in _drawn(cell, layer, range(layer.units), most))


def _drawn(cell: Cell, layer: Layer, channels: Iterable[int], most: int) -> tuple[Unit, ...]:
    stream = Seed(cell.seed).fork("matrix", layer.name)
    drawn = sorted(channels, key=lambda c: stream.fork(c).value)[:most]
    return tuple(Unit(layer.name, channel, pre=layer.rectified) for channel in sorted(drawn))
