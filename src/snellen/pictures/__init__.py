"""Drawing: objectives, canvases, transforms, the one render loop, and the natural images beside the pictures."""

from snellen.pictures.canvas import CANVASES, Canvas, Fourier, Pixel, canvas_named
from snellen.pictures.exemplars import Exemplars, exemplars
from snellen.pictures.objectives import OBJECTIVES, DeepDream, Objective, Polynomial
from snellen.pictures.render import Render, Settings, render, usual_batch
from snellen.pictures.transforms import STANDARD, Compose, Jitter, Rotate, Scale, Transform, resample

__all__ = [
    "CANVASES",
    "OBJECTIVES",
    "STANDARD",
    "Canvas",
    "Compose",
    "DeepDream",
    "Exemplars",
    "Fourier",
    "Jitter",
    "Objective",
    "Pixel",
    "Polynomial",
    "Render",
    "Rotate",
    "Scale",
    "Settings",
    "Transform",
    "canvas_named",
    "exemplars",
    "render",
    "resample",
    "usual_batch",
]
