"""Findings are plain finite data of one sentence, and survive a round trip through JSON."""

import json

import pytest

from snellen.base import UsageError
from snellen.checks.finding import Finding, number
from snellen.checks.paths.groups import Group, Grouping, by_class, by_unit


def test_a_finding_survives_json():
    finding = Finding("a", "b", "It is 3.", "consistent", 3.0, (2.0, 4.0), {"x": [1.0, None]})
    assert Finding.from_data(json.loads(json.dumps(finding.as_data()))) == finding
    bare = Finding("a", "b", "c", "unknown")
    assert Finding.from_data(json.loads(json.dumps(bare.as_data()))) == bare
    assert list(bare.as_data()) == ["check", "title", "claim", "verdict", "figure", "interval", "evidence", "asks"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"claim": "two\nlines"}, "one line"),
        ({"claim": " "}, "one line"),
        ({"evidence": {"x": float("nan")}}, "finite"),
        ({"evidence": {"x": [float("inf")]}}, "finite"),
        ({"evidence": {"x": object()}}, "plain"),
        ({"figure": float("nan")}, "finite"),
    ],
)
def test_a_finding_that_no_record_can_hold_is_refused(change, told):
    with pytest.raises(UsageError, match=told):
        Finding(**{"check": "a", "title": "b", "claim": "c", "verdict": "unknown", **change})


def test_numbers_for_evidence_are_short_and_finite():
    assert number(1 / 3) == 0.333333
    assert number(float("nan")) is None
    assert number(float("-inf")) is None
    assert number(-123456789.0) == -123457000.0


def test_classes_take_their_images_and_pictures():
    grouping = by_class([4, 7, 4, 7, 9], [7, 5, 7])
    assert grouping.groups == (Group((0, 2)), Group((), (6,)), Group((1, 3), (5, 7)), Group((4,)))
    assert grouping.targets == (Group((1, 3), (5, 7)),)
    assert grouping.others == (Group((0, 2)), Group((4,)))


def test_units_take_their_top_images_and_pictures():
    grouping = by_unit("conv1", [[3, 1], [1, 2]], [[10], [11, 12]])
    assert grouping.name == "conv1 units"
    assert grouping.groups == (Group((3, 1), (10,)), Group((1, 2), (11, 12)))
    with pytest.raises(UsageError, match="same units"):
        by_unit("conv1", [[3, 1]], [])


@pytest.mark.parametrize("group", [Group((1, 1), (5,)), Group((1, 2), (3,))])
def test_images_repeated_or_mixed_up_with_pictures_are_refused(group):
    with pytest.raises(UsageError):
        Grouping("classes", (group, Group((3, 4))))


def test_two_units_of_the_same_images_and_pictures_are_both_examined():
    twin = Group((0, 1), (5,))
    assert len(Grouping("a units", (twin, twin, Group((2, 3)))).targets) == 2
    assert Grouping("a units", (twin, Group((0, 1)))).others == (Group((0, 1)),)
