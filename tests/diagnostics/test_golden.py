"""Every bad program beside its messages: NAME.slot and NAME.err.

The folder says which stage refuses the program. ``SLOTLANG_UPDATE_GOLDEN=1 pytest tests/diagnostics`` writes
the .err files anew; read the difference before keeping it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from slotlang.codes import EXPLANATIONS
from slotlang.diagnostics import Diagnostic, SlotError, render
from slotlang.source import Source
from slotlang.syntax.parser import parse, read_source

HERE = Path(__file__).resolve().parent
PROGRAMS = sorted(path for path in HERE.rglob("*.slot") if path.parent.name != "imported")


def syntax(source: Source) -> list[Diagnostic]:
    """What the parser says."""
    try:
        parse(source)
    except SlotError as problem:
        return list(problem.diagnostics)
    return []


def meaning(source: Source) -> list[Diagnostic]:
    """What binding names and sizes says about a program that parses."""
    from slotlang.meaning.bind import bind

    program = parse(source)
    try:
        bind(program, {})
    except SlotError as problem:
        return list(problem.diagnostics)
    return []


def planning(source: Source) -> list[Diagnostic]:
    """What planning says about a program that binds: its bounds and parameters do not fit."""
    from slotlang.meaning.bind import bind
    from slotlang.planning.planner import plan

    program = bind(parse(source), {})
    try:
        plan(program)
    except SlotError as problem:
        return list(problem.diagnostics)
    return []


def warnings(source: Source) -> list[Diagnostic]:
    """What is said of a program that binds, and has parts that it does not need."""
    from slotlang.meaning.bind import bind
    from slotlang.meaning.unused import unused
    from slotlang.planning.ring import ring_note
    from slotlang.syntax.definitions import unused_definitions

    program = bind(parse(source), {})
    note = ring_note(program)
    return [*unused_definitions(source), *unused(program), *([note] if note else [])]


def symbolic(source: Source) -> list[Diagnostic]:
    """Why a program that binds has no formulas."""
    from slotlang.api import formulas
    from slotlang.meaning.bind import bind

    try:
        formulas(bind(parse(source), {}))
    except SlotError as problem:
        return list(problem.diagnostics)
    return []


STAGES: dict[str, Callable[[Source], list[Diagnostic]]] = {
    "syntax": syntax,
    "meaning": meaning,
    "planning": planning,
    "warnings": warnings,
    "symbolic": symbolic,
}


def messages(path: Path) -> str:
    """The rendered messages for a program; places name the file without its folder."""
    stage = STAGES[path.relative_to(HERE).parts[0]]
    source = Source(path.name, read_source(path).text, str(path.parent))
    kind = "warning" if stage is warnings else "error"
    return "\n\n".join(render(d, kind) for d in stage(source)) + "\n"


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda p: str(p.relative_to(HERE).with_suffix("")))
def test_messages(path: Path) -> None:
    found = messages(path)
    assert found.strip(), f"{path.name} is accepted"
    golden = path.with_suffix(".err")
    if os.environ.get("SLOTLANG_UPDATE_GOLDEN"):
        golden.write_text(found, encoding="utf-8")
    assert found == golden.read_text(encoding="utf-8")


def test_every_golden_file_has_its_program() -> None:
    alone = [p.name for p in sorted(HERE.rglob("*.err")) if not p.with_suffix(".slot").is_file()]
    assert alone == []


@pytest.mark.parametrize("code", sorted(code for code in EXPLANATIONS if code.startswith("SL1")))
def test_every_syntax_code_has_an_example(code: str) -> None:
    texts = [p.with_suffix(".err").read_text(encoding="utf-8") for p in PROGRAMS if p.parent.name == "syntax"]
    assert any(f"error[{code}]" in text for text in texts)
