"""Headless Chromium for tests: the pages that they open, and waiting for what a page shows."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

from repository import ROOT, TESTS

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
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=_own(folder)
    ) as server:
        try:
            text = ""
            while not text.rstrip().endswith("}"):
                line = server.stdout.readline()
                assert line, "slotlang view ended"
                text += line
            yield json.loads(text)["address"]
        finally:
            os.kill(server.pid, signal.SIGINT)
            server.wait(timeout=PATIENCE)


def _own(folder):
    """The environment without earlier searches of whoever runs the tests."""
    return {**os.environ, "SLOTLANG_SEARCH_CACHE": str(folder / "searches")}


@contextmanager
def many_served(folder):
    """A function of a file, sizes and a puzzle's name that gives the address of a view of that file, until the block
    ends. All come from one process, ``view_server.py``: a command for each view takes seconds to start."""
    command = [sys.executable, str(TESTS / "view_server.py")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=_own(folder)
    ) as server:

        def start(file, sizes=None, puzzle=None):
            print(
                json.dumps({"file": str(file), "sizes": sizes or {}, "puzzle": puzzle}), file=server.stdin, flush=True
            )
            address = server.stdout.readline().strip()
            assert address, "the process of views ended"
            return address

        try:
            yield start
        finally:
            server.stdin.close()
            server.wait(timeout=PATIENCE)


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


def until_settled(page):
    """Wait until what a view shows is about the text that stands in its editor, whether that is a program or not."""
    until_true(
        page,
        "view.last && view.editor.text() === view.sent && !view.sending && view.about === view.sent"
        " && (!state.data.right || !state.stale && program().knobs)",
    )


def until_said(page, selector, start):
    """Wait until the text of an element starts so: what follows the mouse is drawn with the next frame."""
    until_true(page, f"document.querySelector({selector!r}).textContent.startsWith({json.dumps(start)})")


def undone(page, text):
    """Undo in the editor until it has a text: how many steps typing makes depends on how fast keys come."""
    page.focus("#editor .cm-content")
    for _ in range(40):
        if page.evaluate("view.editor.text()") == text:
            return
        page.keyboard.press("Control+z")
    raise AssertionError(f"undone to {page.evaluate('view.editor.text()')!r}")


def until_done(page, wanted, act, every=4.0):
    """Act, and again after some seconds in which what is wanted has not come; ``act`` is told how often it was."""
    end = time.monotonic() + PATIENCE
    for n in itertools.count():
        act(n)
        try:
            until_true(page, wanted, every)
            break
        except AssertionError:
            if time.monotonic() > end:
                raise


def replace_text(page, text):
    """Put another text in the place of that in the editor, as somebody who selects it all and pastes."""
    page.focus("#editor .cm-content")
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text) if text else page.keyboard.press("Delete")


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
