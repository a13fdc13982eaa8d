"""Slots that are read, all at once, compared with a walk slot by slot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

import numpy as np
import pytest
from repository import bind_text, program_text
from small_programs import MOVES

from slotlang.meaning.integers import Int, evaluate, holds
from slotlang.meaning.program import Program
from slotlang.meaning.value import Arith, FamilyRef, Iverson, Permuted, Read, Shift, Slotwise, SumOver, Value, children
from slotlang.show import origins
from slotlang.show.origins import slots_read

TEXT = MOVES.replace("U = permute(T, inverse(turn))", "U = permute(T << 1, inverse(turn)) * [h < 5]")
SMALL = {"d": 16, "r": 4, "batch": 2, "slots": 16}


Place = tuple[str, tuple[int, ...], int]


def reads(program: Program, value: Value, env: Mapping[str, int], slot: int) -> Iterator[Place]:
    """Encrypted slots that one slot is computed from, by the rules of the language, one slot at a time."""
    match value:
        case FamilyRef(name, indices):
            if program.families[name].kind != "plain":
                yield name, tuple(_at(program, i, env) for i in indices), slot
        case Arith("*") if _vanishes(program, value, env, slot):
            return
        case Shift(inner, amount):
            yield from reads(program, inner, env, (slot + _at(program, amount, env)) % program.slots)
        case SumOver(var, extent, _, _, body):
            for v in range(_at(program, extent, {})):
                yield from reads(program, body, {**env, var: v}, slot)
        case Permuted(inner, name, inverse):
            destination = program.permutations[name].destination
            source = int(destination[slot]) if inverse else int(np.flatnonzero(destination == slot)[0])
            yield from reads(program, inner, env, source)
        case _:
            for child in children(value):
                yield from reads(program, child, env, slot)


def _at(program: Program, e: Int, env: Mapping[str, int]) -> int:
    return int(evaluate(e, program.sizes, env))


def _vanishes(program: Program, value: Value, env: Mapping[str, int], slot: int) -> bool:
    """Whether a value is 0 at a slot because a bracket in it does not hold."""
    match value:
        case Iverson(condition):
            return not holds(condition, program.sizes, {**program.slot_env(slot), **env})
        case Read(tensor, indices, True):
            here = {**program.slot_env(slot), **env}
            at = [evaluate(i, program.sizes, here) for i in indices]
            return not all(0 <= i < n for i, n in zip(at, program.tensors[tensor].shape, strict=True))
        case Arith("*"):
            return any(_vanishes(program, factor, env, slot) for factor in children(value))
        case FamilyRef(name, indices) if program.families[name].kind == "plain":
            family = program.families[name]
            return _vanishes(program, family.body, family.env([_at(program, i, env) for i in indices]), slot)
        case _:
            return isinstance(value, Slotwise) and all(_vanishes(program, part, env, slot) for part in children(value))


@pytest.mark.parametrize(
    ("text", "sizes"), [(TEXT, {}), (program_text("rank_complex"), SMALL), (program_text("permuted"), None)]
)
def test_each_slot_reads_what_the_trace_reads(text, sizes):
    program = bind_text(text, sizes or {})
    slots = range(program.slots) if program.slots <= 16 else (0, 1, 77, program.slots - 1)
    for family in program.families.values():
        if family.kind != "compute":
            continue
        for member in list(product(*(range(b.size) for b in family.binders)))[:2]:
            found = slots_read(program, family.name, member)
            assert found is not None
            for slot in slots:
                mine = {(r.family, r.member, int(r.source[slot])) for r in found if r.read[slot]}
                mine = {place for place in mine if program.families[place[0]].kind != "plain"}
                assert mine == set(reads(program, family.body, family.env(member), slot))


def test_a_plaintext_beyond_its_tensor_makes_nothing_of_what_it_multiplies():
    program = bind_text("""program few(n = 3, slots = 4)
input x[slots]
weight w[n]
cipher X = x[slot]
plain W = w[slot] else 0
Y = W * X
output y[slot] = Y where slot < n
prove y[i < n] == w[i] * x[i]
""")
    read = {r.family: r.read.tolist() for r in slots_read(program, "Y", ())}
    assert read == {"W": [True, True, True, False], "X": [True, True, True, False]}
    body, env = program.families["Y"].body, {}
    assert [list(reads(program, body, env, slot)) for slot in (2, 3)] == [[("X", (), 2)], []]


def test_rotations_have_a_step_and_permutations_have_none():
    program = bind_text(TEXT)
    steps = {(r.family, r.step) for r in slots_read(program, "S", ())}
    assert steps == {("Z", 0), ("Z", 1), ("Z", 2), ("Z", 3)}
    assert [r.step for r in slots_read(program, "T", ())] == [0, None]


def test_a_value_that_reads_too_much_is_not_listed(monkeypatch):
    monkeypatch.setattr(origins, "MAX_READS", 3)
    assert slots_read(bind_text(TEXT), "S", ()) is None
