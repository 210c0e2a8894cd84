"""The axis of a response strip: increasing, holds everything, and the natural range keeps room."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.reports.axis import BREAK, WIDEST, axis

NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False)


@given(NUMBERS, st.floats(0.01, 1e4), st.lists(NUMBERS, max_size=4), st.lists(NUMBERS, min_size=2, max_size=8))
def test_it_is_increasing_and_holds_everything(
    low: float, span: float, marks: list[float], probes: list[float]
) -> None:
    scale = axis((low, low + span), marks)
    places = [scale(p) for p in sorted([low, low + span, *marks, *probes])]
    assert places == sorted(places)
    assert 0 <= places[0] <= places[-1] <= 1
    assert scale(min([low, *marks])) == pytest.approx(0)
    assert scale(max([low + span, *marks])) == pytest.approx(1)


@given(st.lists(st.floats(-1e9, 1e9), max_size=3))
def test_the_natural_range_never_becomes_a_sliver(marks: list[float]) -> None:
    scale = axis((0.0, 1.0), marks)
    assert scale(1.0) - scale(0.0) >= min(1 / (1 + 2 * WIDEST), (1 - BREAK) / (1 + WIDEST), 1 - 2 * BREAK) - 1e-9


def test_near_marks_leave_the_axis_whole_and_linear() -> None:
    scale = axis((0.0, 10.0), [20.0, -10.0])
    assert scale.broken == ()
    assert [scale(r) for r in (-10.0, 0.0, 5.0, 20.0)] == pytest.approx([0, 1 / 3, 0.5, 1])


def test_a_far_mark_breaks_its_own_side_only() -> None:
    scale = axis((0.0, 10.0), [500.0, -5.0])
    assert scale.broken == (1 - BREAK,)
    assert scale(10.0) == pytest.approx(1 - BREAK)
    assert scale(-5.0) == 0
    assert scale(500.0) == 1
    assert scale(255.0) == pytest.approx(1 - BREAK / 2)


@pytest.mark.parametrize("value", [0.0, -3.0, 7.5])
def test_equal_natural_responses_still_have_an_axis(value: float) -> None:
    assert axis((value, value), [])(value) == pytest.approx(0.5)
    assert axis((value, value), [value + 1e6])(value) < axis((value, value), [value + 1e6])(value + 1e6)
