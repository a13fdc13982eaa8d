"""Levels and scales, followed operation by operation as the library would; no loop computes one thing twice."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pytest
from amounts import one_in
from repository import bind_text
from small_programs import CASES, Case

from slotlang.meaning.integers import Int, variables
from slotlang.schedule import ops
from slotlang.schedule.build import EVERY, schedule
from slotlang.schedule.ops import State

DROPS: dict[str, Sequence[int]] = {"none": (), "every": EVERY, "first": (1,), "second": (2,), "first and third": (1, 3)}


def products(state: State, drops: Sequence[int]) -> int:
    """Products behind a state: those that the last dropped prime was for, and those still carried."""
    return (drops[state.level - 1] if state.level else 0) + state.pending


def followed(made: ops.Schedule) -> dict[str, State]:
    """The state of every family, by the library's rules; fails where one is broken."""
    states: dict[str, State] = {}

    def encoding(ref: ops.PlainRef) -> ops.Encoding:
        found = made.plains[ref.family].encoding
        assert found is not None
        return found

    def settled(state: State) -> State:
        """Nothing is rotated or multiplied at a scale for which a prime is to be dropped."""
        due = made.drops[state.level : state.level + 1]
        assert products(state, made.drops) not in due
        return state

    def follow(op: ops.Op) -> State:
        match op:
            case ops.Ref(name):
                return states[name]
            case ops.Add(operands):
                first, *others = (follow(o) for _, o in operands)
                assert all(state == first for state in others), "a sum of unequal scales"
                return first
            case ops.Neg(value) | ops.Relinearize(value):
                return follow(value)
            case ops.AddPlain(value, plain):
                state = follow(value)
                assert encoding(plain) == ops.Encoding(state.level, state.pending, True)
                return state
            case ops.MulPlain(value, plain):
                state = settled(follow(value))
                assert encoding(plain) == ops.Encoding(state.level, state.pending, False)
                return State(state.level, state.pending + 1)
            case ops.Mul(left, right):
                a, b = settled(follow(left)), settled(follow(right))
                assert a.level == b.level
                return State(a.level, a.pending + b.pending + 1)
            case ops.Rescale(value):
                state = follow(value)
                assert products(state, made.drops) == made.drops[state.level]
                return State(state.level + 1, 0)
            case ops.Sum(_, body):
                return follow(body)
            case ops.Horner(_, body):
                return settled(follow(body))
            case ops.Rotate(value) | ops.Ladder(value) | ops.Conjugate(value) | ops.Doubling(value):
                return settled(follow(value))

    for family in made.ciphers:
        states[family.name] = State(0, 0) if family.body is None else follow(family.body)
    return states


@pytest.mark.parametrize(
    ("case", "mode"),
    # of each program's modes at least one
    one_in(len(DROPS) - 1, product(CASES, DROPS), lambda case: f"{case[0].name}-{case[1]}"),
)
def test_states(case: Case, mode: str) -> None:
    made = schedule(bind_text(case.text), DROPS[mode])
    states = followed(made)
    assert states == made.states
    assert made.depth == max(products(state, made.drops) for state in states.values())
    assert all(product <= made.depth for product in made.drops)


DEEP = """program deep(slots = 8)
input x[slots]
weight u[slots]
cipher X = x[slot]
plain U = u[slot]
A = X * U
B = A * U
C = B * U + X
output y[slot] = C
prove y == x
"""


@pytest.mark.parametrize(
    ("mode", "levels"), [("none", 0), ("every", 3), ("first", 1), ("second", 1), ("first and third", 2)]
)
def test_three_products_in_a_row(mode: str, levels: int) -> None:
    """x joins at the end, and is multiplied by 1 as often as the rest was by u: three products behind every operand."""
    made = schedule(bind_text(DEEP), DROPS[mode])
    assert made.depth == 3
    last = made.states[made.outputs[-1].family.name]
    assert last.level == levels
    assert products(last, made.drops) == 3


# hoisting


def named(*indices: Int) -> frozenset[str]:
    return frozenset().union(*map(variables, indices))


def depends(op: ops.Op) -> frozenset[str]:
    """Loop variables whose value changes what an operation computes."""
    inner = frozenset().union(*map(depends, ops.children(op)))
    match op:
        case ops.Ref(_, indices):
            return named(*indices)
        case ops.MulPlain(_, plain) | ops.AddPlain(_, plain):
            return inner | named(*plain.indices)
        case ops.Rotate(_, amount):
            return inner | named(amount)
        case ops.Ladder(_, var):
            return inner | {var}
        case ops.Sum(loop, _) | ops.Horner(loop, _):
            return inner - {loop.var}
        case _:
            return inner


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_nothing_is_computed_twice_in_a_loop(case: Case) -> None:
    """Every operation depends on all loops around it that run more than once: else it would stand before them."""
    made = schedule(bind_text(case.text))

    def look(op: ops.Op, around: tuple[ops.Loop, ...]) -> None:
        if isinstance(op, ops.Ref):
            return
        assert {loop.var for loop in around if loop.size > 1} <= depends(op), op
        inner = (*around, op.loop) if isinstance(op, ops.Sum | ops.Horner) else around
        for child in ops.children(op):
            look(child, inner)

    for family in made.ciphers:
        if family.body is not None:
            look(family.body, family.loops)


def made_of(body: str) -> ops.Schedule:
    return schedule(
        bind_text(
            "program p(slots = 8)\ninput x[slots]\nweight u[slots]\ncipher X = x[slot]\n"
            "plain U[q < 4] = u[(slot + q) % slots]\n"
            f"Y = {body}\noutput y[slot] = Y\nprove y == x\n"
        )
    )


def rotations(made: ops.Schedule) -> list[tuple[str, ops.Op]]:
    """Rotations and ladders with the family that they are in."""
    found: list[tuple[str, ops.Op]] = []

    def look(op: ops.Op, name: str) -> None:
        if isinstance(op, ops.Rotate | ops.Ladder):
            found.append((name, op))
        for child in ops.children(op):
            look(child, name)

    for family in made.ciphers:
        if family.body is not None:
            look(family.body, family.name)
    return found


def test_an_invariant_rotation_is_lifted_and_shared() -> None:
    made = made_of("(sum q < 4: (X << 3) * U[q]) + (sum r < 4: (X << 3) * U[3 - r])")
    ((name, rotation),) = rotations(made)
    assert name == "X_rotated"
    assert isinstance(rotation, ops.Rotate)


def test_equal_steps_become_a_ladder() -> None:
    ((_, ladder),) = rotations(made_of("sum q < 4: (X << 2*q) * U[q]"))
    assert isinstance(ladder, ops.Ladder)
    assert abs(ladder.step) == 2


def test_past_a_full_turn_there_is_no_ladder() -> None:
    ((_, rotation),) = rotations(made_of("sum q < 4: (X << 3*q) * U[q]"))
    assert isinstance(rotation, ops.Rotate)
