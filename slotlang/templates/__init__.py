"""Programs to start from: ``slotlang new``. Each is proved as it stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from slotlang.diagnostics import SlotError, error, pick
from slotlang.words import RESERVED

TEMPLATES: Mapping[str, str] = {
    "layout": "pack x, and read it back: the smallest program",
    "column": "y = A @ B @ x for many tokens: a channel in each ciphertext, no rotations",
    "row": "y = M @ x: a row of M at a time, added up by rotations",
    "diagonal": "y = M @ x by the diagonals of M: one ciphertext, rotated in baby and giant steps",
    "ranks": "y = A @ B @ x: all ranks in one ciphertext, by diagonals",
    "pairs": "y = A @ B @ x: two ranks in each complex slot",
    "product": "scores of two encrypted vectors: a product of ciphertexts",
}
"""What each template is."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]{0,63}")
_HEADER = re.compile(r"^program \w+", re.MULTILINE)


def program_from(template: str, name: str) -> str:
    """The text of a template as a program of this name.

    Raises SL005 for a template that is not there, and for what can't be a program's name.
    """
    known = pick(template, tuple(TEMPLATES), "SL005", "template", "templates")
    if not _NAME.fullmatch(name) or name in RESERVED:
        raise _bad_name(name)
    text = (Path(__file__).parent / f"{known}.slot").read_text(encoding="utf-8")
    return _HEADER.sub(f"program {name}", text, count=1)


def _bad_name(name: str) -> SlotError:
    stem = re.sub(r"\W+", "_", name.removesuffix(".slot"), flags=re.ASCII).strip("_")
    if stem[:1].isdigit():
        stem = f"p{stem}"
    if name in RESERVED:
        hint = f"'{name}' is a word of the language: slotlang new my_{name}"
    elif _NAME.fullmatch(stem) and stem not in RESERVED:
        hint = f"slotlang new {stem}"
    else:
        hint = "a name is made of letters, digits and _, and starts with no digit"
    return error("SL005", f"'{name[:60]}' can't be the name of a program", hint=hint)
