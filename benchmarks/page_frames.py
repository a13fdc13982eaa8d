"""How fast the page is in a browser: its first paint, frames while the mouse moves over 4,096 slots, and its size.

``make bench-page`` runs it, after ``make test-page`` has brought playwright and Chromium. No test depends on a time.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from browsing import chromium, served, until_true  # noqa: E402
from repository import program_text  # noqa: E402

SECONDS = 5.0
_COUNT = """(() => {
  window.frames_ = [];
  const next = (t) => { window.frames_.push(t); window.counting_ = requestAnimationFrame(next); };
  requestAnimationFrame(next);
})()"""


def hovering(page, seconds: float = SECONDS) -> tuple[float, float, int]:
    """Frames a second, the longest time between two of them in milliseconds, and the slots that were pointed at, while
    the mouse moves over all slots."""
    box = page.locator("#canvas").bounding_box()
    page.evaluate(_COUNT)
    seen, step, end = set(), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        x, y = (step * 37) % int(box["width"]), (step * 11) % int(min(box["height"], 420))
        page.mouse.move(box["x"] + x, box["y"] + y)
        seen.add(page.evaluate("hovered") if step % 10 == 0 else None)
        step += 1
    page.evaluate("cancelAnimationFrame(window.counting_)")
    frames = page.evaluate("window.frames_")
    gaps = [b - a for a, b in pairwise(frames)]
    return 1000 / statistics.mean(gaps), max(gaps), step


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        file = Path(folder, "rank_complex.slot")
        file.write_text(program_text("rank_complex"))
        with served(file) as address:
            page = browser.new_page(viewport={"width": 1280, "height": 844})
            answer = page.goto(address)
            paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
            print(f"page: {len(answer.body()) / 1e3:,.0f} kB, first paint after {paint:,.0f} ms")
            until_true(page, "state.data && !state.stale && program() && program().knobs && valueOf(state.title)", 120)
            frames, longest, moves = hovering(page)
            slots = page.evaluate("program().slots")
            print(
                f"hovering over {slots:,} slots: {frames:.1f} frames a second, {longest:.0f} ms at most between two; "
                f"{moves / SECONDS:.0f} moves of the mouse a second"
            )
            took = page.evaluate("""(() => { const t = performance.now();
                for (let n = 0; n < 200; n++) { hovered = n * 79 % 4096; showHovered(); }
                return (performance.now() - t) / 200; })()""")
            print(f"one hover: {took:.1f} ms of script")


if __name__ == "__main__":
    main()
