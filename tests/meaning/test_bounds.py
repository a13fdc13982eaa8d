"""Bounds: what a program assumes of magnitudes."""

from __future__ import annotations

from fractions import Fraction

import pytest
from repository import bind_text

from slotlang.diagnostics import SlotError
from slotlang.meaning.program import Bound, Program
from slotlang.proof.check import check
from slotlang.proof.forall.check import check_for_all
from slotlang.recheck.program import Program as Rechecked
from slotlang.source import Source, Span
from slotlang.syntax.formatter import format_program
from slotlang.syntax.parser import parse

TEXT = """program words(n = 8, m = 4, slots = 8)
input  x[n], X2[n, m]
weight A[n, n], B[m, n], u[n], W[2, 3, 4]
scalar a
axes (h < n / 2, t < 2)
{}
cipher X = x[slot]
output y[slot] = X
prove  y == x
"""
NOWHERE = Span(Source("", ""), 0, 0)


def bound(name: str, axis: int | None, limit: Fraction | int) -> Bound:
    """A bound of norms along an axis, or of elements."""
    return Bound(name, "entry" if axis is None else "norm", axis, Fraction(limit), NOWHERE)


def program(statements: str) -> Program:
    """The program with these statements in it, which the re-checker takes too."""
    text = TEXT.format(statements)
    Rechecked(text, {"n": 8, "m": 4, "slots": 8})
    return bind_text(text)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("bound |x| <= 8", bound("x", None, 8)),
        ("bound |A| <= 1/4", bound("A", None, Fraction(1, 4))),
        ("bound |a| <= 0.125", bound("a", None, Fraction(1, 8))),
        ("bound |W| <= 4*n/m", bound("W", None, 8)),
        ("bound |u| <= n - 7.5", bound("u", None, Fraction(1, 2))),
        ("bound |u| <= -(m - n)", bound("u", None, 4)),
        ("bound norm(x) <= 3", bound("x", 0, 3)),
        ("bound norm(x[:]) <= 3", bound("x", 0, 3)),
        ("bound norm(X2[:, t]) <= 64", bound("X2", 0, 64)),
        ("bound norm(B[q, :]) <= 1", bound("B", 1, 1)),
        ("bound norm(A[:, j]) <= 1", bound("A", 0, 1)),
        ("bound norm(W[i, :, k]) <= 1", bound("W", 1, 1)),
    ],
)
def test_one_bound(statement: str, expected: Bound) -> None:
    assert program(statement).bounds == (expected,)


def test_bounds_are_in_the_order_of_the_text_and_change_nothing_else() -> None:
    given = program("bound norm(A[i, :]) <= 2\nbound |x| <= 1\nbound norm(A[:, i]) <= 3")
    assert given.bounds == (bound("A", 1, 2), bound("x", None, 1), bound("A", 0, 3))
    without = program("")
    assert without.bounds == ()
    assert (given.steps, given.theorems, given.tensors) == (without.steps, without.theorems, without.tensors)
    assert check(given).proved


def test_smallest_and_largest_limits() -> None:
    tiny = "1 / (4294967296 * 4294967296 * 4294967296 * 4294967296)"
    huge = "4294967296 * 4294967296 * 4294967296 * 4294967296"
    assert program(f"bound |x| <= {tiny}\nbound |a| <= {huge}").bounds == (
        bound("x", None, Fraction(1, 2**128)),
        bound("a", None, 2**128),
    )
    for beyond in (f"{tiny} / 2", f"{huge} + 1"):
        with pytest.raises(SlotError) as caught:
            bind_text(TEXT.format(f"bound |x| <= {beyond}"))
        assert [d.code for d in caught.value.diagnostics] == ["SL217"]


def test_limits_follow_the_sizes() -> None:
    text = TEXT.format("bound |x| <= n/4")
    assert bind_text(text, {"n": 6, "slots": 6}).bounds == (bound("x", None, Fraction(3, 2)),)


def test_a_wrong_tensor_takes_its_bound_along() -> None:
    with pytest.raises(SlotError) as caught:
        bind_text(TEXT.format("weight Z[n / 3]\nbound |Z| <= 2\nbound |u| <= 0"))
    assert [d.code for d in caught.value.diagnostics] == ["SL204", "SL217"]


def test_formatting() -> None:
    text = TEXT.format("bound  |x|<=4*n # at most\nbound norm( A[i,:] ) <= 2 / 3")
    assert "bound |x| <= 4 * n               # at most\nbound norm(A[i, :]) <= 2/3\n" in format_program(
        parse(Source("p", text))
    )


def test_a_bound_inside_an_open_bracket_starts_a_statement() -> None:
    with pytest.raises(SlotError) as caught:
        parse(Source("p", "program p(n = 8)\ninput x[n\nbound |x| <= 8\nbound norm(x) <= 8"))
    assert [d.code for d in caught.value.diagnostics] == ["SL101"]


def test_all_sizes_at_which_limits_are_positive() -> None:
    """``n`` is free; the limit is positive where n is 3 or more, and the proof says so."""
    text = "program p(n, slots = n)\ninput x[n]\nbound |x| <= (n - 2) / 5\ncipher X = x[slot]\n"
    text += "output y[slot] = X\nprove y == x\n"
    report = check_for_all(parse(Source("p", text)), ["n"])
    assert report.proved
    assert report.for_all is not None
    assert any("the limit (n - 2) / 5 is positive" in condition for condition in report.for_all.conditions)
