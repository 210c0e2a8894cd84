"""Natural behaviour: what a network says to natural images before and after it was manipulated."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from snellen.base import Tell, silence
from snellen.images import ImageSet
from snellen.images.classes import Fit, Matched, match, votes_of
from snellen.models import Model, main_layers, observe


@runtime_checkable
class Pair(Protocol):
    """An honest model and what can be made of it."""

    @property
    def model(self) -> Model:
        """The honest model."""

    @property
    def layer(self) -> str:
        """Path of the manipulated layer."""

    def installed(self) -> AbstractContextManager[Model]:
        """While open, the model is the manipulated one."""


@dataclass(frozen=True)
class LayerChange:
    """How much natural images' activations moved at one layer.

    Args:
        layer: name.
        images: with any changed bit.
        relative: mean |after - before| / mean |before|.
    """

    layer: str
    images: int
    relative: float


@dataclass(frozen=True)
class Behaviour:
    """Before and after, on one set of natural images.

    Args:
        images: name of the set.
        count: of images.
        top1: share whose class's unit is the top class, before and after; None where images or network have no classes.
        top5: share whose class's unit is among the top five classes, likewise.
        changed: images with another top class.
        differing: images with any changed bit in the outputs.
        touched: images with any changed bit at the manipulated layer.
        largest: largest change of any output.
        layers: change of activations, layer by layer.
        classes: what the classes' units were told from, by the honest network's answers on all sets that have these
            classes, and how well they fit; None where images or network have no classes.
    """

    images: str
    count: int
    top1: tuple[float, float] | None
    top5: tuple[float, float] | None
    changed: int
    differing: int
    touched: int
    largest: float
    layers: tuple[LayerChange, ...]
    classes: Fit | None = None


class _Sums:
    """Running sums over images of one set."""

    def __init__(self, layers: Sequence[str]) -> None:
        self.changed = self.differing = 0
        self.largest = 0.0
        self.images = dict.fromkeys(layers, 0)
        self.moved = dict.fromkeys(layers, 0.0)
        self.level = dict.fromkeys(layers, 0.0)
        self.outputs = 0
        self.answers: dict[int, int] = {}  # image to the honest network's top class
        self.best: list[tuple[Tensor, Tensor]] = []  # each image's five best classes, before and after

    def add(self, rows: Sequence[int], before: dict[str, Tensor], after: dict[str, Tensor]) -> None:
        a, b = before[""], after[""]
        self.differing += int(_differs(a, b).sum())
        self.largest = max(self.largest, float((a - b).abs().max()))
        if a.dim() == 2:
            self.changed += int((a.argmax(1) != b.argmax(1)).sum())
            self.outputs = a.shape[1]
            self.answers |= zip(rows, a.argmax(1).tolist(), strict=True)
            self.best.append((_best(a), _best(b)))
        for name in self.images:
            x, y = before[name], after[name]
            self.images[name] += int(_differs(x, y).sum())
            self.moved[name] += float((x - y).abs().double().mean()) * len(x)
            self.level[name] += float(x.abs().double().mean()) * len(x)


def compare(
    pair: Pair,
    sets: Mapping[str, ImageSet],
    *,
    batch: int = 16,
    tell: Tell = silence,
) -> dict[str, Behaviour]:
    """Both networks on all images, the same batches for both, so that equal means equal to the last bit.

    Args:
        pair: the honest model and its manipulation; installed and removed batch by batch.
        sets: natural images, by name.
        batch: images that go together.
        tell: told (title, done, all).

    Returns:
        The behaviour on each set, by name.
    """
    sums = {name: _summed(pair, images, name, batch=batch, tell=tell) for name, images in sets.items()}
    return {name: _behaviour(pair, sets, sums, name) for name in sets}


def _summed(
    pair: Pair,
    images: ImageSet,
    name: str,
    *,
    batch: int,
    tell: Tell,
) -> _Sums:
    model = pair.model
    layers = tuple(dict.fromkeys([*main_layers(model), pair.layer]))
    sums = _Sums(layers)
    for rows, pictures in images.batches(model.size, batch):
        pictures = pictures.to(model.device, model.dtype)
        before = _said(model, pictures, layers)
        with pair.installed():
            after = _said(model, pictures, layers)
        sums.add(rows, before, after)
        tell(f"natural behaviour, {name}", rows[-1] + 1, len(images))
    return sums


def _behaviour(pair: Pair, sets: Mapping[str, ImageSet], every: Mapping[str, _Sums], name: str) -> Behaviour:
    images, sums = sets[name], every[name]
    matched = _matched(pair.model, sets, every, name)
    right = None if matched is None else _right(sums, [matched.units[k] for k in images.labels or ()])
    return Behaviour(
        images=name,
        count=len(images),
        top1=None if right is None else (right[0][0], right[1][0]),
        top5=None if right is None else (right[0][1], right[1][1]),
        changed=sums.changed,
        differing=sums.differing,
        touched=sums.images[pair.layer],
        largest=sums.largest,
        layers=tuple(LayerChange(n, k, sums.moved[n] / (sums.level[n] or 1.0)) for n, k in sums.images.items()),
        classes=None if matched is None else matched.fit,
    )


def _matched(model: Model, sets: Mapping[str, ImageSet], every: Mapping[str, _Sums], name: str) -> Matched | None:
    """The units of a set's classes, told from all sets with these classes; None where there are none."""
    names, outputs = sets[name].class_names, every[name].outputs
    if sets[name].labels is None or outputs < 2:
        return None
    votes = tuple(Counter[int]() for _ in names)
    for other, images in sets.items():
        if images.class_names == names:
            for known, more in zip(votes, votes_of(images, every[other].answers), strict=True):
                known.update(more)
    return match(names, votes, model.labels, outputs)


@torch.no_grad()
def _said(model: Model, pictures: Float[Tensor, "n 3 h w"], layers: Sequence[str]) -> dict[str, Tensor]:
    return observe(model, pictures, [*layers, ""])


def _differs(a: Tensor, b: Tensor) -> Tensor:
    return (a != b).flatten(1).any(1)


def _best(said: Float[Tensor, "n k"]) -> Tensor:
    return said.topk(min(5, said.shape[1]), 1).indices.cpu()


def _right(sums: _Sums, units: Sequence[int | None]) -> list[list[float]]:
    """Before and after: the shares of images whose unit is the best, and among the five best."""
    wanted = torch.tensor([-1 if unit is None else unit for unit in units])[:, None]
    hits = [torch.cat(best) == wanted for best in zip(*sums.best, strict=True)]
    return [[float(h[:, 0].double().mean()), float(h.any(1).double().mean())] for h in hits]
