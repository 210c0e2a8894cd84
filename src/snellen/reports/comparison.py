"""The page of a comparison of structures: what their pictures tell, dot by dot, and the pictures side by side."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from markupsafe import Markup
from msgspec import Struct

from snellen.base import RecordError, is_file
from snellen.base.files import read_json, why
from snellen.base.shape import Each, Maybe, Named, Number, ShapeError, Text, Whole
from snellen.reports import svg
from snellen.reports.site import page
from snellen.reports.words import fixed, listing, middle
from snellen.reports.write import write

NAME = "comparison.json"
FORMAT = 1
_NAME = Text(100, r"[\w.-]+", "a name")
_FIGURE = Maybe(Number(-1e9, 1e9))
_FIGURES = Named(_FIGURE)
_TABLE = {
    "format": Whole(FORMAT, FORMAT),
    "settings": {
        "seeds": Whole(1, 10_000),
        "size": Whole(1, 100_000),
        "quick": bool,
        "viewer": Text(),
        "images": Text(),
    },
    "versions": Named(Text()),
    "structures": Each({"name": _NAME, "title": Text(), "known": Text(1000), "lies": Text(1000)}),
    "networks": Each(
        {
            "structure": _NAME,
            "seed": Whole(0),
            "parameters": Whole(0),
            "accuracy": Number(0.0, 1.0),
            "decoding": Named(Named(_FIGURES)),
            "told": _FIGURES,
            "paths": _FIGURE,
            "rebuilt": Maybe(_FIGURES),
            "attainment": _FIGURE,
            "conformal": Named(_FIGURES),
            "certified": Maybe(
                {"how": Text(), "width": _FIGURE, "inside": _FIGURE, "pictures": Whole(0), "ladder": Each(_FIGURES)}
            ),
        }
    ),
    "differences": Each(
        {
            "structure": _NAME,
            "measure": Text(),
            "seeds": Whole(1),
            "mean": Number(-1e9, 1e9),
            "lo": _FIGURE,
            "hi": _FIGURE,
            "p": Number(0.0, 1.0),
            "corrected": Number(0.0, 1.0),
        }
    ),
}


class Certified(Struct, frozen=True):
    """What is guaranteed over the image itself.

    Args:
        how: from what.
        width: median width in parts of the natural range.
        inside: share of photographs whose response lies in its interval.
        pictures: of each class.
        ladder: "pictures", "width", "inside" and "accuracy" of the layer rebuilt from them, from few to many.
    """

    how: str
    width: float | None
    inside: float | None
    pictures: int
    ladder: tuple[dict[str, float | None], ...] = ()


class Network(Struct, frozen=True, kw_only=True):
    """Figures of one trained network; see `snellen.structures.figures`."""

    structure: str
    seed: int
    parameters: int
    accuracy: float
    decoding: dict[str, dict[str, dict[str, float | None]]]
    told: dict[str, float | None]
    paths: float | None
    rebuilt: dict[str, float | None] | None
    attainment: float | None
    conformal: dict[str, dict[str, float | None]]
    certified: Certified | None


class Kind(Struct, frozen=True):
    """A structure in words."""

    name: str
    title: str
    known: str
    lies: str


class Difference(Struct, frozen=True, kw_only=True):
    """A structure against the ordinary network in one measure, over seeds."""

    structure: str
    measure: str
    seeds: int
    mean: float
    lo: float | None
    hi: float | None
    p: float
    corrected: float

    @property
    def clear(self) -> bool:
        """Whether its interval excludes 0."""
        return self.lo is not None and self.hi is not None and (self.lo > 0 or self.hi < 0)


class Table(Struct, frozen=True, kw_only=True):
    """What `snellen structure compare` wrote, as far as its page shows it."""

    settings: dict[str, object]
    versions: dict[str, str]
    structures: tuple[Kind, ...]
    networks: tuple[Network, ...]
    differences: tuple[Difference, ...]

    def of(self, name: str) -> tuple[Network, ...]:
        """The networks of one structure."""
        return tuple(one for one in self.networks if one.structure == name)


PARTS = {"classes": "classes", "first": "first inner layer", "second": "second inner layer"}
EYES = {
    "pixels": "A viewer who sees pixels and knows no network",
    "network": "A viewer with another network’s eyes",
    "textures": "A viewer who sees textures",
}


@dataclass(frozen=True)
class _Panel:
    """One part of a network in the chart: a column from `left`, `width` wide, of correlations from -0.2 to 1."""

    left: float
    width: float

    def x(self, value: float) -> float:
        return self.left + self.width * (min(max(value, -0.2), 1.0) + 0.2) / 1.2


_ROW, _TOP, _LABEL, _PANEL, _GAP = 30.0, 46.0, 148.0, 220.0, 34.0


def build_comparison(folder: Path) -> Path:
    """Write FOLDER/index.html from FOLDER/comparison.json and the sheets of pictures beside it.

    Args:
        folder: that `snellen structure compare` wrote.

    Returns:
        The path of index.html.

    Raises:
        RecordError: the table is missing, damaged or of another version.
        OutputError: the page cannot be written.
    """
    folder = Path(folder)
    table = _read(folder)
    shown = [kind for kind in table.structures if table.of(kind.name)]
    told = {
        "table": table,
        "record": {"environment": table.versions},
        "lede": _lede(table, shown),
        "charts": [(title, chart(table, shown, eye)) for eye, title in EYES.items()],
        "rows": [_row(kind, table.of(kind.name)) for kind in shown],
        "sheets": [(kind, f"sheets/{kind.name}.png") for kind in shown if is_file(folder / f"sheets/{kind.name}.png")],
        "kinds": shown,
        "titles": {kind.name: kind.title for kind in shown},
        "differences": [one for one in table.differences if one.clear] or [],
        "tested": len(table.differences),
    }
    return write(folder, [("index.html", page("comparison.html", told, styles=("receipt.css", "comparison.css")))])


def chart(table: Table, shown: Sequence[Kind], eye: str) -> Markup:
    """What one viewer is told: a row a structure, a dot a seed, a line where as many photographs are.

    Args:
        table: of the comparison.
        shown: structures, in the order of the rows.
        eye: the viewer.
    """
    size = (_LABEL + 3 * (_PANEL + _GAP), _TOP + _ROW * len(shown) + 8)
    items: list[Markup] = []
    for i, (part, title) in enumerate(PARTS.items()):
        panel = _Panel(_LABEL + i * (_PANEL + _GAP) + _GAP / 2, _PANEL)
        items.append(svg.text((panel.left, 14), title, "part"))
        for value in (0.0, 0.5, 1.0):
            items += [
                svg.line([(panel.x(value), 34), (panel.x(value), size[1] - 6)], "zero" if value == 0 else "guide"),
                svg.text((panel.x(value), 30), f"{value:g}", "tick", "middle"),
            ]
        for row, kind in enumerate(shown):
            y = _TOP + _ROW * (row + 0.5)
            scores = [n.decoding.get(part, {}).get(eye, {}) for n in table.of(kind.name)]
            items += _dots(panel, y, scores)
    items += [svg.text((0, _TOP + _ROW * (row + 0.5) + 4), kind.name, "name") for row, kind in enumerate(shown)]
    return svg.picture(size, _description(table, shown, eye), items, "dots")


def _dots(panel: _Panel, y: float, scores: Sequence[Mapping[str, float | None]]) -> list[Markup]:
    pictures = [v for s in scores if (v := s.get("pictures")) is not None]
    photographs = [v for s in scores if (v := s.get("photographs")) is not None]
    if not pictures:
        return [svg.text((panel.x(0.0) + 4, y + 4), "no such layer", "tick")]
    others = [v for s in scores if (v := s.get("others")) is not None]
    items = []
    if photographs:
        x = panel.x(middle(photographs))
        items.append(svg.line([(x, y - 9), (x, y + 9)], "photographs"))
    mean = panel.x(sum(pictures) / len(pictures))
    items.append(svg.line([(panel.x(0.0), y), (mean, y)], "stem"))
    items += [svg.area(_disc(panel.x(value), y), "dot") for value in pictures]
    items += [svg.area(_disc(panel.x(middle(others)), y), "others")] if others else []
    return items


def _disc(x: float, y: float) -> list[svg.Point]:
    corners = ((4.5, 0.0), (3.2, 3.2), (0.0, 4.5), (-3.2, 3.2), (-4.5, 0.0), (-3.2, -3.2), (0.0, -4.5), (3.2, -3.2))
    return [(x + a, y + b) for a, b in corners]


def _description(table: Table, shown: Sequence[Kind], eye: str) -> str:
    parts = []
    for kind in shown:
        values = [_mean(table.of(kind.name), _score(part, eye)) for part in PARTS]
        parts.append(f"{kind.name} {', '.join(fixed(v) for v in values)}")
    return f"Rank correlations of classes, first and second inner layer: {'; '.join(parts)}."


def _score(part: str, eye: str) -> "Callable[[Network], float | None]":
    return lambda one: one.decoding.get(part, {}).get(eye, {}).get("pictures")


def _mean(networks: Sequence[Network], read: "Callable[[Network], float | None]") -> float | None:
    values = [v for one in networks if (v := read(one)) is not None]
    return sum(values) / len(values) if values else None


def _row(kind: Kind, networks: Sequence[Network]) -> dict[str, object]:
    """A line of the table: means over seeds."""

    def rebuilt(which: str) -> "Callable[[Network], float | None]":
        return lambda one: None if one.rebuilt is None else one.rebuilt.get(which)

    return {
        "title": kind.title,
        "parameters": networks[0].parameters,
        "accuracy": _mean(networks, lambda one: one.accuracy),
        "told": [_mean(networks, lambda one, part=part: one.told.get(part)) for part in PARTS],  # type: ignore[misc]
        "paths": _mean(networks, lambda one: one.paths),
        "attainment": _mean(networks, lambda one: one.attainment),
        "rebuilt": _mean(networks, rebuilt("pictures")),
        "conformal": _mean(networks, lambda one: one.conformal.get("classes", {}).get("width")),
        "constant": _mean(networks, lambda one: one.conformal.get("classes", {}).get("constant_width")),
        "certified": networks[0].certified,
        "width": _mean(networks, lambda one: None if one.certified is None else one.certified.width),
    }


def _lede(table: Table, shown: Sequence[Kind]) -> str:
    """The clear differences for viewers who know no network, in a sentence."""
    better = [
        kind.title
        for kind in shown
        if any(
            d.clear and d.mean > 0 and d.structure == kind.name and d.measure in ("first, pixels", "second, pixels")
            for d in table.differences
        )
    ]
    count = f"{len(table.networks)} networks of {len(shown)} structures"
    if table.settings["seeds"] == 1:
        return f"{count}, one seed of each: what differs here may be the seed. Three or more seeds are tested."
    if not better:
        return f"{count}: no structure’s inner units are told apart from the ordinary network’s by these seeds."
    return (
        f"{count}. To somebody who sees nothing but pixels, pictures of inner units tell more than an ordinary "
        f"network’s in these, with an interval over seeds that excludes zero: {listing(better, 8)}."
    )


def _read(folder: Path) -> Table:
    path = folder / NAME
    try:
        return msgspec.convert(dict(read_json(path, _TABLE, within=folder)), Table)
    except OSError as error:
        raise RecordError(
            f"expected a comparison at {path}, got {why(error)}; run snellen structure compare again"
        ) from None
    except (ShapeError, msgspec.ValidationError) as error:
        of_another = isinstance(error, ShapeError) and error.where == "format"
        told = f"{path} of another version" if of_another else f"{path}, which is damaged: {error}"
        raise RecordError(
            f"expected a comparison of format {FORMAT}, got {told}; run snellen structure compare again"
        ) from None
