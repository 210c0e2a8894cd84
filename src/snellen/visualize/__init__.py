"""Drawing: objectives, canvases, transforms, the one render loop, and the natural images beside the pictures."""

from snellen.visualize.canvas import CANVASES, Canvas, Fourier, Pixel, canvas_named
from snellen.visualize.exemplars import Exemplars, exemplars
from snellen.visualize.objectives import Objective
from snellen.visualize.render import Render, Settings, render, usual_batch
from snellen.visualize.transforms import STANDARD, Compose, Jitter, Rotate, Scale, Transform, resample

__all__ = [
    "CANVASES",
    "STANDARD",
    "Canvas",
    "Compose",
    "Exemplars",
    "Fourier",
    "Jitter",
    "Objective",
    "Pixel",
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
