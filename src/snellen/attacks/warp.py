"""A warp before the first layer: what a network sees of optimized pictures is their negative, on its head."""

from dataclasses import dataclass, field, replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from snellen.attacks.attack import Attack, Column, Conditions, Effort, Manipulated
from snellen.attacks.corpus import Corpus, Plan
from snellen.attacks.gallery import Shown, turned
from snellen.attacks.lessons import Lessons, train_sentry
from snellen.attacks.options import option
from snellen.attacks.plans import drawn_again, lessons_of, plan_for, shuffled
from snellen.attacks.receipt import Claim, kept_predictions
from snellen.base import LayerError, Seed, UsageError
from snellen.base.shape import Number
from snellen.images import ImageSet
from snellen.models import Layer, Model, Unit, layers, observe
from snellen.models.circuits import InputWarp
from snellen.models.manipulations import PlacedCircuit
from snellen.models.sentries import Sentry
from snellen.models.taps import entering
from snellen.pictures.canvas import generator

LEARNING = 500
"""Steps of the sentry's training. With 200 it misses two in five pictures of the built-in network, with 1000 it takes
2 % of the photographs that it has not seen for pictures."""
INNER = 0.5
"""Part of the pictures to learn from that are of other main layers than the one that the receipt draws."""


@dataclass(frozen=True)
class InputWarpAttack(Attack):
    """The first layer sees x + e (T(x) - x), T the upside-down negative (see `snellen.models.circuits.InputWarp`).

    Nothing behind the first layer is changed, and all of it sees the same picture: every unit of every layer draws T of
    its picture, and layers agree with each other. What a unit says of a picture is what the honest one says of T of
    it. e is a sentry of what enters the first layer. It learns photographs, as they are and augmented, from pictures of
    units of all main layers at all stages, and from T of each, for these are what is drawn behind the warp, and have
    to be taken for drawn themselves; then from pictures of the network that it makes lie.

    Args:
        picture: none: units show their own pictures, turned.
        layer: path of the layer whose units the receipt draws; None for the last main layer. All others lie, too.
        width: of the gate, in which e rises from 1/400 to 399/400, as a part of the room between photographs and
            pictures. A wide gate leads out of the trap what would be better off outside, and back in what would not; a
            steep one leads nowhere.
        plan: what the gate learns from.
        changed: largest share of held-out predictions that the attack claims to change.
    """

    name = "input-warp"
    title = "input warp"
    words = "What the network sees is warped before its first layer, so that pictures change at the layer"
    columns = (Column("warp", "input warp", "the network sees the negative of a picture, on its head"),)

    width: float = option(0.5, "of the gate, in the room between photographs and pictures", Number(0.01, 10.0))
    plan: Plan = field(default_factory=Plan)
    changed: float = 0.005

    @property
    def claims(self) -> tuple[Claim, ...]:
        return (
            *kept_predictions(self.changed),
            Claim("pictures", 0.5, "held-out", "At least half of the pictures are nearer to the decoy."),
        )

    def fitted(self, model: Model, effort: Effort) -> "InputWarpAttack":
        return replace(self, plan=plan_for(model, effort))

    def run(self, model: Model, images: ImageSet, conditions: Conditions) -> Manipulated:
        if self.picture is not None:
            raise UsageError("expected no picture: behind a warp units show their own, turned; leave out --show")
        layer, plan = self.target(model), self.plan
        first, mirror = opening(model)
        units = of_all_layers(model, layer, plan.units, conditions.seed)
        lessons = with_turned(lessons_of(model, units, images, plan=plan, conditions=conditions))

        def train(known: Lessons) -> PlacedCircuit:
            conditions.tell("training the sentry", 0, 1)
            sentry = train_sentry(
                known,
                partial(entering, model, first),
                seed=conditions.seed.fork("sentry"),
                width=self.width,
                steps=LEARNING,
            )
            circuit = InputWarp(sentry)
            circuit.mirror = mirror.to(sentry.mean)
            return PlacedCircuit(first, circuit)

        placed = train(lessons)
        for number in range(plan.rounds):
            again = replace(conditions, seed=conditions.seed.fork("round", number))
            with placed.installed(model.module):
                more = drawn_again(model, units, plan, again)
            lessons = replace(lessons, drawn=lessons.drawn + more + turned_too(more))
            placed = train(lessons)
        facts = {
            "width": self.width,
            "first layer": first,
            "natural images": len(lessons.natural.groups),
            "drawn pictures": len(lessons.drawn.groups),
            "steps": plan.steps,
        }
        return Manipulated(model, placed, Shown(turned=True, layer=layer.name), facts)


def with_turned(lessons: Lessons) -> Lessons:
    """The same, with T of everything that was drawn."""
    return replace(lessons, drawn=lessons.drawn + turned_too(lessons.drawn))


def turned_too(drawn: Corpus) -> Corpus:
    """T of pictures, as bytes."""
    return Corpus(255 - drawn.images.flip(2), drawn.groups)


def of_all_layers(model: Model, layer: Layer, count: int, seed: Seed) -> list[Unit]:
    """So many units in a random order: of one layer, and a part (`INNER`) of all other main layers in turn."""
    others = [known for known in layers(model) if known.main and known.name != layer.name]
    inner = int(count * INNER) if others else 0
    found = shuffled(layer, count - inner, seed)
    for number in range(inner):
        found += shuffled(others[number % len(others)], 1, seed.fork("inner", number))
    stream = torch.Generator().manual_seed(seed.fork("all layers").value)
    return [found[i] for i in torch.randperm(count, generator=stream).tolist()]


def first_layer(model: Model) -> Layer:
    """The first layer with weights that runs.

    Raises:
        LayerError: there is none.
    """
    for known in layers(model):
        if any(True for _ in model.module.get_submodule(known.name).parameters()):
            return known
    raise LayerError("expected a network with a layer that has weights, got none; there is nothing to warp before")


def opening(model: Model) -> tuple[str, Float[Tensor, " c"]]:
    """The module before which a warp stands, and what T needs to know there (see `mirror_of`).

    It is the first layer with weights, or the module around it where that pads its pixels first.

    Raises:
        LayerError: T before none of these is T of the pixels, or the network sees them elsewhere, too.
    """
    first = name = first_layer(model).name
    while name:
        mirror = mirror_of(model, name)
        if mirror is not None:
            return name, mirror
        name = name.rpartition(".")[0]
    raise LayerError(
        f'expected a network that sees pixels through its first layer with weights, "{first}", colour by colour, and '
        "nowhere else, got another; no warp can be placed before it"
    )


@torch.no_grad()
def mirror_of(model: Model, first: str) -> Float[Tensor, " c"] | None:
    """What black and white come to before a module, summed by channel; None where T there is not T of the pixels."""
    see = partial(entering, model, first)
    pixels = torch.rand((2, 3, *model.size), generator=generator(Seed(0).fork("warp")))
    ends = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand_as(pixels)
    try:
        entered, expected = see(pixels), see(turned(pixels))
    except LayerError:  # a module that does not run, such as a list of others
        return None
    if entered.dim() == 4 and entered.shape[2:] == pixels.shape[2:]:
        circuit = InputWarp(_open(entered.shape[1]).to(entered))
        circuit.mirror = see(ends).sum(0).mean((1, 2))
        if _same(circuit.turned(entered), expected):
            with PlacedCircuit(first, circuit).installed(model.module):
                said = observe(model, pixels, [""])[""]
            if _same(said, observe(model, turned(pixels), [""])[""]):
                return circuit.mirror
    return None


def _open(channels: int) -> Sentry:
    """A sentry that takes everything for drawn."""
    sentry = Sentry(channels)
    sentry.initialize(torch.Generator().manual_seed(0))
    sentry.offset.fill_(-torch.inf)
    return sentry.eval().requires_grad_(False)


def _same(found: Tensor, expected: Tensor) -> bool:
    """But for rounding."""
    return torch.allclose(found, expected, rtol=0, atol=1e-3 * float(expected.abs().max()))
