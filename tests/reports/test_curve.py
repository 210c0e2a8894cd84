"""The layer curve and its plane: values stand where they belong, gaps stay gaps, labels stay apart."""

import copy
import itertools
import re
import xml.etree.ElementTree as ET
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.record import PathEvidence
from snellen.reports import curve, panels
from snellen.reports.frame import Frame, apart, limits, runs


@pytest.fixture
def evidence(records: ModuleType) -> dict[str, Any]:
    return records.finding("classes", np.random.default_rng(0))["evidence"]


def typed(evidence: dict[str, Any]) -> PathEvidence:
    return msgspec.convert(evidence, PathEvidence)


def wide(evidence: dict[str, Any]) -> str:
    return curve.wide(typed(evidence))


def tall(evidence: dict[str, Any]) -> str:
    return curve.tall(typed(evidence))


def small(evidence: dict[str, Any]) -> str:
    return curve.small(typed(evidence))


def cut(evidence: dict[str, Any], most: tuple[float, float] = curve.MOST) -> bool:
    return curve.cut(typed(evidence), most)


def dots(markup: str, css: str) -> list[tuple[float, float]]:
    group = next(g for g in ET.fromstring(markup).iter("g") if g.get("class") == css and g.find("circle") is not None)
    return [(float(c.get("cx", "nan")), float(c.get("cy", "nan"))) for c in group.iter("circle")]


def words(markup: str) -> list[str]:
    return [t.text or "" for t in ET.fromstring(markup).iter("text")]


def test_wide_values_stand_at_their_layer_and_height(evidence: dict[str, Any]) -> None:
    found = dots(wide(evidence), "spearman")
    values = evidence["curves"]["spearman"]["s"]
    assert len(found) == len(values)
    assert np.diff([x for x, _ in found]) == pytest.approx(
        np.full(len(values) - 1, found[1][0] - found[0][0]), abs=0.11
    )
    slope, _ = np.polyfit(values, [y for _, y in found], 1)
    assert slope < 0
    assert np.corrcoef(values, [y for _, y in found])[0, 1] == pytest.approx(-1, abs=1e-4)


def test_tall_is_the_same_curve_turned(evidence: dict[str, Any]) -> None:
    found = dots(tall(evidence), "spearman")
    values = evidence["curves"]["spearman"]["s"]
    assert [y for _, y in found] == sorted(y for _, y in found)
    assert np.corrcoef(values, [x for x, _ in found])[0, 1] == pytest.approx(1, abs=1e-4)


def test_baselines_are_in_words(evidence: dict[str, Any]) -> None:
    assert "0: like photographs of other classes" in words(wide(evidence))
    assert "1: like photographs of their own class" in words(wide(evidence))
    inner = evidence | {"group": "conv1 units"}
    assert "1: like photographs that excite the unit" in words(wide(inner))


def test_words_at_the_baselines_stand_off_the_curves(evidence: dict[str, Any]) -> None:
    count = len(evidence["layers"])
    for start, end in ((0.08, 0.9), (0.9, 0.08), (-0.1, 1.1), (1.08, 0.5)):
        for metric in evidence["curves"].values():
            metric["s"] = [start] * (count // 2) + [end] * (count - count // 2)
        markup = wide(evidence)
        xs, ys = np.array(dots(markup, "spearman")).T
        labels = [t for t in ET.fromstring(markup).iter("text") if t.get("class") == "reference-label"]
        assert len(labels) == 2
        for label in labels:
            x, y, width = float(label.get("x", "")), float(label.get("y", "")), 6.5 * len(label.text or "")
            left = x if label.get("text-anchor") == "start" else x - width
            grid = np.linspace(left, left + width, 60)
            line = np.interp(grid, xs, ys)
            assert not ((line > y - 11) & (line < y + 2)).any(), label.text


def test_trusted_layers_are_named_and_shaded(evidence: dict[str, Any]) -> None:
    assert 'class="trusted"' in wide(evidence)
    assert any("inception_5a on" in w for w in words(wide(evidence)))
    assert 'class="trusted"' not in wide(evidence | {"trusted_from": None})


def test_a_layer_without_a_value_is_a_gap(evidence: dict[str, Any]) -> None:
    gap = copy.deepcopy(evidence)
    for end in ("s", "lo", "hi"):
        gap["curves"]["spearman"][end][3] = None
    assert len(dots(wide(gap), "spearman")) == len(evidence["layers"]) - 1
    assert "inception_3b unknown" in wide(gap)
    assert len(re.findall('class="line"', wide(gap))) == len(re.findall('class="line"', wide(evidence))) + 1


@pytest.mark.parametrize("draw", [wide, tall, small])
@pytest.mark.parametrize("count", [1, 2, 70])
def test_any_number_of_layers(evidence: dict[str, Any], draw: Any, count: int) -> None:
    names = [f"a.very.long.backbone.name.layer{i}" for i in range(count)]
    series = [float(x) for x in np.linspace(-1e4, 1e4, count)]
    curves = {"spearman": {end: series for end in ("s", "lo", "hi")}}
    node = ET.fromstring(
        draw(evidence | {"layers": names, "curves": curves, "ceiling": {}, "raw": {}, "trusted_from": names[-1]})
    )
    width, height = (float(n) for n in node.get("viewBox", "").split()[2:])
    for circle in node.iter("circle"):
        assert 0 <= float(circle.get("cx", "nan")) <= width
        assert 0 <= float(circle.get("cy", "nan")) <= height


def test_raw_panels_share_their_scale(evidence: dict[str, Any]) -> None:
    shown = panels.raw(typed(evidence))
    assert [title for title, _ in shown] == ["Spearman", "Pearson", "Cosine"]
    same = {tuple(dots(chart, "raw-same")) for _, chart in shown}
    assert len(same) == 1  # the made-up baselines are equal, so they must be drawn equal


def test_a_history_of_fewer_than_two_values_is_no_chart() -> None:
    assert panels.history([0, 1], [1.0, None]) is None
    assert panels.history([], []) is None
    chart = panels.history([0, 50, 99], [0.0, 1.0, 2.0])
    assert chart is not None
    assert "over 100 steps: from 0 to 2.00" in chart


def test_names_in_charts_are_escaped(evidence: dict[str, Any]) -> None:
    names = ['<script>"&', *evidence["layers"][1:]]
    for draw in (wide, tall, small):
        assert "<script>" not in draw(evidence | {"layers": names, "group": "<script> units"})


@given(st.lists(st.floats(0, 400), min_size=1, max_size=6))
def test_labels_are_moved_apart_in_order(places: list[float]) -> None:
    moved = apart(places, 17.0)
    order = sorted(range(len(places)), key=lambda i: places[i])
    assert all(moved[b] - moved[a] >= 17.0 - 1e-6 for a, b in itertools.pairwise(order))
    assert sum(moved) == pytest.approx(sum(places), abs=1e-6)


def test_labels_that_are_apart_stay() -> None:
    assert apart([10.0, 100.0, 50.0], 17.0) == pytest.approx([10.0, 100.0, 50.0])


def test_limits_hold_the_series_up_to_their_own() -> None:
    assert limits([[0.11, None, 1.42]], include=(0.0, 1.0), most=(-2.0, 3.0)) == (-0.1, 1.5)
    assert limits([[-9.0, 9.0]], include=(0.0, 1.0), most=(-2.0, 3.0)) == (-2.0, 3.0)


def test_runs() -> None:
    assert runs([1.0, 2.0, None, 3.0]) == [[0, 1], [3]]
    assert runs([None]) == []


def test_a_frame_keeps_values_beyond_its_limits_at_the_edge() -> None:
    frame = Frame((100.0, 100.0), (10.0, 10.0, 10.0, 10.0), (0.0, 1.0), 3)
    assert frame.at(0, 5.0) == (10.0, 10.0)
    assert frame.at(2, -5.0) == (90.0, 90.0)
    assert frame.at(1, 0.5) == (50.0, 50.0)


@pytest.mark.parametrize("draw", [wide, tall, small])
def test_values_beyond_the_chart_are_marked_as_such(evidence: dict[str, Any], draw: Any) -> None:
    assert cut(evidence, curve.SMALL), "a value of -1.2"
    evidence["curves"] = {m: c | {"s": [max(v, -0.9) for v in c["s"]]} for m, c in evidence["curves"].items()}
    assert not cut(evidence)
    assert not cut(evidence, curve.SMALL)
    assert 'class="beyond"' not in draw(evidence)
    far = copy.deepcopy(evidence)
    far["curves"]["spearman"]["s"][2] = -9.5
    assert cut(far)
    assert draw(far).count('class="beyond"') == 1
    assert len(dots(draw(far), "spearman")) == len(evidence["layers"]) - 1
    assert "inception_3a −9.50" in draw(far)
