"""Walks by lists in place of Python's stack, and the order of families that read each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from repository import bind_text

from slotlang.meaning.deep import Steps, in_order, walked
from slotlang.meaning.program import Program
from slotlang.meaning.value import FamilyRef, leaves

DEPTH = 50_000


def sum_to(n: int) -> Steps[int]:
    if n == 0:
        return 0
    below = yield sum_to(n - 1)
    return int(below) + n


def test_a_walk_deeper_than_the_stack() -> None:
    assert walked(sum_to(DEPTH)) == DEPTH * (DEPTH + 1) // 2


def test_what_an_inner_walk_raises_arrives_outside() -> None:
    told: list[str] = []

    def inner(n: int) -> Steps[int]:
        told.append(f"in {n}")
        try:
            if n == 3:
                raise ValueError("three")
            found = yield inner(n + 1)
            return int(found)
        finally:
            told.append(f"out {n}")

    def outer() -> Steps[str]:
        try:
            yield inner(1)
        except ValueError as problem:
            after = yield sum_to(4)
            return f"{problem}, {after}"
        return "nothing"

    assert walked(outer()) == "three, 10"
    assert told == ["in 1", "in 2", "in 3", "out 3", "out 2", "out 1"]
    with pytest.raises(ValueError, match="three"):
        walked(inner(3))


def read(program: Program, name: str) -> set[str]:
    return {leaf.name for leaf in leaves(program.families[name].body) if isinstance(leaf, FamilyRef)}


@pytest.fixture
def program() -> Program:
    return bind_text("""program p(n = 4, slots = 4)
input x[n]
axes (t < slots)
cipher X = x[t]
A = X << 1
B = A + X
C = B * A
D = C + (B << 1)
Z = X << 2
output y[t] = D
prove y[i < n] == x[i]
""")


def above(order: list[str]) -> Iterator[tuple[str, set[str]]]:
    return ((name, set(order[:place])) for place, name in enumerate(order))


def test_each_family_stands_behind_those_that_it_reads(program: Program) -> None:
    order = in_order(program.families, program.families["D"].body)
    assert sorted(order) == ["A", "B", "C", "X"]
    assert all(read(program, name) <= before for name, before in above(order))


def test_known_families_are_left_out_with_what_only_they_read(program: Program) -> None:
    assert in_order(program.families, program.families["D"].body, ["B", "C"]) == []
    assert in_order(program.families, program.families["C"].body, ["B"]) == ["X", "A"]
    assert in_order(program.families, program.families["X"].body) == []
