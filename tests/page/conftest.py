"""What tests of the page share: a file that is viewed without processes, and pages in headless Chromium."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache

import pytest
from browsing import CHROMIUM, PATIENCE, chromium, many_served, served, serving, until_ready
from page_views import TEXT, Here

from slotlang.page import session as session_module
from slotlang.page import sessions as sessions_module
from slotlang.page.document import document
from slotlang.page.parts import whole
from slotlang.puzzles.book import puzzle_named

EXPECTED = (400, 404, 409)
"""Answers of the server that are errors and no fault."""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(session_module, "Worker", Here)
    monkeypatch.setattr(sessions_module, "LOOK", 0.01)
    path = tmp_path / "p.slot"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="session")
def browser():
    pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with chromium() as found:
        yield found


@pytest.fixture
def watching(browser):
    """Makes pages in which nothing may go wrong."""
    problems, pages = [], []

    def new_page(width=1280, **more):
        page = browser.new_page(viewport={"width": width, "height": 844}, **more)
        page.set_default_timeout(1000 * PATIENCE)
        page.on("pageerror", lambda e: problems.append(str(e)))
        # a view that the server has forgotten is opened again, and what it refuses is said in the page
        page.on(
            "console", lambda m: None if any(f"status of {n}" in m.text for n in EXPECTED) else problems.append(m.text)
        )
        pages.append(page)
        return page

    yield new_page
    for page in pages:
        page.close()
    assert not problems


@pytest.fixture(scope="session")
def reports():
    """Reports by text and sizes, each made once."""

    @cache
    def report(text, sizes):
        return document("report", "page", whole(text, "p.slot", None, dict(sizes)), text)

    return report


@pytest.fixture
def opened(watching, reports, tmp_path):
    """Opens the report of a program; nothing may be loaded."""
    loaded = []

    def open_page(text, sizes=None, width=1280, **more):
        file = tmp_path / "page.html"
        file.write_text(reports(text, tuple((sizes or {}).items())))
        page = watching(width, **more)
        page.on("request", lambda r: loaded.append(r.url) if r.url != file.as_uri() else None)
        page.goto(file.as_uri())
        return page

    yield open_page
    assert not loaded


@pytest.fixture(scope="session")
def many(tmp_path_factory):
    """Starts views in one process."""
    with many_served(tmp_path_factory.mktemp("searches")) as start:
        yield start


@pytest.fixture(scope="session")
def servers(many, tmp_path_factory):
    """Files and addresses of views by text, each started once: a page has a text of its own. With ``options`` by the
    command itself."""
    with ExitStack() as stack:
        known = {}

        def start(text, options, fresh):
            if not fresh and (text, options) in known:
                return known[text, options]
            file = tmp_path_factory.mktemp("view") / "p.slot"
            file.write_text(text)
            found = file, many(file) if options is None else stack.enter_context(served(file, *options))
            if not fresh:
                known[text, options] = found
            return found

        yield start


@pytest.fixture
def puzzled(watching, many, tmp_path):
    """Opens a puzzle: the page, which has its ``file``. ``command``: by the command, which starts the file."""
    with ExitStack() as stack:

        def open_puzzle(name, text=None, command=False, **more):
            file = tmp_path / f"{name}.slot"
            if command:
                address = stack.enter_context(serving(tmp_path, "puzzle", "view", name, "-o", str(file)))
            else:
                file.write_text(text or puzzle_named(name).text)
                address = many(file, puzzle=name)
            page = watching(**more)
            page.goto(address)
            # before its server ends
            stack.callback(page.close)
            until_ready(page)
            page.file = file
            return page

        yield open_puzzle


@pytest.fixture
def viewed(watching, servers):
    """Opens a view of a text: the page, which has its ``file``, its ``address`` and ``another()`` page of the same.
    ``options``: those of the command, which then serves it. ``fresh``: of a server that no other test uses, whose file
    can be changed."""

    def open_view(text, options=None, width=1280, ready=True, fresh=False, **more):
        file, address = servers(text, options, fresh)

        def another():
            page = watching(width, **more)
            page.goto(address)
            if ready:
                until_ready(page)
            return page

        page = another()
        page.file, page.address, page.another = file, address, another
        return page

    return open_view
