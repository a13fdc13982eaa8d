"""The page as one HTML file that needs nothing else."""

from __future__ import annotations

import html
import json
from functools import cache
from pathlib import Path
from typing import Any, Literal

from slotlang.page.asking import words

__all__ = ["EDITOR", "SCRIPTS", "document"]

SCRIPTS = (
    "decode.js",
    "slots.js",
    "panels.js",
    "markdown.js",
    "messages.js",
    "knobs.js",
    "goals.js",
    "rotations.js",
    "view.js",
    "page.js",
    "start.js",
)
"""In the order in which they are run."""
EDITOR = "codemirror.js"
"""What a view has beside them: made from ``editors/page`` by ``make page``."""

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)
"""A page runs what is in it and loads nothing; one that is served asks its own server, and
its editor draws signs that are in it."""


@cache
def _file(name: str) -> str:
    return (Path(__file__).parent / name).read_text()


def document(
    mode: Literal["report", "view"],
    title: str,
    data: dict[str, Any] | None = None,
    text: str = "",
    token: str = "",
    puzzle: dict[str, Any] | None = None,
) -> str:
    """The page. ``report``: shows ``data``, that of ``parts.whole``, and ``text`` where there is no JavaScript.
    ``view``: asks the server that it came from, which wants the ``token``; ``puzzle``: the goal of the program,
    as ``goals.goal`` has it."""
    own = {"token": token, "words": words(), "file": title, "puzzle": puzzle} if mode == "view" else {}
    given = {"mode": mode, "data": data, **own}
    # nothing in it can end the element, nor start a comment in it
    plain = json.dumps(given, separators=(",", ":"))
    for sign in "<>&":
        plain = plain.replace(sign, f"\\u{ord(sign):04x}")
    script = "\n".join(_file(name).replace('"use strict";\n', "", 1) for name in SCRIPTS)
    editor = _file(EDITOR) if mode == "view" else ""
    parts = {
        "policy": _POLICY + ("; connect-src 'self'; img-src data:" if mode == "view" else ""),
        "title": html.escape(title),
        "style": _file("page.css"),
        "script": f'"use strict";\n{editor}{script}',
        "text": html.escape(text),
        "data": plain,
    }
    # what was put in is not looked at again: a text may hold braces
    before, *rest = _file("page.html").split("{{")
    return before + "".join(parts[name] + after for name, _, after in (part.partition("}}") for part in rest))
