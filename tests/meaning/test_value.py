"""Walks over values, members of families, and the slots that outputs read."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

import pytest

from slotlang.meaning.bind import bind
from slotlang.meaning.integers import IntConst, IntVar, evaluate, holds
from slotlang.meaning.program import Output, Program, member_text
from slotlang.meaning.value import (
    FamilyRef,
    Iverson,
    Leaf,
    Read,
    ScalarRef,
    Shift,
    Value,
    children,
    free_variables,
    leaves,
    nodes,
    rebuilt,
    renamed,
    sum_variables,
)
from slotlang.source import Source
from slotlang.syntax.parser import parse

PROGRAM = """program t(n = 3, slots = 8)
input  x[8]
weight A[5, 8]
scalar scale
axes (h < 4, t < 2)
perm turned: slot -> (slot + 1) % slots
cipher X = x[slot]
plain  V[q < n] = A[q, slot] * [h < 2]
S[a < n, b < 2] = (sum q < n: conj X * V[q] << 2*q + b) - permute(X, inverse(turned)) * (scale * V[a]) + -X * 1i
T = S[0, 1]
W = sum q < n, k < 2: S[q, k] * V[q]
output y[slot - 1] = re T where slot != 4
prove y == A @ x
"""


@pytest.fixture(scope="module")
def program() -> Program:
    return bind(parse(Source("t.slot", PROGRAM)))


def bodies(program: Program) -> list[Value]:
    return [f.body for f in program.families.values()]


def test_the_program_has_every_operator(program: Program) -> None:
    present = {type(node) for body in bodies(program) for node in nodes(body)}
    assert set(get_args(Value)) - set(get_args(Leaf)) <= present


def test_children_are_the_values_among_the_fields(program: Program) -> None:
    for body in bodies(program):
        for node in nodes(body):
            assert list(children(node)) == [
                part for f in fields(node) if isinstance(part := getattr(node, f.name), get_args(Value))
            ]


def test_rebuilt_changes_every_operand_and_nothing_else(program: Program) -> None:
    for body in bodies(program):
        for node in nodes(body):
            assert rebuilt(node, lambda v: v) == node
            new = FamilyRef("T", (), node.span)
            changed = rebuilt(node, lambda _, new=new: new)
            assert children(changed) == (new,) * len(children(node))
            operands = {f.name for f in fields(node) if isinstance(getattr(node, f.name), get_args(Value))}
            assert all(
                getattr(changed, f.name) == getattr(node, f.name) for f in fields(node) if f.name not in operands
            )


def test_leaves_stand_in_the_order_of_the_text(program: Program) -> None:
    written = list(leaves(program.families["S"].body))
    names = [leaf.name if isinstance(leaf, FamilyRef | ScalarRef) else "1i" for leaf in written]
    assert names == ["X", "V", "X", "scale", "V", "X", "1i"]
    starts = [leaf.span.start for leaf in written]
    assert starts == sorted(starts)


def test_variables(program: Program) -> None:
    body = program.families["S"].body
    assert free_variables(body) == {"a", "b"}
    assert sum_variables(body) == {"q"}
    assert sum_variables(program.families["W"].body) == {"q", "k"}
    assert free_variables(program.families["V"].body) == {"q", "h", "slot"}


def test_renamed_reaches_indices_conditions_and_shifts(program: Program) -> None:
    body = program.families["S"].body
    new = renamed(body, {"a": IntConst(2), "b": IntVar("z")})
    assert free_variables(new) == {"z"}
    shifts = [node for node in nodes(new) if isinstance(node, Shift)]
    assert len(shifts) == 1 and shifts[0] != next(n for n in nodes(body) if isinstance(n, Shift))
    bracket = renamed(program.families["V"].body, {"h": IntConst(1), "q": IntConst(0)})
    assert free_variables(bracket) == {"slot"}
    assert renamed(body, {"a": IntVar("a")}) is body


def test_what_holds_a_ciphertext(program: Program) -> None:
    assert not program.encrypted(program.families["V"].body)
    assert program.encrypted(program.families["T"].body)
    body = program.families["S"].body
    plain = [node for node in nodes(body) if not program.encrypted(node)]
    for node in plain:
        assert all(not isinstance(leaf, FamilyRef) or leaf.name == "V" for leaf in leaves(node))


def test_leaves_through_definitions(program: Program) -> None:
    through = list(program.leaves(program.families["T"].body))
    assert not any(isinstance(leaf, FamilyRef) for leaf in through)
    assert {leaf.tensor for leaf in through if isinstance(leaf, Read)} == {"x", "A"}
    assert any(isinstance(leaf, Iverson) for leaf in through)


def test_members(program: Program) -> None:
    family = program.families["S"]
    assert family.size == 6 == len(list(family.points()))
    assert list(family.points())[:3] == [(0, 0), (0, 1), (1, 0)]
    assert list(family.envs())[3] == family.env((1, 1)) == {"a": 1, "b": 1}
    assert program.families["X"].size == 1 and list(program.families["X"].envs()) == [{}]
    with pytest.raises(ValueError):
        family.env((1,))
    assert member_text("S", (1, 0)) == "S[1, 0]"
    assert member_text("X", ()) == "X"


def test_slots_that_an_output_reads(program: Program) -> None:
    (output,) = program.outputs
    assert isinstance(output, Output)
    # y has 5 elements, the output gives slot s the element s - 1, and leaves out slot 4
    assert program.read_slots(output, {}).tolist() == [False, True, True, True, False, True, False, False]
    assert program.read_elements(output, {})[program.read_slots(output, {})].tolist() == [0, 1, 2, 4]
    condition = program.read_where(output)
    for slot in range(program.slots):
        env = program.slot_env(slot)
        assert bool(holds(condition, program.sizes, env)) == bool(program.read_slots(output, {})[slot])
        assert evaluate(output.indices[0], program.sizes, env) == program.read_elements(output, {})[slot]


def test_messages_about_the_whole_program_point_at_its_header(program: Program) -> None:
    assert program.span.text == "program t(n = 3, slots = 8)"
    assert program.syntax.header.name == program.name == "t"
