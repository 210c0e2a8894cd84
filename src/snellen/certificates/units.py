"""What a unit's pictures and exemplars guarantee about its responses to further images (docs/theory.md, section 10)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from snellen.base import ModelError, Seed, Tell, UsageError, silence
from snellen.certificates.places import Places, affine_certificates
from snellen.images import ImageSet
from snellen.models import Model, Unit
from snellen.models.steady import steady
from snellen.pictures import render
from snellen.theory import Evidence, InconsistentEvidenceError, Lipschitz, envelope
from snellen.theory.certificate import Certificate, certify
from snellen.theory.domain import Array
from snellen.theory.proofs import Proof
from snellen.theory.proofs import prove as prove_function


@dataclass(frozen=True, eq=False)
class Certified:
    """A unit with what is guaranteed of it.

    Args:
        unit: which.
        over: the layer whose output it is a function of; None for the image.
        proof: of its class; None where the constant was declared by the user, or none is needed.
        bound: L, proved or declared; NaN where none is needed.
        found: what each kind of evidence guarantees.
        names: of the images asked about, in the order of each certificate's rows.
        pictures: (largest, smallest) response to a drawn picture; None where none was needed.
        known: what the structure of the network makes of the unit, in place of a constant; empty where nothing does.
    """

    unit: Unit
    over: str | None
    proof: Proof | None
    bound: float
    found: dict[str, Certificate]
    names: tuple[str, ...]
    pictures: tuple[float, float] | None
    known: str = ""


@dataclass(frozen=True)
class Asked:
    """What to certify from.

    Args:
        over: a layer whose output the unit is taken as a function of.
        declared: a Lipschitz constant that the user vouches for, instead of a proof.
        exemplars: natural images at either end that count as evidence.
        steps: of the two pictures.
        seed: of their random streams.
        pictures: of the unit, where its structure says what many of them guarantee; None for as many as it chooses.
    """

    over: str | None = None
    declared: float | None = None
    exemplars: int = 9
    steps: int = 128
    seed: int = 0
    pictures: int | None = None


def certify_unit(model: Model, unit: Unit, images: ImageSet, asked: Asked, *, tell: Tell = silence) -> Certified:
    """Prove (or take) the unit's class, gather its evidence, bound its responses to the other images, compare.

    Raises:
        ModelError: no class can be proved, and none is declared.
        InconsistentEvidenceError: responses contradict the constant; the pictures and images in conflict are named.
        UsageError: fewer than two images, or images that a layer does not tell apart; or a number of pictures, of which
            a constant makes use of two.
    """
    if len(images) < 2:
        raise UsageError(f"expected at least 2 images, got {len(images)}; give more")
    if asked.pictures is not None:
        raise UsageError(
            f"expected a class of a network whose structure says what several pictures guarantee together, got {unit}; "
            "leave out how many there are to be"
        )
    places = Places(model, unit, asked.over)
    proof = None if asked.declared is not None else prove(model, unit, asked.over)
    loaded = images.pixels(model.size)
    truth = places.respond(loaded, lambda done: tell("natural images", done, len(images)))
    if not np.isfinite(truth).all():
        raise ModelError(
            f"expected finite responses, got {truth[~np.isfinite(truth)][0]} from {unit}; check the weights"
        )
    if proof is not None and proof.affine:
        found = affine_certificates(places, loaded, truth)
        return Certified(unit, asked.over, proof, proof.bound, found, images.ids, None)
    bound = proof.bound if proof is not None else float(asked.declared or 0.0)
    pictures = _draw(model, unit, asked, tell)
    answers = places.respond(pictures)
    chosen = _chosen(truth, asked.exemplars)
    order = [*chosen, *(i for i in range(len(images)) if i not in chosen)]
    names = ("the maximizing picture", "the minimizing picture", *(images.ids[i] for i in order))
    points = np.concatenate([places.of(pictures), places.of(loaded[order])])
    values = np.concatenate([answers, truth[order]])
    with _named(names):
        certificate = _lipschitz(Lipschitz(bound), (points, values), 2 + len(chosen), places, declared=proof is None)
    source = f"the two pictures and {len(chosen)} exemplars" if chosen else "the two pictures"
    ends = float(answers[0]), float(answers[1])
    return Certified(unit, asked.over, proof, bound, {source: certificate}, names[2 + len(chosen) :], ends)


def prove(model: Model, unit: Unit, over: str | None = None) -> Proof:
    """The unit's constant over RGB images in [0, 1] (the network's, times that of the preprocessing), or over a layer.

    Raises:
        ModelError: nothing can be proved; says what else can be done.
    """
    places = Places(model, unit, over)
    image = torch.rand(1, 3, *model.size, generator=torch.Generator().manual_seed(0)).to(model.device, model.dtype)
    try:
        with steady(model.module):
            return prove_function(
                places.answer,
                places.shaped(image).clone(),
                beside=None if over is None else image,
                module=model.module,
                over=over,
            )
    except (ModelError, UsageError) as error:
        other = "a later" if over is None else "another"
        help_ = "" if "tracing failed" in str(error) else f"name {other} layer with --over, or "
        raise type(error)(f"{error}; or {help_}declare a constant with --lipschitz") from None


def _lipschitz(
    function_class: Lipschitz, told: tuple[Array, Array], count: int, places: Places, *, declared: bool
) -> Certificate:
    """Intervals for the points after the first `count`, which are evidence; of a declared constant all are a test."""
    points, values = told
    domain = places.domain(points)
    if declared:
        every = Evidence(domain, points=points, values=values, noise=1e-5 * float(abs(values).max(initial=0.0)))
        envelope(function_class, every, points[:1])
    known, others = (points[:count], values[:count]), (points[count:], values[count:])
    return certify(function_class, known, others, domain=domain)


def _draw(model: Model, unit: Unit, asked: Asked, say: Tell) -> Tensor:
    """The maximizing and the minimizing picture, (2, 3, h, w)."""
    drawn = []
    for number, direction in enumerate(("max", "min")):
        say("drawing the pictures", number, 2)
        drawn.append(render(model, unit, steps=asked.steps, seeds=Seed(asked.seed), direction=direction).images)  # type: ignore[arg-type]
    return torch.cat(drawn).clamp(0, 1)


def _chosen(truth: Array, exemplars: int) -> list[int]:
    """Images of the largest and the smallest responses, at most a third of all at either end."""
    most = min(exemplars, len(truth) // 3)
    order = np.argsort(truth, kind="stable")
    return sorted({*order[:most].tolist(), *order[len(order) - most :].tolist()})


@contextmanager
def _named(names: Sequence[str]) -> Iterator[None]:
    """Conflicts speak of pictures and images, not of numbered points."""
    try:
        yield
    except InconsistentEvidenceError as error:
        known = {f"point {i}": name for i, name in enumerate(names)}
        pieces = tuple(known.get(piece, piece) for piece in error.pieces)
        reason = str(error).removeprefix("inconsistent evidence: ").rpartition("; in conflict:")[0]
        for point, name in sorted(known.items(), key=lambda item: -len(item[0])):
            reason = reason.replace(f"f({point})", f"f({name})")
        raise InconsistentEvidenceError(reason, pieces) from None
