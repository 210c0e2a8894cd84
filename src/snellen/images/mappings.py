"""Which unit of a network's output each class of images may belong to, as far as the classes' names tell."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

Units = tuple[int | None, ...]
"""For each class of images its unit, or None."""

BACKGROUND = 1001  # outputs of networks that put a background class before ImageNet's
_FIRST = re.compile(r"(\d{1,9})(?:[_\-. ].*)?")
_LAST = re.compile(r"\D+(\d{1,9})")
_WORDNET = re.compile(r"(?:.*[\W_])?(n\d{8})(?:[\W_].*)?")


def mappings(
    names: Sequence[str], labels: Sequence[str], outputs: int, votes: Sequence[Counter[int]]
) -> dict[str, Units]:
    """Every mapping that the names allow, by what it is called; of equal ones the first.

    In this order: a number at the start of each name, as it is and counted from one; WordNet ids of ImageNet's classes;
    names that are the model's labels; a number at the end; and, where there are as many classes as outputs, their order
    as listed (of folders: as text, which is torchvision's `ImageFolder`), as text, and with numbers taken as numbers.

    Args:
        names: of the classes, distinct.
        labels: names of the model's outputs, or empty.
        outputs: how many outputs there are.
        votes: for each class how often the network takes its images for each output; decides which of several outputs
            with the same label is meant.
    """
    found: dict[str, Units] = {}
    for source, units in _told(names, labels, outputs, votes):
        fitting = units is not None and all(u is None or 0 <= u < outputs for u in units)
        if units is not None and fitting and units not in found.values():
            found[source] = units
    return found


def _told(
    names: Sequence[str], labels: Sequence[str], outputs: int, votes: Sequence[Counter[int]]
) -> Iterator[tuple[str, Units | None]]:
    yield from _numbers("folder number", names, _FIRST, outputs)
    yield "WordNet ids", _wordnet(names, outputs)
    yield "label names", _labelled(names, labels, votes)
    yield from _numbers("number at the end", names, _LAST, outputs)
    if len(names) == outputs:
        yield "folder order", tuple(range(outputs))
        yield "order as text", _ranks(names, lambda name: [name])
        yield "numeric order", _ranks(names, _numeric)


def _numbers(
    source: str, names: Sequence[str], pattern: re.Pattern[str], outputs: int
) -> Iterator[tuple[str, Units | None]]:
    numbers = [int(m[1]) for m in map(pattern.fullmatch, names) if m]
    if not numbers or not len(numbers) == len(names) == len(set(numbers)):
        return
    yield source, tuple(numbers)
    yield f"{source}, counted from one", tuple(n - 1 for n in numbers)
    if outputs == BACKGROUND:
        yield f"{source}, behind a background class", tuple(n + 1 for n in numbers)


def _wordnet(names: Sequence[str], outputs: int) -> Units | None:
    known, first = _imagenet(), int(outputs == BACKGROUND)
    if outputs != len(known) + first:
        return None
    ids = [m[1] if (m := _WORDNET.fullmatch(name)) else "" for name in names]
    units = tuple(known[i] + first for i in ids if i in known)
    return units if units and len(units) == len(names) == len(set(units)) else None


@cache
def _imagenet() -> dict[str, int]:
    """ImageNet's thousand classes: WordNet id to index. The list is that of timm (Apache-2.0)."""
    ids = Path(__file__).with_name("wordnet.txt").read_text(encoding="ascii").split()
    return {name: index for index, name in enumerate(ids)}


def _labelled(names: Sequence[str], labels: Sequence[str], votes: Sequence[Counter[int]]) -> Units | None:
    """Of most classes a label, and of no two the same; synonyms stand behind commas."""
    known: dict[str, list[int]] = {}
    for unit, label in enumerate(labels):
        for synonym in dict.fromkeys(map(_plain, (label, *label.split(",")))):
            known.setdefault(synonym, []).append(unit)
    units: list[int | None] = []
    for name, said in zip(names, votes, strict=True):
        meant = known.get(_plain(name), [])
        units.append(min(meant, key=lambda unit: (-said[unit], unit)) if meant else None)
    told = [unit for unit in units if unit is not None]
    return tuple(units) if 2 * len(told) > len(names) and len(told) == len(set(told)) else None


def _ranks(names: Sequence[str], key: Callable[[str], list[str | tuple[int, str]]]) -> Units:
    order = sorted(range(len(names)), key=lambda k: key(names[k]))
    return tuple(sorted(range(len(names)), key=order.__getitem__))


def _numeric(name: str) -> list[str | tuple[int, str]]:
    """Text and numbers by turns; numbers by their length first, whatever that is."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(len(p.lstrip("0")), p.lstrip("0")) if i % 2 else p for i, p in enumerate(parts)]


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", " ", name.casefold()).strip()
