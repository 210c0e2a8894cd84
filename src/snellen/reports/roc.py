"""How well scores separate: a curve for each column of the matrix, and the areas under the curves of single checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from msgspec import Struct

from snellen.base.shape import Each, Maybe, Named, Number, Text, Whole
from snellen.reports import svg
from snellen.reports.words import count, fixed

_SHARE = Number(0.0, 1.0)
_AREA = {"area": _SHARE, "low": Maybe(_SHARE), "high": Maybe(_SHARE)}
SHAPE = Each(
    {
        "kind": Text(100, r"[\w.-]+", "a name"),
        "networks": Each(Text(400, r"[\w.-]+", "a name")),
        "lying": Whole(1, 10_000_000),
        "honest": Whole(1, 10_000_000),
        "curve": Each(Each(_SHARE, count=2), least=2),
        "together": _AREA,
        "checks": Named(_AREA),
    }
)
"""Of what a table says of its columns."""
SIDE, LEFT, ABOVE, BELOW, EDGE = 200.0, 34.0, 22.0, 42.0, 8.0
"""Of the plane of a curve and the room around it, in drawing units."""


class Area(Struct, frozen=True):
    """An area under a curve with its 95 % interval; no interval where most resamples have none."""

    area: float
    low: float | None = None
    high: float | None = None

    @property
    def figure(self) -> str:
        """Such as "0.98"; what is not quite 1 or 0 never looks so."""
        return _figure(self.area)

    @property
    def between(self) -> str:
        """Such as "0.95 to 1.00", "" where it is not known."""
        return "" if self.low is None or self.high is None else f"{_figure(self.low)} to {_figure(self.high)}"


class Separation(Struct, frozen=True, kw_only=True):
    """A column of the matrix against the honest units of the same networks.

    Args:
        kind: of the column.
        networks: that take part.
        lying, honest: how many units of either sort.
        curve: share of honest units that score at least t, then that of manipulated ones.
        together: of all checks.
        checks: by name of the check's own score; those that say anything of either sort.
    """

    kind: str
    networks: tuple[str, ...]
    lying: int
    honest: int
    curve: tuple[tuple[float, float], ...]
    together: Area
    checks: dict[str, Area]

    @property
    def counts(self) -> str:
        """How many units of how many networks, in words."""
        honest = count(self.honest, "honest one")
        return f"{count(self.lying, 'manipulated unit')}, {honest}, {count(len(self.networks), 'network')}"

    @property
    def best(self) -> frozenset[str]:
        """The checks of the largest area; several where they tie, none where no check says more than chance."""
        most = max((one.area for one in self.checks.values()), default=0.0)
        return frozenset(name for name, one in self.checks.items() if one.area == most > 0.5)


@dataclass(frozen=True)
class Panel:
    """A small chart with its words."""

    title: str
    chart: Markup
    area: Area
    counts: str


@dataclass(frozen=True)
class Line:
    """A row of the table of areas: a column of the matrix, all checks together, then an entry for each check."""

    title: str
    together: Area
    areas: tuple[tuple[Area | None, bool], ...]


def panels(separations: Sequence[Separation], titles: Mapping[str, str]) -> list[Panel]:
    """A curve for each column.

    Args:
        separations: of the columns.
        titles: by kind what a column is called; its kind where it is not named.
    """
    found = []
    for one in separations:
        title = titles.get(one.kind, one.kind)
        found.append(Panel(title, chart(one, title), one.together, one.counts))
    return found


def named(separations: Sequence[Separation], shorts: Mapping[str, str]) -> dict[str, str]:
    """The checks that say anything of a column, in the order in which they are made, those of no known name last.

    Args:
        separations: of the columns.
        shorts: by check what it is called.
    """
    said = {check for one in separations for check in one.checks}
    return {check: shorts.get(check, check) for check in (*shorts, *sorted(said - set(shorts))) if check in said}


def lines(separations: Sequence[Separation], titles: Mapping[str, str], checks: Sequence[str]) -> list[Line]:
    """The table of areas, columns of the matrix down and checks across; the largest of each row are marked.

    Args:
        separations: of the columns.
        titles: by kind what a column is called.
        checks: in the order of the table.
    """
    return [
        Line(titles.get(s.kind, s.kind), s.together, tuple((s.checks.get(c), c in s.best) for c in checks))
        for s in separations
    ]


def chart(one: Separation, title: str) -> Markup:
    """The curve in its square: honest units to the right, manipulated ones up, chance as the diagonal.

    Args:
        one: a column.
        title: what it is called.
    """
    corners = [at(x, y) for x, y in ((0, 0), (0, 1), (1, 1), (1, 0))]
    items = [svg.area([*map(_point, one.curve), at(1, 0)], "under"), svg.area(corners, "edge")]
    items.append(svg.line([at(0, 0), at(1, 1)], "chance"))
    items.append(svg.line([*map(_point, one.curve)], "line"))
    for share, word in ((0.0, "0"), (0.5, "half"), (1.0, "all")):
        (x, bottom), (left, y) = at(share, 0), at(0, share)
        items += [
            svg.line([(x, bottom), (x, bottom + 4)], "notch"),
            svg.line([(left - 4, y), (left, y)], "notch"),
            svg.text((x, bottom + 18), word, "tick", "end" if share == 1 else "middle"),
            svg.text((left - 8, y + 4), word, "tick", "end"),
        ]
    x, y = at(0.5, 0)
    items.append(svg.text((x, y + 36), "of the honest units", "of-honest", "middle"))
    items.append(svg.text((LEFT, ABOVE - 8), "of the manipulated units", "of-lying"))
    told = f"{title}: area under the curve {one.together.figure}, {one.counts}"
    return svg.picture((LEFT + SIDE + EDGE, ABOVE + SIDE + BELOW), told, items, "roc")


def at(honest: svg.Number, lying: svg.Number) -> svg.Point:
    """Where two shares lie in the drawing."""
    return LEFT + SIDE * honest, ABOVE + SIDE * (1 - lying)


def _point(shares: tuple[float, float]) -> svg.Point:
    return at(*shares)


def _figure(value: float) -> str:
    """Two decimals, and one more where two would say 1 of less or 0 of more."""
    if value in (0, 1) or 0.005 <= value < 0.995:
        return fixed(value)
    near = min(max(value, 0.001), 0.999)
    return f"{near:.3f}"
