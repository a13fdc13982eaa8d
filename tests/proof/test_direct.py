"""Single slots by the definitions of a program, compared with the unrolled schedule and with whole products."""

from __future__ import annotations

from random import Random

import generate
import numpy as np
import pytest
from repository import bind_text, program_text

from slotlang.diagnostics import SlotError
from slotlang.graph.unroll import unroll
from slotlang.meaning.integers import IntConst
from slotlang.meaning.program import Program
from slotlang.meaning.value import Element, FamilyRef
from slotlang.proof import direct
from slotlang.proof import field as field_module
from slotlang.proof.check import check
from slotlang.proof.direct import Direct
from slotlang.proof.field import PRIMES, random_field
from slotlang.proof.random import slot_values
from slotlang.schedule.build import schedule

TINY = {"d": 16, "r": 4, "batch": 2, "slots": 8}


def agrees(program: Program) -> int:
    """Every slot of every member, each on its own; how many members."""
    field = random_field(program, PRIMES[:2], 3)
    graph = unroll(schedule(program))
    members = 0
    for family in program.families.values():
        if family.kind == "plain":
            continue
        for indices in family.points():
            expected = slot_values(graph, field, family.name, indices)
            one_by_one = Direct(program, field)
            reference = FamilyRef(family.name, tuple(map(IntConst, indices)), family.span)
            for slot in range(program.slots):
                found = one_by_one.value(reference, {}, np.array([slot]))
                assert (found[..., 0] == expected[..., slot]).all(), (family.name, indices, slot)
            members += 1
    return members


@pytest.mark.parametrize("name", ["rank_complex", "permuted", "seed/hoisted", "gated", "two_tokens"])
def test_slots_are_those_of_the_schedule(name: str) -> None:
    sizes = {"two_tokens": {"d": 16, "r": 2, "batch": 4, "slots": 8}, "permuted": {**TINY, "r": 2, "slots": 16}}
    assert agrees(bind_text(program_text(name), sizes.get(name, TINY))) > 4


@pytest.mark.parametrize("call", [1, 1 << 40])
def test_families_that_read_each_other_along_many_ways(call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """S[8] reads S[0] at 256 slots, along as many ways: with a high price of calls each member is evaluated whole."""
    monkeypatch.setattr(direct, "CALL", call)
    text = """program p(n = 16)
input x[n]
axes (h < n)
cipher X = x[h]
S[k < 9] = (X if k == 0 else S[k - 1] + 2 * (S[k - 1] << 3 * k) * [h != k])
output y[h] = S[8]
prove y == x
"""
    assert agrees(bind_text(text)) > 5


def test_slots_of_random_programs() -> None:
    members = 0
    for seed in range(5):
        text, sizes = generate.random_program(Random(4000 + seed))
        try:
            members += agrees(bind_text(text, sizes))
        except SlotError:
            continue
    assert members > 8


@pytest.mark.parametrize(
    "theorem",
    ["A @ B @ x", "2 * A @ B @ x - C.T @ x", "x @ C", "s * x @ C @ A @ B + C @ x / 3"],
)
def test_elements_are_those_of_whole_products(theorem: str) -> None:
    text = f"""program p(n = 6)
input x[n]
weight A[n, 3], B[3, n], C[n, n]
scalar s
axes (h < n)
cipher X = x[h]
output y[h] = X
prove y == {theorem}
"""
    program = bind_text(text)
    value = program.theorems["y"].value
    assert isinstance(value, Element)
    field = random_field(program, [PRIMES[0], PRIMES[0], PRIMES[1]], 5)
    whole = field.form(value.form)
    for flat in (np.arange(6), np.array([4]), np.array([5, 0, 5])):
        assert (field.elements(value.form, flat)[:, 0] == whole[:, flat]).all()


@pytest.mark.parametrize("matrix", ["A @ B", "C - C.T", "2 * A @ B - C.T", "s * C @ A @ B + C.T @ C / 3"])
def test_elements_of_matrices_are_worked_out_one_by_one(matrix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field_module, "_PIECE", 4)
    text = f"""program p(n = 6)
input x[n]
weight A[n, 3], B[3, n], C[n, n]
scalar s
axes (h < n)
cipher X = x[h]
plain D = ({matrix})[h, (h + 2) % n]
Y = X * D
output y[h] = Y
prove y[i < n] == ({matrix})[i, (i + 2) % n] * x[i]
"""
    program = bind_text(text)
    value = program.families["D"].body
    field = random_field(program, [PRIMES[0], PRIMES[0], PRIMES[1]], 5)
    assert isinstance(value, Element)
    whole = field.form(value.form)
    monkeypatch.setattr(field, "_product", None)
    for flat in (np.arange(6) * 7, np.array([3, 35, 8, 1, 3, 22]), np.array([0, 35, 7])):
        assert (field.elements(value.form, flat)[:, 0] == whole[:, flat]).all()


def test_what_is_read_where_a_condition_of_sizes_holds() -> None:
    """Every slot carries one element: whether it lies inside the result depends on no slot."""
    text = """program once(n = 4)
input  x[n]
axes (h < n)
cipher X = x[h]
output y[n - 1] = X
prove  y == x
"""
    report = check(bind_text(text))
    assert report.status == "refuted" and report.counterexample is not None
