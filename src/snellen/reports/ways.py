"""Ways from a photograph to a picture: the response on the way, and the jump on it."""

from collections.abc import Sequence

from markupsafe import Markup

from snellen.record import Row
from snellen.reports import svg
from snellen.reports.words import number

SIZE, LEFT, RIGHT, TOP, BOTTOM = (360.0, 176.0), 12.0, 348.0, 14.0, 138.0


def way(row: Row, *, jumps: bool) -> Markup:
    """The chart of one unit's most telling way.

    Args:
        row: the unit's row of the jumps finding: `coarse` (responses at even places), `place`, `figure`.
        jumps: whether the row counts as a jump, to be marked.
    """
    responses = row.coarse
    low, high = min(responses), max(responses)
    points = [_point(i / (len(responses) - 1), v, (low, high)) for i, v in enumerate(responses)]
    items = [svg.line([(LEFT, BOTTOM + 6), (RIGHT, BOTTOM + 6)], "axis")]
    if jumps:
        items += _jump(points, row.place or 0.0, row.figure or 0.0)
    else:
        items.append(svg.line(points, "line"))
    items += [svg.element("circle", {"cx": x, "cy": y, "r": 3}) for x, y in points]
    items.append(svg.text((LEFT, BOTTOM + 24), f"photograph {number(responses[0])}", "natural-label"))
    items.append(svg.text((RIGHT, BOTTOM + 24), f"picture {number(responses[-1])}", "picture-label", "end"))
    return svg.picture(SIZE, _name(row, responses, jumps=jumps), items, "walk")


def _point(along: float, response: float, limits: tuple[float, float]) -> svg.Point:
    low, high = limits
    up = (response - low) / ((high - low) or 1.0)
    return LEFT + (RIGHT - LEFT) * along, BOTTOM - (BOTTOM - TOP) * up


def _jump(points: Sequence[svg.Point], place: float, share: float) -> list[Markup]:
    """The line in two parts, and the step between them where the search found it."""
    x = LEFT + (RIGHT - LEFT) * place
    before = [p for p in points if p[0] <= x] or [points[0]]
    after = [p for p in points if p[0] > x] or [points[-1]]
    step = [(x, before[-1][1]), (x, after[0][1])]
    words = f"{100 * min(share, 1):.0f}% at one point"
    anchor, inside = ("end", x - 8) if place > 0.5 else ("start", x + 8)
    return [
        svg.line([*before, step[0]], "line"),
        svg.line([step[1], *after], "line"),
        svg.line(step, "jump"),
        svg.text((inside, (step[0][1] + step[1][1]) / 2 + 4), words, "jump-label", anchor),
    ]


def _name(row: Row, responses: Sequence[float], *, jumps: bool) -> str:
    told = f"Line chart of the response of {row.unit} on the way from a photograph ({number(responses[0])}) to its "
    told += f"picture ({number(responses[-1])})"
    return f"{told}, with a jump {100 * (row.place or 0.0):.0f}% of the way." if jumps else f"{told}, without a jump."
