"""The report in headless Chromium: nothing complains, nothing leaves the folder, everything is shown at any width."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from snellen.reports import build

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(browser: ModuleType) -> Iterator[Any]:
    executable = browser.find_chromium()
    if executable is None:
        pytest.skip("no Chromium or Chrome on the PATH")
    with browser.chromium(executable) as tab:
        yield tab


@pytest.fixture
def site(make: Callable[..., Path]) -> Path:
    return build(make(classes=50, unit_layers=2, exemplars=9, side=112, examined=3)).parent


def both(site: Path) -> list[Path]:
    return [site / "index.html", site / "pages" / "group-1-2.html", site / "pages" / "silent.html"]


@pytest.mark.parametrize("width", [320, 390, 700, 768, 1280, 2560])
def test_it_is_sound_at_every_width(page: Any, site: Path, width: int) -> None:
    for path in both(site):
        page.open(path, width=width)
        assert page.complaints() == []
        assert [r for r in page.requests() if not r.startswith((site.as_uri() + "/", "data:"))] == []
        assert page.script("document.documentElement.scrollWidth") <= width
        assert page.script("[...document.images].filter(i => !i.alt || !i.naturalWidth).map(i => i.src)") == []
        assert page.script("document.images.length") > 100 or path.stem == "silent"


def test_words_of_charts_are_readable_on_a_phone(page: Any, site: Path) -> None:
    page.open(site / "index.html", width=390)
    sizes = page.script(
        "[...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect().height).filter(h => h)"
    )
    assert len(sizes) > 50
    assert min(sizes) >= 10


def test_one_of_the_two_curves_is_shown(page: Any, site: Path) -> None:
    shown = "['.curve.wide', '.curve.tall'].map(s => document.querySelector(s).getBoundingClientRect().width > 0)"
    page.open(site / "index.html", width=1280)
    assert page.script(shown) == [True, False]
    page.open(site / "index.html", width=390)
    assert page.script(shown) == [False, True]


def test_it_says_the_same_with_scripts_off(page: Any, site: Path) -> None:
    words = "document.querySelector('main').innerText"
    page.open(site / "index.html", width=1280, scripts=False)
    bare = page.script(words)
    assert page.script("document.querySelector('input') === null")
    page.open(site / "index.html", width=1280)
    assert page.script(words).replace("Show only\n\n", "").replace("Show only \n", "").split() == bare.split()


def test_the_keyboard_reaches_the_content_and_opens_pictures(page: Any, site: Path) -> None:
    page.open(site / "index.html", width=1280)
    page.press("Tab")
    assert page.script("document.activeElement.className") == "skip"
    assert page.script("document.activeElement.getBoundingClientRect().left") >= 0
    page.script("document.querySelector('a.zoom').focus()")
    page.press("Enter")
    assert page.script("document.querySelector('dialog').open")
    assert page.script("document.querySelector('dialog img').alt === document.querySelector('a.zoom img').alt")
    page.press("Escape")
    assert not page.script("document.querySelector('dialog').open")
    assert page.script("document.activeElement.className") == "zoom"
    assert page.complaints() == []


def test_the_filter_shows_only_what_was_asked_for(page: Any, site: Path) -> None:
    page.open(site / "index.html", width=1280)
    page.script(
        """(() => { const f = document.querySelector('input'); f.value = 'CLASSIFIER:3';
        f.dispatchEvent(new Event('input')); })()"""
    )
    shown = page.script("[...document.querySelectorAll('.card')].filter(c => c.checkVisibility()).map(c => c.id)")
    assert shown == ["unit-classifier-3a-3"]
    assert page.script("[...document.querySelectorAll('.group')].filter(g => g.checkVisibility()).length") == 1


def test_a_hostile_name_runs_nothing(page: Any, make: Callable[..., Path]) -> None:
    name = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    run = make(classes=3)
    text = (run / "audit.json").read_text()
    (run / "audit.json").write_text(text.replace('"label": "brick"', f'"label": {__import__("json").dumps(name)}'))
    page.open(build(run), width=1280)
    assert "owned" not in page.script("document.title")
    assert name in page.script("document.body.innerText")
    assert page.complaints() == []


def test_it_prints(page: Any, site: Path, tmp_path: Path) -> None:
    page.open(site / "index.html", width=1280)
    page.pdf(tmp_path / "report.pdf")
    data = (tmp_path / "report.pdf").read_bytes()
    assert data.startswith(b"%PDF")
    assert len(data) > 100_000
