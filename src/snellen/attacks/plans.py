"""How much is drawn to learn from: what fits a network and the time, which units, and the drawing itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from snellen.attacks.attack import Conditions, Effort
from snellen.attacks.corpus import Corpus, Plan, as_bytes, drawn_corpus, natural_corpus
from snellen.attacks.evidence import layer_statistics
from snellen.attacks.lessons import Lessons
from snellen.base import Seed, evenly
from snellen.images import ImageSet
from snellen.models import Layer, Model, Unit
from snellen.models.manipulations import Manipulation

SMALL = 96
"""Input size in pixels up to which a network costs little."""


def plan_for(model: Model, effort: Effort) -> Plan:
    """What a detector learns from in the time that there is.

    Small networks are drawn again once fooled, and learned from, three times; of large ones more units are drawn.

    Args:
        model: honest.
        effort: how much work it may be.
    """
    small = max(model.size) <= SMALL
    if effort.quick:
        plan = Plan(units=15 if small and not effort.scarce else 16, steps=32, natural=500, copies=1)
    elif effort.scarce:
        plan = Plan(units=30, steps=64, copies=1, rounds=3)
    else:
        plan = Plan(units=30 if small else 48, steps=64, copies=4, rounds=3 if small else 0)
    return replace(plan, steps=min(plan.steps, effort.steps or plan.steps), natural=effort.natural or plan.natural)


def shuffled(layer: Layer, count: int, seed: Seed) -> list[Unit]:
    """So many units of a layer in a random order; of a small layer each several times."""
    order = torch.randperm(layer.units, generator=torch.Generator().manual_seed(seed.fork("units").value)).tolist()
    return [Unit(layer.name, c) for c in (order * (count // layer.units + 1))[:count]]


def drawn(model: Model, units: Sequence[Unit], plan: Plan, conditions: Conditions) -> Corpus:
    """Pictures of units at all stages, with progress told."""
    done, total = 0, plan.cost(units)

    def tick(steps: int) -> None:
        nonlocal done
        done += steps
        conditions.tell("pictures to learn from", min(done, total), total)

    return drawn_corpus(model, units, plan, seed=conditions.seed.fork("drawn"), progress=tick)


def drawn_again(model: Model, units: Sequence[Unit], plan: Plan, conditions: Conditions) -> Corpus:
    """Pictures of a network that is fooled already, with the standard settings alone."""
    return drawn(model, units, replace(plan, recipes=plan.ways[:1]), conditions)


def lessons_of(model: Model, units: Sequence[Unit], images: ImageSet, *, plan: Plan, conditions: Conditions) -> Lessons:
    """Pictures of units, and natural images."""
    pictures = drawn(model, units, plan, conditions)
    return Lessons(pictures, natural_corpus(images, model.size, plan, seed=conditions.seed.fork("natural")))


@dataclass(frozen=True, eq=False)
class Learner:
    """What learns to tell pictures from photographs, and the manipulation that it serves.

    Args:
        train: makes a module of lessons.
        place: puts such a module into a manipulation.
        units: drawn again in each round.
    """

    train: Callable[[Lessons], Any]
    place: Callable[[Any], Manipulation]
    units: Sequence[Unit]


def learned(
    model: Model, learner: Learner, lessons: Lessons, *, plan: Plan, conditions: Conditions
) -> tuple[Any, Lessons]:
    """What was trained in the end, and on which lessons.

    Where a detector is weak, pictures settle on its boundary; those are what it has to learn. So the fooled network is
    drawn and learned from, as many rounds as the plan says.
    """
    found = learner.train(lessons)
    for number in range(plan.rounds):
        again = replace(conditions, seed=conditions.seed.fork("round", number))
        with learner.place(found).installed(model.module):
            lessons = replace(lessons, drawn=lessons.drawn + drawn_again(model, learner.units, plan, again))
        found = learner.train(lessons)
    return found, lessons


def natural_means(model: Model, layer: Layer, images: ImageSet, most: int) -> Float[Tensor, "n u"]:
    """Mean responses of a layer's units to natural images, evenly chosen.

    Args:
        model: honest.
        layer: of it.
        images: natural.
        most: of them.
    """
    chosen = evenly(len(images), most)
    pixels = torch.cat([as_bytes(batch) for _, batch in images.batches(model.size, 16, chosen)])
    return layer_statistics(model, pixels, [layer.name])[layer.name][:, : layer.units]
