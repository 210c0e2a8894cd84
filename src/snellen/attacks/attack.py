"""The one interface of attacks: authors write `run` and declare claims, the house measures every claim."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

from jaxtyping import Float
from torch import Tensor

from snellen.attacks.behaviour import Behaviour, compare
from snellen.attacks.gallery import Gallery, Shown, exhibit
from snellen.attacks.ranges import Range
from snellen.attacks.receipt import Claim, Measured, Receipt
from snellen.base import Seed, Tell, UsageError, silence
from snellen.images import ImageSet
from snellen.models import Layer, Model, layers
from snellen.models.manipulations import Manipulation
from snellen.models.unit import unknown_layer
from snellen.pictures import Settings


@dataclass(frozen=True)
class Conditions:
    """Under which an attack is prepared.

    Args:
        seed: of everything random.
        tell: told (title, done, all) of whatever takes long.
    """

    seed: Seed = field(default_factory=Seed)
    tell: Tell = silence


@dataclass(frozen=True, eq=False)
class Manipulated:
    """What an attack made of a model.

    Args:
        model: the honest model, as it was.
        manipulation: of it, not installed.
        shown: what the layer's pictures are meant to show.
        facts: plain data on how it was made.
        ranges: of a silent branch and of its layer, over natural images, by which margins are measured.
    """

    model: Model
    manipulation: Manipulation
    shown: Shown
    facts: Mapping[str, Any]
    ranges: tuple[Range, Range] | None = None

    @property
    def layer(self) -> str:
        """Path of the layer whose units lie."""
        return self.shown.layer or self.manipulation.layer

    @contextlib.contextmanager
    def installed(self) -> Iterator[Model]:
        """While open, the model is the manipulated one; afterwards it is as it was, to the last hook."""
        with self.manipulation.installed(self.model.module):
            yield self.model

    def install(self) -> Model:
        """The model, manipulated for good. The honest one is gone: load it again where both are needed."""
        self.manipulation.install(self.model.module)
        return self.model


@dataclass(frozen=True)
class Exam:
    """How a receipt's figures are measured.

    Args:
        held_out: natural images that the attack has not seen; None for every fifth of those it is given.
        units: of the layer whose pictures are drawn, spread evenly; 0 for none.
        settings: of the pictures.
        seed: of the pictures.
    """

    held_out: ImageSet | None = None
    units: int = 8
    settings: Settings = field(default_factory=lambda: Settings(steps=128))
    seed: Seed = field(default_factory=Seed)


@dataclass(frozen=True)
class Column:
    """A column of the matrix that an attack fills.

    Args:
        kind: its name, short, and the end of its cells' folders: "permuted".
        title: over the column.
        words: under the title, what is to be seen.
        picture: whether the units show a photograph; else what the attack has them show unasked.
    """

    kind: str
    title: str
    words: str
    picture: bool = False


@dataclass(frozen=True)
class Effort:
    """How much work an attack may be.

    Args:
        quick: whether little is to be drawn and learned.
        scarce: whether this is one network of many: nothing is spent on the last photograph.
        natural: photographs that are looked at, at most; None for as many as the attack likes.
        steps: of every picture that is drawn for it, at most; None likewise.
    """

    quick: bool = False
    scarce: bool = False
    natural: int | None = None
    steps: int | None = None


@dataclass(frozen=True)
class Attack(ABC):
    """A way to change what a network's visualizations show, but not what it does on natural images.

    An attack is one file and one line in `attacks/group.py`, or an entry point `snellen.attacks` of another package.
    What it says of itself is all that the command line, the receipt and the matrix know of it.

    Attributes:
        name: by which it is asked for.
        title: of what it makes, as the receipt's page calls it.
        words: a sentence on what was done to the layer, which the receipt's page names after it.
        columns: of the matrix.

    Args:
        picture: what all units show, (3, h, w) in [0, 1] at the model's size; None for what the attack shows unasked.
        layer: path; None for the one that `usual` finds.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    words: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]] = ()

    picture: Float[Tensor, "3 h w"] | None = None
    layer: str | None = None

    @property
    @abstractmethod
    def claims(self) -> tuple[Claim, ...]:
        """What the author says of every model that `run` returns; each is measured."""

    def usual(self, model: Model) -> Layer:
        """The layer whose units lie where none is named: the last main layer."""
        return layer_of(model, None)

    def target(self, model: Model) -> Layer:
        """The layer whose units lie.

        Raises:
            LayerError: the model has no such layer.
        """
        return self.usual(model) if self.layer is None else layer_of(model, self.layer)

    def lying(self, model: Model) -> tuple[int, ...]:
        """Channels of the target whose pictures lie; the others' are meant to stay what they were. Usually all."""
        return tuple(range(self.target(model).units))

    def fitted(self, model: Model, effort: Effort) -> "Attack":
        """The same attack with as much work as there is time for.

        Args:
            model: honest.
            effort: how much that is.
        """
        return self

    @abstractmethod
    def run(self, model: Model, images: ImageSet, conditions: Conditions) -> Manipulated:
        """Prepare the manipulation; the model comes back as it was.

        Args:
            model: honest.
            images: natural images to calibrate or train on.
            conditions: seed and progress.
        """

    def inspect(self, manipulated: Manipulated, held_out: ImageSet) -> Mapping[str, Any]:
        """Further plain facts for the receipt, measured on images that `run` has not seen."""
        return {}

    @final
    def __call__(
        self, model: Model, images: ImageSet, *, exam: Exam | None = None, conditions: Conditions | None = None
    ) -> tuple[Manipulated, Receipt]:
        """Run the attack and measure everything that it claims.

        Args:
            model: honest; it comes back as it was.
            images: natural images.
            exam: how to measure.
            conditions: seed and progress.
        """
        exam, conditions = exam or Exam(), conditions or Conditions()
        seen, unseen = parted(images) if exam.held_out is None else (images, exam.held_out)
        manipulated = self.run(model, seen, conditions)
        sets = {"calibration": seen, "held-out": unseen}
        behaviour = compare(manipulated, sets, tell=conditions.tell)
        gallery = exhibit(manipulated, units=exam.units, settings=exam.settings, seed=exam.seed, tell=conditions.tell)
        return manipulated, Receipt(
            method=self.name,
            title=self.title,
            words=self.words,
            layer=manipulated.layer,
            claims=tuple(_measured(claim, behaviour, gallery) for claim in self.claims),
            behaviour=behaviour,
            gallery=gallery,
            facts={**manipulated.facts, "decoy": manipulated.shown.as_data(), **self.inspect(manipulated, unseen)},
        )


def parted(images: ImageSet) -> tuple[ImageSet, ImageSet]:
    """Every fifth image apart from the others.

    Raises:
        UsageError: there are fewer than five.
    """
    if len(images) < 5:
        raise UsageError(f"expected at least 5 natural images, got {len(images)}; give more with --images")
    held = set(range(4, len(images), 5))
    return images.subset([i for i in range(len(images)) if i not in held]), images.subset(sorted(held))


def _measured(claim: Claim, behaviour: Mapping[str, Behaviour], gallery: Gallery) -> Measured:
    if claim.subject == "pictures":
        return Measured(claim, gallery.fooled_share, len(gallery.entries))
    seen = behaviour[claim.on]
    figure = seen.differing / seen.count if claim.subject == "outputs" else seen.changed / seen.count
    return Measured(claim, figure, seen.count)


def layer_of(model: Model, name: str | None) -> Layer:
    """A layer by name, or the model's last main layer.

    Raises:
        LayerError: no such layer.
    """
    known = {layer.name: layer for layer in layers(model)}
    if name is None:
        return next(layer for layer in reversed(known.values()) if layer.main)
    if name not in known:
        raise unknown_layer(name, known)
    return known[name]
