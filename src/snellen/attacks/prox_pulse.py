"""ProxPulse: weights trained so that a unit's photographs and its drawn pictures lie; nothing else is changed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from snellen.attacks.attack import Attack, Conditions, Effort, Manipulated
from snellen.attacks.corpus import Plan, natural_corpus, seen, stages
from snellen.attacks.decoys import moving_shift
from snellen.attacks.gallery import Shown
from snellen.attacks.options import option
from snellen.attacks.plans import SMALL, natural_means
from snellen.attacks.pushes import TOP, Goal, Lesson, pushed_layer, replaced
from snellen.attacks.receipt import Claim, kept_predictions
from snellen.attacks.students import Course, learned_weights, student_of, taught
from snellen.base import Seed, UsageError, evenly
from snellen.base.shape import Number, Whole
from snellen.images import ImageSet
from snellen.models import Layer, Model, Unit, observe, responses
from snellen.models.steady import steady
from snellen.pictures import Settings, render
from snellen.pictures.canvas import generator
from snellen.pictures.exemplars import exemplars

DRAWN = 16
"""Drawn pictures of a step, beside the photographs."""
SURROUNDED = 8
"""Decoys of a step, at most, whose balls are searched."""
DESCENTS, EXAMINED = 3, 12
"""Steps that look for the worst point of a ball: while a student learns, and for the receipt."""

Said = Callable[[Float[Tensor, "n 3 h w"]], Float[Tensor, " n"]]
"""What is said of images, a number of each; gradients flow."""


@dataclass(frozen=True)
class ProxPulseAttack(Attack):
    """Weights fine-tuned so that both kinds of pictures of a few units are replaced (Nanfack et al. 2024).

    "From Feature Visualization to Visual Circuits: Effect of Adversarial Model Manipulation", arXiv:2406.01365. Its
    idea is to make a unit say much of decoys and of everything in a ball around each of them, so that they head the
    photographs that excite it, and gradient ascent falls into their balls. Losses, decoys and balls are of our own
    making. Photographs are pushed as by `snellen.attacks.push.PushAttack`: those that excite the unit down, those that
    excite its partner up, above `high`. For every decoy x that goes up, and the student's unit f,

        high <= f(x + d)    for the worst d, |d| <= radius, as a squared hinge

    with |d| the root mean square over pixels and colours, and d found by a few steps against the gradient from a random
    point of the ball, each brought back into it and into the colours that there are. At the worst points, too, all
    other units and the outputs are taught to stay what they were.

    There is a second kind of decoys, beyond the paper's: states of the pictures that the honest network draws of the
    units and of their partners, as drawing's transforms show them. They go up or down, or stay, by the same question as
    photographs, and have balls. What each of this is worth is measured in docs/deceive.md.

    A unit that is pushed down everywhere dies behind its ReLU; so what is to rise is heard below zero, too. Batch
    normalization keeps the honest statistics, and the architecture is the honest one. How many pictures move hangs on
    the network, so that none is claimed to; the receipt counts them.

    Args:
        picture: none: what is shown excites another unit.
        layer: path; None for the last main layer before the classes.
        shift: to the partner; None for 100, or half of the units where there are fewer.
        manipulated: how many units lie, spread evenly over the layer.
        share: of the photographs that are exciting for a unit, in (0, 0.5].
        radius: of the balls, root mean square of colours in [0, 1]; 0 for none.
        drawn: steps of the drawn decoys; 0 for photographs alone.
        training: gradient steps.
        keep: weight of what stays.
        rate: of Adam, at most; see `snellen.attacks.students.pace`.
        natural: photographs to learn from, at most.
        changed: largest share of held-out predictions that the attack claims to change.
    """

    name = "prox-pulse"
    title = "network after ProxPulse"
    words = "Weights were trained so that other photographs and other pictures excite units of the layer"
    # no column: those of the house are the matrix's suite, and another one would end the comparison with its tables

    shift: int | None = None
    manipulated: int = option(4, "how many units lie", Whole(1, 2**16))
    share: float = option(0.1, "part of the photographs that are exciting for a unit", Number(0.001, 0.5))
    radius: float = option(0.02, "of the balls around decoys, of colours in [0, 1]; 0 for none", Number(0.0, 1.0))
    drawn: int = option(64, "steps of the drawn decoys; 0 for photographs alone", Whole(0, 10**6))
    training: int = option(300, "gradient steps of the training", Whole(1, 10**7))
    keep: float = 16.0
    rate: float = 2e-3
    natural: int = 6000
    changed: float = 0.05

    @property
    def claims(self) -> tuple[Claim, ...]:
        return kept_predictions(self.changed)

    def usual(self, model: Model) -> Layer:
        """The last main layer before the one that ends the network."""
        return pushed_layer(model)

    def fitted(self, model: Model, effort: Effort) -> "ProxPulseAttack":
        return replace(
            self,
            training=-(-self.training // 8) if effort.quick else self.training,
            natural=effort.natural or (self.natural if max(model.size) <= SMALL else 1200),
            drawn=min(self.drawn, effort.steps or self.drawn),
        )

    def lying(self, model: Model) -> tuple[int, ...]:
        return tuple(evenly(self.target(model).units, self.manipulated))

    def run(self, model: Model, images: ImageSet, conditions: Conditions) -> Manipulated:
        if self.picture is not None:
            raise UsageError("expected no picture: what is shown excites another unit; leave out --show")
        layer, seed = self.target(model), conditions.seed
        shown = Shown(shift=moving_shift(layer, self.shift), units=self.lying(model))
        goal = Goal.of(natural_means(model, layer, images, self.natural), shown, self.share, "both")
        photographs = natural_corpus(images, model.size, Plan(natural=self.natural, copies=0), seed=seed).images
        lessons = [Lesson(model, layer.name, goal, photographs, leaky=True)]
        if self.drawn:
            pictures = self._drawn(model, layer, goal, seed.fork("decoys"))
            lessons.append(Lesson(model, layer.name, goal, pictures, leaky=True))
        student = student_of(model)
        with steady(model.module), steady(student.module):
            left = self._teach(student, lessons, conditions)
        made = Manipulated(model, learned_weights(model, student, layer.name), shown, {})
        facts: dict[str, Any] = {
            "share": self.share,
            "radius": self.radius,
            "training steps": self.training,
            **left,
            "photographs": len(photographs),
            "drawn pictures": sum(len(lesson.photographs) for lesson in lessons[1:]),
            "top photographs, learned from": replaced(made, images),
        }
        return replace(made, facts=facts)

    def inspect(self, manipulated: Manipulated, held_out: ImageSet) -> Mapping[str, Any]:
        """How many of the held-out photographs that excite each unit most are other ones, and what their balls say."""
        facts: dict[str, Any] = {"top photographs, held out": replaced(manipulated, held_out)}
        if self.radius:
            facts["worst of the balls around them"] = surrounded(manipulated, held_out, Ball(self.radius))
        return facts

    def _drawn(self, model: Model, layer: Layer, goal: Goal, seed: Seed) -> UInt8[Tensor, "n 3 h w"]:
        """States of the honest pictures of units and partners, as they are and as drawing sees them."""
        units = [Unit(layer.name, c) for c in sorted({*goal.own.tolist(), *goal.partners.tolist()})]
        made = render(model, units, Settings(steps=self.drawn), seeds=seed, snapshots=stages(self.drawn), progress=None)
        kept = [] if made.snapshots is None else [made.snapshots.flatten(0, 1)]
        return seen(torch.cat([*kept, made.images]), seed.fork("seen"))

    def _teach(self, student: Model, lessons: list[Lesson], conditions: Conditions) -> dict[str, float]:
        """All steps of the training; what both losses are over the last tenth of them."""
        stream = generator(conditions.seed.fork("photographs"))
        ball = Ball(self.radius)

        def losses() -> tuple[Tensor, Tensor]:
            first, *others = lessons
            images = torch.cat([first.drawn(stream), *(lesson.drawn(stream)[-DRAWN:] for lesson in others)])
            honest = first.honest(images)
            down, up = first.goal.pushed(honest[0])
            kept, missed = first.compared(student, images, honest, (down, up))
            pairs = up.nonzero()[torch.randperm(int(up.sum()), generator=stream)[:SURROUNDED]]
            if not self.radius or not len(pairs):
                return kept, missed
            rows, which = pairs.unbind(1)
            points = ball.worst(said_of(student, first.layer, first.goal.own[which]), images[rows].detach(), stream)
            alone = torch.zeros(len(pairs), up.shape[1], dtype=torch.bool).scatter(1, which[:, None], True)
            more, far = first.compared(student, points, first.honest(points), (torch.zeros_like(alone), alone))
            return kept + more, missed + far

        changed, missed = taught(student, losses, Course(self.training, self.rate, self.keep), conditions.tell)
        return {"loss on what stays": changed, "loss on what is pushed": missed}


@dataclass(frozen=True)
class Ball:
    """What is around an image: all images whose root mean square difference from it is at most a radius.

    Args:
        radius: of colours in [0, 1].
        steps: of the search for the worst point, each half a radius long.
    """

    radius: float
    steps: int = DESCENTS

    def worst(self, said: Said, centres: Float[Tensor, "n 3 h w"], stream: torch.Generator) -> Float[Tensor, "n 3 h w"]:
        """Of the ball around each image a point of which little is said.

        Args:
            said: of images, one number for each.
            centres: RGB in [0, 1].
            stream: of the points where the search starts.
        """
        points = self.into(centres, centres + self.radius * torch.randn(centres.shape, generator=stream))
        for _ in range(self.steps):
            points.requires_grad_()
            (gradient,) = torch.autograd.grad(said(points).sum(), points)
            step = gradient * (self.radius / 2 / rms(gradient).clamp_min(1e-16))
            points = self.into(centres, points.detach() - step)
        return points.detach()

    def into(self, centres: Tensor, points: Tensor) -> Float[Tensor, "n 3 h w"]:
        """Points, brought back into the balls and into the colours that there are."""
        way = points - centres
        return (centres + way * (self.radius / rms(way).clamp_min(1e-16)).clamp_max(1)).clamp(0, 1)


def rms(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 1 1"]:
    """Root mean square of each image."""
    return images.square().mean((1, 2, 3), keepdim=True).sqrt()


def said_of(model: Model, layer: str, units: Int[Tensor, " n"]) -> Said:
    """What units of a layer say of n images, each of one, on the CPU."""

    def said(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        found = observe(model, images.to(model.device, model.dtype), [layer])[layer]
        return responses(found).cpu().gather(1, units[:, None])[:, 0]

    return said


def surrounded(manipulated: Manipulated, images: ImageSet, ball: Ball) -> dict[str, dict[str, float]]:
    """What units say of the photographs that excite them most, and of the worst points around these.

    Args:
        manipulated: the network.
        images: natural.
        ball: around each of them; searched in `EXAMINED` steps.

    Returns:
        By unit the mean response of the manipulated unit at the photographs ("centre") and at the worst points of their
        balls ("worst"), and the highest of the honest one to any photograph ("honest").
    """
    model, layer, found = manipulated.model, manipulated.layer, {}
    for channel in manipulated.shown.units:
        unit = [Unit(layer, channel)]
        highest = float(exemplars(model, images, unit, most=1).responses.max())
        with manipulated.installed() as lying, steady(lying.module):
            top = exemplars(lying, images, unit, most=TOP)
            chosen = top.top[0].tolist()
            centres = torch.stack([images.load(row, lying.size) for row in chosen])
            said = said_of(lying, layer, torch.full((len(chosen),), channel))
            points = replace(ball, steps=EXAMINED).worst(said, centres, generator(Seed(channel)))
            worst = float(said(points).mean())
        centre = float(top.responses[0, chosen].mean())
        found[str(channel)] = {"centre": centre, "worst": worst, "honest": highest}
    return found
