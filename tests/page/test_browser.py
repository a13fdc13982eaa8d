"""Pages in headless Chromium: clicks, keys, sizes. ``make test-page`` brings what this needs; else it is skipped."""

from __future__ import annotations

import shutil

import pytest
from repository import ROOT, program_text

from slotlang.page.document import document
from slotlang.page.parts import whole

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")

BACKWARDS = (ROOT / "docs" / "tutorial" / "diagonals_backwards.slot").read_text()
SMALL = {"d": 16, "r": 4, "batch": 2, "slots": 16}


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as p:
        found = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a page of a program; nothing may go wrong in it, and nothing may be loaded."""
    problems, pages = [], []

    def open_page(text, sizes=None, width=1280, **more):
        file = tmp_path / "page.html"
        file.write_text(document("report", "page", whole(text, "p.slot", None, sizes or {}), text))
        page = browser.new_page(viewport={"width": width, "height": 844}, **more)
        page.on("pageerror", lambda e: problems.append(str(e)))
        page.on("console", lambda m: problems.append(m.text))
        page.on("request", lambda r: problems.append(r.url) if r.url != file.as_uri() else None)
        page.goto(file.as_uri())
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not problems


def test_a_slot_is_followed_back_to_the_input(opened):
    page = opened(program_text("rank_complex"), SMALL)
    page.click("#text [role=button]:has-text('T = sum')")
    assert page.inner_text("#title") == "T"
    box = page.locator("#canvas").bounding_box()
    rows, columns = 8, 2
    page.mouse.move(box["x"] + box["width"] / columns * 1.5, box["y"] + box["height"] / rows * 2.5)
    assert page.inner_text("#held").startswith("T slot 5 (h = 2, t = 1) holds")
    page.mouse.click(box["x"] + box["width"] / columns * 1.5, box["y"] + box["height"] / rows * 2.5)
    steps = page.locator("#origin li").all_inner_texts()
    assert [s.split(" slot ")[0] for s in steps] == ["T", "P[0]", "X[0]"]
    assert steps[-1] == "X[0] slot 5 = x[2, 1], packed by the client"
    page.click("#origin button:has-text('P[1] slot 7')")
    assert page.inner_text("#title") == "P[1]" and "slot 7" in page.inner_text("#held")


def test_everything_works_by_keys(opened):
    page = opened(program_text("rank_complex"), SMALL)
    statement = page.locator("#text [role=button]:has-text('S = sum')").first
    statement.focus()
    page.keyboard.press("Enter")
    assert statement.get_attribute("aria-pressed") == "true"
    page.focus("#canvas")
    for key in ("Home", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    assert page.inner_text("#held").startswith("S slot 3 ")
    page.keyboard.press("Enter")
    assert page.inner_text("#title") == "T"
    page.keyboard.press("Backspace")
    assert page.inner_text("#title") == "S"
    page.focus("#flow a >> nth=0")
    page.keyboard.press("Enter")
    assert page.inner_text("#title") == "X[0]"
    page.select_option("#family", "Y")
    page.fill("[data-binder=c]", "1")
    page.keyboard.press("Tab")
    assert page.inner_text("#title") == "Y[1]"


def test_a_refuted_program_opens_at_its_wrong_slot(opened):
    page = opened(BACKWARDS)
    assert page.inner_text("#title") == "S"
    assert "This is wrong." in page.inner_text("#held")
    assert page.inner_text("#status").startswith("refuted")
    page.select_option("#family", "X")
    page.click("#wrong")
    assert page.inner_text("#title") == "S"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_has_room(opened, scheme):
    page = opened(program_text("rank_complex"), SMALL, width=390, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 31)"
    assert dark == (scheme == "dark")


def test_hostile_texts_run_nothing(opened):
    bad = "# </script><script>document.title='bad'</script><img src=x onerror=\"document.title='bad'\">\n"
    page = opened(bad + program_text("rank_complex"), SMALL)
    assert page.title() == "rank_complex – slotlang"
    assert bad.strip() in page.inner_text("#text")


def test_4096_slots_without_lag(opened):
    page = opened(program_text("rank_complex"))
    took = page.evaluate(
        "(() => { const t = performance.now(); for (let n = 0; n < 50; n++) select(n * 79 % 4096);"
        " return (performance.now() - t) / 50; })()"
    )
    assert page.evaluate("program().slots") == 4096
    # milliseconds: a tenth of this on a quiet machine
    assert took < 160
