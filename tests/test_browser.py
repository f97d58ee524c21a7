"""The site in a real browser, where there is a Chromium: nothing is broken, asked of a network, or too wide."""

from pathlib import Path

import browser as headless
import pytest

SITE = Path(__file__).parents[1] / "docs" / "_build" / "html"
PAGES = sorted(path for path in SITE.rglob("*.html") if "_static" not in path.parts)
pytestmark = [
    pytest.mark.skipif(headless.program() is None, reason="there is no Chromium on the PATH"),
    pytest.mark.skipif(not PAGES, reason="the site is not built: python docs"),
]
MOVE = """
[...document.querySelectorAll("article input[type=range]")].map(slider => {
    const box = slider.closest("[id^=minidni]"), look = () => box.innerHTML + box.innerText;
    const before = look();
    slider.value = slider.max;
    slider.dispatchEvent(new Event("input", {bubbles: true}));
    return {moves: look() !== before, label: slider.getAttribute("aria-label") || ""};
})
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    running = headless.Browser(tmp_path_factory.mktemp("chromium"))
    yield running
    running.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_each_page_loads_without_an_error_and_fits_into_the_window(browser, width):
    browser.resize(width)
    found = {}
    for page in PAGES:
        browser.go(page)
        wide = browser.evaluate("document.documentElement.scrollWidth")
        problems = [*browser.problems, *([f"{wide} pixels wide"] if wide > width else [])]
        if problems:
            found[page.relative_to(SITE).as_posix()] = problems
    assert found == {}


def test_every_picture_has_an_alternative_text_and_is_there(browser):
    browser.resize(1280)
    pictures = "[...document.querySelectorAll('article img')].map(i => [i.src.slice(0, 60), i.alt, i.naturalWidth])"
    bad = {}
    for page in PAGES:
        browser.go(page)
        if lacking := [src for src, alt, wide in browser.evaluate(pictures) if not alt or not wide]:
            bad[page.relative_to(SITE).as_posix()] = lacking
    assert bad == {}


def test_the_sliders_move(browser):
    browser.resize(1280)
    sliders = 0
    for page in PAGES:
        if "lessons" not in page.parts:
            continue
        browser.go(page)
        for slider in browser.evaluate(MOVE):
            sliders += 1
            assert slider["moves"], f"{page.name}: the slider {slider['label']!r} changes nothing"
            assert slider["label"], f"{page.name}: a slider has no label"
    if not any("data:image/png" in page.read_text(encoding="utf-8") for page in PAGES):
        pytest.skip("the site was built without the lessons' results: python docs")
    assert sliders
