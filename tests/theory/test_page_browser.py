"""The page of the theory in headless Chromium: complete, quiet, and readable on a phone."""

import pytest

from snellen.certificates.twins import draw_twins
from snellen.theory.page import write_page
from snellen.theory.table import table

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(browser):
    executable = browser.find_chromium()
    if executable is None:
        pytest.skip("no Chromium or Chrome on the PATH")
    with browser.chromium(executable) as tab:
        yield tab


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return write_page(table(), tmp_path_factory.mktemp("theory"), twins=draw_twins(32, steps=8)).parent


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_it_is_sound_at_every_width(page, site, width, dark):
    page.open(site / "index.html", width=width, dark=dark)
    assert page.complaints() == []
    assert [r for r in page.requests() if not r.startswith((site.as_uri() + "/", "data:"))] == []
    assert page.script("document.documentElement.scrollWidth") <= width
    assert page.script("document.images.length") == 20 + 3 * 19 + 12 + 9
    assert page.script("[...document.images].filter(i => !i.alt || !i.naturalWidth).map(i => i.src)") == []


def test_the_table_is_whole_on_a_phone(page, site):
    """No column of the main table needs scrolling, and what does scroll can be reached by keyboard."""
    page.open(site / "index.html", width=390)
    assert page.script("(e => e.scrollWidth - e.clientWidth)(document.querySelector('.scroll'))") <= 0
    hidden = "[...document.querySelectorAll('*')].filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0"
    unreachable = " && getComputedStyle(e).overflowX === 'auto' && e.tabIndex < 0).map(e => e.className)"
    assert page.script(hidden + unreachable) == []


def test_every_class_of_the_table_leads_to_its_section(page, site):
    page.open(site / "index.html", width=1280)
    broken = (
        "[...document.querySelectorAll('a[href^=\"#\"]')].filter(a => !document.querySelector(a.hash)).map(a => a.hash)"
    )
    assert page.script(broken) == []
    assert page.script("document.querySelectorAll('section h3').length") >= 17
    assert page.script("/x_m(in|ax)/.test(document.body.innerText)") is False
