"""Figures in pages: tables, and the regions of a page that a command rewrites."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def markdown(rows: Sequence[Sequence[str]], left: Sequence[str] = ()) -> list[str]:
    """A table, its first row the heads; empty lines around. The first column and those headed so stand to the left, the
    others to the right."""
    head, *rest = rows
    places = ["---" if n == 0 or name in left else "--:" for n, name in enumerate(head)]
    return ["", *("| " + " | ".join(row) + " |" for row in (head, places, *rest)), ""]


def rewrite(page: Path, lines: Sequence[str], name: str = "measured") -> None:
    """Put lines in the place of what stands between the comments ``name: begin`` and ``name: end`` of a page.
    ValueError where it does not have them once each."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, rest = page.read_text(encoding="utf-8").split(begin)
    _, after = rest.split(end)
    page.write_text(before + begin + "\n" + "\n".join(lines).rstrip("\n") + "\n\n" + end + after, encoding="utf-8")
