"""The report links to the theory's page where that lies in its folder, and only there."""

from collections.abc import Callable
from pathlib import Path

from snellen.reports import build


def test_the_theory_is_linked_where_it_is(make: Callable[..., Path]) -> None:
    run = make()
    link = 'href="theory/index.html"'
    assert link not in build(run).read_text(encoding="utf-8")
    (run / "theory").mkdir()
    (run / "theory" / "index.html").write_text("<!doctype html>", encoding="utf-8")
    assert link in build(run).read_text(encoding="utf-8")
