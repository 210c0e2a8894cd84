"""The bar where nobody watches it: a job's log; where somebody does; and where nothing may be said."""

import sys
import time
import types

import pytest

from snellen.cli import progress
from snellen.progress import bar, counted, told


def _run() -> None:
    with progress.bar("loading") as tell:
        for done in range(5):
            tell("drawing [bold]", done, 4)


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    _run()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("drawing [bold]: 0 %")
    assert lines[3].startswith("drawing [bold]: 75 %, 0:00:0")
    assert lines[3].endswith("left")


def test_another_count_has_its_own_pace(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with progress.bar("loading") as tell:
        for done, total in ((1, 2), (2, 2), (5, 100), (10, 100)):
            now += 100.0
            tell("working", done, total)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["working: 50 %", "working: 100 %, 0:00:00 left", "working: 5 %", "working: 10 %, 0:30:00 left"]


def test_a_short_run_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    _run()
    assert capsys.readouterr().err == ""


class Terminal:
    """Stands for stderr on a terminal."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return True


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Within the test: pytest sets its own stderr between fixtures and test."""
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    return shown


def _work(seconds: float = 0.0, **named: object) -> None:
    with bar("loading", **named) as tell:  # type: ignore[arg-type]
        for done in range(4):
            tell("drawing [bold]", done, 4)
            time.sleep(seconds / 4)


def test_a_terminal_shows_a_bar_once_the_work_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_a_terminal(monkeypatch)
    _work(patience=60.0)
    assert terminal.text == ""
    _work(0.5, patience=0.05)
    assert "drawing [bold]" in terminal.text
    assert "left" in terminal.text


def test_a_bar_within_a_bar_and_one_that_is_off_are_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_a_terminal(monkeypatch)
    _work(0.2, patience=0.0, shown=False)
    assert terminal.text == ""
    for outer in (bar("outer", patience=60.0), bar("outer", shown=False), told(print, "outer"), counted(print, "", 1)):
        with outer:
            _work(0.05, patience=0.0)
        assert terminal.text == ""
    with bar("outer", patience=60.0):
        _work(0.2, patience=0.0)
        with counted(True, "inner", 3) as more:
            more(3)
    assert terminal.text == ""
    _work(0.2, patience=0.0)
    assert terminal.text != ""


def test_nobody_is_told_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    _work(0.2, patience=0.0)
    assert capsys.readouterr() == ("", "")


def test_whoever_is_to_be_told_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_a_terminal(monkeypatch)
    heard: list[object] = []
    with told(lambda *at: heard.append(at), "first") as tell:
        tell("a", 1, 2)
    with counted(heard.append, "b", 5) as more:
        more(2)
    assert heard == [("a", 1, 2), 2]
    assert terminal.text == ""


def test_a_notebook_gets_html_that_is_updated_and_gone_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pages: list[str] = []

    class Handle:
        def update(self, page: str) -> None:
            pages.append(page)

    def display(page: str, *, display_id: bool) -> Handle:
        assert display_id
        pages.append(page)
        return Handle()

    shell = types.SimpleNamespace(kernel=object())
    ipython = types.SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(HTML=str, display=display))
    with bar("loading", patience=0.0) as tell:
        for done in range(3):
            tell("<b>drawing</b>", done, 4)
            time.sleep(0.25)
    assert len(pages) == 4
    assert "&lt;b&gt;drawing&lt;/b&gt;: 50 %" in pages[2]
    assert pages[3] == "<span></span>"
    assert capsys.readouterr() == ("", "")
