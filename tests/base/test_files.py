"""Foreign files: regular ones, bounded, inside their folder, and JSON of a known shape."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.base.files import home, open_regular, parse_json, read_file, read_json
from snellen.base.shape import (
    DEEPEST,
    LARGEST,
    Each,
    Exactly,
    Kinds,
    Maybe,
    Named,
    Number,
    OneOf,
    Option,
    ShapeError,
    Text,
    Whole,
    match,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run" / "in").mkdir(parents=True)
    (tmp_path / "run" / "in" / "file").write_bytes(b"inside")
    (tmp_path / "secret").write_bytes(b"outside")
    return tmp_path / "run"


def refused(path: Path, told: str, **options: Any) -> None:
    with pytest.raises(OSError, match=told):
        read_file(path, **options)


def test_a_regular_file_is_read_whole(folder: Path) -> None:
    assert read_file(folder / "in" / "file") == read_file(folder / "in" / "file", within=folder) == b"inside"


def test_nothing_but_a_regular_file_is_opened(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(folder)  # names of sockets are short
        listening.bind("socket")
        os.chdir(here)
        for name in ("pipe", "socket", "in", "none", "/dev/zero"):
            with pytest.raises(OSError, match=r"."):
                open_regular(folder / name)
            if name[0] != "/":
                with pytest.raises(OSError, match=r"."):
                    open_regular(folder / name, within=folder)


def test_links_are_followed_only_where_no_folder_binds(folder: Path) -> None:
    (folder / "link").symlink_to(folder.parent / "secret")
    (folder / "inner").symlink_to("in")
    (folder / "loop").symlink_to("loop")
    assert read_file(folder / "link") == b"outside"
    for name in ("link", "inner/file", "loop"):
        refused(folder / name, "a link, which is not followed", within=folder)
    refused(folder / ".." / "secret", "leads out", within=folder)
    alias = folder.parent / "alias"
    alias.symlink_to(folder)  # the way to the folder itself is the user's
    assert read_file(alias / "in" / "file", within=alias) == b"inside"


def test_the_same_where_folders_cannot_be_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "supports_dir_fd", set())
    test_links_are_followed_only_where_no_folder_binds(folder)
    assert read_file(folder / "in" / "file", within=folder) == b"inside"


def test_large_files_are_refused_before_they_are_read(folder: Path) -> None:
    with open(folder / "large", "wb") as file:
        file.truncate(2**40)
    refused(folder / "large", "larger than 64 MB")
    refused(folder / "in" / "file", "larger than", most=5)
    assert read_file(folder / "in" / "file", most=6) == b"inside"


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "n" * 5000])
def test_names_that_no_file_can_have(folder: Path, name: str) -> None:
    refused(folder / name, ".")
    refused(folder / name, ".", within=folder)


def test_home_of_nobody_is_a_name_like_any_other() -> None:
    assert home("~nobody-of-this-name/x") == Path("~nobody-of-this-name/x")
    assert home("~/x") == Path.home() / "x"


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("", dict),
        ("NaN", float),
        ("Infinity", float),
        ("1e999", float),
        ("-1e151", float),
        ("9" * 30, int),
        ("9" * 5000, int),
        ("[" * 10**5, list),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), list),
        ('{"a":' * 500 + "1" + "}" * 500, dict),
        ('"\\ud800"', str),
        ('{"\\ud800": 1}', dict),
        ('{"a": 1}', Exactly({})),
        ('{"a": true}', {"a": int}),
        ('{"a": 1.0}', {"a": int}),
        ('{"a": [1, 2, "3"]}', {"a": Each(float)}),
        ('{"a": [1, null]}', {"a": Each(float)}),
        ('{"a": [true]}', {"a": Each(int)}),
        ('{"a": [1e308]}', {"a": Each(Maybe(float))}),
        ('{"b": 1e308}', {"a": Option(int)}),
        ('{"a": "x"}', {"a": Option(int)}),
        ("[1, 2, 3]", Each(int, most=2)),
        ("[]", Each(int, least=1)),
        ("[1]", Each(int, 2)),
        ('{"a": 1}', Named(str)),
        ('{"a": 1, "b": 1}', Named(int, most=1)),
        ('{"kind": "c"}', Kinds({"a": {}, "b": {}})),
        ('{"kind": ["a"]}', Kinds({"a": {}})),
        ('{"kind": "a", "b": 1}', Kinds({"a": {}})),
        ("3", Whole(4, 5)),
        ("true", Whole(0, 5)),
        ("4.0", Whole(4, 5)),
        ("0", Number(0.0, 1.0, above=0.0)),
        ('"c"', OneOf(("a", "b"))),
        ('["a"]', OneOf(("a", "b"))),
        ('"a\\u001b"', Text()),
        ('"ab"', Text(1)),
        ('"ab"', Text(9, "[a]+")),
    ],
)
def test_other_json_is_one_printable_line(text: str, shape: Any) -> None:
    with pytest.raises(ShapeError) as caught:
        parse_json(text.encode("utf-8", "surrogatepass"), shape)
    assert str(caught.value).startswith("expected ")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_bytes_that_are_no_text() -> None:
    for data in (b"\xff", b'"\xed\xa0\x80"', '"x"'.encode("utf-16")):
        with pytest.raises(ShapeError):
            parse_json(data, str)


def test_what_fits_comes_back_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a").write_text('\ufeff{"a": [1, 2.5, null], "kind": "b", "more": {"x": [1]}, "\\ud83d\\ude00": ""}')
    shape = {"a": Each(Maybe(float)), "kind": OneOf(("b",)), "none": Option(str)}
    told = read_json(tmp_path / "a", shape)
    assert told == {"a": [1, 2.5, None], "kind": "b", "more": {"x": [1]}, "\U0001f600": ""}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
SHAPES = st.sampled_from(
    [
        {"a": int, "b": Option(Each(float))},
        Each(Maybe({"a": str})),
        Named(Each(Number(-1.0, 1.0)), most=3),
        Kinds({"a": {"b": Whole(0, 3)}}),
        Exactly({"a": Text(3)}),
        dict,
        float,
    ]
)


@given(JSON, SHAPES)
def test_whatever_it_is_it_fits_or_is_one_line(value: Any, shape: Any) -> None:
    told = ""
    try:
        match(value, shape)
    except ShapeError as error:
        told = str(error)
    assert told.isprintable()


@pytest.mark.parametrize(
    "values", [[0, float("nan")], [0.0, float("nan")], [float("nan"), 0.0], [None, 1.0, float("nan")]]
)
def test_no_number_hides_among_numbers(values: list[Any]) -> None:
    with pytest.raises(ShapeError):
        match(values, Each(Maybe(float)))


@given(st.lists(st.none() | st.integers(-(10**200), 10**200) | st.floats() | st.booleans(), max_size=4))
def test_lists_of_numbers_are_judged_as_their_items_are(values: list[Any]) -> None:
    def fits(value: Any, shape: Any) -> bool:
        try:
            match(value, shape)
        except ShapeError:
            return False
        return True

    for shape in (float, int, Maybe(float), Maybe(int)):
        assert fits(values, Each(shape)) == all(fits(v, shape) for v in values), (values, shape)
    assert not fits(LARGEST * 2, float)
