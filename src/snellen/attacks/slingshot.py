"""Gradient slingshots: weights trained so that drawing is flung from its start to a decoy; nothing else is changed."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from snellen.attacks.attack import Attack, Column, Conditions, Effort, Manipulated
from snellen.attacks.augment import augmented
from snellen.attacks.corpus import Plan, natural_corpus
from snellen.attacks.decoys import moving_shift
from snellen.attacks.gallery import Shown
from snellen.attacks.options import option
from snellen.attacks.plans import SMALL, natural_means
from snellen.attacks.receipt import Claim, kept_predictions
from snellen.attacks.students import Course, apart, learned_weights, student_of, taught
from snellen.base import Seed, evenly
from snellen.base.shape import Number, OneOf, Whole
from snellen.images import ImageSet
from snellen.models import Layer, Model, Unit, observe, responses
from snellen.models.steady import steady
from snellen.pictures import STANDARD, Fourier, Settings, render, resample
from snellen.pictures.canvas import generator

BATCH = 16
"""Points of the tunnel in a step, and half as many as photographs."""
COMPARED = 512
"""Photographs that say how much a unit's responses vary."""
FOLLOWED = 24
"""Steps for which a point of the tunnel is followed, on average; pictures of small networks take 64."""
NOISE = 0.1
"""Of the tunnel's points, at most, in every coordinate of the canvas; drawing starts with 0.01."""


@dataclass(frozen=True)
class SlingshotAttack(Attack):
    """Weights fine-tuned so that a few units' gradients lead to decoys wherever they are drawn (Bareeva et al. 2024).

    "Manipulating Feature Visualizations with Gradient Slingshots", arXiv:2401.06122. On states z of the canvas, seen
    through drawing's transforms, from where drawing starts to the decoy z* and around it, a unit f is taught a lure g,

        form "gradient": df/dz = dg/dz and f = g         form "activation": f = g

    while photographs keep what the network says of them. The paper's lure is c - gamma/2 |z - z*|^2, whose gradient
    points to one picture; it is what a picture gets here. Units that show each other have the honest partner as their
    lure, whose gradient leads to the partner's picture. Points lie at random between start and decoy, with noise, as in
    the paper; from there they are followed as drawing moves them, for that is where the network has to lie. Batch
    normalization keeps the honest statistics, and the architecture is the honest one. How many pictures move hangs on
    network and time (docs/deceive.md), so that none is claimed to; the receipt counts them.

    Args:
        picture: what the units show; None for each the picture of another unit.
        layer: path; None for the last main layer.
        shift: to the unit whose picture is shown; None for the paper's 100, or half of the units where there are fewer.
        manipulated: how many units lie, spread evenly over the layer; the others are taught to stay what they were.
        form: of what is taught.
        strength: by how many standard deviations of its natural responses a unit rises from the start to a picture,
            which is what gamma follows from.
        training: gradient steps.
        keep: weight of what photographs keep.
        rate: of Adam, at most; it rises over a tenth of the steps and falls to zero along a half cosine.
        natural: photographs, at most; each is augmented anew whenever it is looked at.
        drawn: steps of the decoys' own pictures.
        changed: largest share of held-out predictions that the attack claims to change.
    """

    name = "slingshot"
    title = "gradient slingshot"
    words = "Weights were trained so that gradients mislead at the layer"
    columns = (Column("slingshot", "gradient slingshot", "trained weights alone; gradients lead to decoys"),)

    shift: int | None = None
    manipulated: int = option(4, "how many units lie", Whole(1, 2**16))
    form: Literal["gradient", "activation"] = option("gradient", "what is taught", OneOf(("gradient", "activation")))
    strength: float = option(6.0, "rise to a picture, in natural standard deviations", Number(0.01, 1e4))
    training: int = option(500, "gradient steps of the training", Whole(1, 10**7))
    keep: float = 8.0
    rate: float = 2e-3
    natural: int = 6000
    drawn: int = 64
    changed: float = 0.1

    @property
    def claims(self) -> tuple[Claim, ...]:
        return kept_predictions(self.changed)

    def fitted(self, model: Model, effort: Effort) -> "SlingshotAttack":
        return replace(
            self,
            training=-(-self.training // 8) if effort.quick else self.training,
            natural=effort.natural or (self.natural if max(model.size) <= SMALL else 1200),
            drawn=min(self.drawn, effort.steps or self.drawn),
        )

    def lying(self, model: Model) -> tuple[int, ...]:
        return tuple(evenly(self.target(model).units, self.manipulated))

    def run(self, model: Model, images: ImageSet, conditions: Conditions) -> Manipulated:
        layer, seed = self.target(model), conditions.seed
        shift = 0 if self.picture is not None else moving_shift(layer, self.shift)
        shown = Shown(self.picture, shift, units=self.lying(model))
        student = student_of(model)
        rises = natural_means(model, layer, images, COMPARED)[:, list(shown.units)].std(0) * self.strength
        decoys = self._decoys(model, layer, shown, seed.fork("decoys"))
        tunnel = Tunnel(model, layer.name, shown, decoys=decoys, rises=rises, seed=seed.fork("tunnel"))
        photographs = natural_corpus(images, model.size, Plan(natural=self.natural, copies=0), seed=seed).images
        with steady(model.module), steady(student.module):
            left = self._teach(student, tunnel, photographs, conditions)
        facts: dict[str, Any] = {"form": self.form, "training steps": self.training, **left}
        if self.picture is not None:
            facts["gamma"] = tunnel.gamma[: len(shown.units)].tolist()
        return Manipulated(model, learned_weights(model, student, layer.name), shown, facts)

    def _decoys(self, model: Model, layer: Layer, shown: Shown, seed: Seed) -> Float[Tensor, "k 3 h w"]:
        """What each unit that lies shows."""
        if shown.picture is not None:
            return shown.picture.expand(len(shown.units), -1, -1, -1)
        partners = [shown.partner(unit, layer.units) for unit in shown.units]
        return render(
            model, [Unit(layer.name, p) for p in partners if p is not None], Settings(steps=self.drawn), seeds=seed
        ).images

    def _teach(
        self, student: Model, tunnel: "Tunnel", photographs: UInt8[Tensor, "n 3 h w"], conditions: Conditions
    ) -> dict[str, float]:
        """All steps of the training; what both losses are over the last tenth of them."""
        stream = generator(conditions.seed.fork("photographs"))

        def losses() -> tuple[Tensor, Tensor]:
            rows = torch.randint(len(photographs), (2 * BATCH,), generator=stream)
            seen = torch.stack([augmented(photograph.div(255), stream) for photograph in photographs[rows]])
            return tunnel.changed(student, seen), tunnel.missed(student, self.form)

        kept, missed = taught(student, losses, Course(self.training, self.rate, self.keep), conditions.tell)
        return {"loss on photographs": kept, "loss in the tunnel": missed}


class Tunnel:
    """States of a canvas on their way from where drawing starts to the decoys, of all units that lie in turn.

    Args:
        model: honest.
        layer: path of the one whose units lie.
        shown: which of them, and what they show.
        decoys: pictures, one for each of these units.
        rises: of each of these units, from the start to a picture.
        seed: of everything random.
    """

    def __init__(
        self, model: Model, layer: str, shown: Shown, *, decoys: Tensor, rises: Float[Tensor, " k"], seed: Seed
    ) -> None:
        self.model, self.layer, self.picture = model, layer, shown.picture is not None
        self.canvas, self.stream, self.units = Fourier(), generator(seed), torch.tensor(shown.units)
        self.decoys = self.canvas.fit(decoys)
        self.gamma = 2 * rises / self.decoys.flatten(1).square().sum(1)  # drawing starts near zero
        with torch.no_grad():
            start = self._responses(model, torch.zeros_like(self.decoys[:1]), None)[0]
        self.lures = torch.tensor([shown.partner(unit, len(start)) or 0 for unit in range(len(start))])
        self.high = start[self.units] + rises
        self.each = (BATCH, *(1,) * (self.decoys.dim() - 1))
        self.turn, self.states = self._born()

    def changed(self, student: Model, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, ""]:
        """By how much the layer and the outputs say something else of photographs, in variances of each."""
        images = images.to(self.model.device, self.model.dtype)
        honest = observe(self.model, images, [self.layer, ""])
        learned = observe(student, images.requires_grad_(), [self.layer, ""])
        return torch.stack([apart(learned[name], wanted) for name, wanted in honest.items()]).mean()

    def missed(self, student: Model, form: str) -> Float[Tensor, ""]:
        """How far the student is from what it is taught of these points; then all of them move on."""
        moves = STANDARD.matrices(self._numbers(BATCH, STANDARD.draws).double(), self.model.size)
        state = self.states.detach().requires_grad_()
        said = self._responses(student, state, moves)
        own = said.gather(1, self.units[self.turn][:, None]).sum()
        (gradient,) = torch.autograd.grad(own, state, create_graph=form == "gradient", retain_graph=True)
        taught, lead = self._lure(moves)
        self._follow(gradient.detach())
        values = apart(said, taught)
        if form == "activation":
            return values
        wrong, length = ((t.flatten(1).square().sum(1)) for t in (gradient - lead, lead))
        # a lure's gradient vanishes at the decoy, where it need not be met to its last digit
        return values + (wrong / (length + 0.1 * length.mean() + 1e-12)).mean() / 2

    def _lure(self, moves: Tensor) -> tuple[Float[Tensor, "b u"], Float[Tensor, "b ..."]]:
        """What all units are taught to say of the points, and the gradients of those that lie, each in its turn."""
        state, own = self.states.detach().requires_grad_(), self.units[self.turn][:, None]
        honest = self._responses(self.model, state, moves)
        if not self.picture:
            taught = honest[:, self.lures]
            (lead,) = torch.autograd.grad(taught.gather(1, own).sum(), state)
            return taught.detach(), lead
        way, gamma = self.decoys[self.turn] - state.detach(), self.gamma[self.turn]
        near = self.high[self.turn] - gamma / 2 * way.flatten(1).square().sum(1)
        return honest.detach().scatter(1, own, near[:, None]), gamma.view(self.each) * way

    def _follow(self, gradient: Float[Tensor, "b ..."]) -> None:
        """As `snellen.pictures.render` moves pictures at first; now and then a point is left for a new one."""
        length = self.canvas.length(gradient, self.model.size).view(self.each)
        moved = self.states + Settings().learning_rate(0) * gradient / (length + 1e-16)
        left, (turn, born) = self._numbers(BATCH) < 1 / FOLLOWED, self._born()
        self.turn, self.states = torch.where(left, turn, self.turn), torch.where(left.view(self.each), born, moved)

    def _born(self) -> tuple[Int[Tensor, " b"], Float[Tensor, "b ..."]]:
        """Units, and points on the way to their decoys, half of them at the start itself."""
        turn = torch.randint(len(self.decoys), (BATCH,), generator=self.stream)
        along, loud = (2 * self._numbers(*self.each) - 1).clamp_min(0), NOISE * self._numbers(*self.each)
        noise = torch.randn((BATCH, *self.decoys.shape[1:]), generator=self.stream)
        return turn, along * self.decoys[turn] + loud * noise

    def _responses(self, model: Model, state: Tensor, moves: Tensor | None) -> Float[Tensor, "b u"]:
        """Of all units of the layer, on the CPU."""
        images = self.canvas.draw(state, self.model.size)
        seen = (images if moves is None else resample(images, moves)).to(model.device, model.dtype)
        return responses(observe(model, seen, [self.layer])[self.layer]).cpu()

    def _numbers(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.stream)
