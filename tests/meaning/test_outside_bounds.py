"""Bounds from outside become statements of the program's text."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

import pytest
from repository import bind_text

from slotlang.diagnostics import SlotError
from slotlang.meaning.outside_bounds import Limit, with_bounds
from slotlang.meaning.program import program_hash
from slotlang.recheck.program import Program as Rechecked

TEXT = """program words(n = 8, m = 4, slots = 8, i = 3)
input  x[n], X2[n, m]
weight A[n, n], B[m, n], u[n], W[2, 3, 4]
scalar a
bound norm(A[:, j]) <= 3     # columns
bound |x| <= n/2             # mine
axes (h < n / 2, t < 2)
cipher X = x[slot]
output y[slot] = X
prove  y == x  # the end"""
PROGRAM = bind_text(TEXT)
OWN = {("A", 0): Fraction(3), ("x", None): Fraction(4)}


def bounds_with(given: dict[str, Limit]) -> dict[tuple[str, int | None], Fraction]:
    """The limits of the program with these bounds, by name and axis."""
    return {(b.name, b.axis): b.limit for b in with_bounds(PROGRAM, given).bounds}


def codes(given: dict[str, Limit]) -> list[str]:
    with pytest.raises(SlotError) as caught:
        with_bounds(PROGRAM, given)
    return [d.code for d in caught.value.diagnostics]


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        (8, Fraction(8)),
        (0.1, Fraction(1, 10)),
        (Fraction(1, 3), Fraction(1, 3)),
        ("1/64", Fraction(1, 64)),
        ("1e-3", Fraction(1, 1000)),
        ("2.5E2", Fraction(250)),
        ("2^10", Fraction(1024)),
        (" 2 ** -3 ", Fraction(1, 8)),
        (1e-30, Fraction(1, 10**30)),
        ("2^-128", Fraction(1, 2**128)),
    ],
)
def test_limits(limit: Limit, value: Fraction) -> None:
    assert bounds_with({"x": limit}) == {**OWN, ("x", None): value}


@pytest.mark.parametrize(
    "limit",
    [
        *(0, -1, "-0.5", "nan", "inf", float("nan"), float("inf"), "", "x", "1/0", "1e999", 1e300, "2^129", "2^-129"),
        *(True, "1" * 41, Fraction(10**40 + 1, 10**40), "1_000", "8 9", "3*n", "0x10"),
    ],
)
def test_limits_that_are_none(limit: Limit) -> None:
    assert codes({"x": limit}) == ["SL217"]


def test_norms_without_indices_are_of_tokens_and_of_rows() -> None:
    given = {"norm(X2)": 1, "norm(B)": 2, "norm(W)": 3, "norm(u)": 4, "norm(x)": 5}
    expected = {("X2", 0): 1, ("B", 1): 2, ("W", 2): 3, ("u", 0): 4, ("x", 0): 5}
    assert bounds_with(dict(given)) == {**OWN, **expected}


def test_what_is_replaced_stands_where_it_stood_and_the_rest_at_the_end() -> None:
    changed = with_bounds(PROGRAM, {"norm(A[:, q])": "1/3", "|x|": 9, "norm(A)": 2, "a": 1})
    lines = TEXT.splitlines()
    lines[4] = "bound norm(A[:, q]) <= 1/3     # columns"
    lines[5] = "bound |x| <= 9             # mine"
    assert changed.syntax.source.text.splitlines() == [*lines, "bound norm(A[j, :]) <= 2", "bound |a| <= 1"]
    assert changed.theorems == PROGRAM.theorems
    assert program_hash(changed) != program_hash(PROGRAM)
    Rechecked(changed.syntax.source.text, {"n": 8, "m": 4, "slots": 8, "i": 3})


def test_sizes_stay() -> None:
    larger = bind_text(TEXT, {"n": 16, "slots": 16})
    assert with_bounds(larger, {"a": 1}).sizes["n"] == 16


def test_nothing_given_changes_nothing() -> None:
    assert with_bounds(PROGRAM, {}) is PROGRAM


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("z", "SL201"),
        ("X", "SL201"),
        ("norm(a)", "SL223"),
        ("norm(A[:, :])", "SL303"),
        ("norm(A[i])", "SL303"),
        ("norm(u[k])", "SL303"),
        ("norm(A[n, :])", "SL202"),
        ("x y", "SL005"),
        ("", "SL005"),
        ("|x| <= 1\nbound |u|", "SL005"),
        ("|x", "SL005"),
        ("norm(x) <= 1 #)", "SL005"),
        ("norm(sum)", "SL105"),
        ("sum", "SL105"),
    ],
)
def test_keys_that_are_none(key: str, code: str) -> None:
    assert codes({key: 1}) == [code]


def test_one_thing_twice() -> None:
    assert codes({"x": 1, "|x|": 1}) == ["SL218"]
    assert codes({"norm(B)": 1, "norm(B[q, :])": 1}) == ["SL218"]


def test_the_order_of_bounds_changes_nothing() -> None:
    """A client and a server that are lowered apart match, whatever order they give bounds in: of what the program
    bounds, of what it does not, of elements and of norms of one tensor along both its dimensions."""
    given: dict[str, Limit] = {"u": 1, "|x|": 3, "norm(X2)": 5, "norm(X2[h0, :])": 6, "|a|": 2, "X2": 4}
    found = {program_hash(with_bounds(PROGRAM, dict(order))) for order in permutations(given.items())}
    assert len(found) == 1
    assert found != {program_hash(PROGRAM)}


def test_the_order_of_sizes_changes_nothing() -> None:
    sizes = {"n": 16, "m": 2, "slots": 16, "i": 5}
    found = {program_hash(bind_text(TEXT, dict(order))) for order in permutations(sizes.items())}
    assert len(found) == 1
