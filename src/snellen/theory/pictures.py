"""Drawings of envelopes and witnesses in one dimension, and of what would help. matplotlib, off screen."""

import importlib.util
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from snellen.base import DependencyError
from snellen.theory.domain import Array, Ball
from snellen.theory.entries import Entry, foot
from snellen.theory.envelope import envelope
from snellen.theory.evidence import Evidence
from snellen.theory.growth import Growth
from snellen.theory.witness import witnesses

LOW, HIGH, INK, QUIET, SHADE = "#00629b", "#b34700", "#1f2023", "#5c6066", "#d9dde2"
_STYLE: dict[Any, Any] = {
    "font.size": 11,
    "mathtext.default": "regular",
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "svg.hashsalt": "snellen",
}


def draw_line(entry: Entry) -> bytes:
    """The class in one dimension: the envelope shaded, two witnesses, the evidence marked. PNG."""
    function_class, evidence = entry.make(1)
    low, high = _interval(evidence)
    t = np.linspace(low, high, 401)
    bounds, base = envelope(function_class, evidence, t[:, None]), foot(evidence)
    inner = (t > low + 0.08) & (t < high - 0.08)
    clear = np.array([min(abs(v - n.place[0]) for n in evidence.nodes()) for v in t]) > 0.17
    width = np.where(inner & clear, bounds.width, -1.0)
    ties = np.flatnonzero(width >= width.max() - 1e-9)
    x = t[ties[np.abs(t[ties] - 0.6).argmin()]]
    pair = witnesses(function_class, evidence, np.array([x]))
    training = getattr(function_class, "inputs", None), getattr(function_class, "targets", None)

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.fill_between(t, bounds.lo - base, bounds.up - base, color=SHADE, lw=0, label="envelope")
        for witness, colour, name in zip(pair, (LOW, HIGH), ("lower", "upper"), strict=True):
            style = {
                "color": colour,
                "lw": 2.2,
                "ls": "-" if name == "lower" else (0, (3, 2)),
                "label": f"{name} witness",
            }
            axes.plot(t, respond(witness.module, t[:, None]) - base, **style)
        axes.plot([x, x], [-0.22, 1.08], color=INK, lw=0.8, ls=(0, (2, 3)))
        axes.text(x, 1.11, "x", ha="center", va="bottom", color=INK)
        _mark_line(axes, evidence, training)
        axes.set(xlim=(low - 0.02, high + 0.02), ylim=(-0.22, 1.24), yticks=[0, 0.5, 1], xticks=[low, high])
        axes.set_yticklabels(["a", "m", "b"])
        axes.legend(
            loc="upper center",
            bbox_to_anchor=(0.46, -0.07),
            ncols=3,
            frameon=False,
            handlelength=1.2,
            columnspacing=1.2,
        )

    return figure_png((4.4, 3.2), paint)


def draw_growth(curve: Growth) -> bytes:
    """Worst error against the number of exemplars, for one class. PNG."""

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.axhline(0.5, color=QUIET, lw=0.8, ls=(0, (2, 3)))
        axes.plot([np.log2(c + 1) for c in curve.counts], curve.errors, "o-", color=LOW, ms=4.5, lw=1.8, clip_on=False)
        ticks = [0, 1, 2, 4, 8, 16, 32]
        axes.set(xticks=[np.log2(c + 1) for c in ticks], yticks=[0, 0.25, 0.5], ylim=(0, 0.56), xlim=(0, 5.05))
        axes.set_xticklabels([str(c) for c in ticks])
        axes.set_yticklabels(["0", "D/4", "D/2"])
        axes.set_xlabel("natural exemplars")
        axes.set_ylabel("worst error")

    return figure_png((3.1, 2.1), paint)


def check_installed() -> None:
    """See that the page can be drawn, before anything is computed for it.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise DependencyError(
            'expected matplotlib for the pictures of the page, got none; pip install "snellen[theory]"'
        )


def figure_png(size: tuple[float, float], paint: Callable[[Any], None]) -> bytes:
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, dpi=170, layout="constrained")
        FigureCanvasAgg(figure)
        paint(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def image_png(image: Array) -> bytes:
    """An image (h, w, 3) in [0, 1], pixel for pixel. PNG."""
    import matplotlib.image

    buffer = io.BytesIO()
    pixels = np.ascontiguousarray((image.clip(0, 1) * 255).round().astype(np.uint8))
    unsigned: dict[Any, Any] = {"Software": None}
    matplotlib.image.imsave(buffer, pixels, format="png", metadata=unsigned)
    return buffer.getvalue()


def _interval(evidence: Evidence) -> tuple[float, float]:
    domain = evidence.domain
    if isinstance(domain, Ball):
        return float(domain.centre[0] - domain.radius), float(domain.centre[0] + domain.radius)
    return float(domain.lower[0]), float(domain.upper[0])


def respond(module: nn.Module, x: Array) -> Array:
    with torch.no_grad():
        return np.asarray(module(torch.tensor(x))[:, 0])


def _mark_line(axes: Any, evidence: Evidence, training: tuple[Array | None, Array | None]) -> None:
    for place, value, name in (
        (evidence.x_min, evidence.value_min, "x_min"),
        (evidence.x_max, evidence.value_max, "x_max"),
    ):
        if place is None or value is None:
            continue
        value -= foot(evidence)
        axes.plot(place, [value], "o", ms=8, color=INK, zorder=5, clip_on=False)
        up = name == "x_max"
        shift, side = (-6, "left") if place[0] < 0.05 else (6, "right") if place[0] > 0.95 else (0, "center")
        text: dict[str, Any] = {
            "textcoords": "offset points",
            "ha": side,
            "va": "bottom" if up else "top",
            "color": INK,
        }
        axes.annotate(rf"$x_{{{name[2:]}}}$", (place[0], value), (-shift, 8 if up else -8), **text)
    if training[0] is not None and training[1] is not None:
        axes.plot(training[0][:, 0], training[1], "s", ms=6, color=INK, mfc="white", zorder=5)
