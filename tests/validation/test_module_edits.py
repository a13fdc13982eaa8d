"""Edited modules end as they must: refused, refuted, unknown or proved."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from validation.module_edits import GENERAL, PERMUTED, RANK_COMPLEX, SEVERAL, Edit

from slotlang.diagnostics import SlotError
from slotlang.emit.module import Lowering, emit
from slotlang.meaning.bind import bind
from slotlang.planning.planner import plan
from slotlang.source import Source
from slotlang.syntax.parser import parse, read_source
from slotlang.validation.check import check_module

ROOT = Path(__file__).resolve().parents[2]
SIZES = {
    "rank_complex": {"d": 32, "r": 8, "batch": 2, "slots": 16},
    "permuted": {"d": 8, "r": 2, "batch": 4, "slots": 16},
    "several_outputs": {"d": 8, "r": 2},
}
BODIES = {"rank_complex": RANK_COMPLEX, "permuted": PERMUTED, "several_outputs": SEVERAL}


@cache
def module(name: str) -> str:
    program = bind(parse(read_source(ROOT / f"programs/{name}.slot")), SIZES[name])
    return emit(plan(program), Lowering("0.1.0", "proved", "polyhedral", validated=True))


def answer(text: str) -> tuple[str, str]:
    try:
        found = check_module(Source("/nowhere/module.py", text)).validation
    except SlotError as problem:
        (diagnostic,) = problem.diagnostics
        return diagnostic.code, f"{diagnostic.message} {diagnostic.span} {diagnostic.hint}"
    return found.status, found.what


def check_edit(name: str, edit: Edit) -> None:
    text = module(name)
    assert edit.old in text and edit.old != edit.new
    found, what = answer(text.replace(edit.old, edit.new, 1))
    # for a few edits of parameters more than one code is as good
    assert found == edit.answer or (edit.answer == "SL" and found.startswith("SL")), (edit, found, what)
    assert what or found == "proved"


@pytest.mark.parametrize("edit", GENERAL, ids=range(len(GENERAL)))
def test_edits_of_any_module(edit: Edit) -> None:
    names = [name for name in SIZES if edit.old in module(name)]
    assert names
    for name in names:
        check_edit(name, edit)


@pytest.mark.parametrize(
    ("name", "edit"),
    [pytest.param(name, edit, id=f"{name}-{n}") for name, edits in BODIES.items() for n, edit in enumerate(edits)],
)
def test_edits_of_bodies(name: str, edit: Edit) -> None:
    check_edit(name, edit)


def test_there_are_enough_edits_of_each_kind() -> None:
    answers = [edit.answer for edits in (GENERAL, *BODIES.values()) for edit in edits]
    assert len(answers) > 400
    for kind in ("proved", "refuted", "unknown", "SL745"):
        assert answers.count(kind) > 50, kind


@pytest.mark.parametrize("name", SIZES)
def test_modules_as_emitted_are_proved(name: str) -> None:
    assert answer(module(name)) == ("proved", "")
