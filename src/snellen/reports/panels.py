"""Small charts: the raw similarities that the layer curve is made of, and the course of an optimization."""

from collections.abc import Sequence

from markupsafe import Markup

from snellen.record import PathEvidence
from snellen.reports import svg
from snellen.reports.curve import METRICS, ends_of
from snellen.reports.frame import Frame, curve, limits
from snellen.reports.words import number

LINES = ("other", "same", "picture")


def raw(evidence: PathEvidence) -> list[tuple[str, Markup]]:
    """One panel a metric, on a common scale: (title, chart) pairs."""
    shown = [(metric, evidence.raw[metric]) for metric in METRICS if metric in evidence.raw]
    ends = limits(
        (s for _, parts in shown for s in (parts.picture, parts.same, parts.other)),
        include=(0.0, 0.5),
        most=(-1.0, 1.0),
    )
    panels = []
    for metric, parts in shown:
        frame = Frame((360.0, 216.0), (40.0, 14.0, 14.0, 34.0), ends, len(evidence.layers))
        items = [*_scale(frame), *(curve(frame, getattr(parts, line), f"raw-{line}") for line in LINES)]
        name = f"Line chart of {METRICS[metric]} similarity by layer: picture, same and other photographs."
        chart = svg.picture(frame.size, name, [*items, *ends_of(frame, evidence.layers)], "curve small")
        panels.append((METRICS[metric], chart))
    return panels


def _scale(frame: Frame) -> list[Markup]:
    items = []
    for half in range(-2, 3):
        level = half / 2
        if frame.limits[0] <= level <= frame.limits[1]:
            ends = frame.level(level)
            items.append(svg.line(ends, "reference" if level == 0 else "level"))
            words = f"{level:g}".replace("-", "−")
            items.append(svg.text((frame.inset[0] - 12, ends[0][1] + 4), words, "tick", "end"))
    return items


def history(steps: Sequence[int], scores: Sequence[float | None]) -> Markup | None:
    """The response over the optimization's steps; None where fewer than two are known."""
    known = [(step, score) for step, score in zip(steps, scores, strict=False) if score is not None]
    if len(known) < 2:
        return None
    values = [score for _, score in known]
    low, high, last = min(values), max(values), max(known[-1][0], 1)
    right, up = 152 / last, 32 / ((high - low) or 1.0)
    points = [(4 + right * step, 38 - up * (score - low)) for step, score in known]
    name = (
        f"Line chart of the response over {known[-1][0] + 1:.0f} steps: "
        f"from {number(values[0])} to {number(values[-1])}."
    )
    return svg.picture(
        (160.0, 44.0), name, [svg.line([(0, 42), (160, 42)], "axis"), svg.line(points, "line")], "history"
    )
