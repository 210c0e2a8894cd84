import hashlib
import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.base import Seed, UsageError, canonical, key, nearest

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@dataclass(frozen=True)
class Point:
    x: float
    y: tuple[int, ...] = (1, 2)


@given(PLAIN)
def test_canonical_is_json_of_the_same_value(value):
    assert json.loads(canonical(value)) == value


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_order_of_keys_does_not_matter(value):
    assert key(value) == key(dict(reversed(value.items())))


def test_dataclasses_carry_their_name_and_fields():
    assert json.loads(canonical(Point(0.5))) == {"type": "Point", "x": 0.5, "y": [1, 2]}
    assert key(Point(0.5)) != key(Point(0.25))


def test_key_is_the_head_of_sha256():
    assert key([1]) == hashlib.sha256(b"[1]").hexdigest()[:32]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), [float("-inf")]])
def test_numbers_without_a_value_have_no_spec(bad):
    with pytest.raises(ValueError, match="finite"):
        canonical(bad)


@pytest.mark.parametrize("bad", [object(), {1: 2}, {"a": {1, 2}}, b"bytes", Point])
def test_only_plain_data_is_a_spec(bad):
    with pytest.raises(TypeError):
        canonical(bad)


def test_forks_are_stable_and_told_apart_by_path_and_type():
    assert Seed(0).fork("unit", 17) == Seed(0).fork("unit", 17)
    different = [Seed(0), Seed(1), *(Seed(0).fork(*n) for n in [("a", 1), ("a1",), ("a", "1"), ("a",), (1, "a")])]
    assert len({seed.value for seed in different}) == len(different)
    assert Seed(0).fork("unit", 17).value == 8580305754450106678  # the same on every machine


@given(st.integers(0, 2**63 - 1), st.text())
def test_forks_stay_in_range(value, name):
    assert 0 <= Seed(value).fork(name).value < 2**63


@pytest.mark.parametrize("bad", [-1, 2**63])
def test_seeds_out_of_range_are_refused(bad):
    with pytest.raises(UsageError, match="seed"):
        Seed(bad)


def test_nearest_offers_what_is_near_and_nothing_else():
    names = ["conv1", "inception_4c", "inception_4d", "classifier"]
    assert nearest("inception4c", names).startswith('did you mean "inception_4c"')
    assert "classifier" in nearest("class", names)
    assert nearest("zzz", names) == "" == nearest("", names)


def test_a_persons_words_are_quoted_on_one_line():
    from snellen.base import brief

    assert brief("a\nb\x1b[2J\ud800") == r"a\nb\x1b[2J\ud800"
    assert brief("x" * 200) == "x" * 120 + "..."


def test_a_message_is_one_line_whoever_it_quotes():
    assert (
        str(UsageError('expected a canvas, got "\n\x1b[31m\ud800"')) == 'expected a canvas, got "\\n\\x1b[31m\\ud800"'
    )
    assert str(UsageError("expected größer ≥ 3 “a”")) == "expected größer ≥ 3 “a”"
