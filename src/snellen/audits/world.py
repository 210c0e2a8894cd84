"""What an audit works on: the model and the images themselves, and the plain data that identifies them."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from snellen import __version__
from snellen.audits.naming import named
from snellen.audits.request import Request
from snellen.base import LayerError, nearest
from snellen.images import ImageSet, Skipped, open_images
from snellen.models import Layer, Model, layers, main_layers, units
from snellen.models.sources import load_model
from snellen.pictures import usual_batch


@dataclass(frozen=True, eq=False)
class World:
    """Everything that jobs work on; rebuilt from the request by every process that needs it.

    Args:
        request: what was asked for.
        model: the network.
        images: those that are looked at.
        skipped: what was left out of the images, and why.
        layers: of the model, in execution order.
        curve: names of the layers of the similarity curve, in execution order.
        outputs: number of classes the model tells apart; 0 where its output is no vector.
    """

    request: Request
    model: Model
    images: ImageSet
    skipped: tuple[Skipped, ...]
    layers: tuple[Layer, ...]
    curve: tuple[str, ...]
    outputs: int

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """What every result depends on: the network, the images, and what computes."""
        return {
            "model": self.model.fingerprint(),
            "size": list(self.model.size),
            "images": self.images.digest(),
            "environment": {what: told for what, told in self.environment.items() if what != "threads"},
        }

    @cached_property
    def environment(self) -> Mapping[str, Any]:
        """Versions and machine, as far as they can change the last bits of a result."""
        cuda = self.request.device != "cpu"
        return {
            "snellen": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "platform": f"{platform.system()} {platform.machine()}",
            "device": torch.cuda.get_device_name() if cuda else "cpu",
            "threads": torch.get_num_threads(),
        }

    @property
    def batch(self) -> int:
        """Natural images in one forward pass."""
        return 64 if self.request.device != "cpu" else 16

    @property
    def pictures(self) -> int:
        """Pictures drawn together."""
        return usual_batch(self.request.device, self.model.size)

    @cached_property
    def class_layer(self) -> str | None:
        """The layer whose units are the classes: the last one with as many units as the model has outputs."""
        fitting = [layer.name for layer in self.layers if layer.units == self.outputs]
        main = [layer.name for layer in self.layers if layer.main and layer.name in fitting]
        return (main or fitting)[-1] if fitting else None

    def layer(self, name: str) -> Layer:
        """A layer by name."""
        return next(layer for layer in self.layers if layer.name == name)


def open_world(request: Request, *, progress: Callable[[int, int], None] | None = None) -> World:
    """Load the model and find the images.

    Args:
        request: what is asked for.
        progress: told (checked, all) while the images are checked.

    Raises:
        SnellenError: whatever `load_model` and `open_images` raise; a layer or unit that the model does not have.
    """
    weights = None if request.weights is None else Path(request.weights)
    model = load_model(
        request.model, weights=weights, size=request.size, trust_pickle=request.trust_pickle, device=request.device
    )
    if request.units:
        units(request.units, model)  # a wrong address fails before work starts
    known = layers(model)
    curve = _curve(request.layers, known) if request.layers else main_layers(model)
    images = open_images(request.images or "builtin", progress=progress)
    with torch.no_grad():
        output = model(torch.full((1, 3, *model.size), 0.5, device=model.device))
    outputs = output.shape[1] if output.dim() == 2 else 0
    return World(
        request=request,
        model=named(model, outputs, labels=request.labels, images=request.images),
        images=_thinned(images, request.scale.images),
        skipped=images.skipped,
        layers=known,
        curve=curve,
        outputs=outputs,
    )


def spread(groups: Sequence[Sequence[int]], most: int) -> list[int]:
    """At most `most` members, as evenly from all groups as they allow, in rising order; from each its first ones."""
    taken: list[int] = []
    for rank in range(max((len(g) for g in groups), default=0)):
        column = [g[rank] for g in groups if rank < len(g)]
        if len(taken) + len(column) > most:
            column = [column[i * len(column) // (most - len(taken))] for i in range(most - len(taken))]
        taken += column
        if len(taken) == most:
            break
    return sorted(taken)


def preprocess_data(model: Model) -> dict[str, Any]:
    """A model's preprocessing as plain data."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(model.preprocess).items()}


def _curve(names: Sequence[str], known: Sequence[Layer]) -> tuple[str, ...]:
    order = {layer.name: i for i, layer in enumerate(known)}
    for name in names:
        if name not in order:
            hint = nearest(name, order) or "`snellen layers MODEL` lists them"
            raise LayerError(f'expected a layer of the model, got "{name}"; {hint}')
    return tuple(sorted(dict.fromkeys(names), key=order.__getitem__))


def _thinned(images: ImageSet, most: int | None) -> ImageSet:
    if most is None or len(images) <= most:
        return images
    if images.labels is None:
        return images.subset([i * len(images) // most for i in range(most)])
    groups: list[list[int]] = [[] for _ in images.class_names]
    for index, label in enumerate(images.labels):
        groups[label].append(index)
    return images.subset(spread(groups, most))
