from . import attacks, audits, checks, images, measures, models, pictures, reports, theory, verbs
from .base import Seed, SnellenError
from .checks.finding import Finding
from .images import open_images
from .models import (
    Layer,
    Layers,
    Model,
    Preprocess,
    Unit,
    layers,
    load_model,
    main_layers,
    observe,
    open_model,
    units,
)
from .pictures import Fourier, Objective, Pixel, Render, Settings, render
from .verbs.audit import audit
from .verbs.certify import certify
from .verbs.compare import compare
from .verbs.deceive import deceive
from .verbs.doctor import Diagnosis, doctor
from .verbs.matrix import matrix
from .verbs.plugins import plugins
from .verbs.rebuild import rebuild
from .verbs.report import report
from .verbs.run import Audit, open_audit
from .verbs.train import train
from .verbs.visualize import visualize

__version__: str
__all__ = [
    "Audit",
    "Diagnosis",
    "Finding",
    "Fourier",
    "Layer",
    "Layers",
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
    "certify",
    "checks",
    "compare",
    "deceive",
    "doctor",
    "images",
    "layers",
    "load_model",
    "main_layers",
    "matrix",
    "measures",
    "models",
    "observe",
    "open_audit",
    "open_images",
    "open_model",
    "pictures",
    "plugins",
    "rebuild",
    "render",
    "report",
    "reports",
    "theory",
    "train",
    "units",
    "verbs",
    "visualize",
]
