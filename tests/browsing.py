"""Headless Chromium for tests: the pages that they open, and waiting for what a page shows."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

from repository import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = ROOT / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
PATIENCE = 60.0
"""Seconds: a busy machine fails no test."""


@contextmanager
def chromium():
    """A browser; ImportError without playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        found = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@contextmanager
def served(file, *options):
    """The address of ``slotlang view`` for a file, until the block ends."""
    with serving(file.parent, "view", str(file), *options) as address:
        yield address


@contextmanager
def serving(folder, *words):
    """The address that a command says, which is started with temporary files in a folder, until the block ends."""
    command = [sys.executable, "-m", "slotlang", *words, "--json"]
    # earlier searches of whoever runs the tests are not looked at
    own = {**os.environ, "SLOTLANG_SEARCH_CACHE": str(folder / "searches")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=own) as server:
        try:
            text = ""
            while not text.rstrip().endswith("}"):
                line = server.stdout.readline()
                assert line, "slotlang view ended"
                text += line
            yield json.loads(text)["address"]
        finally:
            os.kill(server.pid, signal.SIGINT)
            server.wait(timeout=20)


def until_true(page, expression, patience=PATIENCE):
    """Wait until an expression of the page holds. The page's own policy forbids playwright's way."""
    end = time.monotonic() + patience
    while not page.evaluate(f"!!({expression})"):
        if time.monotonic() > end:
            raise AssertionError(f"never: {expression}; the page says {page.inner_text('body')[:600]!r}")
        page.wait_for_timeout(40)


def until_ready(page):
    """Wait until all that a view shows of its text is there."""
    until_true(page, "state.data && !state.stale && program() && program().knobs && valueOf(state.title)")


SERIOUS = ("serious", "critical")


def accessibility(page):
    """What axe-core finds serious in a page: rule, and what it is about."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document)")
    return [
        (v["id"], v["impact"], n["target"], n["failureSummary"])
        for v in found["violations"]
        if v["impact"] in SERIOUS
        for n in v["nodes"]
    ]
