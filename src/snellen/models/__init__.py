"""Networks: the model value, unit addresses, taps that read, edits that write and undo, and where models come from."""

from snellen.models.model import Model, Preprocess
from snellen.models.sources import load_model
from snellen.models.taps import layers, main_layers, observe, response, responses, units
from snellen.models.unit import Layer, Unit

__all__ = [
    "Layer",
    "Model",
    "Preprocess",
    "Unit",
    "layers",
    "load_model",
    "main_layers",
    "observe",
    "response",
    "responses",
    "units",
]
