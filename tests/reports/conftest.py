"""Made-up runs for the report's tests, and the tool beside this file."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _tool(name: str) -> ModuleType:
    full = f"report_tests_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, Path(__file__).with_name(f"{name}.py"))
        assert spec
        assert spec.loader
        sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[full])
    return sys.modules[full]


@pytest.fixture(scope="session")
def records() -> ModuleType:
    return _tool("records")


@pytest.fixture
def run(tmp_path: Path, records: ModuleType) -> Path:
    """A small run: three classes, two units in each of two layers, one of them dead."""
    return records.make_run(tmp_path / "run", records.Plan(classes=3, exemplars=2, side=48))


@pytest.fixture
def make(tmp_path: Path, records: ModuleType) -> Callable[..., Path]:
    """A run by plan; further arguments replace fields of the record."""

    def made(changes: dict[str, Any] | None = None, **plan: Any) -> Path:
        return records.make_run(
            tmp_path / "made", records.Plan(**({"exemplars": 2, "side": 48} | plan)), **(changes or {})
        )

    return made


@pytest.fixture
def few_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if pages held few cards: four make the first page choose, three fill a further page."""
    for name, value in (("WHOLE", 4), ("CHOICE", 4), ("FEWEST", 1), ("PAGE", 3)):
        monkeypatch.setattr(f"snellen.reports.site.{name}", value)
