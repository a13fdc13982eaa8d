"""Figures in pages: tables, and the region of a page that a command rewrites."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def markdown(rows: Sequence[Sequence[str]], left: Sequence[str] = ()) -> list[str]:
    """A table, its first row the heads; empty lines around. The first column and those headed so stand to the left, the
    others to the right."""
    head, *rest = rows
    places = ["---" if n == 0 or name in left else "--:" for n, name in enumerate(head)]
    return ["", *("| " + " | ".join(row) + " |" for row in (head, places, *rest)), ""]


def rewrite(page: Path, lines: Sequence[str]) -> None:
    """Put lines in the place of what stands between the marks of a page. ValueError where it does not have them once
    each."""
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    page.write_text(before + BEGIN + "\n" + "\n".join(lines).rstrip("\n") + "\n\n" + END + after, encoding="utf-8")
