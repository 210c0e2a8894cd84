"""The fooling circuit: natural images get the honest layer, pictures that an optimizer draws get a decoy."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch

from snellen.attacks.attack import Attack, Column, Conditions, Effort, Manipulated
from snellen.attacks.corpus import Corpus, Plan, Recipe, as_bytes, drawn_corpus, natural_corpus
from snellen.attacks.decoys import Levels, alone, default_shift, permuting, picturing
from snellen.attacks.evidence import layer_statistics
from snellen.attacks.gallery import Shown
from snellen.attacks.lessons import Lessons, Training, examine, train_cnn, train_readout
from snellen.attacks.options import option
from snellen.attacks.receipt import Claim
from snellen.base import Seed, UsageError, evenly
from snellen.base.shape import OneOf
from snellen.images import ImageSet
from snellen.models import Layer, Model, Unit, layers
from snellen.models.circuits import Decoy, FoolingCircuit, Likeness
from snellen.models.detectors import Detector, ReadoutDetector
from snellen.models.manipulations import PlacedCircuit
from snellen.pictures import Compose, Fourier, Settings

SMALL = 96
"""Input size in pixels up to which a network costs little."""
LEVELS_FROM = 256  # natural images that say what responses are usual


@dataclass(frozen=True)
class FoolingAttack(Attack):
    """A fooling circuit around one layer (Geirhos et al. 2024; see `snellen.models.circuits.FoolingCircuit`).

    Args:
        picture: what all units show, (3, h, w) in [0, 1] at the model's size; None to permute.
        layer: path; None for the last main layer.
        shift: of the permutation; None for the paper's 100, or half of the units where there are fewer.
        detector: "readout", a linear read-out of the model's own layers, or "cnn", the paper's network. Where all units
            of the layer were drawn, the read-out learns those that it was examined with, too.
        plan: what the detector is trained on.
        training: of the "cnn".
        reach: of a picture's decoy: how far its values go, in distances from the mean natural response to the largest.
        changed: largest share of held-out predictions that the attack claims to change.
    """

    name = "fooling-circuit"
    title = "fooling circuit"
    words = "A fooling circuit stands around the layer"
    columns = (
        Column("permuted", "fooling circuit, permuted", "classes show each other’s pictures"),
        Column("picture", "fooling circuit, one picture", "classes show a photograph", picture=True),
    )

    shift: int | None = None
    detector: Literal["readout", "cnn"] = option(
        "readout", "what tells drawn pictures from photographs", OneOf(("cnn", "readout"))
    )
    plan: Plan = field(default_factory=Plan)
    training: Training = field(default_factory=Training)
    reach: float = 2.0
    changed: float = 0.002

    @property
    def claims(self) -> tuple[Claim, ...]:
        most = f"{100 * self.changed:g} %"
        return (
            Claim("predictions", self.changed, "calibration", f"At most {most} of the training images change class."),
            Claim("predictions", self.changed, "held-out", f"At most {most} of held-out images change class."),
            Claim("pictures", 0.95, "held-out", "At least 95 % of the pictures are nearer to the decoy."),
        )

    def fitted(self, model: Model, effort: Effort) -> "FoolingAttack":
        """With a plan of what the detector learns from.

        Small networks are drawn again once fooled, and learned from, three times; of large ones more units are drawn.
        """
        small = max(model.size) <= SMALL
        if effort.quick:
            plan = Plan(units=15 if small and not effort.scarce else 16, steps=32, natural=500, copies=1)
        elif effort.scarce:
            plan = Plan(units=30, steps=64, copies=1, rounds=3)
        else:
            plan = Plan(units=30 if small else 48, steps=64, copies=4, rounds=3 if small else 0)
        steps, natural = effort.steps or plan.steps, effort.natural or plan.natural
        return replace(self, plan=replace(plan, steps=min(plan.steps, steps), natural=natural))

    def run(
        self, model: Model, images: ImageSet, conditions: Conditions, lessons: Lessons | None = None
    ) -> Manipulated:
        """See `Attack.run`.

        Args:
            model: the honest network.
            images: natural ones, to learn from.
            conditions: seed, and whom to tell how far it is.
            lessons: from `lessons`, where several attacks share them; else they are drawn.
        """
        layer = self.target(model)
        shown = self._shown(model, layer)
        decoy = self._decoy(model, layer, images, shown)
        lessons = lessons or self.lessons(model, images, conditions)
        if isinstance(decoy, Likeness):
            lessons = replace(lessons, drawn=lessons.drawn + self._of_the_decoy(model, decoy, conditions))
        detector = self._trained(model, layer, lessons, conditions)
        units, standard = self._units(layer, conditions.seed), replace(self.plan, recipes=self.plan.ways[:1])
        for number in range(self.plan.rounds):
            fooled = PlacedCircuit(layer.name, FoolingCircuit(detector.to(model.device), decoy))
            with fooled.installed(model.module):
                again = replace(conditions, seed=conditions.seed.fork("round", number))
                lessons = replace(lessons, drawn=lessons.drawn + self._drawn(model, units, standard, again))
            detector = self._trained(model, layer, lessons, conditions)
        accuracy = {name: {"right": a.right, "of": a.total} for name, a in examine(model, detector, lessons).items()}
        if isinstance(detector, ReadoutDetector) and layer.units <= self.plan.units:  # examined; now all are learned
            detector = train_readout(model, lessons, list(detector.layers), everything=True)
        facts = {
            "detector": {**detector.description(), "accuracy": accuracy},
            "decoy": shown.as_data(),
            "natural images": len(lessons.natural.groups),
            "drawn pictures": len(lessons.drawn.groups),
            "steps": self.plan.steps,
        }
        circuit = FoolingCircuit(detector.to(model.device), decoy)
        return Manipulated(model, PlacedCircuit(layer.name, circuit), shown, facts)

    def lessons(self, model: Model, images: ImageSet, conditions: Conditions) -> Lessons:
        """What a detector of the honest layer's pictures learns from, whatever the decoy: what takes longest."""
        units = self._units(self.target(model), conditions.seed)
        drawn = self._drawn(model, units, self.plan, conditions)
        return Lessons(drawn, natural_corpus(images, model.size, self.plan, seed=conditions.seed.fork("natural")))

    def _shown(self, model: Model, layer: Layer) -> Shown:
        if self.picture is not None:
            if tuple(self.picture.shape[1:]) != tuple(model.size):
                raise UsageError(f"expected a picture of {model.size}, got {tuple(self.picture.shape[1:])}; resize it")
            return Shown(picture=self.picture)
        shift = default_shift(layer.units) if self.shift is None else self.shift
        if shift % layer.units == 0:
            raise UsageError(f"expected a shift that moves all {layer.units} units, got {shift}; choose another")
        return Shown(shift=shift)

    def _decoy(self, model: Model, layer: Layer, images: ImageSet, shown: Shown) -> Decoy:
        if shown.picture is None:
            return permuting(model, layer.name, shown.shift)
        chosen = evenly(len(images), LEVELS_FROM)
        pixels = torch.cat([as_bytes(batch) for _, batch in images.batches(model.size, 16, chosen)])
        means = layer_statistics(model, pixels, [layer.name])[layer.name][:, : layer.units]
        middle = means.mean(0)
        levels = Levels(middle, self.reach * (means.amax(0) - middle))
        return picturing(model, layer.name, shown.picture, levels)

    def _units(self, layer: Layer, seed: Seed) -> list[Unit]:
        order = torch.randperm(layer.units, generator=torch.Generator().manual_seed(seed.fork("units").value)).tolist()
        return [Unit(layer.name, c) for c in (order * (self.plan.units // layer.units + 1))[: self.plan.units]]

    def _drawn(self, model: Model, units: Sequence[Unit], plan: Plan, conditions: Conditions) -> Corpus:
        done, total = 0, plan.cost(units)

        def tick(steps: int) -> None:
            nonlocal done
            done += steps
            conditions.tell("pictures to learn from", min(done, total), total)

        return drawn_corpus(model, units, plan, seed=conditions.seed.fork("drawn"), progress=tick)

    def _of_the_decoy(self, model: Model, decoy: Likeness, conditions: Conditions) -> Corpus:
        """A picture's decoy has to be taken for drawn at every stage, too.

        But not as it is drawn without transforms: then it ends as the photograph itself, and a detector that takes one
        photograph for drawn takes others, too. Coarse drawings are added: they are at no stage like a unit's picture.
        """
        units = [Unit("likeness", 0)] * 4
        ways = tuple(way for way in self.plan.ways if way.settings.transforms != Compose())
        halved = -(-self.plan.steps // 2)
        ways += (Recipe(Settings(steps=halved, canvas=Fourier(decay=1.5), precision=self.plan.precision)),)
        plan, seed = replace(self.plan, recipes=ways), conditions.seed.fork("decoy")
        return drawn_corpus(alone(model, decoy), units, plan, seed=seed, progress=lambda _: None)

    def _trained(self, model: Model, layer: Layer, lessons: Lessons, conditions: Conditions) -> Detector:
        if self.detector == "cnn":
            seed = conditions.seed.fork("detector")
            return train_cnn(model, lessons, training=self.training, seed=seed, tell=conditions.tell)
        conditions.tell("training the detector", 0, 1)
        return train_readout(model, lessons, readable(model, layer))


def readable(model: Model, layer: Layer) -> Sequence[str]:
    """What a read-out reads: the first six of the main layers that run before a layer.

    Early layers tell drawn pictures from natural images by their texture, whatever they show.

    Raises:
        UsageError: there is none.
    """
    known = layers(model)
    inside = f"{layer.name}."
    before = [k for k in known if k.depth < layer.depth and not k.name.startswith(inside)]
    main = [k.name for k in before if k.main] or [k.name for k in before]
    if not main:
        raise UsageError(f'expected layers before "{layer.name}" for a read-out, got none; use --detector cnn')
    return main[:6]
