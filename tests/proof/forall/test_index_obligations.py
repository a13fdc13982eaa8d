"""Which indices of a program must stay inside for all sizes."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, get_args

import pytest

from slotlang.meaning.bind import bind
from slotlang.meaning.integers import SLOT, IntConst, IntVar, show
from slotlang.meaning.program import Program
from slotlang.meaning.value import Operator, Read, SumOver
from slotlang.proof.forall.index_obligations import Place, inside
from slotlang.source import Source
from slotlang.syntax.parser import parse

TEXT = """program t(n = 8, slots = 8)
input  x[n]
cipher X = x[slot]
output y[slot] = X
prove y == x
"""


@pytest.fixture(scope="module")
def program() -> Program:
    return bind(parse(Source("t.slot", TEXT)))


def due(program: Program, body: object) -> list[Place]:
    """The obligations of the program when its ciphertext holds ``body``."""
    family = replace(program.steps[0], body=body)  # type: ignore[type-var,call-arg]
    return list(inside(replace(program, steps=(family,), outputs=(), theorems={})))


@pytest.mark.parametrize("kind", get_args(Operator))
def test_operands_of_every_operator_have_theirs(program: Program, kind: type) -> None:
    span = program.span
    read = Read("x", (IntVar(SLOT),), False, span)
    fill: dict[str, Any] = {"Value": read, "Int": IntConst(2), "Span": span, "str": "+", "bool": False}
    value = kind(**{f.name: fill.get(str(f.type)) for f in fields(kind)})
    operands = sum(f.type == "Value" for f in fields(kind))
    places = due(program, value)
    assert operands and len(places) == operands
    assert {(show(p.index), show(p.extent)) for p in places} == {(SLOT, "n")}


def test_the_variable_of_a_sum_is_known_inside_of_it(program: Program) -> None:
    read = Read("x", (IntVar("k"),), False, program.span)
    (place,) = due(program, SumOver("k", IntConst(3), None, None, read, program.span))
    assert place.variables == {"k": IntConst(3)}


def test_a_padded_read_may_leave_its_tensor(program: Program) -> None:
    assert not due(program, Read("x", (IntVar(SLOT),), True, program.span))
