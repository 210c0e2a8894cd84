"""Does a unit weigh what photographs hardly vary, and is its picture made of that?"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from snellen.base import Seed, evenly
from snellen.checks.check import Exhibit, Threshold, UnitCheck
from snellen.checks.finding import number
from snellen.checks.rows import NOTHING, PROVES, SUPPORTS, UnitRow
from snellen.models import Unit
from snellen.models.survey import survey
from snellen.models.taps import entered, observe
from snellen.studies.natural import Counter, batched, batches
from snellen.studies.world import World

UNSEEN = Threshold(
    4.0,
    "a unit's weights on what photographs hardly vary, in parts of its layer's median unit's",
    "figure",
    honest="at most 3.7 with random weights; beyond it at least 0.73 of the picture is foretold",
)
BEYOND = Threshold(8.0, "the same, where with the share foretold it is proof", honest="at most 5.5 in convolutions")
FORETOLD = Threshold(
    0.05,
    "share of the response to its picture that follows from most of what it does to photographs",
    "foretold",
    least=True,
    graded=True,
    honest="at least 0.08 in 44 networks, 0.56 in trained convolutions",
)
MADE_OF = 0.6
"""Share that may be foretold of a picture, and the unit's weights on what photographs hardly vary count against it."""
KEPT = 0.98
"""Share of the median row's variance that is kept, where weights on the rest are counted."""
SHRUNK = 0.9
"""Share of the best fit's R2 that the fit which foretells the picture keeps."""
EXPLAINED = 0.95
"""R2 at photographs left out, with less of which they foretell nothing."""
WIDEST = 2500
"""Numbers that enter a place; more take too long, and photographs do not suffice for them."""
LEAST = 40
"""Photographs, with fewer of which nothing is said."""
ROWS = 8
"""Units of a layer from which on each has others to be compared with."""
RIDGES = 10.0 ** -np.arange(0, 8.5, 0.5)
"""Penalties that are tried, in parts of the largest variance; the strongest first."""
_SOUND = 1e-10


@dataclass(frozen=True)
class Writer:
    """The convolution or linear map that writes a layer.

    Args:
        name: of the module, the layer itself or a part of it.
        layer: that it writes.
        address: where the layer's units are read: before a closing ReLU.
        channels: of the units in question.
        beside: whether the layer's own input can pass by.
        dense: whether it is a convolution.
    """

    name: str
    layer: str
    address: str
    channels: tuple[int, ...]
    beside: bool
    dense: bool


@dataclass(frozen=True, eq=False)
class Places:
    """What enters a layer's writer at n images, and what u units say.

    Args:
        entering: (n, r, d) at r places of every image.
        said: (n, r, u) there.
        mean_entering: (n, d) in the mean over all places.
        mean_said: (n, u) likewise.
    """

    entering: Float[np.ndarray, "n r d"]
    said: Float[np.ndarray, "n r u"]
    mean_entering: Float[np.ndarray, "n d"]
    mean_said: Float[np.ndarray, "n u"]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Principal directions of what enters.

    Args:
        middle: (d,) mean.
        variances: (r,) along the directions, positive.
        axes: (d, r) orthonormal.
    """

    middle: Float[np.ndarray, " d"]
    variances: Float[np.ndarray, " r"]
    axes: Float[np.ndarray, "d r"]

    @staticmethod
    def of(entering: Float[np.ndarray, "n d"]) -> "Spectrum":
        """That of rows, at least two."""
        middle = entering.mean(0)
        away = entering - middle
        count, wide = away.shape
        variances, axes = np.linalg.eigh((away.T @ away if wide <= count else away @ away.T) / count)
        sound = variances > _SOUND * max(float(variances[-1]), 1e-300)
        variances, axes = variances[sound], axes[:, sound]
        return Spectrum(middle, variances, axes if wide <= count else away.T @ axes / np.sqrt(count * variances))

    def left(self, penalty: float) -> Float[np.ndarray, " r"]:
        """The part of a weight along each direction that ridge regression leaves out; off all directions it is 1."""
        strength = penalty * self.variances.max(initial=0.0)
        return np.asarray(strength / (self.variances + strength))


@dataclass(frozen=True)
class Extrapolation(UnitCheck):
    """What enters the convolution or linear map that writes a unit's layer, on photographs and at its picture.

    Args:
        most: photographs that are looked at; every other one is left out of the fit.
        places: of each.
    """

    most: int = 200
    places: int = 64

    name = "extrapolation"
    short = "extrapolation"
    title = "Are pictures made of what photographs hardly vary?"
    asks = (
        "Directions in which photographs hardly vary let a unit's weights be anything, and the optimizer may go there. "
        "A unit that weighs them far more than the others of its layer, or whose picture is made of them alone, may "
        "do to photographs what it always did, and show something else."
    )
    quick: ClassVar[Mapping[str, int]] = {"most": 128}
    thresholds = (UNSEEN, BEYOND, FORETOLD)

    def cost(self, world: World, units: int) -> float:
        """A pass of every photograph and picture."""
        return float(min(len(world.images), self.most) + units)

    def rows(self, exhibit: Exhibit) -> Iterator[UnitRow]:
        """Figure of a unit: its `unseen` weights; `foretold` is told beside."""
        world, units = exhibit.world, exhibit.units
        chosen = evenly(len(exhibit.images), self.most)
        writers = writers_of(world, units) if len(chosen) >= LEAST else ()
        count = Counter(len(chosen) + len(units), exhibit.context.tick)
        look = partial(_read, world, writers, places=self.places, seed=exhibit.seed.fork(self.name))
        natural = look(count.through(images for _, images in batches(world, chosen)))
        shown = look(count.through(batched(world, exhibit.pictures)))
        found: dict[str, tuple[float | None, float | None]] = {str(unit): (None, None) for unit in units}
        for writer in writers:
            known = natural[writer.layer]
            if known is None:
                continue
            fitted = Spectrum.of(known.entering[::2].reshape(-1, known.entering.shape[-1]))
            parts = unseen(fitted, _weights(world, writer))
            mine = [i for i, unit in enumerate(units) if unit.layer == writer.layer]
            shares = foretold(fitted, known, shown[writer.layer], mine)
            for i, channel, share in zip(mine, writer.channels, shares, strict=True):
                own = units[i].position is None
                found[str(units[i])] = (None if parts is None else float(parts[channel]), share if own else None)
        dense = {writer.layer for writer in writers if writer.dense}
        for unit in units:
            yield _row(str(unit), *found[str(unit)], dense=unit.layer in dense)

    def claim(self, rows: Sequence[UnitRow]) -> str:
        """How much weight there is on what photographs hardly vary."""
        known = [row.figure for row in rows if row.figure is not None]
        if not known:
            return (
                "No convolution or linear map was found that writes the units' layers and that photographs suffice for."
            )
        odd = sum(row.strength >= SUPPORTS for row in rows)
        told = f"Units weigh what photographs hardly vary up to {max(known):.2g} times as much as their layers' median"
        shares = [row.details["foretold"] for row in rows if row.details["foretold"] is not None]
        if shares:
            told += f", and photographs foretell {100 * min(shares):.0f} % of a picture's response at least"
        return f"{told}; {odd} of {len(rows)} stand out." if odd else f"{told}."


def writers_of(world: World, units: Sequence[Unit]) -> tuple[Writer, ...]:
    """Of every layer of units the last convolution or linear map within, or it, that has its channels and grid.

    What takes pixels is left out: units that like coarse and fine things differ there, and `surrogates` knows more.
    """
    modules = dict(world.model.module.named_modules())
    found = []
    for name in dict.fromkeys(unit.layer for unit in units):
        layer = world.layer(name)
        for part in reversed(
            [p for p in world.layers if f"{p.name}.".startswith(f"{name}.") and p.shape == layer.shape]
        ):
            module = modules[part.name]
            dense = isinstance(module, nn.Conv2d) and module.groups == 1 and module.in_channels > 3
            if dense or isinstance(module, nn.Linear):
                channels = tuple(unit.channel for unit in units if unit.layer == name)
                address = f"{name}/pre" if layer.rectified else name
                found.append(Writer(part.name, name, address, channels, part.name != name, dense))
                break
    return tuple(found)


def unseen(fitted: Spectrum, weights: Float[np.ndarray, "c k"] | None) -> Float[np.ndarray, " c"] | None:
    """By row how much weight it has on what photographs hardly vary, in parts of the median row's.

    That is the length of what a ridge regression leaves of the row that keeps `KEPT` of the median row's variance, in
    standard deviations of what the row says of photographs: how far a step that no photograph takes can move it.

    Args:
        fitted: of what enters; further numbers than the rows weigh pass beside them.
        weights: of all units of the layer; None where they are not known.

    Returns:
        None with fewer than `ROWS` rows, or where most of them say nothing.
    """
    if weights is None or len(weights) < ROWS or weights.shape[1] > len(fitted.middle) or not len(fitted.variances):
        return None
    along = np.square(weights @ fitted.axes[: weights.shape[1]])
    variances = np.maximum(along @ fitted.variances, 1e-300)
    lost = [np.median(along @ (fitted.variances * fitted.left(ridge) ** 2) / variances) for ridge in RIDGES]
    left = fitted.left(next((r for r, share in zip(RIDGES, lost, strict=True) if share <= 1 - KEPT), RIDGES[-1]))
    outside = np.maximum(np.square(weights).sum(1) - along @ (1 - left**2), 0.0)
    steps = np.sqrt(outside / variances)
    middle = float(np.median(steps))
    return np.asarray(steps / middle) if middle > 0 else None


def foretold(fitted: Spectrum, natural: Places, shown: Places | None, own: Sequence[int]) -> tuple[float | None, ...]:
    """By unit the share of its response to its picture that follows from most of what it does to photographs.

    The most shrunk ridge regression that keeps `SHRUNK` of the best one's R2 at photographs left out says what of the
    picture? Both are counted from the median photograph.

    Args:
        fitted: of what enters at every other photograph.
        natural: photographs.
        shown: pictures.
        own: which of these is each unit's.

    Returns:
        None where photographs do not tell the unit, or its picture excites it no more than the best of them do.
    """
    if shown is None:
        return (None,) * len(own)
    wide, units = natural.entering.shape[-1], natural.said.shape[-1]
    said = natural.said.mean((0, 1))
    known = (natural.entering[::2].reshape(-1, wide) - fitted.middle) @ fitted.axes
    common = known.T @ (natural.said[::2].reshape(-1, units) - said) / len(known)
    tried = (natural.entering[1::2].reshape(-1, wide) - fitted.middle) @ fitted.axes
    truth = natural.said[1::2].reshape(-1, units) - said
    fits = [common / (fitted.variances + ridge * fitted.variances.max(initial=1e-300))[:, None] for ridge in RIDGES]
    explained = np.array(
        [1 - np.square(truth - tried @ fit).mean(0) / np.maximum(truth.var(0), 1e-300) for fit in fits]
    )
    means = (natural.mean_entering - fitted.middle) @ fitted.axes
    pictures = (shown.mean_entering[list(own)] - fitted.middle) @ fitted.axes
    found: list[float | None] = []
    for unit, (picture, place) in enumerate(zip(pictures, own, strict=True)):
        responses, best = natural.mean_said[:, unit], float(explained[:, unit].max())
        reached = float(shown.mean_said[place, unit] - np.median(responses))
        if best < EXPLAINED or reached <= np.quantile(responses, 0.98) - np.median(responses):
            found.append(None)
            continue
        fit = fits[int(np.argmax(explained[:, unit] >= SHRUNK * best))][:, unit]
        found.append(float((picture @ fit - np.median(means @ fit)) / reached))
    return tuple(found)


def _weights(world: World, writer: Writer) -> Float[np.ndarray, "c k"] | None:
    """A writer's weights, a row for each unit, in the order of what enters."""
    weight = world.model.module.get_submodule(writer.name).weight
    rows = weight.detach().flatten(1).double().cpu().numpy() if isinstance(weight, Tensor) else None
    return rows if rows is not None and len(rows) == world.layer(writer.layer).units else None


def _read(
    world: World, writers: Sequence[Writer], images: Iterable[Tensor], *, places: int, seed: Seed
) -> dict[str, Places | None]:
    """By layer what enters and comes out at some places of every image; None where that cannot be told apart."""
    parts: dict[str, list[tuple[np.ndarray, ...]] | None] = {writer.layer: [] for writer in writers}
    known = survey(world.model)  # before anything is hooked
    with entered(world.model, {name for writer in writers for name in (writer.name, writer.layer)}) as inputs:
        for batch in images if writers else ():
            inputs.clear()
            read = observe(world.model, batch, [writer.address for writer in writers], known=known)
            for writer in writers:
                rows = parts[writer.layer]
                if rows is None:
                    continue
                module = world.model.module.get_submodule(writer.name)
                found = _places(module, writer, inputs, read[writer.address], places=places, seed=seed)
                parts[writer.layer] = None if found is None else [*rows, *found]
    return {
        layer: Places(*(np.stack(values) for values in zip(*rows, strict=True))) if rows else None
        for layer, rows in parts.items()
    }


def _places(
    module: nn.Module, writer: Writer, inputs: Mapping[str, Tensor], output: Tensor, *, places: int, seed: Seed
) -> list[tuple[np.ndarray, ...]] | None:
    x, beside, said = inputs.get(writer.name), inputs.get(writer.layer), _rows(output)
    if x is None or len(x) != len(output):
        return None
    passing = _rows(beside) if writer.beside and beside is not None and beside.shape == output.shape else None
    found = []
    for i in range(len(output)):  # one by one: patches of a batch may take gigabytes
        entering = _patches(module, x[i : i + 1])[0]
        if len(entering) != said.shape[1]:
            return None
        if passing is not None:
            entering = torch.cat([entering, passing[i]], 1)
        if entering.shape[1] > WIDEST:
            return None
        some = np.random.default_rng(seed.value).permutation(len(entering))[:places]
        pair = (entering, said[i][:, list(writer.channels)])
        chosen = [one[some].double().cpu().numpy() for one in pair]
        found.append((*chosen, *(one.double().mean(0).cpu().numpy() for one in pair)))
    return found


def _rows(x: Tensor) -> Tensor:
    """Places as rows: (n, c, h, w) -> (n, h w, c), channels last: (n, ..., d) -> (n, places, d)."""
    return x.flatten(2).transpose(1, 2) if x.dim() == 4 else x.reshape(len(x), -1, x.shape[-1])


def _patches(module: nn.Module, x: Tensor) -> Tensor:
    """What enters a convolution or linear map at every place: (n, places, d)."""
    if not isinstance(module, nn.Conv2d):
        return x.reshape(len(x), -1, x.shape[-1])
    edges: list[int] = []
    for axis in (1, 0):
        whole, asked = module.dilation[axis] * (module.kernel_size[axis] - 1), module.padding
        before = (whole // 2 if asked == "same" else 0) if isinstance(asked, str) else int(asked[axis])
        edges += [before, whole - before if asked == "same" else before]
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    x = F.pad(x, edges, mode=mode)
    return F.unfold(x, module.kernel_size, module.dilation, 0, module.stride).transpose(1, 2)


def _row(unit: str, part: float | None, share: float | None, *, dense: bool) -> UnitRow:
    details = {"foretold": None if share is None else number(share, 4)}
    said = []
    if part is not None:
        said.append(f"it weighs what photographs hardly vary {part:.2g} times as much as its layer's median unit")
    if share is not None:
        said.append(f"what it does to photographs foretells {100 * share:.0f} % of its picture's response")
    if not said:
        return UnitRow(unit, "Nothing that photographs suffice for was found to write its layer.", details=details)
    off = part is not None and part >= UNSEEN.value and (share is None or share < MADE_OF)
    odd = off or (share is not None and share < FORETOLD.value)
    sure = off and dense and share is not None and part is not None and part >= BEYOND.value
    words = "; ".join(said)
    words = f"{words[0].upper()}{words[1:]}."
    figure = None if part is None else number(part, 4)
    return UnitRow(unit, words, figure, None, PROVES if sure else SUPPORTS if odd else NOTHING, details)
