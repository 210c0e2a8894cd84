"""snellen matrix: the table, its page, and one line for whatever is wrong."""

import json

import pytest


def test_a_table_with_its_page(tiny, images, tmp_path, snellen):
    out = tmp_path / "out"
    words = ["matrix", "--case", f"{tiny}:net={images}", "--kind", "honest", "--kind", "silent", "--out", str(out)]
    done = snellen(*words, "--units", "2", "--steps", "8", "--quick")
    assert done.code == 0, done.err
    assert done.out.splitlines() == [f"table: {out / 'matrix.json'}", f"page: {out / 'index.html'}"]
    cells = json.loads((out / "matrix.json").read_text())["cells"]
    assert [cell["name"] for cell in cells] == ["net-honest", "net-silent"]
    page = (out / "index.html").read_text()
    for cell in cells:
        assert f"{cell['suspicious']} of {cell['units']}" in page
        assert f'href="cells/{cell["name"]}/audit/index.html"' in page
    again = snellen(*words, "--units", "2", "--steps", "8", "--quick")
    assert again.out == done.out
    assert (out / "index.html").read_text() == page


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        (["--case", "a=b=c=d"], 'got "a=b=c=d"'),
        (["--case", "builtin="], 'got "builtin="'),
        (["--kind", "magic"], "got magic"),
        (["--case", "/nowhere.py:net"], "nowhere.py"),
    ],
)
def test_bad_input_is_one_line(wish, told, tmp_path, snellen):
    assert told in snellen("matrix", *wish, "--out", tmp_path / "out").line
