from . import attacks, audits, findings, images, measures, models, pictures, reports, theory
from .audits.verbs import audit, visualize
from .base import Seed, SnellenError
from .images import open_images
from .models import Layer, Model, Preprocess, Unit, layers, load_model, main_layers, observe, open_model, units
from .pictures import Fourier, Objective, Pixel, Render, Settings, render
from .reports.verbs import report

__version__: str
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
    "attacks",
    "audit",
    "audits",
    "findings",
    "images",
    "layers",
    "load_model",
    "main_layers",
    "measures",
    "models",
    "observe",
    "open_images",
    "open_model",
    "pictures",
    "render",
    "report",
    "reports",
    "theory",
    "units",
    "visualize",
]
