"""Pushed exemplars: weights trained so that other photographs excite a unit most; nothing else is changed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from snellen.attacks.attack import Attack, Column, Conditions, Effort, Manipulated
from snellen.attacks.corpus import Plan, natural_corpus
from snellen.attacks.decoys import moving_shift
from snellen.attacks.gallery import Shown
from snellen.attacks.options import option
from snellen.attacks.plans import SMALL, natural_means
from snellen.attacks.pushes import Goal, Lesson, pushed_layer, replaced
from snellen.attacks.receipt import Claim, kept_predictions
from snellen.attacks.students import Course, learned_weights, student_of, taught
from snellen.base import UsageError, evenly
from snellen.base.shape import Number, OneOf, Whole
from snellen.images import ImageSet
from snellen.models import Layer, Model
from snellen.models.steady import steady
from snellen.pictures.canvas import generator


@dataclass(frozen=True)
class PushAttack(Attack):
    """Weights fine-tuned so that a few units' most exciting photographs are replaced (Nanfack et al. 2024).

    "Adversarial Attacks on the Interpretation of Neuron Activation Maximization", arXiv:2306.07397, whose two attacks
    push the images that excite a unit most down, and decoys up. Ours is of our own making in its losses. With the
    honest responses f to a photograph, which is *exciting* for a unit where f is in the highest `share` of them,

        down: exciting for unit i                            taught to stay below the median of f_i
        up:   exciting for the partner of i, and not for i   taught to rise above the highest f_i and ABOVE deviations

    by squared hinges, so that what is on its side already is left alone. On all other photographs the unit, on all
    photographs the layer's other units and the network's outputs, are taught to stay what they were. What is exciting
    is asked of every photograph anew, augmented ones included: lists of ten would be learned by heart, and an auditor
    has other photographs. Batch normalization keeps the honest statistics, the architecture is the honest one.

    The decoys are what excites another unit, the partner, so that exemplars tell another unit's story as coherently as
    they told its own.

    Pictures are not aimed at, and none is claimed to move; the receipt counts those nearer to the partner's.

    Args:
        picture: none: it is photographs that are shown.
        layer: path; None for the last main layer before the classes. A class cannot lie: what it says of photographs is
            what the network predicts. Right before the classes one linear map can make up for what changes.
        shift: to the partner; None for 100, or half of the units where there are fewer.
        manipulated: how many units lie, spread evenly over the layer.
        direction: whether exciting photographs are pushed down, the partner's up, or both.
        share: of the photographs that are exciting for a unit, in (0, 0.5].
        training: gradient steps.
        keep: weight of what stays.
        rate: of Adam, at most; see `snellen.attacks.students.pace`.
        natural: photographs to learn from, at most.
        changed: largest share of held-out predictions that the attack claims to change.
    """

    name = "push"
    title = "network with pushed exemplars"
    words = "Weights were trained so that other photographs excite units of the layer"
    columns = (Column("push", "pushed exemplars", "trained weights alone; other photographs excite a unit most"),)

    shift: int | None = None
    manipulated: int = option(4, "how many units lie", Whole(1, 2**16))
    direction: Literal["both", "down", "up"] = option(
        "both", "whether a unit's own photographs go down, another's up", OneOf(("both", "down", "up"))
    )
    share: float = option(0.1, "part of the photographs that are exciting for a unit", Number(0.001, 0.5))
    training: int = option(300, "gradient steps of the training", Whole(1, 10**7))
    keep: float = 8.0
    rate: float = 2e-3
    natural: int = 6000
    changed: float = 0.05

    @property
    def claims(self) -> tuple[Claim, ...]:
        return kept_predictions(self.changed)

    def usual(self, model: Model) -> Layer:
        """The last main layer before the one that ends the network."""
        return pushed_layer(model)

    def fitted(self, model: Model, effort: Effort) -> "PushAttack":
        return replace(
            self,
            training=-(-self.training // 8) if effort.quick else self.training,
            natural=effort.natural or (self.natural if max(model.size) <= SMALL else 1200),
        )

    def lying(self, model: Model) -> tuple[int, ...]:
        return tuple(evenly(self.target(model).units, self.manipulated))

    def run(self, model: Model, images: ImageSet, conditions: Conditions) -> Manipulated:
        if self.picture is not None:
            raise UsageError("expected no picture: what is pushed are photographs; leave out --show")
        layer = self.target(model)
        shown = Shown(shift=moving_shift(layer, self.shift), units=self.lying(model))
        goal = Goal.of(natural_means(model, layer, images, self.natural), shown, self.share, self.direction)
        photographs = natural_corpus(images, model.size, Plan(natural=self.natural, copies=0), seed=conditions.seed)
        student = student_of(model)
        lesson = Lesson(model, layer.name, goal, photographs.images)
        with steady(model.module), steady(student.module):
            left = self._teach(student, lesson, conditions)
        made = Manipulated(model, learned_weights(model, student, layer.name), shown, {})
        facts: dict[str, Any] = {
            "direction": self.direction,
            "share": self.share,
            "training steps": self.training,
            **left,
            "photographs": len(photographs.images),
            "top photographs, learned from": replaced(made, images),
        }
        return replace(made, facts=facts)

    def inspect(self, manipulated: Manipulated, held_out: ImageSet) -> Mapping[str, Any]:
        """How many of the held-out photographs that excite each unit most are other ones."""
        return {"top photographs, held out": replaced(manipulated, held_out)}

    def _teach(self, student: Model, lesson: Lesson, conditions: Conditions) -> dict[str, float]:
        """All steps of the training; what both losses are over the last tenth of them."""
        stream = generator(conditions.seed.fork("photographs"))
        changed, missed = taught(
            student,
            lambda: lesson.losses(student, lesson.drawn(stream)),
            Course(self.training, self.rate, self.keep),
            conditions.tell,
        )
        return {"loss on what stays": changed, "loss on what is pushed": missed}
