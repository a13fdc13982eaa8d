"""Figures in the docs: regions between two comments, which benchmarks write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"


def write_region(page: str, name: str, lines: Sequence[str]) -> None:
    """Replace what stands between the comments ``name: begin`` and ``name: end`` of a page."""
    path = DOCS / page
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, rest = path.read_text(encoding="utf-8").split(begin)
    _, after = rest.split(end)
    path.write_text("".join([before, begin, "\n".join(["", *lines, "", ""]), end, after]), encoding="utf-8")


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table; all columns but the first are figures."""
    ruled = ["---", *["--:"] * (len(head) - 1)]
    return ["| " + " | ".join(row) + " |" for row in (head, ruled, *rows)]
