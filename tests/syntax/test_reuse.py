"""Statements whose text is known are not parsed again, and are the same as if they had been."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from repository import ROOT

from slotlang.diagnostics import SlotError
from slotlang.source import Source, Span
from slotlang.syntax import items, statements
from slotlang.syntax.statements import parse_broken, parse_file

FILES = sorted((ROOT / "programs").rglob("*.slot"))


def places(node: Any) -> list[tuple[str, int, int, str]]:
    """Every span below a node, with the text there."""
    if isinstance(node, Span):
        return [(node.source.name, node.start, node.end, node.text)]
    if isinstance(node, tuple):
        return [place for part in node for place in places(part)]
    if is_dataclass(node) and not isinstance(node, Source):
        return [place for f in fields(node) for place in places(getattr(node, f.name))]
    return []


@pytest.mark.parametrize("path", FILES[:: len(FILES) // 12], ids=lambda path: path.stem)
def test_places_of_reused_statements(path: Path) -> None:
    text = path.read_text()
    new = Source("new", "# before\n" + text)
    parse_file(Source("old", text))
    again = parse_file(new).statements
    for statement in again:
        if not isinstance(statement, items.Definition):
            built = statements._built(new, statement.span.start, statement.span.text)
            assert statement == built
            assert places(statement) == places(built)


def test_one_edit_reads_one_statement() -> None:
    text = (ROOT / "programs/rank_complex.slot").read_text()
    parse_file(Source("a", text))
    before = statements._read.cache_info().misses
    parse_file(Source("a", text.replace("let C = ", "let C = 2 * ", 1)))
    assert statements._read.cache_info().misses == before + 1


def test_what_can_be_read_of_a_broken_text() -> None:
    source = Source("a", "program p(n = 4)\ninput x[n\nlet m = = 2\naxes (h < n)\n")
    file, problems = parse_broken(source)
    assert [s.__class__.__name__ for s in file.statements] == ["Header", "Axes"]
    assert [(d.code, d.span.line) for d in problems if d.span] == [("SL101", 2), ("SL102", 3)]
    with pytest.raises(SlotError) as raised:
        parse_file(source)
    assert raised.value.diagnostics == problems


def test_wrong_statements_are_named_where_they_stand() -> None:
    wrong = "let m = = 2"
    first = parse_broken(Source("a", f"program p(n = 4)\n{wrong}\n"))[1]
    second = parse_broken(Source("a", f"program p(n = 4)\n\n\n  {wrong}\n"))[1]
    assert [d.span.line for d in first if d.span] == [2]
    assert [(d.span.line, d.span.source.text) for d in second if d.span] == [(4, f"program p(n = 4)\n\n\n  {wrong}\n")]
