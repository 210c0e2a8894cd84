"""Networks: the model value, unit addresses, taps that read, edits that write and undo, and where models come from."""

from snellen.models.access import layers, main_layers, observe, units
from snellen.models.layer_list import Layers
from snellen.models.model import Model, Preprocess
from snellen.models.sources import ModelLike, load_model, open_model
from snellen.models.sources.source import Source
from snellen.models.taps import response, responses
from snellen.models.unit import Layer, Unit

__all__ = [
    "Layer",
    "Layers",
    "Model",
    "ModelLike",
    "Preprocess",
    "Source",
    "Unit",
    "layers",
    "load_model",
    "main_layers",
    "observe",
    "open_model",
    "response",
    "responses",
    "units",
]
