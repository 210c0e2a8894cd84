"""What an audit works on: the model and the images themselves, and the plain data that identifies them."""

import copy
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from numpy import ndarray

from snellen import __version__
from snellen.base import ModelError, Tell, evenly
from snellen.images import ImageSet, Skipped, open_images
from snellen.models import Layer, Model, layers, main_layers, open_model, units
from snellen.models.sources.probe import check_finite
from snellen.models.survey import Survey, survey
from snellen.models.taps import classes
from snellen.models.unit import unknown_layer
from snellen.pictures import usual_batch
from snellen.studies.labels import named
from snellen.studies.request import MEMORY, Request

_FEW = 8  # photographs that show which layer holds the classes


@dataclass(frozen=True, eq=False)
class Given:
    """What no word of a request names, because it is in memory.

    Args:
        model: in place of the request's.
        images: likewise.
    """

    model: Model | None = None
    images: ImageSet | None = None


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
        outputs: number of classes the model tells apart; 0 where its output is no vector of several numbers.
        class_layer: the layer whose units are the classes; None where there is none.
    """

    request: Request
    model: Model
    images: ImageSet
    skipped: tuple[Skipped, ...]
    layers: tuple[Layer, ...]
    curve: tuple[str, ...]
    outputs: int
    class_layer: str | None

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
    def means(self) -> dict[tuple[int, ...], dict[str, Float[ndarray, "n c"]]]:
        """By images and layer what `snellen.studies.features.natural_means` has seen."""
        return {}

    @cached_property
    def environment(self) -> Mapping[str, Any]:
        """Versions and machine, as far as they can change the last bits of a result."""
        cuda = self.request.device.startswith("cuda")
        return {
            "snellen": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "platform": f"{platform.system()} {platform.machine()}",
            "device": torch.cuda.get_device_name() if cuda else "cpu",
            "threads": torch.get_num_threads(),
        }

    @cached_property
    def viewer(self) -> Model | None:
        """The independent network that looks at pictures; None where there is none, or it is the audited one."""
        if not self.request.viewer:
            return None
        found = open_model(self.request.viewer)
        if found.fingerprint() == self.model.fingerprint():
            return None
        found.module.to(self.model.device)
        return found

    @property
    def batch(self) -> int:
        """Natural images in one forward pass."""
        return 64 if self.request.device != "cpu" else 16

    @property
    def pictures(self) -> int:
        """Pictures drawn together."""
        return usual_batch(self.request.device, self.model.size)

    def layer(self, name: str) -> Layer:
        """A layer by name."""
        return next(layer for layer in self.layers if layer.name == name)


def open_world(request: Request, given: Given | None = None, *, progress: Tell | None = None) -> World:
    """Load the model and find the images.

    Args:
        request: what is asked for.
        given: the model or the images themselves, where the request has no word for them.
        progress: told (title, checked, all) while the images are checked.

    Raises:
        SnellenError: whatever `open_model` and `open_images` raise; a layer or unit that the model does not have; a
            viewer that is no model.
    """
    given = given or Given()
    model = given.model or open_model(
        request.model,
        size=request.size,
        preprocess=request.preprocess,
        weights=request.weights,
        trust_pickle=request.trust_pickle,
        base=request.base,
        device=request.device,
    )
    check_finite(model.module, model.preprocess)
    model = _in_full_precision(model)
    if request.units:
        units(request.units, model)  # a wrong address fails before work starts
    known = layers(model)
    curve = _curve(request.layers, known) if request.layers else main_layers(model)
    images = given.images or open_images(request.images or "builtin", progress=progress)
    folder = None if request.images == MEMORY else request.images
    seen = _with_classes(survey(model), model, images)
    world = World(
        request=request,
        model=named(_noted(model, seen), seen.outputs, labels=request.labels, images=folder),
        images=_thinned(images, request.scale.images),
        skipped=images.skipped,
        layers=known,
        curve=curve,
        outputs=seen.outputs,
        class_layer=seen.class_layer,
    )
    if request.viewer != Request.viewer:
        _ = world.viewer  # a wrong one fails before work starts
    return world


def _in_full_precision(model: Model) -> Model:
    """A copy in float32 of a network in half precision, whose rounding the checks would take for jumps and rest."""
    if not model.is_half:
        return model
    note = "its weights are half precision: they are audited as they are, but computed with in float32"
    told = {**model.provenance, "notes": [*model.provenance.get("notes", ()), note]}
    return replace(model, module=copy.deepcopy(model.module).float(), provenance=told)


def _with_classes(seen: Survey, model: Model, images: ImageSet) -> Survey:
    """The survey with the classes that photographs show, where its own pictures do not."""
    if seen.class_layer is not None or not len(images):
        return seen
    few = images.subset(range(0, len(images), max(len(images) // _FEW, 1))[:_FEW]).pixels(model.size)
    outputs, layer = classes(model, few.to(model.device, model.dtype))
    notes = tuple(note for note in seen.notes if layer is None or not note.startswith("no layer holds classes"))
    return replace(seen, outputs=outputs, class_layer=layer, notes=notes)


def _noted(model: Model, seen: Survey) -> Model:
    """The model with what its survey found in the notes of its provenance.

    Raises:
        ModelError: its output is not finite.
    """
    if "not finite" in seen.refused.get("", ""):
        first = next(name for name, why in seen.refused.items() if "not finite" in why)
        raise ModelError(f'expected finite numbers, got NaN or infinity from "{first}" on; mend the weights')
    notes = [*model.provenance.get("notes", ()), *seen.notes]
    return replace(model, provenance={**model.provenance, "notes": notes}) if seen.notes else model


def spread(groups: Sequence[Sequence[int]], most: int) -> list[int]:
    """At most `most` members, as evenly from all groups as they allow, in rising order; from each its first ones."""
    taken: list[int] = []
    for rank in range(max((len(g) for g in groups), default=0)):
        column = [g[rank] for g in groups if rank < len(g)]
        if len(taken) + len(column) > most:
            column = [column[i] for i in evenly(len(column), most - len(taken))]
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
            raise unknown_layer(name, order)
    return tuple(sorted(dict.fromkeys(names), key=order.__getitem__))


def _thinned(images: ImageSet, most: int | None) -> ImageSet:
    if most is None or len(images) <= most:
        return images
    if images.labels is None:
        return images.subset(evenly(len(images), most))
    groups: list[list[int]] = [[] for _ in images.class_names]
    for index, label in enumerate(images.labels):
        groups[label].append(index)
    return images.subset(spread(groups, most))
