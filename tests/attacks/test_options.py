"""Options of attacks: what is set by name, from a command line or from Python."""

from dataclasses import dataclass

import pytest

from snellen.attacks import option
from snellen.attacks.options import options_of, read_options
from snellen.base import UsageError
from snellen.base.shape import Number, OneOf, Text, Whole


@dataclass(frozen=True)
class Some:
    unset: int = 3
    share: float = option(0.5, "part", Number(0.0, 1.0))
    count: int = option(2, "how many", Whole(1, 9))
    how: str = option("a", "which", OneOf(("a", "b")))
    name: str = option("x", "called", Text(3))


def read(**given):
    return read_options(Some, given, method="some", beside=["units", "steps"])


def test_only_what_is_declared_is_an_option():
    assert {o.name: (o.default, o.help, o.words) for o in options_of(Some).values()} == {
        "share": (0.5, "part", "a number"),
        "count": (2, "how many", "a whole number"),
        "how": ("a", "which", "a|b"),
        "name": ("x", "called", "a text"),
    }


def test_text_of_a_command_line_and_values_of_python_are_the_same():
    assert read(share="0.25", count="7", how="b", name="y") == read(share=0.25, count=7, how="b", name="y")
    assert read() == {}
    assert Some(**read(count="7")) == Some(count=7)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"share": "nan"}, r"expected share to be a number in \[0, 1\], got nan"),
        ({"share": 2}, r"expected share to be a number in \[0, 1\], got 2"),
        ({"share": None}, "got null"),
        ({"share": "half"}, 'expected a number for share, got "half"'),
        ({"count": "1.5"}, 'expected a whole number for count, got "1.5"'),
        ({"count": True}, "to be a whole number"),
        ({"how": "c"}, 'expected the how "a" or "b", got "c"'),
        ({"name": "long"}, "at most 3 characters"),
        ({"unset": 3}, r'of "some" \(share, count, how, name\), got "unset"'),
        ({"unit": 3}, r'got "unit"; did you mean "units"'),
    ],
)
def test_what_makes_no_sense_is_one_line(given, told):
    with pytest.raises(UsageError, match=told) as caught:
        read(**given)
    assert "\n" not in str(caught.value)
