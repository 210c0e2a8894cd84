"""The layer curve: how far the pictures are processed like photographs, layer by layer, in words at its baselines."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from snellen.record import PathEvidence
from snellen.reports import svg
from snellen.reports.frame import Frame, Values, apart, band, beyond, curve, limits
from snellen.reports.place import free_place
from snellen.reports.words import fixed, short

METRICS = {"spearman": "Spearman", "pearson": "Pearson", "cosine": "Cosine"}
MOST = (-3.0, 3.0)
SMALL = (-1.0, 2.0)  # in a small chart


@dataclass(frozen=True)
class Baselines:
    """What 0 and 1 mean, in words, in full and for a narrow drawing."""

    other: str
    same: str
    other_short: str
    same_short: str


CLASSES = Baselines(
    "like photographs of other classes",
    "like photographs of their own class",
    "like another class",
    "like its own class",
)
UNITS = Baselines(
    "like photographs that excite other units",
    "like photographs that excite the unit",
    "like other units’",
    "like its own",
)


def baselines(group: str) -> Baselines:
    """The words for a finding's group: "classes" or "<layer> units"."""
    return CLASSES if group == "classes" else UNITS


def wide(evidence: PathEvidence) -> Markup:
    """The curve for a page: layers run right, lines are labelled where they end."""
    frame = Frame((900.0, 440.0), (44.0, 34.0, 168.0, 104.0), _limits(evidence), len(evidence.layers))
    items = [*_ground(frame, evidence), *_series(frame, evidence), *_ends(frame, evidence), *_layers(frame, evidence)]
    return svg.picture(frame.size, _name(evidence), [*items, *_words(frame, evidence)], "curve wide")


def tall(evidence: PathEvidence) -> Markup:
    """The curve for a phone: layers run down; the page explains the lines."""
    count = len(evidence.layers)
    frame = Frame((360.0, 110.0 + 27 * count), (106.0, 66.0, 16.0, 20.0), _limits(evidence), count, tall=True)
    words = baselines(evidence.group)
    items = [*_ground(frame, evidence), *_series(frame, evidence), *_layers(frame, evidence)]
    for level, text, anchor in ((0.0, words.other_short, "end"), (1.0, words.same_short, "middle")):
        x, y = frame.at(0, level)
        x = min(x, frame.size[0] - 56) if anchor == "middle" else x + 8
        items.append(svg.text((x, y - 34), text, "reference-label", anchor))
    return svg.picture(frame.size, _name(evidence), items, "curve tall")


def small(evidence: PathEvidence) -> Markup:
    """The curve as one of several small ones: first and last layer named, baselines as numbers."""
    frame = Frame((360.0, 216.0), (34.0, 14.0, 14.0, 34.0), _limits(evidence, SMALL), len(evidence.layers))
    items = [*_ground(frame, evidence), *_series(frame, evidence), *ends_of(frame, evidence.layers)]
    return svg.picture(frame.size, _name(evidence), items, "curve small")


def cut(evidence: PathEvidence, most: tuple[float, float] = MOST) -> bool:
    """Whether some value of the curve is so far away that a chart within `most` shows only its direction."""
    frame = Frame((1.0, 1.0), (0.0, 0.0, 0.0, 0.0), _limits(evidence, most), len(evidence.layers))
    return any(beyond(frame, c.s) for c in evidence.curves.values())


def ends_of(frame: Frame, layers: Sequence[str]) -> list[Markup]:
    """The first and the last layer's name under a chart."""
    (left, _), (right, bottom) = frame.corners
    if len(layers) < 2:
        return [svg.text(((left + right) / 2, bottom + 20), short(name, 30), "layer", "middle") for name in layers]
    first = svg.text((left, bottom + 20), short(layers[0], 22), "layer")
    return [first, svg.text((right, bottom + 20), short(layers[-1], 22), "layer", "end")]


def _limits(evidence: PathEvidence, most: tuple[float, float] = MOST) -> tuple[float, float]:
    curves = evidence.curves
    series: list[Values] = [*(c.s for c in curves.values()), curves["spearman"].lo, curves["spearman"].hi]
    return limits(series, include=(-0.3, 1.3), most=most)


def _ground(frame: Frame, evidence: PathEvidence) -> list[Markup]:
    """The trusted layers, the levels and their numbers, the threshold."""
    items = []
    if evidence.trusted_from in evidence.layers:
        start = max(evidence.layers.index(evidence.trusted_from) - 0.5, 0)
        corners = [(start, 0), (start, 1), (frame.count - 1, 1), (frame.count - 1, 0)]
        items.append(svg.area([frame.at(i, frame.limits[end]) for i, end in corners], "trusted"))
    low, high = frame.limits
    for half in range(int(low * 2) - 1, int(high * 2) + 2):
        level = half / 2
        if low <= level <= high:
            items.append(svg.line(frame.level(level), "reference" if level in (0.0, 1.0) else "level"))
            items.append(_tick(frame, level))
    return [*items, svg.line(frame.level(evidence.threshold), "threshold")]


def _tick(frame: Frame, level: float) -> Markup:
    words = f"{level:g}".replace("-", "−")
    x, y = frame.at(0, level) if frame.count > 1 else frame.level(level)[0]
    if frame.tall:
        return svg.text((x, y - 14), words, "tick", "middle")
    return svg.text((x - 12, y + 4), words, "tick", "end")


def _series(frame: Frame, evidence: PathEvidence) -> list[Markup]:
    ceiling, curves = evidence.ceiling.get("spearman"), evidence.curves
    items = []
    if ceiling:
        items += [band(frame, (ceiling.lo, ceiling.hi), "ceiling"), curve(frame, ceiling.mean, "ceiling")]
    items += [curve(frame, curves[metric].s, metric) for metric in ("cosine", "pearson") if metric in curves]
    main = curves["spearman"]
    return [*items, band(frame, (main.lo, main.hi), "spearman"), curve(frame, main.s, "spearman")]


def _layers(frame: Frame, evidence: PathEvidence) -> list[Markup]:
    """Every layer's name, or as many as stand apart, the last one among them."""
    (left, _), (_, bottom) = frame.corners
    every = 1 if frame.tall else -(-frame.count // 32)
    items = []
    for i, name in enumerate(evidence.layers):
        if (frame.count - 1 - i) % every:
            continue
        x, y = frame.at(i, frame.limits[0])
        css = "layer on" if _trusted(evidence, i) else "layer"
        if frame.tall:
            items.append(svg.text((left - 12, y + 4), short(name, 15), css, "end"))
        else:
            turn = {"x": x + 4, "y": bottom + 18, "class": css, "text_anchor": "end"}
            if max(map(len, evidence.layers)) > 5:
                turn["transform"] = f"rotate(-38 {x + 4:.1f} {bottom + 18:.1f})"
            items.append(svg.element("text", turn, short(name, 20)))
    return items


def _trusted(evidence: PathEvidence, layer: int) -> bool:
    start = evidence.trusted_from
    return start in evidence.layers and layer >= evidence.layers.index(start)


def _ends(frame: Frame, evidence: PathEvidence) -> list[Markup]:
    """The lines' names, to the right of where they end."""
    named: list[tuple[str, str, Values]] = [
        (metric, f"{METRICS[metric]}, 95% band" if metric == "spearman" else METRICS[metric], c.s)
        for metric, c in evidence.curves.items()
        if metric in METRICS
    ]
    if "spearman" in evidence.ceiling:
        named.append(("ceiling", "a photograph instead", evidence.ceiling["spearman"].mean))
    known = [(css, words, [v for v in values if v is not None]) for css, words, values in named]
    known = [item for item in known if item[2]]
    places = [frame.at(0, values[-1])[1] for _, _, values in known]
    x = frame.corners[1][0] + 12
    rows = zip(known, apart(places, 17.0), strict=True)
    return [svg.text((x, y + 4), words, f"{css} end-label") for (css, words, _), y in rows]


def _words(frame: Frame, evidence: PathEvidence) -> list[Markup]:
    """The baselines in words, each where the curves leave room."""
    words = baselines(evidence.group)
    drawn = [evidence.curves[metric].s for metric in METRICS if metric in evidence.curves]
    items = []
    for level, meaning in ((0.0, words.other), (1.0, words.same)):
        text = f"{level:g}: {meaning}"
        place = free_place(frame, level, text, drawn)
        items.append(svg.text(place.point, text, "reference-label", place.anchor))
    if evidence.trusted_from is not None and evidence.trusted_from in evidence.layers:
        (_, top), (right_edge, _) = frame.corners
        note = f"from {short(evidence.trusted_from, 24)} on: processed like photographs"
        items.append(svg.text((right_edge, top - 12), note, "trusted-label", "end"))
    return items


def _name(evidence: PathEvidence) -> str:
    values = evidence.curves["spearman"].s
    pairs = ", ".join(f"{layer} {fixed(value)}" for layer, value in zip(evidence.layers, values, strict=True))
    return f"Line chart of normalized similarity by layer for {evidence.group}, Spearman: {pairs}."
