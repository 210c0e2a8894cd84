"""What a person asks of an audit, and what that comes to in numbers."""

import shlex
from dataclasses import dataclass, fields
from typing import Any

from snellen.base import UsageError, check_seed, check_steps
from snellen.models import Preprocess
from snellen.pictures import canvas_named

MEMORY = "in memory"
"""Stands for a model or images that no word names."""


@dataclass(frozen=True)
class Request:
    """The arguments of an audit, but for where it is written: the same request has the same result.

    Args:
        model: as `snellen.load_model` takes it, or `MEMORY`.
        images: as `snellen.images.open_images` takes it, or `MEMORY`; None for the built-in photographs.
        units: addresses and ranges; empty for a choice of classes and inner units.
        layers: of the similarity curve, in any order; empty for the main layers.
        steps: of each picture; None for 256 (64 with `quick`, and for inputs of at most 64 px).
        size: input size in pixels, for both sides or as (height, width); None for the model's.
        seed: root of all random streams.
        quick: a smaller audit: fewer units, images, steps and resamples.
        device: "cpu" or "cuda".
        weights: local file of weights.
        trust_pickle: read pickled weights.
        precision: "float32" or "bfloat16".
        compiled: draw with what `torch.compile` makes faster (`snellen.pictures.Settings`).
        canvas: "fourier" or "pixel".
        labels: text file with a name for each class, line by line.
        preprocess: instead of the model's own; None for that.
        base: of a saved model, the honest network it is built from, as `snellen.load_model` takes it.
        viewer: the network with whose eyes pictures are looked at, as `snellen.load_model` takes it; "" for none.
    """

    model: str = "builtin"
    images: str | None = None
    units: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    steps: int | None = None
    size: int | tuple[int, int] | None = None
    seed: int = 0
    quick: bool = False
    device: str = "cpu"
    weights: str | None = None
    trust_pickle: bool = False
    precision: str = "float32"
    compiled: bool = False
    canvas: str = "fourier"
    labels: str | None = None
    preprocess: Preprocess | None = None
    base: str | None = None
    viewer: str = "builtin"

    def __post_init__(self) -> None:
        if self.precision not in ("float32", "bfloat16"):
            raise UsageError(f'expected the precision "float32" or "bfloat16", got "{self.precision}"')
        canvas_named(self.canvas)
        if self.steps is not None:
            check_steps(self.steps)
        check_seed(self.seed)

    @property
    def scale(self) -> "Scale":
        """How large the audit is."""
        return QUICK if self.quick else FULL

    def command(self) -> str:
        """What asks for this, without a folder: the command line, or the Python call where no command line can."""
        if MEMORY in (self.model, self.images) or isinstance(self.size, tuple) or self.preprocess is not None:
            return self._call()
        words = ["snellen", "audit", self.model]
        words += [word for unit in self.units for word in ("--units", unit)]
        named = {
            "--images": self.images,
            "--layers": ",".join(self.layers) or None,
            "--steps": self.steps,
            "--size": self.size,
            "--seed": self.seed or None,
            "--device": self.device if self.device != "cpu" else None,
            "--weights": self.weights,
            "--precision": self.precision if self.precision != "float32" else None,
            "--canvas": self.canvas if self.canvas != "fourier" else None,
            "--labels": self.labels,
            "--base": self.base,
            "--viewer": self.viewer if self.viewer != "builtin" else None,
        }
        words += [word for name, value in named.items() if value is not None for word in (name, str(value))]
        words += ["--quick"] * self.quick + ["--compile"] * self.compiled + ["--trust-pickle"] * self.trust_pickle
        return shlex.join(words)

    def _call(self) -> str:
        """As a call; what is in memory has the names of the arguments."""
        words = ["model" if self.model == MEMORY else repr(self.model)]
        for field in fields(self):
            value: Any = getattr(self, field.name)
            if field.name == "model" or value == field.default or (field.name == "device" and self.model == MEMORY):
                continue
            told = repr(list(value) if isinstance(value, tuple) and field.name != "size" else value)
            if field.name == "images" and value == MEMORY:
                told = "images"
            words.append(f"{field.name}={told if field.name != 'preprocess' else f'snellen.{told}'}")
        return f"snellen.audit({', '.join(words)})"


@dataclass(frozen=True)
class Scale:
    """Numbers that a request leaves open.

    Args:
        steps: of each picture.
        classes: class units chosen at most.
        depths: inner layers to choose units from, as fractions of the main layers.
        channels: units chosen in each inner layer.
        images: natural images looked at for the exemplars, at most; None for all.
        compared: natural images in the similarity curve, at most.
        exemplars: shown at each end.
        own: top natural images that stand for an inner unit in its similarity curve.
        resamples: of the bootstrap.
    """

    steps: int
    classes: int
    depths: tuple[float, ...]
    channels: int
    images: int | None
    compared: int
    exemplars: int
    own: int
    resamples: int


FULL = Scale(
    steps=256,
    classes=10,
    depths=(0.25, 0.5, 0.75),
    channels=4,
    images=None,
    compared=500,
    exemplars=9,
    own=16,
    resamples=1000,
)
QUICK = Scale(
    steps=64,
    classes=4,
    depths=(0.5,),
    channels=2,
    images=200,
    compared=80,
    exemplars=5,
    own=8,
    resamples=200,
)
