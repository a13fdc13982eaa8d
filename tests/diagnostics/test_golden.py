"""Every bad program beside its messages: NAME.slot and NAME.err.

The folder says which stage refuses the program. ``SLOTLANG_UPDATE_GOLDEN=1 pytest tests/diagnostics`` writes
the .err files anew; read the difference before keeping it.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from repository import ROOT

from slotlang.codes import EXPLANATIONS
from slotlang.diagnostics import Diagnostic, SlotError, render
from slotlang.hints import HINTS
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


LIBRARY = {"SL121"}
"""About the library's own files: tests/syntax/test_library_files.py."""


@pytest.mark.parametrize(
    "code", sorted(code for code in EXPLANATIONS if code.startswith("SL1") and code not in LIBRARY)
)
def test_every_syntax_code_has_an_example(code: str) -> None:
    texts = [p.with_suffix(".err").read_text(encoding="utf-8") for p in PROGRAMS if p.parent.name == "syntax"]
    assert any(f"error[{code}]" in text for text in texts)


@pytest.mark.parametrize(
    "path", [path for path in PROGRAMS if path.parent.name != "warnings"], ids=lambda path: path.stem
)
def test_every_error_says_what_to_do(path: Path) -> None:
    for message in path.with_suffix(".err").read_text().strip().split("\nerror["):
        assert "\n  hint: " in message


def test_a_hint_for_each_code_whose_raisers_give_none() -> None:
    """``error("SL...", ...)`` without a hint: there is one for the code, or nothing that a user can do."""
    # warnings of what worked all the same
    nothing_to_do = {"SL513", "SL515"}
    bare = {call.args[0].value for call in _raisers() if not any(k.arg == "hint" for k in call.keywords)}
    assert {"SL115", "SL304"} < bare
    assert bare - HINTS.keys() - nothing_to_do == set()
    assert HINTS.keys() <= EXPLANATIONS.keys()


def _raisers() -> Iterator[ast.Call]:
    """Calls whose first argument is a code, of a diagnostic or of what becomes one."""
    for file in (ROOT / "slotlang").rglob("*.py"):
        if '"SL' not in (text := file.read_text()):
            continue
        for call in (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call)):
            name = call.func.id if isinstance(call.func, ast.Name) else ""
            code = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else ""
            # others give the hint as their last argument
            if name in ("error", "Diagnostic", "Obstacle") and re.fullmatch(r"SL\d+", str(code)) and len(call.args) < 4:
                yield call
