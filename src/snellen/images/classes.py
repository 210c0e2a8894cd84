"""Which unit of a network's output a class of images is: told from names, decided by the network's own answers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snellen.images.imageset import ImageSet
from snellen.images.mappings import Units, mappings

ANSWERS = "model predictions"
KAPPA = 0.2  # agreement beyond chance from which on a mapping fits; Landis and Koch (1977) call less of it slight
ENOUGH = 5  # classes whose most frequent answer is their unit; a mapping drawn at random has one such class on average


@dataclass(frozen=True)
class Tried:
    """A mapping that was not taken, and the share of images that it hits."""

    source: str
    rate: float


@dataclass(frozen=True)
class Fit:
    """How well classes of images fit the network's answers.

    Args:
        source: what the mapping was told from; see `mappings`, or "model predictions".
        good: whether the mapping can be relied on.
        images: that the network was asked about.
        rate: share of them whose top class is the unit of their class. Of "model predictions" the class's other images
            decide which unit that is, so that no image speaks for itself.
        chance: the share that the same answers would hit if they had nothing to do with the classes.
        agreeing: classes whose most frequent answer is their unit.
        classes: that have images.
        others: other mappings, which were not taken, best first.
        words: all this in a sentence or two.
    """

    source: str
    good: bool
    images: int
    rate: float
    chance: float
    agreeing: int
    classes: int
    others: tuple[Tried, ...]
    words: str


@dataclass(frozen=True)
class Matched:
    """For each class its unit, the share of its images that the network takes for that unit, and the fit of all."""

    units: Units
    purity: tuple[float, ...]
    fit: Fit


@dataclass(frozen=True)
class Classes:
    """Classes of images and the units they belong to.

    Args:
        names: of the classes, in order.
        units: for each class its unit in the last layer, or None.
        members: for each image its class, or None where it has none.
        source: what the mapping was told from: see `Fit`; "none" where the network has no classes.
        purity: for each class the share of its images that the network takes for its unit; empty without classes.
        fit: how well the classes fit the network; None where it made them itself, and where it has none.
    """

    names: tuple[str, ...]
    units: Units
    members: tuple[int | None, ...]
    source: str
    purity: tuple[float, ...] = ()
    fit: Fit | None = None

    def of_unit(self, unit: int) -> list[int]:
        """The images that belong to a unit's class."""
        wanted = {c for c, u in enumerate(self.units) if u == unit}
        return [i for i, c in enumerate(self.members) if c in wanted]

    def unit_of(self, image: int) -> int | None:
        """The unit that an image's class is; None where it has no class, or that no unit."""
        member = self.members[image]
        return None if member is None else self.units[member]

    def count(self, index: int) -> int:
        """How many images a class has."""
        return sum(1 for c in self.members if c == index)


def classes_of(images: ImageSet, answers: Mapping[int, int], labels: Sequence[str], outputs: int) -> Classes:
    """The images' classes and their units; in a flat folder the answers themselves are the classes.

    Args:
        images: n natural images.
        answers: image to the network's top class; without classes of all images, else of as many as were asked about.
        labels: names of the network's outputs, or empty.
        outputs: how many outputs there are, at least 2.
    """
    if images.labels is None:
        units = tuple(sorted(set(answers.values())))
        names = tuple(labels[u] if u < len(labels) else f"class {u}" for u in units)
        members = tuple(units.index(answers[i]) for i in range(len(images)))
        return Classes(names, units, members, ANSWERS, (1.0,) * len(units))
    found = match(images.class_names, votes_of(images, answers), labels, outputs)
    return Classes(images.class_names, found.units, tuple(images.labels), found.fit.source, found.purity, found.fit)


def no_classes(images: ImageSet) -> Classes:
    """For a network whose output is no vector of classes."""
    members = (None,) * len(images) if images.labels is None else tuple(images.labels)
    return Classes(images.class_names, (None,) * len(images.class_names), members, "none")


def votes_of(images: ImageSet, answers: Mapping[int, int]) -> tuple[Counter[int], ...]:
    """For each class how often the network takes its images for each output.

    Args:
        images: with classes.
        answers: image to the network's top class.
    """
    votes = tuple(Counter[int]() for _ in images.class_names)
    if images.labels is not None:
        for image, answer in answers.items():
            votes[images.labels[image]][answer] += 1
    return votes


def match(names: Sequence[str], votes: Sequence[Counter[int]], labels: Sequence[str], outputs: int) -> Matched:
    """The mapping of classes to units that fits the network's answers best.

    Every mapping that the names allow (`mappings`) is tried. That with most hits is taken if it fits: Cohen's kappa of
    answers and classes is at least `KAPPA`; in more than half of the classes, or in `ENOUGH`, the most frequent answer
    is the class's unit; and it hits at least half as many images as any other. Else each class is what most of its
    images are taken for, if that fits. Else the mapping by names with most hits is taken nevertheless, and not `good`.
    Among equals the first in the order of `mappings` is taken.

    Args:
        names: of the classes.
        votes: for each class how often the network takes its images for each output; one class at least has images.
        labels: names of the network's outputs, or empty.
        outputs: how many outputs there are.
    """
    by_name = [_measured(s, u, votes, outputs) for s, u in mappings(names, labels, outputs, votes).items()]
    by_name.sort(key=lambda found: -found.hits)
    answers = _measured(ANSWERS, _favourites(votes), votes, outputs)
    best = by_name[0] if by_name else answers
    good = best.fits and 2 * best.hits >= answers.hits
    if not good and answers.fits:
        best, good = answers, True
    others = sorted((m for m in (*by_name, answers) if m.units != best.units), key=lambda found: -found.hits)
    return Matched(best.units, best.purity(votes), _fit(best, others, good=good))


@dataclass(frozen=True)
class _Measured:
    """A mapping and its hits."""

    source: str
    units: Units
    hits: int
    images: int
    chance: float
    agreeing: int
    classes: int

    @property
    def rate(self) -> float:
        return self.hits / self.images

    @property
    def fits(self) -> bool:
        kappa = (self.rate - self.chance) / (1 - self.chance) if self.chance < 1 else 0.0
        return kappa >= KAPPA and (2 * self.agreeing > self.classes or self.agreeing >= ENOUGH)

    def purity(self, votes: Sequence[Counter[int]]) -> tuple[float, ...]:
        return tuple(
            said[unit] / said.total() if unit is not None and said else 0.0
            for unit, said in zip(self.units, votes, strict=True)
        )


def _measured(source: str, units: Units, votes: Sequence[Counter[int]], outputs: int) -> _Measured:
    images, asked = sum(said.total() for said in votes), sum(1 for said in votes if said)
    expected, answers = Counter[int](), sum(votes, Counter[int]())
    hits = agreeing = 0
    for unit, said in zip(units, votes, strict=True):
        if unit is None or not said:
            continue
        expected[unit] += said.total()
        favourite = _favourite(said) == unit
        agreeing += favourite
        if source != ANSWERS or (favourite and _is_kept(said, unit)):
            hits += said[unit]
    chance = sum(count * answers[unit] for unit, count in expected.items()) / images**2 if asked > 1 else 1 / outputs
    return _Measured(source, units, hits, images, chance, agreeing, asked)


def _favourite(said: Counter[int]) -> int | None:
    return min(said, key=lambda unit: (-said[unit], unit)) if said else None


def _favourites(votes: Sequence[Counter[int]]) -> Units:
    """What most images of each class are taken for; where that is the same for two, the purer or larger keeps it."""
    best: dict[int, int] = {}
    winners = [_favourite(said) for said in votes]
    for k, unit in enumerate(winners):
        if unit is not None and (unit not in best or _claim(votes[k], unit) > _claim(votes[best[unit]], unit)):
            best[unit] = k
    return tuple(u if u is not None and best[u] == k else None for k, u in enumerate(winners))


def _claim(said: Counter[int], unit: int) -> tuple[float, int, bool]:
    """How much speaks for a class's being a unit, whatever its place among the classes."""
    return said[unit] / said.total(), said.total(), _is_kept(said, unit)


def _is_kept(said: Counter[int], unit: int) -> bool:
    """Whether a favourite is still that of the class's other images, seen from each image that is taken for it."""
    return _favourite(said - Counter({unit: 1})) == unit


def _fit(taken: _Measured, others: Sequence[_Measured], *, good: bool) -> Fit:
    tried = tuple(Tried(m.source, round(m.rate, 4)) for m in others)
    return Fit(
        source=taken.source,
        good=good,
        images=taken.images,
        rate=round(taken.rate, 4),
        chance=round(taken.chance, 4),
        agreeing=taken.agreeing,
        classes=taken.classes,
        others=tried,
        words=_words(taken, [m for m in others if not good or m.source != ANSWERS][:1], good=good),
    )


def _words(taken: _Measured, other: Sequence[_Measured], *, good: bool) -> str:
    """What a person should know of a mapping. The answers themselves are no rival of one by names that fits."""
    like = "the same class as the others of their folder" if taken.source == ANSWERS else "their folder's class"
    told = (
        f"folders were matched to classes by {taken.source}: {_percent(taken.rate)} of {taken.images:,} images are "
        f"taken for {like} ({_percent(taken.chance)} by chance"
    )
    told += "".join(f"; next best, by {m.source}: {_percent(m.rate)}" for m in other)
    told += f"), and in {taken.agreeing:,} of {taken.classes:,} folders it is the most frequent answer"
    if good:
        return f"{told[0].upper()}{told[1:]}."
    return f"The folders do not fit the network's classes, so what is said of classes may be about others: {told}."


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if share >= 0.1 or not share else f"{100 * share:.1f}%"
