"""Maps of a class in two dimensions: how wide its envelope is, and two of its members. matplotlib, off screen."""

from typing import Any

import numpy as np

from snellen.theory.domain import Array
from snellen.theory.entries import Entry, foot
from snellen.theory.envelope import envelope
from snellen.theory.evidence import Evidence
from snellen.theory.pictures import HIGH, INK, LOW, QUIET, figure_png, respond
from snellen.theory.table import response
from snellen.theory.witness import witnesses

WIDTHS = ("#ffffff", "#c9ced6", "#8d95a3", "#5b6474")
"""Colours of the width, from 0 to D."""

_SIDE, _COARSE = 161, 41


def draw_planes(entry: Entry) -> tuple[tuple[str, bytes], ...]:
    """Three squares, each with what it shows: the envelope's width, and the two witnesses at the marked x. PNG."""
    function_class, evidence = entry.make(2)
    fine, coarse = _grid(_SIDE), _grid(_COARSE)
    x = _probe(evidence, coarse, _where(evidence, coarse, lambda g: envelope(function_class, evidence, g).width))
    width = _where(evidence, fine, lambda g: envelope(function_class, evidence, g).width)
    training = getattr(function_class, "inputs", None)
    shown = [("width of the envelope", _square(width, "widths", (evidence, x, training)))]
    for witness, name in zip(witnesses(function_class, evidence, x), ("lower", "upper"), strict=True):
        values = _where(evidence, fine, lambda g, module=witness.module: respond(module, g))
        base = foot(evidence)
        shown.append(
            (
                f"{name} witness, f(x)\u00a0=\u00a0{response(min(max(witness.value - base, 0.0), 1.0))}",
                _square(values - base, "cividis", (evidence, x, training)),
            )
        )
    return tuple(shown)


def _grid(side: int) -> Array:
    axis = np.linspace(0, 1, side)
    return np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)


def _where(evidence: Evidence, grid: Array, read: Any) -> Array:
    """read(points), NaN outside the domain."""
    values, inside = np.full(len(grid), np.nan), evidence.domain.contains(grid)
    values[inside] = read(grid[inside])
    return values


def _square(values: Array, colours: str, marks: tuple[Evidence, Array, Array | None]) -> bytes:
    side = int(np.sqrt(len(values)))

    def paint(figure: Any) -> None:
        from matplotlib.colors import LinearSegmentedColormap

        shades = LinearSegmentedColormap.from_list("widths", WIDTHS) if colours == "widths" else colours
        axes = figure.subplots()
        axes.imshow(
            values.reshape(side, side), cmap=shades, vmin=0, vmax=1, origin="lower", extent=(0, 1, 0, 1),
            interpolation="bilinear" if np.isfinite(values).all() else "nearest",
        )  # fmt: skip
        axes.plot([0, 1, 1, 0, 0], [0, 0, 1, 1, 0], color=QUIET, lw=1.0)
        axes.set(xlim=(-0.06, 1.06), ylim=(-0.06, 1.06))
        axes.axis("off")
        _mark(axes, *marks)

    return figure_png((2.6, 2.6), paint)


def _mark(axes: Any, evidence: Evidence, x: Array, training: Array | None) -> None:
    halo = {"mec": "white", "mew": 1.4, "clip_on": False, "zorder": 5}
    if training is not None:
        axes.plot(training[:, 0], training[:, 1], "s", ms=9, color=INK, **halo)
    if evidence.x_min is not None and evidence.x_max is not None:
        axes.plot(*evidence.x_min, "v", ms=15, color=LOW, **halo)
        axes.plot(*evidence.x_max, "^", ms=15, color=HIGH, **halo)
    axes.plot(*x, "X", ms=13, color=INK, **halo)


def _probe(evidence: Evidence, grid: Array, width: Array) -> Array:
    """A widest point of the grid, away from the evidence and the walls where there is a choice."""
    apart = np.min([np.linalg.norm(grid - n.place, axis=1) for n in evidence.nodes()], 0)
    wall = np.minimum(grid, 1 - grid).min(1)
    score = np.where(np.isnan(width), -1.0, width) + 0.2 * np.minimum(apart, 0.3) + 0.6 * np.minimum(wall, 0.12)
    return grid[int(score.argmax())]
