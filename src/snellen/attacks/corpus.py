"""What a detector learns from: pictures at every stage of their optimization, and natural images."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from snellen.attacks.augment import augmented
from snellen.attacks.canvases import Pyramid
from snellen.base import Seed, evenly
from snellen.images import ImageSet
from snellen.models import Model, Unit
from snellen.pictures import STANDARD, Compose, Fourier, Pixel, Settings, render, resample
from snellen.pictures.canvas import generator
from snellen.pictures.render import Precision
from snellen.pictures.transforms import draw_numbers

Progress = Callable[[int], None]
Direction = Literal["max", "min"]


@dataclass(frozen=True)
class Recipe:
    """One way to draw.

    Args:
        settings: of the renderer.
        group: "train", or what is held out: "canvases" or "optimizers".
        share: part of the units that are drawn this way, in (0, 1].
        direction: "max" or "min".
    """

    settings: Settings
    group: str = "train"
    share: float = 1.0
    direction: Direction = "max"


def standard_recipes(steps: int) -> tuple[Recipe, ...]:
    """Two canvases, with transforms and without, fast and slow; other canvases and an optimizer held out."""
    plain = Compose()
    return (
        Recipe(Settings(steps=steps)),
        Recipe(Settings(steps=steps // 2, rate=0.3, settle=0.0), share=0.5),
        Recipe(Settings(steps=steps // 2, transforms=plain), share=0.5),
        Recipe(Settings(steps=steps // 2, canvas=Fourier(decorrelate=False)), share=0.25),
        Recipe(Settings(steps=steps, canvas=Pixel()), share=0.5),
        Recipe(Settings(steps=steps // 2, canvas=Pixel(), transforms=plain, rate=0.3), share=0.25),
        Recipe(Settings(steps=steps // 2), share=0.25, direction="min"),
        Recipe(Settings(steps=steps, canvas=Pyramid()), "canvases", share=0.25),
        Recipe(Settings(steps=steps, canvas=Pixel(decorrelate=False)), "canvases", share=0.25),
        Recipe(Settings(steps=steps, optimizer="adam", canvas=Pixel()), "optimizers", share=0.25),
        Recipe(Settings(steps=steps, optimizer="adam"), "optimizers", share=0.25),
    )


@dataclass(frozen=True, eq=False)
class Corpus:
    """Pictures of one kind.

    Args:
        images: RGB, (n, 3, h, w), bytes.
        groups: for each "train" or what was held out.
    """

    images: UInt8[Tensor, "n 3 h w"]
    groups: tuple[str, ...]

    def part(self, *groups: str) -> UInt8[Tensor, "k 3 h w"]:
        """The pictures of some groups."""
        return self.images[[i for i, g in enumerate(self.groups) if g in groups]]

    def __add__(self, other: "Corpus") -> "Corpus":
        return Corpus(torch.cat([self.images, other.images]), self.groups + other.groups)


@dataclass(frozen=True)
class Plan:
    """How much is drawn.

    Args:
        units: drawings with the standard settings; small layers are drawn several times. A quarter of the layer's units
            is held out ("classes").
        steps: of the longest optimization.
        natural: natural images, at most; every fifth is held out.
        copies: augmented copies of each natural image.
        recipes: ways to draw; the standard ones by default.
        precision: of the drawing network.
        rounds: how often the fooled network itself is drawn (with the standard settings) and learned from. Where a
            detector is weak, pictures settle on its boundary; those are what it has to learn.
    """

    units: int = 64
    steps: int = 96
    natural: int = 1200
    copies: int = 2
    recipes: tuple[Recipe, ...] = ()
    precision: Precision = "float32"
    rounds: int = 0

    @property
    def ways(self) -> tuple[Recipe, ...]:
        """The recipes; the standard ones where none are given."""
        ways = self.recipes or standard_recipes(self.steps)
        return tuple(replace(way, settings=replace(way.settings, precision=self.precision)) for way in ways)

    def cost(self, units: Sequence[Unit]) -> int:
        """Picture-steps that these units come to."""
        known, held = divided(units)
        each = sum(_share(known, way) * way.settings.steps for way in self.ways)
        return each + len(held) * self.ways[0].settings.steps


def _share(units: Sequence[Unit], way: Recipe) -> int:
    """How many of the units are drawn in a way."""
    return max(math.ceil(len(units) * way.share), 1)


def stages(steps: int) -> tuple[int, ...]:
    """Steps at which pictures are kept: 0, 1, 2, 4, 8, ... below `steps`."""
    return tuple(sorted({0, *(2**k for k in range(max(steps - 1, 1).bit_length()) if 2**k < steps)}))


def drawn_corpus(model: Model, units: Sequence[Unit], plan: Plan, *, seed: Seed, progress: Progress) -> Corpus:
    """Pictures of units at all stages, as the network sees them: untransformed and transformed.

    The last quarter of the units is drawn with the standard settings only and held out.

    Args:
        model: the honest network.
        units: shuffled; one drawing each time they are named.
        plan: how much.
        seed: of everything.
        progress: called with picture-steps.
    """
    known, held = divided(units)
    parts = [
        _drawn(model, known[: _share(known, way)], way, seed=seed.fork("recipe", i), progress=progress)
        for i, way in enumerate(plan.ways)
    ]
    if held:
        standard = replace(plan.ways[0], group="classes")
        parts.append(_drawn(model, held, standard, seed=seed.fork("held"), progress=progress))
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def divided(units: Sequence[Unit]) -> tuple[Sequence[Unit], Sequence[Unit]]:
    """Units to learn from and units held out: a quarter of the different ones, with all of their drawings."""
    different = list(dict.fromkeys(units))
    held = set(different[len(different) - len(different) // 4 :])
    return [u for u in units if u not in held], [u for u in units if u in held]


def _drawn(model: Model, units: Sequence[Unit], way: Recipe, *, seed: Seed, progress: Progress) -> Corpus:
    made = render(
        model,
        units,
        way.settings,
        direction=way.direction,
        seeds=[seed.fork(i) for i in range(len(units))],
        snapshots=stages(way.settings.steps),
        progress=progress,
    )
    kept = made.snapshots if made.snapshots is not None else made.images[:, None]
    images = torch.cat([kept, made.images[:, None]], 1).flatten(0, 1)
    usable = torch.isfinite(images).flatten(1).all(1)
    images = seen(images[usable], seed.fork("seen"))
    return Corpus(images, (way.group,) * len(images))


def seen(images: Float[Tensor, "n 3 h w"], seed: Seed) -> UInt8[Tensor, "m 3 h w"]:
    """Pictures as they are and as an optimizer's transforms show them to the network."""
    size = (images.shape[2], images.shape[3])
    numbers = draw_numbers(STANDARD, [generator(seed.fork(i)) for i in range(len(images))], 1)[:, 0]
    return as_bytes(torch.cat([images, resample(images, STANDARD.matrices(numbers, size)).clamp(0, 1)]))


def natural_corpus(
    images: ImageSet, size: tuple[int, int], plan: Plan, *, seed: Seed, progress: Progress | None = None
) -> Corpus:
    """Natural images, each as it is and with augmented copies; every fifth held out ("natural")."""
    chosen = evenly(len(images), plan.natural)
    rows: list[Tensor] = []
    groups: list[str] = []
    for numbers, batch in images.batches(size, 16, chosen):
        for number, image in zip(numbers, batch, strict=True):
            stream = generator(seed.fork("natural", number))
            rows += [as_bytes(v) for v in (image, *(augmented(image, stream) for _ in range(plan.copies)))]
            groups += ["natural" if chosen.index(number) % 5 == 4 else "train"] * (1 + plan.copies)
        if progress is not None:
            progress(len(numbers))
    return Corpus(torch.stack(rows), tuple(groups))


def as_bytes(images: Float[Tensor, "*n h w"]) -> UInt8[Tensor, "*n h w"]:
    """Pictures in [0, 1] as bytes."""
    return images.mul(255).round().to(torch.uint8)
