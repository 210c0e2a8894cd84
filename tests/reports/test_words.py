"""Numbers and counts in sentences."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.reports import words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (35.2, "35.2"),
        (0.7, "0.700"),
        (-0.03124, "−0.0312"),
        (1240.4, "1,240"),
        (0.0, "0"),
        (-0.0, "0"),
        (3.14e-6, "3.1×10⁻⁶"),
        (-2.5e12, "−2.5×10¹²"),
        (None, "unknown"),
        (math.inf, "unknown"),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert words.number(value) == text


@given(st.floats(min_value=1e-3, max_value=999_000))
def test_numbers_are_near_what_they_stand_for(value: float) -> None:
    read = float(words.number(value).replace(",", ""))
    assert read == pytest.approx(value, rel=0.006)
    assert words.number(-value) == "−" + words.number(value)


@pytest.mark.parametrize(("value", "text"), [(6.04, "6"), (2.23, "2.2"), (0.7, "0.7"), (13.8, "14"), (1402.0, "1,402")])
def test_rough_numbers(value: float, text: str) -> None:
    assert words.rough(value) == text


def test_counts() -> None:
    assert words.count(1, "layer") == "1 layer"
    assert words.count(0, "class", "classes") == "0 classes"
    assert words.count(1000, "unit") == "1,000 units"


def test_listings() -> None:
    assert words.listing([]) == "none"
    assert words.listing(["a"]) == "a"
    assert words.listing(["a", "b", "c"]) == "a, b and c"
    assert words.listing(list("abcdefghij")) == "a, b, c and 7 more"


def test_dates() -> None:
    assert words.date("2026-07-27T09:30:12+00:00") == "27 July 2026"
    assert words.date("<b>") == "<b>"


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_the_median_has_as_many_on_either_side(values: list[float]) -> None:
    middle = words.middle(values)
    assert sum(v <= middle for v in values) * 2 >= len(values)
    assert sum(v >= middle for v in values) * 2 >= len(values)


@given(st.text(min_size=1, max_size=60), st.integers(4, 30))
def test_short_texts_keep_both_ends(text: str, most: int) -> None:
    shown = words.short(text, most)
    assert len(shown) <= most
    assert shown[0] == text[0]
    assert shown[-1] == text[-1]
