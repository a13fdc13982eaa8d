"""Definitions that no program of their own file uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotlang.diagnostics import SlotError
from slotlang.source import Source
from slotlang.syntax.definitions import unused_definitions
from slotlang.syntax.parser import parse

PROGRAM = "program {}(n = 4)\ninput  x[n]\naxes (h < n)\ncipher X = x[h]\nY = {}\noutput y[h] = Y\nprove  y == x\n"


def unused(text: str, program: str | None = None, folder: Path | None = None) -> list[str]:
    found = unused_definitions(Source("p.slot", text, None if folder is None else str(folder), program=program))
    assert all(d.code == "SL331" for d in found)
    return [d.message.split("'")[1] for d in found]


@pytest.mark.parametrize(
    ("definitions", "used", "expected"),
    [
        ("def f(a) = a\n", "X", ["f"]),
        ("def f(a) = a\n", "f(X)", []),
        ("def f(a) = a\n", "X + (1 + f(X)) * 2", []),
        # by others, and by others that nobody uses
        ("def f(a) = a\ndef g(a) = f(a)\n", "g(X)", []),
        ("def f(a) = a\ndef g(a) = f(a)\n", "X", ["f", "g"]),
        ("def f(a) = a\ndef g(X):\n  Z = f(X)\nend\n", "g(X)", []),
        ("def f(a) = a\ndef g(X):\n  Z = f(X)\nend\n", "f(X)", ["g"]),
    ],
)
def test_what_is_never_used(definitions: str, used: str, expected: list[str]) -> None:
    assert unused(definitions + PROGRAM.format("p", used)) == expected


def test_each_program_counts_and_the_first_one_is_told() -> None:
    text = "def f(a) = a\ndef g(a) = a\ndef h2(a) = a\n" + PROGRAM.format("one", "f(X)") + PROGRAM.format("two", "g(X)")
    assert unused(text, "one") == ["h2"]
    assert unused(text, "two") == []


def test_imported_definitions_are_not_warned_of(tmp_path: Path) -> None:
    (tmp_path / "mine.slot").write_text("def f(a) = a\ndef g(a) = a\n", encoding="utf-8")
    text = 'import "./mine.slot"\ndef own(a) = f(a)\n' + PROGRAM.format("p", "X")
    assert unused(text, folder=tmp_path) == ["own"]


def test_a_file_of_definitions_is_checked_as_one_that_is_imported() -> None:
    with pytest.raises(SlotError) as alone:
        parse(Source("mine.slot", "def f(a) = a\n", "."))
    assert alone.value.diagnostics[0].code == "SL211"
    assert alone.value.diagnostics[0].hint == 'a program imports it: import "./mine.slot"'
    # a program would have n, and a file that is imported has not
    with pytest.raises(SlotError) as free:
        parse(Source("mine.slot", "def f(a) = a * n\n", "."))
    assert free.value.diagnostics[0].code == "SL112"
