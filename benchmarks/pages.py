"""Figures in pages: tables, and the region of a page that a command rewrites."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def markdown(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """A table, its first row the heads, so many columns to the left, the others to the right; empty lines around."""
    head, *rest = rows
    places = ["---" if n < left else "--:" for n in range(len(head))]
    return ["", *("| " + " | ".join(row) + " |" for row in (head, places, *rest)), ""]


def rewrite(page: Path, lines: Sequence[str]) -> None:
    """Put lines in the place of what stands between the marks of a page. ValueError where it does not have them once
    each."""
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    page.write_text(before + BEGIN + "\n" + "\n".join(lines).rstrip("\n") + "\n\n" + END + after, encoding="utf-8")
