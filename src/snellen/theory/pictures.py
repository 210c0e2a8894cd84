"""Drawings of envelopes and witnesses: one and two dimensions, and what would help. matplotlib, off screen."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from snellen.theory.domain import Array, Ball
from snellen.theory.entries import Entry
from snellen.theory.envelope import envelope
from snellen.theory.evidence import Evidence
from snellen.theory.growth import Growth
from snellen.theory.witness import Witness, witnesses

LOW, HIGH, INK, QUIET, SHADE = "#00629b", "#b34700", "#1f2023", "#5c6066", "#d9dde2"
_STYLE: dict[Any, Any] = {
    "font.size": 10.5,
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
    bounds = envelope(function_class, evidence, t[:, None])
    inner = (t > low + 0.08) & (t < high - 0.08)
    clear = np.array([min(abs(v - n.place[0]) for n in evidence.nodes()) for v in t]) > 0.12
    width = np.where(inner & clear, bounds.width, -1.0)
    ties = np.flatnonzero(width >= width.max() - 1e-9)
    x = t[ties[np.abs(t[ties] - 0.6).argmin()]]
    pair = witnesses(function_class, evidence, np.array([x]))
    training = getattr(function_class, "inputs", None), getattr(function_class, "targets", None)

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.fill_between(t, bounds.lo, bounds.up, color=SHADE, lw=0, label="envelope")
        for witness, colour, name in zip(pair, (LOW, HIGH), ("lower", "upper"), strict=True):
            dash = (0, (4, 4)) if name == "upper" and abs(pair[1].value - pair[0].value) < 1e-6 else "-"
            style = {"color": colour, "lw": 1.8, "ls": dash, "label": f"{name} witness"}
            axes.plot(t, _respond(witness.module, t[:, None]), **style)
        axes.plot([x, x], [-0.12, 1.08], color=INK, lw=0.8, ls=(0, (2, 3)))
        axes.text(x, 1.11, "x", ha="center", va="bottom", color=INK)
        _mark_line(axes, evidence, training)
        axes.set(xlim=(low - 0.02, high + 0.02), ylim=(-0.12, 1.24), yticks=[0, 0.5, 1], xticks=[low, high])
        axes.set_yticklabels(["a", "m", "b"])
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3, frameon=False, handlelength=1.4)

    return _figure((5.2, 3.5), paint)


def draw_plane(entry: Entry) -> bytes:
    """The class in two dimensions: width of the envelope, and the two witnesses at the marked x. PNG."""
    function_class, evidence = entry.make(2)
    side = 33
    axis = np.linspace(0, 1, side)
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    inside = evidence.domain.contains(grid)
    width = np.full(len(grid), np.nan)
    width[inside] = envelope(function_class, evidence, grid[inside]).width
    x = _probe(evidence, grid, width)
    pair = witnesses(function_class, evidence, x)
    fine = np.linspace(0, 1, 161)
    dense = np.stack(np.meshgrid(fine, fine), -1).reshape(-1, 2)

    def paint(figure: Any) -> None:
        panels = figure.subplots(1, 3, sharey=True)
        shown = [("width of the envelope", width.reshape(side, side), "Greys", axis)]
        for witness, name in zip(pair, ("lower", "upper"), strict=True):
            shown.append((f"{name} witness: f(x) = {_tidy(witness)}", _map(witness, evidence, dense), "cividis", fine))
        for panel, (title, values, colours, ticks) in zip(panels, shown, strict=True):
            image = panel.pcolormesh(
                ticks, ticks, values, cmap=colours, vmin=0, vmax=1, shading="nearest", rasterized=True
            )
            _mark_plane(panel, evidence, x, getattr(function_class, "inputs", None))
            panel.set_title(title, fontsize=10, loc="left", color=INK)
            panel.set(aspect="equal", xticks=[0, 1], yticks=[0, 1], xlim=(-0.06, 1.06), ylim=(-0.06, 1.06))
            bar = figure.colorbar(image, ax=panel, fraction=0.046, pad=0.03, ticks=[0, 0.5, 1])
            bar.ax.set_yticklabels(["0", "", "D"] if colours == "Greys" else ["a", "m", "b"])
            bar.outline.set_visible(False)

    return _figure((10.4, 3.1), paint)


def draw_growth(curves: tuple[Growth, ...]) -> bytes:
    """Worst error against the number of exemplars, one line a class. PNG."""
    shades = ["#1f2023", "#7a4b9c", "#8a6d00", "#00629b", "#2f7d4f", "#b34700", "#c0392b", "#5c6066"]
    marks = ["o", "s", "^", "D", "v", "P", "X", "*"]

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        for number, curve in enumerate(curves):
            lift = 0.006 * (
                len([c for c in curves[:number] if c.errors[0] == curve.errors[0] and min(c.errors) > 0.49])
            )
            raised = np.array(curve.errors) + (lift if min(curve.errors) > 0.49 else 0)
            look = {"color": shades[number], "marker": marks[number], "ms": 5, "lw": 1.6, "label": curve.title}
            axes.plot([np.log2(c + 1) for c in curve.counts], raised, **look)
        ticks = [0, 1, 2, 4, 8, 16, 32]
        axes.set(xticks=[np.log2(c + 1) for c in ticks], yticks=[0, 0.25, 0.5], ylim=(-0.02, 0.54))
        axes.set_xticklabels([str(c) for c in ticks])
        axes.set_yticklabels(["0", "D/4", "D/2"])
        axes.set_xlabel("natural exemplars with their responses")
        axes.set_ylabel("worst error")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, frameon=False, fontsize=9.5)

    return _figure((7.6, 5.2), paint)


def _figure(size: tuple[float, float], paint: Callable[[Any], None]) -> bytes:
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


def _interval(evidence: Evidence) -> tuple[float, float]:
    domain = evidence.domain
    if isinstance(domain, Ball):
        return float(domain.centre[0] - domain.radius), float(domain.centre[0] + domain.radius)
    return float(domain.lower[0]), float(domain.upper[0])


def _respond(module: nn.Module, x: Array) -> Array:
    with torch.no_grad():
        return np.asarray(module(torch.tensor(x))[:, 0])


def _map(witness: Witness, evidence: Evidence, grid: Array) -> Array:
    values = np.where(evidence.domain.contains(grid), _respond(witness.module, grid), np.nan)
    side = int(np.sqrt(len(grid)))
    return values.reshape(side, side)


def _tidy(witness: Witness) -> str:
    value = min(max(witness.value, 0.0), 1.0)
    return {0.0: "a", 1.0: "b"}.get(round(value, 3), f"a + {value:.2f} D")


def _probe(evidence: Evidence, grid: Array, width: Array) -> Array:
    """A widest point of the grid, away from the evidence and the walls where there is a choice."""
    apart = np.min([np.linalg.norm(grid - n.place, axis=1) for n in evidence.nodes()], 0)
    wall = np.minimum(grid, 1 - grid).min(1)
    score = np.where(np.isnan(width), -1.0, width) + 0.2 * np.minimum(apart, 0.3) + 0.6 * np.minimum(wall, 0.12)
    return grid[int(score.argmax())]


def _mark_line(axes: Any, evidence: Evidence, training: tuple[Array | None, Array | None]) -> None:
    for place, value, name in (
        (evidence.x_min, evidence.value_min, "x_min"),
        (evidence.x_max, evidence.value_max, "x_max"),
    ):
        if place is None or value is None:
            continue
        axes.plot(place, [value], "o", ms=8, color=INK, zorder=5, clip_on=False)
        up = name == "x_max"
        shift, side = (-6, "left") if place[0] < 0.05 else (6, "right") if place[0] > 0.95 else (0, "center")
        axes.annotate(name, (place[0], value), (-shift, 8 if up else -8), textcoords="offset points", ha=side,
                      va="bottom" if up else "top", color=INK)  # fmt: skip
    if training[0] is not None and training[1] is not None:
        axes.plot(training[0][:, 0], training[1], "s", ms=6, color=INK, mfc="white", zorder=5)


def _mark_plane(panel: Any, evidence: Evidence, x: Array, training: Array | None) -> None:
    halo = {"mec": "white", "mew": 1.2, "clip_on": False, "zorder": 5}
    if evidence.x_min is not None and evidence.x_max is not None:
        panel.plot(*evidence.x_min, "v", ms=10, color=LOW, **halo)
        panel.plot(*evidence.x_max, "^", ms=10, color=HIGH, **halo)
    if training is not None:
        panel.plot(training[:, 0], training[:, 1], "s", ms=6, color=INK, **halo)
    panel.plot(*x, "X", ms=9, color=INK, **halo)
