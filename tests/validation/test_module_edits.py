"""Edited modules end as they must: refused, refuted, unknown or proved."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from validation.body_edits import BODIES
from validation.module_edits import GENERAL, Edits

from slotlang.diagnostics import SlotError
from slotlang.emit.head import Lowering
from slotlang.emit.module import emit
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
QUICK = 11
"""Every so many edits are a part of the tests that run always."""


def flat(edits: list[Edits]) -> list[tuple[str, str, str]]:
    """A text, what it becomes, and the answer."""
    return [(old, new, answer) for old, changes in edits for new, answer in changes]


def cases(edits: list[Edits], first: str) -> list[Any]:
    """Parameters of a test; most are slow."""
    found = []
    for number, edit in enumerate(flat(edits)):
        marks = [] if number % QUICK == 0 else [pytest.mark.slow]
        found.append(pytest.param(first, *edit, marks=marks, id=f"{first}-{number}"))
    return found


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


def check_edit(name: str, old: str, new: str, wanted: str) -> None:
    text = module(name)
    assert old in text and old != new
    found, what = answer(text.replace(old, new, 1))
    assert found == wanted or (wanted == "SL" and found.startswith("SL")), (found, what)
    assert what or found == "proved"


@pytest.mark.slow
@pytest.mark.parametrize(("old", "new", "wanted"), flat(GENERAL))
def test_edits_of_every_module(old: str, new: str, wanted: str) -> None:
    names = [name for name in SIZES if old in module(name)]
    assert names
    for name in names:
        check_edit(name, old, new, wanted)


@pytest.mark.parametrize(("number", "edit"), list(enumerate(flat(GENERAL)[::QUICK])))
def test_edits_of_one_module_each(number: int, edit: tuple[str, str, str]) -> None:
    names = [name for name in SIZES if edit[0] in module(name)]
    check_edit(names[number % len(names)], *edit)


@pytest.mark.parametrize(
    ("name", "old", "new", "wanted"), [case for name, edits in BODIES.items() for case in cases(edits, name)]
)
def test_edits_of_bodies(name: str, old: str, new: str, wanted: str) -> None:
    check_edit(name, old, new, wanted)


def test_there_are_enough_edits_of_each_kind() -> None:
    answers = [wanted for edits in (GENERAL, *BODIES.values()) for _, _, wanted in flat(edits)]
    assert len(answers) > 400
    for kind in ("proved", "refuted", "unknown", "SL745"):
        assert answers.count(kind) > 50, kind


@pytest.mark.parametrize("name", SIZES)
def test_modules_as_emitted_are_proved(name: str) -> None:
    assert answer(module(name)) == ("proved", "")
