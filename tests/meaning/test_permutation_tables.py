"""Permutations: the table is the defining equation, at every slot."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from amounts import examples
from hypothesis import given
from hypothesis import strategies as st
from repository import bind_text

from slotlang.diagnostics import Diagnostic, SlotError
from slotlang.meaning.integers import evaluate
from slotlang.meaning.program import Permutation, Program

HEAD = "program t(n = 3)\naxes (h < 2, t < n, w < 4)\naxes (u < 6, v < 4)\ninput x[24]\n"
END = "cipher X = x[slot]\noutput y[slot] = X\nprove y == x\n"


def bound(form: str) -> Program:
    return bind_text(f"{HEAD}perm p: {form}\n{END}")


def table(form: str) -> list[int]:
    return [int(s) for s in bound(form).permutations["p"].destination]


def problem(form: str) -> Diagnostic:
    with pytest.raises(SlotError) as caught:
        bound(form)
    (found,) = caught.value.diagnostics
    return found


@pytest.mark.parametrize("order", list(permutations("htw")))
def test_digits_move_to_the_slot_with_these_digits_in_the_permuted_extents(order: tuple[str, ...]) -> None:
    extents = {"h": 2, "t": 3, "w": 4}
    destination = table(f"(h, t, w) -> ({', '.join(order)})")
    for h in range(2):
        for t in range(3):
            for w in range(4):
                digit = {"h": h, "t": t, "w": w}
                target = 0
                for name in order:
                    target = target * extents[name] + digit[name]
                assert destination[(h * 3 + t) * 4 + w] == target


def test_a_digit_may_be_turned_or_reversed() -> None:
    destination = table("(u, v) -> ((v + 1) % 4, 5 - u)")
    assert all(destination[u * 4 + v] == (v + 1) % 4 * 6 + 5 - u for u in range(6) for v in range(4))


@pytest.mark.parametrize(
    ("expression", "equation"),
    [
        ("(slot + 5) % slots", lambda s: (s + 5) % 24),
        ("23 - slot", lambda s: 23 - s),
        ("slot * 7 % 24", lambda s: s * 7 % 24),
        ("v * 6 + u", lambda s: s % 4 * 6 + s // 4),
        ("h * 12 + (t + w) % n * 4 + w", lambda s: s // 12 * 12 + (s // 4 % 3 + s % 4) % 3 * 4 + s % 4),
        ("slot", lambda s: s),
    ],
)
def test_the_whole_slot_by_an_expression(expression: str, equation) -> None:  # type: ignore[no-untyped-def]
    assert table(f"slot -> {expression.replace('slots', '24')}") == [equation(s) for s in range(24)]


def test_the_expression_gives_the_table() -> None:
    for form in ("(h, t, w) -> (w, h, t)", "slot -> (u + 1) % 6 * 4 + v"):
        program = bound(form)
        p = program.permutations["p"]
        assert p.expression is not None and p.moved == ()
        values = evaluate(p.expression, program.sizes, program.slot_env(np.arange(24)))
        assert (values == p.destination).all()


def test_cycles_move_each_slot_to_the_next() -> None:
    p = bound("cycles (0, 1, 2), (5, 2*n + 1), (9, 9 - 1), (20)").permutations["p"]
    moved = {0: 1, 1: 2, 2: 0, 5: 7, 7: 5, 8: 9, 9: 8}
    assert p.destination.tolist() == [moved.get(s, s) for s in range(24)]
    assert p.expression is None and dict(p.moved) == moved and len(p.moved) == 7


@examples()
@given(st.permutations(range(24)))
def test_every_bijection_can_be_given_by_cycles(destination: list[int]) -> None:
    seen: set[int] = set()
    cycles = []
    for start in range(24):
        cycle = []
        while start not in seen:
            seen.add(start)
            cycle.append(start)
            start = destination[start]
        if cycle:
            cycles.append(f"({', '.join(map(str, cycle))})")
    assert table(f"cycles {', '.join(cycles)}") == destination


@examples()
@given(st.integers(0, 30), st.integers(0, 30))
def test_a_slot_expression_is_accepted_exactly_when_it_is_a_bijection(factor: int, offset: int) -> None:
    wanted = [(factor * s + offset) % 24 for s in range(24)]
    form = f"slot -> ({factor} * slot + {offset}) % 24"
    if sorted(wanted) == list(range(24)):
        assert table(form) == wanted
    else:
        found = problem(form)
        assert found.code == "SL231"
        a, b, target = (int(w) for w in found.label.split() if w.isdigit())
        assert a < b and wanted[a] == wanted[b] == target


@pytest.mark.parametrize(
    ("form", "code", "label"),
    [
        ("slot -> slot + 1", "SL231", "slot 23 would go to 24"),
        ("slot -> slot - 2", "SL231", "slot 0 would go to -2"),
        ("slot -> 5", "SL231", "slots 0 and 1 would both go to 5"),
        ("(u, v) -> (v, u + 1)", "SL231", "is 6 at u = 5"),
        ("(u, v) -> (v, u // 2)", "SL231", "slots 0 and 4 would both go to 0"),
        ("(u, v) -> (v, v)", "SL230", ""),
        ("(u, v) -> (u + v, v)", "SL230", "is made of u, v"),
        ("(u, v) -> (u, 3)", "SL230", "is a constant"),
        ("(u, v) -> (u, w)", "SL230", "is made of w"),
        ("(u, v) -> (u, v, v)", "SL230", ""),
        ("(v, u) -> (u, v)", "SL230", ""),
        ("(h, t) -> (t, h)", "SL230", ""),
        ("u -> u", "SL230", "is one digit of several"),
        ("cycles (3, 24)", "SL231", ""),
        ("cycles (3, 0 - 1)", "SL231", ""),
        ("cycles (3, 4), (4, 5)", "SL231", ""),
        ("cycles (3, 3)", "SL231", ""),
    ],
)
def test_what_is_no_permutation(form: str, code: str, label: str) -> None:
    found = problem(form)
    assert (found.code, found.label) == (code, label)


def test_a_table_of_a_million_slots_is_the_limit() -> None:
    text = "program t(slots = 1048576)\ninput x[1]\nperm p: slot -> slots - 1 - slot\n" + (
        "cipher X = x[0]\noutput y[0] = X where slot == 0\nprove y == x\n"
    )
    p: Permutation = bind_text(text).permutations["p"]
    assert p.destination[0] == 1048575 and p.destination[1048575] == 0
    with pytest.raises(SlotError) as caught:
        bind_text(text, {"slots": 1048577})
    assert [d.code for d in caught.value.diagnostics] == ["SL309"]
