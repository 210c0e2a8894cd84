"""Recovered pictures: a network drawn while it does to them what it does to photographs, or as these alone tell it."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from snellen.attacks.distances import distances_for
from snellen.base import LayerError, Seed, SnellenError, evenly
from snellen.checks.fits.heads import are_plenty, chain_of, told_by
from snellen.checks.fits.pixels import Surrogate, held, surrogate
from snellen.checks.silent_scan import FAR, QUIET, SWITCH
from snellen.checks.surrogates import BROKEN, breaks
from snellen.checks.transplants import EXACT
from snellen.measures import Rest
from snellen.models import Model, Unit
from snellen.models.survey import survey
from snellen.models.taps import hosted, observe, replaced, response, saying
from snellen.models.unit import channel_axis
from snellen.pictures import Render, Settings, render
from snellen.pictures.objectives import Objective
from snellen.pictures.sheet import from_png
from snellen.studies.features import channel_means, space_of
from snellen.studies.natural import batched, batches, fast
from snellen.studies.rest import Held, holding, rests
from snellen.studies.world import World

FIRST = 64
"""Photographs that the first layer is fitted and tried on, as the check `surrogates` does."""


def recover(world: World, units: Sequence[str], settings: Settings, *, seed: Seed, most: int = 256) -> Render:
    """Draw units as the network would have it that photographs see.

    What no photograph does cannot matter to photographs. Every channel that (almost) all photographs leave at one value
    is held there while the pictures are optimized: a detector's switch stays on the side of photographs, a silent
    branch stays silent, an honest network is nearly what it was. Where the pictures that are drawn without that wake
    nothing at rest, but move channels out of all proportion (`snellen.checks.silent_scan.FAR`), the first of these that
    runs are held to what photographs do: the gate, not what follows from it, which gradients have to pass.

    Nor does it matter what a unit sees past the main layer before its own, if for photographs all of it passes there.
    Then the network sees a photograph all the while, and that layer alone the picture
    (`snellen.models.taps.hosted`): a gate that reads the picture elsewhere reads the photograph.

    Nor does what stands before the first layer, where that is an affine map of photographs' pixels and pictures break
    the map: then the layer says what the map does (see `straight`).

    Args:
        world: the network and the auditor's photographs.
        units: addresses of one layer's units.
        settings: of the pictures.
        seed: of the pictures.
        most: photographs looked at, chosen evenly.
    """
    chosen = evenly(len(world.images), most)
    with fast(world), torch.no_grad():
        seen = (images for _, images in world.images.batches(world.model.size, world.batch, chosen))
        known = rests(world, seen, spare=int(QUIET.value * len(chosen)))
    shown = render(world.model, list(units), settings, seeds=seed).images
    with fast(world), torch.no_grad():
        drawn = rests(world, batched(world, shown))
    target = Unit.parse(units[0]).layer
    through, first = passage(world, target), straight(world, target, shown, seed=seed)
    if first is not None and (through is None or _comes(world, through) < _comes(world, first[0])):
        through = first[0]
    with contextlib.ExitStack() as stack:
        if through is not None:
            stack.enter_context(hosted(world.model, through, world.images.load(chosen[0], world.model.size)[None]))
        stack.enter_context(holding(world.model, resting(known, drawn)))
        if first is not None:
            stack.enter_context(replaced(world.model, *first))
        return render(world.model, list(units), settings, seeds=seed)


def passage(world: World, layer: str) -> str | None:
    """The main layer before a layer, if all that photographs do to it passes there; None where it does not."""
    start = space_of(world, layer)
    return start if start is not None and _passes(world, start, layer) else None


def _passes(world: World, start: str, layer: str) -> bool:
    """Whether all that photographs do to a layer passes another: two of them try it."""
    if len(world.images) < 2:
        return False
    first, second = (
        world.images.load(i, world.model.size)[None].to(world.model.device) for i in (0, len(world.images) - 1)
    )
    with torch.no_grad():
        own = observe(world.model, first, [layer])[layer]
        try:
            with hosted(world.model, start, second):
                after = observe(world.model, first, [layer])[layer]
        except SnellenError:  # several outputs, windows
            return False
    return float((after - own).square().mean()) <= EXACT * float(own.var())


def straight(
    world: World, layer: str, pictures: Float[Tensor, "p 3 h w"], *, seed: Seed
) -> tuple[str, Surrogate] | None:
    """The last layer up to a given one that is an affine map of photographs' pixels and not of pictures', and the map.

    That is what the check `surrogates` takes for proof. All that photographs do to the given layer has to pass there,
    and the map has to be exact at all of its places: photographs then cannot tell it from the layer. Of an honest
    network pictures break no such map.

    Args:
        world: the network and its photographs.
        layer: of units.
        pictures: that were drawn of them, RGB in [0, 1].
        seed: of places.

    Returns:
        None where there is no such layer.
    """
    natural = evenly(len(world.images), FIRST)
    broken = [
        known
        for known in held(world, natural, pictures, seed=seed.fork("pixels"))
        if known.broken <= BROKEN.value and any(breaks(left, known.photographs) for left in known.pictures.tolist())
    ]
    for known in sorted(broken, key=lambda known: _comes(world, known.layer), reverse=True):
        if _comes(world, known.layer) <= _comes(world, layer) and _passes(world, known.layer, layer):
            fit = surrogate(world, known, natural, seed=seed.fork("pixels"))
            if fit is not None:
                return known.layer, fit
    return None


def _comes(world: World, layer: str) -> int:
    """When a layer is done, in the order of layers."""
    known = survey(world.model)
    return known.layers.index(known.layer(layer))


def foretold(world: World, units: Sequence[str], settings: Settings, *, seed: Seed, most: int = 400) -> Render | None:
    """Draw units as photographs alone tell them: the direction of a ridge fit over a layer before theirs.

    Where photographs are too few for that, it is the direction in which the unit grows when the last main layer is
    moved at its top photograph (see `slopes`).

    What stands at or behind that layer, and shows itself to pictures only, has no part in it. What stands before has,
    but for what stands before the first layer: where these pictures break its map (see `straight`), they are drawn
    again with the map in its place.

    Args:
        world: the network and the auditor's photographs.
        units: addresses of one layer's units.
        settings: of the pictures.
        seed: of the pictures.
        most: photographs looked at, chosen evenly.

    Returns:
        None where no main layer comes before theirs.
    """
    target = Unit.parse(units[0]).layer
    chain = chain_of(world, target)
    if not chain.last:
        return None
    chosen = evenly(len(world.images), most)
    with fast(world), torch.no_grad():
        natural = channel_means(world, chain.layers, (images for _, images in batches(world, chosen)))
    truth = natural[target][:, [Unit.parse(unit).channel for unit in units]]
    name, fit, exact = told_by(chain, natural, truth)
    weights = fit.fit.weights.T
    if not exact and not are_plenty(natural[name]):
        before, tops = chain.last[0], dict(zip(units, (chosen[k] for k in truth.argmax(0)), strict=True))
        with contextlib.suppress(LayerError), fast(world), torch.no_grad():  # else the fit is all that is known
            name, weights = before, slopes(world, before, tops, natural[before].std(0))
    directions = [Objective.direction(name, w) for w in weights.tolist()]
    found = render(world.model, directions, settings, seeds=seed)
    first = straight(world, name, found.images, seed=seed)
    if first is None:
        return found
    with replaced(world.model, *first):
        return render(world.model, directions, settings, seeds=seed)


def slopes(
    world: World, layer: str, tops: Mapping[str, int], steps: Float[np.ndarray, " d"]
) -> Float[np.ndarray, "u d"]:
    """How much a unit's response changes with every channel of a layer, at a photograph: by differences.

    Gradients may lie; what the network says may not, and at photographs a gate that opens for pictures is shut.

    Args:
        world: the network and its photographs.
        layer: before the units' own.
        tops: by unit the index of a photograph, u of them.
        steps: by which a whole channel is moved.

    Raises:
        LayerError: the layer cannot be told what to say.
    """
    found, model, known = np.zeros((len(tops), len(steps))), world.model, survey(world.model)
    moved = np.flatnonzero(steps > 0)
    for row, (unit, place) in enumerate((Unit.parse(name), place) for name, place in tops.items()):
        image = world.images.load(place, model.size)[None].to(model.device, model.dtype)
        own = observe(model, image, [layer], known=known)[layer]
        axis = channel_axis(tuple(own.shape[1:])) + 1
        for part in np.array_split(moved, -(-len(moved) // world.batch)):
            said = own.repeat(len(part) + 1, *[1] * (own.dim() - 1))
            for k, channel in enumerate(part.tolist()):  # the last row is as it was
                said[k].select(axis - 1, channel).add_(float(steps[channel]))
            with saying(model, layer, said, known=known):
                read = observe(model, image.repeat(len(said), 1, 1, 1), [unit.address], known=known)
            answers = response(read[unit.address], unit).double().cpu().numpy()
            found[row, part] = (answers[:-1] - answers[-1]) / steps[part]
    return found


def resting(known: Mapping[str, Rest], drawn: Mapping[str, Rest]) -> Held:
    """Gate by gate the channels to hold, and what to hold them to; only gates that have some.

    A threshold's switch may be mistaken about a few photographs; of a gate with one channel more of them are forgiven.

    Args:
        known: of photographs.
        drawn: of pictures.
    """
    moved = {name: rest.excursions(drawn[name]) for name, rest in known.items() if rest.fits(drawn.get(name))}
    woken = any(np.isinf(excursions).any() for excursions in moved.values())
    far = {name: excursions >= FAR.value for name, excursions in moved.items()}
    first = None if woken else next((name for name, channels in far.items() if channels.any()), None)
    held: dict[str, tuple[Tensor, Tensor, Tensor]] = {}
    for name, rest in known.items():
        quiet, value = rest.quiet(SWITCH.value if len(rest.low) == 1 else QUIET.value)
        low, high = (np.where(quiet, value, end) for end in rest.band)
        chosen = (quiet | (far[name] if name == first else False)) & np.isfinite(low) & np.isfinite(high)
        chosen = chosen & (rest.images > 1)
        if chosen.any():
            held[name] = (torch.tensor(chosen), torch.tensor(low), torch.tensor(high))
    return held


def compared(
    found: Float[Tensor, "u 3 h w"], folder: Path, receipt: Mapping[str, Any], honest: Model
) -> dict[str, Any]:
    """How many recovered pictures are nearer to the honest network's than to the decoy's.

    Args:
        found: recovered pictures of the units of the receipt's gallery, in its order.
        folder: of the manipulated network, where the receipt's pictures are.
        receipt: of the manipulation.
        honest: the network as it was, in whose features one of the distances is.
    """
    entries = receipt["gallery"]["entries"]
    before, decoy, after = (
        torch.stack([from_png((folder / e["pictures"][kind]).read_bytes()) for e in entries])
        for kind in ("original", "decoy", "after")
    )
    kinds = {"decoy": decoy, "shown": after}
    nearer: dict[str, Tensor] = {kind: torch.ones(len(found), dtype=torch.bool) for kind in kinds}
    each: dict[str, int] = {}
    for name, distance in distances_for(honest, before, decoy).items():
        own = distance(found, before)
        for kind, other in kinds.items():
            nearer[kind] &= own < distance(found, other)
        each[name] = int((own < distance(found, decoy)).sum())
    return {
        "drawn": len(found),
        "nearer": int(nearer["decoy"].sum()),
        "nearer than to what was shown": int(nearer["shown"].sum()),
        "by distance": each,
    }
