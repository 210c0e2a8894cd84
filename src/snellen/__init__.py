"""snellen: an eye test for feature visualizations.

The command line's words are functions here, imported when they are first used:

    run = snellen.audit("path/to/file.py:load", images="folder")
    snellen.report(run)
    snellen.visualize("builtin", ["head:0-3"], out="pictures")
    snellen.layers(snellen.load_model("timm:resnet18", weights="resnet18.safetensors"))
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snellen.audit.verbs import audit, visualize
    from snellen.base import Seed, SnellenError
    from snellen.images import open_images
    from snellen.models import Layer, Model, Preprocess, Unit, layers, load_model, main_layers, observe, units
    from snellen.report.site import build as report
    from snellen.visualize import Fourier, Objective, Pixel, Render, Settings, render

__version__ = "0.1.0"

_HOMES = {
    "audit": "snellen.audit.verbs",
    "visualize": "snellen.audit.verbs",
    "report": "snellen.report.site",
    **dict.fromkeys(("Seed", "SnellenError"), "snellen.base"),
    "open_images": "snellen.images",
    **dict.fromkeys(("Layer", "Model", "Preprocess", "Unit", "layers"), "snellen.models"),
    **dict.fromkeys(("load_model", "main_layers", "observe", "units"), "snellen.models"),
    **dict.fromkeys(("Fourier", "Objective", "Pixel", "Render", "Settings", "render"), "snellen.visualize"),
}
_VERBS = {"audit": "audit", "visualize": "visualize", "report": "build"}

__all__ = [
    "Fourier",
    "Layer",
    "Model",
    "Objective",
    "Pixel",
    "Preprocess",
    "Render",
    "Seed",
    "Settings",
    "SnellenError",
    "Unit",
    "audit",
    "layers",
    "load_model",
    "main_layers",
    "observe",
    "open_images",
    "render",
    "report",
    "units",
    "visualize",
]


class _Verb(ModuleType):
    """A package that can be called by its own name: `snellen.audit(...)` beside `from snellen.audit import Request`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        word = self.__name__.rpartition(".")[2]
        return getattr(import_module(_HOMES[word]), _VERBS[word])(*args, **kwargs)


class _House(ModuleType):
    """This package: words are looked up when first used, and packages that share a verb's name become that verb."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _VERBS and type(value) is ModuleType:
            value.__class__ = _Verb
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        if name in _VERBS:
            return import_module(f"snellen.{name}")
        if name in _HOMES:
            return getattr(import_module(_HOMES[name]), name)
        raise AttributeError(f'module "snellen" has no attribute "{name}"')

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _House
