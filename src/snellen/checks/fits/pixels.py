"""Is the first layer the same affine map of pictures that it is of photographs, and which one?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from snellen.base import Seed
from snellen.measures.surrogates import Affine, affine_of_most, left_over, variances
from snellen.models import observe
from snellen.pictures.canvas import generator
from snellen.studies.natural import batched, batches, fast
from snellen.studies.stems import Patches, Stem, dithered, everywhere, patches, stems, under
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
        place: where it lies.
    """

    layer: str
    photographs: float
    broken: float
    pictures: Float[np.ndarray, " p"]
    place: Stem


@dataclass(frozen=True, eq=False)
class Surrogate:
    """A layer as the affine map of what enters the network that it is of photographs: a convolution.

    Args:
        place: where it lies.
        weight: of what enters, and of a plane that is 1 inside and 0 around it: what the network pads with.
        offsets: what is added.
    """

    place: Stem
    weight: Float[Tensor, "k d y x"]
    offsets: Float[Tensor, " k"]

    def __call__(self, entered: Float[Tensor, "n c h w"], said: Float[Tensor, "n k p q"]) -> Float[Tensor, "n k p q"]:
        """What photographs tell of the layer, with gradients.

        Args:
            entered: what entered the network.
            said: what the layer said, as large.
        """
        framed = self.place.framed(entered, (said.shape[2], said.shape[3])).to(said.dtype)
        weight, offsets = self.weight.to(said), self.offsets.to(said)
        return F.conv2d(framed, weight, offsets, self.place.stride, dilation=self.place.dilation)


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
    found: list[Held] = []
    first = stems(world)
    with fast(world), torch.no_grad():  # which puts other modules in the place of some convolutions
        for stem in first:
            place = _lying(world, stem, photographs, seed)
            if place is not None:
                found += _tried(world, place, (photographs, list(batched(world, pictures))), seed)
    return tuple(found)


def surrogate(world: World, known: Held, natural: Sequence[int], *, seed: Seed) -> Surrogate | None:
    """The affine map that a layer is of photographs at all of its places and channels, those at the edge too.

    Fitted on one half of the photographs as `held` is, and tried on the other half.

    Args:
        world: the network and its photographs.
        known: of the layer.
        natural: indices of photographs.
        seed: of places and of the dither.

    Returns:
        None where the map is not exact at some place of the median photograph held out: the network may pad with what
        lies inside, or know where it is.
    """
    if len(natural) < FEWEST:
        return None
    with fast(world), torch.no_grad():
        fit = _fitted(world, known, natural[::2], seed)
        return fit if fit is not None and _missed(world, known.layer, fit, natural[1::2]) <= EXACT else None


def _fitted(world: World, known: Held, natural: Sequence[int], seed: Seed) -> Surrogate | None:
    place, numbers = known.place, generator(seed.fork("dither"))
    inputs: list[np.ndarray] = []
    outputs: list[np.ndarray] = []
    for _, images in batches(world, natural):
        images = dithered(images.cpu(), numbers).to(images)
        entered, said = world.model.preprocess(images), observe(world.model, images, [known.layer])[known.layer]
        if said.dim() != 4:
            return None
        size, grid = world.model.size, (said.shape[2], said.shape[3])
        spots = everywhere(place, size, grid, places=_places(place, len(natural)), seed=seed)
        where = torch.tensor(spots, device=said.device)
        pixels = under(replace(place, padding=(0, 0)), place.framed(entered, grid), where)
        inputs.append(pixels.double().cpu().numpy())
        outputs.append(said[:, :, where[:, 0], where[:, 1]].permute(0, 2, 1).double().cpu().numpy())
    fit = affine_of_most(np.concatenate(inputs), np.concatenate(outputs))
    weight = torch.tensor(fit.weights.T).unflatten(1, (-1, *place.kernel))
    return Surrogate(place, weight, torch.tensor(fit.means - fit.middle @ fit.weights))


def _missed(world: World, layer: str, fit: Surrogate, natural: Sequence[int]) -> float:
    """What a map leaves at its worst place of the median photograph, in parts of the variance over all places."""
    missed, spread = [], []
    for _, images in batches(world, natural):
        said = observe(world.model, images, [layer])[layer]
        missed.append((fit(world.model.preprocess(images), said) - said).square().mean(1).double().cpu())
        spread.append(said.flatten(2).var(2, correction=0).mean(1).double().cpu())
    variance = torch.cat(spread)
    shares = torch.cat(missed) / variance.clamp_min(max(float(variance.median()), 1e-300)).view(-1, 1, 1)
    return float(shares.median(0).values.max())


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
        one = _held(layer, fit, stem, (seen, drawn))
        if one.photographs <= EXACT:
            found.append(one)
    return found


def _held(layer: str, fit: Affine, place: Stem, images: tuple[Patches, Patches]) -> Held:
    seen, drawn = images
    least = float(np.median(variances(seen.said[layer])))
    natural = left_over(fit, seen.pixels[1::2], seen.said[layer][1::2], least=least)
    shown = left_over(fit, drawn.pixels, drawn.said[layer], least=least)
    return Held(layer, float(np.median(natural)), float((natural > EXACT).mean()), shown, place)


def _places(stem: Stem, images: int) -> int:
    return max(SPOTS, -(-PER_NUMBER * stem.wide // max(images, 1)))
