"""Natural behaviour: what a network says to natural images before and after it was manipulated."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from snellen.images import ImageSet
from snellen.models import Model, main_layers, observe
from snellen.models.circuits import Circuit, installed

_NUMBER = re.compile(r"(\d{1,9})(?:[_\-. ].*)?")


@runtime_checkable
class Pair(Protocol):
    """An honest model and what was made of it."""

    @property
    def model(self) -> Model:
        """The honest model."""

    @property
    def layer(self) -> str:
        """Path of the manipulated layer."""

    @property
    def circuit(self) -> Circuit:
        """What stands around it."""


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
        top1: share whose label is the top class, before and after; None where labels or classes are unknown.
        top5: share whose label is among the top five classes, likewise.
        changed: images with another top class.
        differing: images with any changed bit in the outputs.
        touched: images with any changed bit at the manipulated layer.
        largest: largest change of any output.
        layers: change of activations, layer by layer.
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


class _Sums:
    """Running sums over images of one set."""

    def __init__(self, layers: Sequence[str]) -> None:
        self.changed = self.differing = 0
        self.largest = 0.0
        self.images = dict.fromkeys(layers, 0)
        self.moved = dict.fromkeys(layers, 0.0)
        self.level = dict.fromkeys(layers, 0.0)
        self.right = torch.zeros(2, 2, dtype=torch.long)  # before and after: top one, top five

    def add(self, before: dict[str, Tensor], after: dict[str, Tensor], labels: list[int] | None) -> None:
        a, b = before[""], after[""]
        self.differing += int(_differs(a, b).sum())
        self.largest = max(self.largest, float((a - b).abs().max()))
        if a.dim() == 2:
            self.changed += int((a.argmax(1) != b.argmax(1)).sum())
            if labels is not None:
                self.right += torch.stack([_right(said, torch.tensor(labels, device=a.device)) for said in (a, b)])
        for name in self.images:
            x, y = before[name], after[name]
            self.images[name] += int(_differs(x, y).sum())
            self.moved[name] += float((x - y).abs().double().mean()) * len(x)
            self.level[name] += float(x.abs().double().mean()) * len(x)


def compare(
    pair: Pair,
    images: ImageSet,
    name: str,
    *,
    batch: int = 16,
    tell: Callable[[str, int | float, int | float], None] | None = None,
) -> Behaviour:
    """Both networks on all images, the same batches for both, so that equal means equal to the last bit.

    Args:
        pair: the honest model and its manipulation; installed and removed batch by batch.
        images: natural.
        name: of the set.
        batch: images that go together.
        tell: told (title, done, all).
    """
    model = pair.model
    layers = tuple(dict.fromkeys([*main_layers(model), pair.layer]))
    sums, targets = _Sums(layers), None
    for rows, pictures in images.batches(model.size, batch):
        pictures = pictures.to(model.device, model.dtype)
        before = _said(model, pictures, layers)
        with installed(model.module, pair.layer, pair.circuit):
            after = _said(model, pictures, layers)
        if before[""].dim() == 2 and targets is None:
            targets = outputs_of(images, model.labels, before[""].shape[1])
        sums.add(before, after, [targets[r] for r in rows] if targets else None)
        if tell is not None:
            tell(f"natural behaviour, {name}", rows[-1] + 1, len(images))
    return _behaviour(sums, (name, len(images), pair.layer), known=bool(targets))


def _behaviour(sums: _Sums, what: tuple[str, int, str], *, known: bool) -> Behaviour:
    name, count, layer = what
    shares = (sums.right.double() / count).tolist()
    return Behaviour(
        images=name,
        count=count,
        top1=(shares[0][0], shares[1][0]) if known else None,
        top5=(shares[0][1], shares[1][1]) if known else None,
        changed=sums.changed,
        differing=sums.differing,
        touched=sums.images[layer],
        largest=sums.largest,
        layers=tuple(LayerChange(n, k, sums.moved[n] / (sums.level[n] or 1.0)) for n, k in sums.images.items()),
    )


@torch.no_grad()
def _said(model: Model, pictures: Float[Tensor, "n 3 h w"], layers: Sequence[str]) -> dict[str, Tensor]:
    return observe(model, pictures, [*layers, ""])


def _differs(a: Tensor, b: Tensor) -> Tensor:
    return (a != b).flatten(1).any(1)


def _right(said: Float[Tensor, "n k"], labels: Tensor) -> Tensor:
    best = said.topk(min(5, said.shape[1]), 1).indices == labels[:, None]
    return torch.stack([best[:, 0].sum(), best.any(1).sum()]).cpu()


def outputs_of(images: ImageSet, labels: Sequence[str], outputs: int) -> tuple[int, ...] | None:
    """For each image the output that stands for its class, told from the classes' names; None where they do not say.

    Names may begin with distinct numbers, be the model's labels, or be as many as there are outputs.

    Args:
        images: natural images with classes.
        labels: names of the model's outputs, or empty.
        outputs: how many there are.
    """
    if images.labels is None:
        return None
    names = images.class_names
    numbers = [int(m[1]) for m in map(_NUMBER.fullmatch, names) if m]
    if len(set(numbers)) == len(names) and max(numbers) < outputs:
        return tuple(numbers[k] for k in images.labels)
    if set(names) <= set(labels):
        return tuple(labels.index(names[k]) for k in images.labels)
    return tuple(images.labels) if len(names) == outputs else None
