"""The kept tables are those of the grammar, and what is wrong with them costs time and nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from repository import ROOT

from slotlang.syntax import tables
from slotlang.syntax.statements import _parsed, read_source

PROGRAMS = sorted((ROOT / "programs").rglob("*.slot"))


def kept() -> dict[str, object]:
    found: dict[str, object] = json.loads(tables.tables_path().read_text())
    return found


def test_kept_tables_are_those_of_the_grammar() -> None:
    assert kept()["made from"] == json.loads(tables.tables_text())["made from"], "run make grammar"


def fresh(
    monkeypatch: pytest.MonkeyPatch, text: str | None, folder: Path, programs: Sequence[Path] = PROGRAMS[:3]
) -> bool:
    """Whether the parser is built from the grammar when these tables are kept; it reads these programs alike."""
    expected = [_parsed(read_source(path)) for path in programs]
    path = folder / "slot.tables.json"
    if text is not None:
        path.write_text(text)
    built: list[str] = []
    build = tables._built
    monkeypatch.setattr(tables, "tables_path", lambda: path)
    monkeypatch.setattr(tables, "_built", lambda grammar: built.append(grammar) or build(grammar))
    found = tables.parser.__wrapped__()
    monkeypatch.setattr("slotlang.syntax.statements.parser", lambda: found)
    assert [_parsed(read_source(path)) for path in programs] == expected
    return bool(built)


def test_programs_are_read_alike_with_and_without_tables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert not fresh(monkeypatch, tables.tables_path().read_text(), tmp_path, PROGRAMS)
    assert fresh(monkeypatch, None, tmp_path / "none")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"made from": 5}', '{"made from": {"lark": "0"}}'])
def test_damaged_and_foreign_tables_are_not_used(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert fresh(monkeypatch, text, tmp_path)


def test_tables_of_another_grammar_are_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = kept() | {"made from": {"grammar": "0" * 64, "lark": "1.0"}}
    assert fresh(monkeypatch, json.dumps(other), tmp_path)
