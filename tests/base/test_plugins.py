"""Parts of other packages: found by entry points, imported only when used, refused in one line where they are bad."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from snellen.base import DependencyError, UsageError
from snellen.base.plugins import Group, Part

NUMBERS = {"one": "tests_numbers:ONE"}


@pytest.fixture
def package(install: Callable[..., Path]) -> Callable[..., None]:
    """Install a package of one module with entry points of the group "snellen.numbers"."""

    def made(name: str, code: str, **points: str) -> None:
        lines = [f"{key} = {value}" for key, value in points.items()]
        install(name, "2.0", {f"{name}.py": code}, "[snellen.numbers]\n" + "\n".join(lines) + "\n")

    install("tests-numbers", "1", {"tests_numbers.py": "ONE = 1\n"}, "")
    return made


def group() -> Group[int]:
    return Group("snellen.numbers", "number", int, NUMBERS)


def test_the_house_comes_first_then_others_by_name(package):
    package("herd", "B = 3\nA = 2\n", b="herd:B", a="herd:A")
    assert list(group().parts.values()) == [
        Part("one", "tests_numbers:ONE"),
        Part("a", "herd:A", "herd 2.0"),
        Part("b", "herd:B", "herd 2.0"),
    ]
    assert group().all() == {"one": 1, "a": 2, "b": 3}


def test_nothing_is_imported_before_it_is_used(package):
    package("sleepy", "raise RuntimeError('no\\nway')", x="sleepy:X")
    found = group()
    assert list(found.parts) == ["one", "x"]
    assert found.load("one") == 1
    assert "sleepy" not in sys.modules
    with pytest.raises(DependencyError, match=r'the number "x" of sleepy 2.0, got RuntimeError: no\\nway'):
        found.load("x")


@pytest.mark.parametrize(
    ("code", "point", "told"),
    [
        ("X = 'two'", "bad:X", "expected a int as number"),
        ("", "bad:X", "AttributeError"),
        ("X = 2", "missing:X", "ModuleNotFoundError"),
    ],
)
def test_what_is_no_such_part_is_one_line(package, code, point, told):
    package("bad", code, x=point)
    with pytest.raises((UsageError, DependencyError), match=told):
        group().load("x")


def test_names_are_taken_once(package):
    package("thief", "X = 1", one="thief:X")
    with pytest.raises(UsageError, match=r'one number called "one", got those of snellen and thief 2\.0'):
        group().load("one")


def test_a_part_is_called_what_it_calls_itself(package):
    package("masks", "class X(int):\n    name = 'y'\n", x="masks:X")
    with pytest.raises(UsageError, match='to be called so, got "y"'):
        Group("snellen.numbers", "number", int, {}, classes=True).load("x")


def test_an_unknown_name_is_told_with_those_that_there_are(package):
    with pytest.raises(UsageError, match=r'one of one as number, got "onne"; did you mean "one"'):
        group().load("onne")


def test_classes_are_asked_for_as_classes(package):
    package("kinds", "class Big(int): pass", big="kinds:Big")
    found = Group("snellen.numbers", "number", int, {}, classes=True)
    assert issubclass(found.load("big"), int)
