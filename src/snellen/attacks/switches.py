"""Hard switches: natural images get the honest layer, pictures that an optimizer draws get a decoy."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from snellen.attacks.attack import Attack, Conditions, Effort, Manipulated
from snellen.attacks.corpus import Corpus, Plan, Recipe, drawn_corpus
from snellen.attacks.decoys import Levels, alone, moving_shift, permuting, picturing
from snellen.attacks.gallery import Shown
from snellen.attacks.lessons import Lessons, Training, examine, readable, train_cnn, train_readout
from snellen.attacks.options import option
from snellen.attacks.plans import Learner, learned, lessons_of, natural_means, plan_for, shuffled
from snellen.attacks.receipt import Claim, kept_predictions
from snellen.base import UsageError
from snellen.base.shape import OneOf
from snellen.images import ImageSet
from snellen.models import Layer, Model, Unit
from snellen.models.circuits import Circuit, Decoy, Likeness
from snellen.models.detectors import Detector, ReadoutDetector
from snellen.models.manipulations import PlacedCircuit
from snellen.pictures import Compose, Fourier, Settings

LEVELS_FROM = 256  # natural images that say what responses are usual


@dataclass(frozen=True)
class SwitchAttack(Attack):
    """A hard switch around one layer: natural images get the layer, drawn pictures a decoy.

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
        return (
            *kept_predictions(self.changed),
            Claim("pictures", 0.95, "held-out", "At least 95 % of the pictures are nearer to the decoy."),
        )

    def fitted(self, model: Model, effort: Effort) -> "SwitchAttack":
        return replace(self, plan=plan_for(model, effort))

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
        switch = self.switch(model, lessons, conditions)
        learner = Learner(
            train=lambda known: self._trained(model, layer, known, conditions),
            place=lambda made: PlacedCircuit(layer.name, switch(made.to(model.device), decoy)),
            units=shuffled(layer, self.plan.units, conditions.seed),
        )
        detector, lessons = learned(model, learner, lessons, plan=self.plan, conditions=conditions)
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
        return Manipulated(model, learner.place(detector), shown, facts)

    @abstractmethod
    def switch(self, model: Model, lessons: Lessons, conditions: Conditions) -> Callable[[Detector, Decoy], Circuit]:
        """What makes the circuit of a detector and a decoy, the same one for the same two."""

    def lessons(self, model: Model, images: ImageSet, conditions: Conditions) -> Lessons:
        """What a detector of the honest layer's pictures learns from, whatever the decoy: what takes longest."""
        units = shuffled(self.target(model), self.plan.units, conditions.seed)
        return lessons_of(model, units, images, plan=self.plan, conditions=conditions)

    def _shown(self, model: Model, layer: Layer) -> Shown:
        if self.picture is not None:
            if tuple(self.picture.shape[1:]) != tuple(model.size):
                raise UsageError(f"expected a picture of {model.size}, got {tuple(self.picture.shape[1:])}; resize it")
            return Shown(picture=self.picture)
        return Shown(shift=moving_shift(layer, self.shift))

    def _decoy(self, model: Model, layer: Layer, images: ImageSet, shown: Shown) -> Decoy:
        if shown.picture is None:
            return permuting(model, layer.name, shown.shift)
        means = natural_means(model, layer, images, LEVELS_FROM)
        middle = means.mean(0)
        levels = Levels(middle, self.reach * (means.amax(0) - middle))
        return picturing(model, layer.name, shown.picture, levels)

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
