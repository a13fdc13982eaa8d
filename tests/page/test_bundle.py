"""The page's editor as it is built: from these sources, and with nothing that it loads."""

from __future__ import annotations

import hashlib
import re

from page_reader import Reader
from repository import ROOT

from slotlang.page.document import EDITOR, document

SOURCES = ("package.json", "package-lock.json", "build.js", "src/editor.js")
BUILT = ROOT / "slotlang" / "page" / EDITOR


def test_it_was_made_from_the_sources():
    digest = hashlib.sha256()
    for name in SOURCES:
        digest.update(name.encode() + b"\0" + (ROOT / "editors" / "page" / name).read_bytes() + b"\0")
    with BUILT.open(encoding="ascii") as file:
        first = file.readline()
    assert digest.hexdigest() in first, "its sources have changed: make page"


def test_the_view_is_one_small_page_that_loads_nothing():
    text = document("view", "a.slot", token="secret")
    assert len(text.encode()) < 1_000_000
    page = Reader(text)
    assert all(not {"src", "srcset", "data", "action"} & a.keys() for _, a in page.elements)
    assert len(page.of("script")) == 2
    # names of XML are the only addresses in it
    assert set(re.findall(r"https?://[^\s\"')]+", re.sub(r"/\*.*?\*/", "", text, count=1, flags=re.S))) <= {
        "http://www.w3.org/2000/svg"
    }
    assert page.data["token"] == "secret" and "keywords" in page.data["words"]
    assert "MIT License" in text
    assert "MIT License" not in document("report", "a", {}), "a report has no editor"
