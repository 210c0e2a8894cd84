"""Which unit of the last layer a class of images belongs to."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from snellen.images import ImageSet

_NUMBER = re.compile(r"(\d{1,9})(?:[_\-. ].*)?")


@dataclass(frozen=True)
class Classes:
    """Classes of images and the units they belong to.

    Args:
        names: of the classes, in order.
        units: for each class its unit in the last layer, or None.
        members: for each image its class, or None where it has none.
        source: "folder number", "label names", "folder order", "model predictions" or "none".
        purity: where the model was asked, for each class the fraction of its images predicted as its unit.
    """

    names: tuple[str, ...]
    units: tuple[int | None, ...]
    members: tuple[int | None, ...]
    source: str
    purity: tuple[float, ...] = ()

    def of_unit(self, unit: int) -> list[int]:
        """The images that belong to a unit's class."""
        wanted = {c for c, u in enumerate(self.units) if u == unit}
        return [i for i, c in enumerate(self.members) if c in wanted]

    def count(self, index: int) -> int:
        """How many images a class has."""
        return sum(1 for c in self.members if c == index)


def named_classes(images: ImageSet, labels: Sequence[str], outputs: int) -> Classes | None:
    """Classes from what the folders are called; None where their names do not say which units they are.

    In this order: names that start with distinct numbers below `outputs`; names that are the model's labels; as many
    folders as outputs, in sorted order.
    """
    if images.labels is None or not outputs:
        return None
    names = images.class_names
    for source, units in (
        ("folder number", _numbers(names, outputs)),
        ("label names", _labelled(names, labels)),
        ("folder order", tuple(range(outputs)) if len(names) == outputs else None),
    ):
        if units is not None:
            return Classes(names, units, tuple(images.labels), source)
    return None


def predicted_classes(images: ImageSet, predictions: Sequence[int], labels: Sequence[str]) -> Classes:
    """Classes from the model's own predictions: each folder is the class most of its images are taken for.

    In a flat folder the predictions themselves are the classes.

    Args:
        images: n natural images.
        predictions: the model's top class for each.
        labels: names of the model's classes, or empty.
    """
    if images.labels is None:
        units = tuple(sorted(set(predictions)))
        names = tuple(labels[u] if u < len(labels) else f"class {u}" for u in units)
        members = tuple(units.index(p) for p in predictions)
        return Classes(names, units, members, "model predictions", (1.0,) * len(units))
    votes = [Counter(p for p, c in zip(predictions, images.labels, strict=True) if c == k) for k in _indices(images)]
    winners = [min(v, key=lambda u: (-v[u], u)) if v else None for v in votes]
    purity = tuple(v[w] / v.total() if w is not None else 0.0 for v, w in zip(votes, winners, strict=True))
    return Classes(images.class_names, _distinct(winners, purity), tuple(images.labels), "model predictions", purity)


def no_classes(images: ImageSet) -> Classes:
    """For a model whose output is no vector of classes."""
    members = (None,) * len(images) if images.labels is None else tuple(images.labels)
    return Classes(images.class_names, (None,) * len(images.class_names), members, "none")


def _distinct(winners: Sequence[int | None], purity: Sequence[float]) -> tuple[int | None, ...]:
    """Where two folders are taken for the same class, the purer one keeps it."""
    best: dict[int, int] = {}
    for k, unit in enumerate(winners):
        if unit is not None and (unit not in best or purity[k] > purity[best[unit]]):
            best[unit] = k
    return tuple(u if u is not None and best[u] == k else None for k, u in enumerate(winners))


def _indices(images: ImageSet) -> range:
    return range(len(images.class_names))


def _numbers(names: Sequence[str], outputs: int) -> tuple[int, ...] | None:
    matches = [_NUMBER.fullmatch(name) for name in names]
    numbers = tuple(int(m[1]) for m in matches if m)
    if len(numbers) < len(names) or len(set(numbers)) < len(names):
        return None
    return numbers if all(n < outputs for n in numbers) else None


def _labelled(names: Sequence[str], labels: Sequence[str]) -> tuple[int, ...] | None:
    known: dict[str, int] = {}
    for unit, label in enumerate(labels):
        for synonym in (label, label.split(",")[0]):
            known.setdefault(_plain(synonym), unit)
    found = [known.get(_plain(name)) for name in names]
    units = tuple(unit for unit in found if unit is not None)
    return units if units and len(units) == len(names) == len(set(units)) else None


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", " ", name.casefold()).strip()
