"""How well scores separate: areas by a slow double loop, curves from corner to corner, the right units either side."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.base import Seed
from snellen.matrices.separation import area, curve, separations
from snellen.measures import auc

SCORES = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.5, 7.0]), min_size=1, max_size=12).map(np.array)


def cell(case, kind, *scores, status="done", share=0.5):
    rows = [{"unit": f"8:{i}", "share": share, "scores": of} for i, of in enumerate(scores)]
    return {"case": case, "kind": kind, "status": status, "rows": rows}


def slow_area(own, others):
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in own for b in others]
    return sum(pairs) / len(pairs)


@given(SCORES, SCORES)
def test_areas_are_those_of_a_double_loop_and_of_the_curve(own, others):
    told = area(own, others, Seed(0))
    assert told["area"] == pytest.approx(slow_area(own, others), abs=1e-4)
    points = curve(own, others)
    under = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(points))
    assert under == pytest.approx(slow_area(own, others), abs=1e-9)


@given(SCORES, SCORES)
def test_curves_go_up_from_corner_to_corner(own, others):
    points = curve(own, others)
    assert points[0].tolist() == [0.0, 0.0]
    assert points[-1].tolist() == [1.0, 1.0]
    assert (np.diff(points, axis=0) >= 0).all()
    assert (np.diff(points, axis=0).sum(1) > 0).all()
    for x, y in points[1:]:
        levels = [t for t in {*own, *others} if np.mean(others >= t) == x and np.mean(own >= t) == y]
        assert levels, "every corner is some score's"


def test_intervals_hold_what_resampled_units_give():
    stream = np.random.default_rng(0)
    own, others = stream.normal(1, 1, 30).round(1), stream.normal(0, 1, 40).round(1)
    told = area(own, others, Seed(0))
    drawn = [auc(stream.choice(own, 30), stream.choice(others, 40)) for _ in range(6000)]
    assert told["low"] == pytest.approx(np.quantile(drawn, 0.025), abs=0.02)
    assert told["high"] == pytest.approx(np.quantile(drawn, 0.975), abs=0.02)
    assert told["low"] < told["area"] < told["high"]
    few = area(np.sort(own)[2::5], np.sort(others)[2::5], Seed(0))
    assert few["high"] - few["low"] > 1.5 * (told["high"] - told["low"])


def test_a_column_is_compared_with_honest_units_of_its_networks_alone():
    cells = [
        cell("a", "honest", {"jumps": 1.0}, {}),
        cell("a", "silent", {"jumps": 2.0}, {"jumps": 1.0, "siblings": 3.0}),
        cell("b", "honest", {"jumps": 9.0}, {"decoding": 9.0}, {}),
        cell("b", "silent", {"jumps": 8.0}, status="open"),
        cell("c", "silent", {"jumps": 8.0}),
        cell("b", "soft", {"jumps": 9.5}),
    ]
    silent, soft = separations(cells)
    assert (silent["kind"], silent["networks"], silent["lying"], silent["honest"]) == ("silent", ["a"], 2, 2)
    assert silent["together"]["area"] == 1.0
    assert {check: of["area"] for check, of in silent["checks"].items()} == {"jumps": 0.875, "siblings": 0.75}
    assert silent["curve"] == [[0, 0], [0, 0.5], [0, 1], [0.5, 1], [1, 1]]
    assert (soft["networks"], soft["honest"]) == (["b"], 3)
    assert soft["checks"]["decoding"]["area"] == pytest.approx(1 / 3, abs=1e-4), "a half for each tie at nothing said"


def test_all_checks_together_are_exact_sums_in_any_order():
    parts = {"a": 0.1, "b": 0.2, "c": 0.3}
    assert sum(parts.values()) != sum(reversed(parts.values())), "else this shows nothing"
    told = separations([cell("a", "honest", dict(reversed(parts.items()))), cell("a", "silent", parts)])
    assert told[0]["together"]["area"] == 0.5
    assert math.isclose(told[0]["curve"][-1][0], 1)


@pytest.mark.parametrize("older", ["honest", "silent"])
def test_cells_without_scores_take_no_part(older):
    cells = [cell("a", kind, {"jumps": 1.0}, share=None if kind == older else 0.5) for kind in ("honest", "silent")]
    assert separations(cells) == []
    for one in cells:
        for row in one["rows"]:
            row.pop("share")
            row.pop("scores")
    assert separations(cells) == []
    assert separations([{"case": "a", "kind": "honest", "status": "open"}]) == []
