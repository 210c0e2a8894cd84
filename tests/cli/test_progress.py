"""The bar where nobody watches it: a job's log."""

import pytest

from snellen.cli import progress


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
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with progress.bar("loading") as tell:
        for done, total in ((1, 2), (2, 2), (5, 100), (10, 100)):
            now += 100.0
            tell("working", done, total)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["working: 50 %", "working: 100 %, 0:00:00 left", "working: 5 %", "working: 10 %, 0:30:00 left"]


def test_a_short_run_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    _run()
    assert capsys.readouterr().err == ""
