"""Takes the pictures of docs/seeing.md: the view in Chromium, wide and as a phone, light and dark. Needs Pillow too.

``make page-pictures`` runs it, after ``make test-page`` has brought playwright and Chromium.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from browsing import chromium, served, serving, until_ready, until_true  # noqa: E402
from PIL import Image  # noqa: E402

OUTPUT = ROOT / "docs" / "seeing"
SIZES = ("--set", "d=128", "--set", "r=8", "--set", "batch=4", "--set", "slots=128")


def take(browser, address: str, name: str, prepare) -> None:
    """The page at both widths and in both schemes, after ``prepare``."""
    for width, height in ((1280, 900), (390, 844)):
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(address)
            until_ready(page)
            prepare(page)
            page.wait_for_timeout(300)
            # a phone scrolls: the whole page is too long for a picture
            clip = None if width > 400 else {"x": 0, "y": 0, "width": 390, "height": 1700}
            path = OUTPUT / f"{name}-{width}-{scheme}.png"
            page.screenshot(path=path, full_page=clip is not None, clip=clip)
            page.close()
            # a third of the bytes, and nothing to be seen of it
            Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)


def proved(page) -> None:
    """The cursor in a statement, a slot chosen."""
    page.focus("#editor .cm-content")
    for _ in range(21):
        page.keyboard.press("ArrowDown")
    page.evaluate("goTo('S', 37, null, null, false)")
    until_ready(page)
    page.wait_for_timeout(1500)
    page.evaluate("document.activeElement.blur()")


def refuted(page) -> None:
    """The wrong slot, and the message at its place."""
    page.wait_for_selector("#marks .repair button", timeout=60_000)
    page.click("#wrong")
    page.evaluate("scrollTo(0, 0)")


def puzzle(page) -> None:
    """A hint, and the goal's verdict."""
    until_true(page, "!byId('hint').hidden")
    page.click("#hint")
    page.evaluate("scrollTo(0, 0)")


def main() -> None:
    """Take them all."""
    OUTPUT.mkdir(exist_ok=True)
    with chromium() as browser, tempfile.TemporaryDirectory() as folder:
        for name, source, options, prepare in [
            ("proved", ROOT / "programs" / "rank_complex.slot", SIZES, proved),
            ("refuted", ROOT / "docs" / "tutorial" / "diagonals_backwards.slot", (), refuted),
        ]:
            file = Path(folder, source.name)
            file.write_text(source.read_text())
            with served(file, *options) as address:
                take(browser, address, name, prepare)
        with serving(Path(folder), "puzzle", "view", "score", "-o", str(Path(folder, "score.slot"))) as address:
            take(browser, address, "puzzle", puzzle)


if __name__ == "__main__":
    main()
