"""The response strip: marks stand where their responses are, words stay inside, all is said in words too."""

import re
import xml.etree.ElementTree as ET

import pytest

from snellen.reports.strip import LEFT, RIGHT, WIDTH, Mark, strip

EVEN = [i / 10 for i in range(101)]  # natural responses from 0 to 10


def drawing(marks: list[Mark], own: float | None = None, quantiles: list[float] = EVEN) -> ET.Element:
    return ET.fromstring(strip(quantiles, marks, own))


def xs(node: ET.Element, css: str) -> list[float]:
    """The horizontal middle of every path of a class."""
    found = []
    for item in node.iter("path"):
        if item.get("class") == css:
            numbers = [float(n) for n in re.findall(r"-?[\d.]+", item.get("d", ""))]
            found.append((min(numbers[::2]) + max(numbers[::2])) / 2)
    return found


def test_marks_stand_where_their_responses_are() -> None:
    node = drawing([Mark("max", 20.0), Mark("min", -10.0)], own=5.0)
    at = [LEFT + (RIGHT - LEFT) * (r + 10) / 30 for r in (20.0, -10.0, 5.0)]
    assert xs(node, "mark") == pytest.approx(at, abs=0.11)
    assert xs(node, "range") == pytest.approx([LEFT + (RIGHT - LEFT) * 15 / 30], abs=0.11)


def test_far_pictures_break_the_axis_visibly() -> None:
    assert len(xs(drawing([Mark("max", 20.0)]), "gap")) == 0
    assert len(xs(drawing([Mark("max", 60.0)]), "gap")) == 1
    assert len(xs(drawing([Mark("max", 60.0), Mark("min", -60.0)]), "gap")) == 2


@pytest.mark.parametrize("far", [11.0, 60.0, 12345678.0])
def test_words_stay_inside(far: float) -> None:
    for text in drawing([Mark("max", far), Mark("min", -far)], own=9.0).iter("text"):
        half = 3.2 * len(text.text or "")
        assert half - 1 <= float(text.get("x", "nan")) <= WIDTH - half + 1


def test_the_density_is_highest_where_most_photographs_are() -> None:
    skewed = [0.0] * 60 + [i * 0.25 for i in range(41)]
    path = next(p for p in drawing([], quantiles=skewed).iter("path") if p.get("class") == "density")
    points = [tuple(map(float, pair.split())) for pair in re.findall(r"-?[\d.]+ -?[\d.]+", path.get("d", ""))]
    assert min(points, key=lambda p: p[1])[0] == pytest.approx(LEFT, abs=2)


def test_a_unit_with_one_natural_response_has_a_strip() -> None:
    assert drawing([Mark("max", 3.0)], quantiles=[0.0] * 101).get("role") == "img"


def test_it_says_in_words_what_it_shows() -> None:
    assert drawing([Mark("max", 60.0)], own=5.0).get("aria-label") == (
        "Responses on one axis: photographs from 0 to 10.0, median 5.00, max picture 60.0, mean of its own class 5.00."
    )
