"""Is the first layer the same affine map of pictures that it is of photographs?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from snellen.base import Seed
from snellen.measures.surrogates import Affine, affine_of_most, left_over, variances
from snellen.pictures.canvas import generator
from snellen.studies.natural import batched, batches, fast
from snellen.studies.stems import Patches, Stem, dithered, patches, stems
from snellen.studies.world import World

EXACT = 1e-3
"""Mean square that an affine map may leave of a photograph's outputs and be exact there, in parts of their variance."""
FEWEST = 12
"""Photographs, half of which are held out."""
TRIED = 8  # photographs that show where a convolution lies
SPOTS, PER_NUMBER = 64, 8  # places of a photograph, at least; and equations for each number under a place


@dataclass(frozen=True, eq=False)
class Held:
    """How far a layer is one affine map of pixels.

    Args:
        layer: its name.
        photographs: what the map leaves of the outputs at the median photograph held out, in parts of their variance.
        broken: share of the photographs held out that do not obey the map exactly.
        pictures: (p,) what it leaves at each picture.
    """

    layer: str
    photographs: float
    broken: float
    pictures: Float[np.ndarray, " p"]


def held(world: World, natural: Sequence[int], pictures: Float[Tensor, "p 3 h w"], *, seed: Seed) -> tuple[Held, ...]:
    """The first layers that are affine maps of the pixels of most photographs; none where there are no such layers.

    Each is fitted on one half of the photographs and tried on the other half: on what it does, that is, and not on the
    weights that it shows. A layer whose map does not hold for at least half of those held out is left out.

    Args:
        world: the network and its photographs.
        natural: indices of photographs.
        pictures: RGB in [0, 1].
        seed: of places and of the dither.
    """
    if len(natural) < FEWEST:
        return ()
    numbers = generator(seed.fork("dither"))
    photographs = [dithered(images.cpu(), numbers).to(images) for _, images in batches(world, natural)]
    found, first = [], stems(world)
    with fast(world), torch.no_grad():  # which puts other modules in the place of some convolutions
        for stem in first:
            place = _lying(world, stem, photographs, seed)
            if place is not None:
                found += _tried(world, place, (photographs, list(batched(world, pictures))), seed)
    return tuple(found)


def _lying(world: World, stem: Stem, photographs: Sequence[Tensor], seed: Seed) -> Stem | None:
    """The stem where it reads what lies under it; None where that is nowhere."""
    few = [batch[:TRIED] for batch in photographs[:1]]
    for placed in stem.shifted():
        seen = patches(world, placed, few, places=_places(stem, len(few[0])), seed=seed)
        if seen is None:
            continue
        said = seen.said[stem.layers[0]]
        if np.median(left_over(affine_of_most(seen.pixels, said), seen.pixels, said)) <= EXACT:
            return placed
    return None


def _tried(world: World, stem: Stem, images: tuple[list[Tensor], list[Tensor]], seed: Seed) -> list[Held]:
    count = sum(len(batch) for batch in images[0])
    seen = patches(world, stem, images[0], places=_places(stem, count // 2), seed=seed)
    drawn = patches(world, stem, images[1], places=_places(stem, 1), seed=seed)
    if seen is None or drawn is None:
        return []
    found = []
    for layer in seen.said:
        fit = affine_of_most(seen.pixels[::2], seen.said[layer][::2])
        one = _held(layer, fit, seen, drawn)
        if one.photographs <= EXACT:
            found.append(one)
    return found


def _held(layer: str, fit: Affine, seen: Patches, drawn: Patches) -> Held:
    least = float(np.median(variances(seen.said[layer])))
    natural = left_over(fit, seen.pixels[1::2], seen.said[layer][1::2], least=least)
    shown = left_over(fit, drawn.pixels, drawn.said[layer], least=least)
    return Held(layer, float(np.median(natural)), float((natural > EXACT).mean()), shown)


def _places(stem: Stem, images: int) -> int:
    return max(SPOTS, -(-PER_NUMBER * stem.wide // max(images, 1)))
