"""Families of vectors: what their slots hold, and who may define them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from repository import bind_text

from slotlang.diagnostics import Diagnostic, SlotError
from slotlang.meaning.integers import And, Cmp, IntConst, IntOp, IntSize, IntVar
from slotlang.meaning.program import Binder, Claim, Family, Program
from slotlang.meaning.value import (
    Arith,
    Chain,
    Conj,
    Const,
    Element,
    Factor,
    FamilyRef,
    Iverson,
    Negate,
    Permuted,
    Read,
    ScalarRef,
    Shift,
    SumOver,
    Value,
)
from slotlang.source import Source, Span

HEAD = """program t(d = 16, r = 4, slots = 8)
let K = d / slots
input  x[d]
weight A[d, r], B[r, d]
scalar scale
axes (h < 4, t < 2)
perm swap: (h, t) -> (t, h)
cipher X[c < K] = x[c*slots + slot]
plain  W[q < r, c < K] = B[q, c*slots + slot]
"""
END = "output y[c*slots + slot] = X[c]\nprove y == x\n"
HERE = Span(Source("", ""), 0, 0)


def bound(statements: str) -> Program:
    return bind_text(f"{HEAD}{statements}\n{END}")


def family(statement: str) -> Family:
    """The family a statement defines."""
    last = bound(statement).steps[-1]
    assert isinstance(last, Family)
    return last


def problem(statement: str) -> Diagnostic:
    with pytest.raises(SlotError) as caught:
        bound(statement)
    (found,) = caught.value.diagnostics
    return found


def number(re: Fraction | int, im: Fraction | int = 0) -> Const:
    return Const(Fraction(re), Fraction(im), HERE)


def member(name: str, *indices: int) -> FamilyRef:
    return FamilyRef(name, tuple(map(IntConst, indices)), HERE)


SLOT_OF_C = IntOp("+", IntOp("*", IntVar("c"), IntSize("slots")), IntVar("slot"))


def test_a_packed_family() -> None:
    x = bound("").families["X"]
    assert (x.kind, x.name, x.binders) == ("cipher", "X", (Binder("c", IntSize("K"), 2),))
    assert x.body == Read("x", (SLOT_OF_C,), False, HERE)


def test_a_plain_family_reads_weights_at_its_indices() -> None:
    w = bound("").families["W"]
    assert w.kind == "plain" and [b.size for b in w.binders] == [4, 2]
    assert w.body == Read("B", (IntVar("q"), SLOT_OF_C), False, HERE)


def test_the_steps_are_families_and_claims_in_order() -> None:
    program = bound("Y = X[0]\nclaim Y == x[slot]\nZ = Y")
    assert [s.family if isinstance(s, Claim) else s.name for s in program.steps] == ["X", "W", "Y", "Y", "Z"]
    assert list(program.families) == ["X", "W", "Y", "Z"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("X[0] + X[1]", Arith("+", member("X", 0), member("X", 1), HERE)),
        ("X[0] - X[1]", Arith("-", member("X", 0), member("X", 1), HERE)),
        ("X[0] * X[1]", Arith("*", member("X", 0), member("X", 1), HERE)),
        ("-X[0]", Negate(member("X", 0), HERE)),
        ("conj X[0]", Conj(member("X", 0), HERE)),
        ("scale * X[0]", Arith("*", ScalarRef("scale", HERE), member("X", 0), HERE)),
        ("X[0] / 4", Arith("*", number(Fraction(1, 4)), member("X", 0), HERE)),
        ("X[0] << 3", Shift(member("X", 0), IntConst(3), HERE)),
        ("X[0] >> 3", Shift(member("X", 0), IntConst(-3), HERE)),
        ("X[0] << -r", Shift(member("X", 0), IntOp("-", IntConst(0), IntSize("r")), HERE)),
        ("X[0] << 1 << 2", Shift(Shift(member("X", 0), IntConst(1), HERE), IntConst(2), HERE)),
        (
            "X[0] * W[0, 0] << 1",
            Shift(Arith("*", member("X", 0), member("W", 0, 0), HERE), IntConst(1), HERE),
        ),
        ("permute(X[0], swap)", Permuted(member("X", 0), "swap", False, HERE)),
        ("permute(X[0], inverse(swap))", Permuted(member("X", 0), "swap", True, HERE)),
        (
            "[h < 2] * X[0]",
            Arith("*", Iverson(Cmp("<", IntVar("h"), IntConst(2)), HERE), member("X", 0), HERE),
        ),
        (
            "[0 <= h < 2] * X[0]",
            Arith(
                "*",
                Iverson(And((Cmp("<=", IntConst(0), IntVar("h")), Cmp("<", IntVar("h"), IntConst(2)))), HERE),
                member("X", 0),
                HERE,
            ),
        ),
        (
            "sum c < K: X[c]",
            SumOver("c", IntSize("K"), None, None, FamilyRef("X", (IntVar("c"),), HERE), HERE),
        ),
        (
            "sum c < K by bsgs(r/2): X[c]",
            SumOver("c", IntSize("K"), "bsgs", 2, FamilyRef("X", (IntVar("c"),), HERE), HERE),
        ),
        (
            "sum q < r, c < K by tree: X[c]",
            SumOver(
                "q",
                IntSize("r"),
                "tree",
                None,
                SumOver("c", IntSize("K"), "tree", None, FamilyRef("X", (IntVar("c"),), HERE), HERE),
                HERE,
            ),
        ),
    ],
)
def test_what_a_slot_holds(text: str, value: Value) -> None:
    assert family(f"Y = {text}") == Family("compute", "Y", (), value, HERE)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", number(3)),
        ("-3", number(-3)),
        ("0.125", number(Fraction(1, 8))),
        ("2i", number(0, 2)),
        ("1/2", number(Fraction(1, 2))),
        ("3 - 1i", number(3, -1)),
        ("(1 + 2i) * (3 - 1i)", number(5, 5)),
        ("(4 - 2i) / (3 - 1)", number(2, -1)),
        ("r", number(4)),
        ("1 / r", number(Fraction(1, 4))),
    ],
)
def test_constants_are_exact(text: str, value: Const) -> None:
    assert family(f"plain V = {text}").body == value


def test_a_constant_that_grows_without_end_stays_an_expression() -> None:
    text = " * ".join(["9" * 40] * 20)
    value: Value = family(f"plain V = {text}").body
    folded = Fraction(1)
    while isinstance(value, Arith):
        assert value.op == "*" and isinstance(value.right, Const)
        folded *= value.right.re
        value = value.left
    assert isinstance(value, Const) and folded * value.re == (10**40 - 1) ** 20


def test_padding_needs_else_zero() -> None:
    bad = problem("plain V = B[h, c0]".replace("c0", "2*slot + 2"))
    assert bad.code == "SL308" and bad.label == "is 16 at slot 7" and bad.span and bad.span.text == "2*slot + 2"
    padded = family("plain V = B[h, 2*slot + 2] else 0").body
    assert isinstance(padded, Read) and padded.else_zero
    exact = family("plain V = B[h, 2*slot + 1]").body
    assert isinstance(exact, Read) and not exact.else_zero


def test_a_read_below_zero_needs_else_zero() -> None:
    bad = problem("plain V = B[h - 1, 0]")
    assert bad.code == "SL308" and bad.label == "is -1 at slot 0 (h = 0)"
    assert family("plain V = B[h - 1, 0] else 0").body == Read(
        "B", (IntOp("-", IntVar("h"), IntConst(1)), IntConst(0)), True, HERE
    )


def test_an_element_of_a_tensor_expression() -> None:
    body = family("plain V = (2 * A @ B - B.T @ A.T)[slot, h] * [t < 1]").body
    assert isinstance(body, Arith) and isinstance(body.left, Element)
    element = body.left
    assert element.indices == (IntVar("slot"), IntVar("h")) and not element.else_zero
    assert element.form.shape == (16, 16)
    assert element.form.chains == (
        Chain(Fraction(2), (), (Factor("A", False), Factor("B", False))),
        Chain(Fraction(-1), (), (Factor("B", True), Factor("A", True))),
    )
    assert problem("plain V = (A @ B)[slot + 9, h]").label == "is 16 at slot 7"
    padded = family("plain V = (A @ B)[slot + 9, h] else 0").body
    assert isinstance(padded, Element) and padded.else_zero


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("cipher Z = x[slot] + 2*x[slot + 1]", "cipher"),
        ("plain Z = scale * W[0, 0] + 1i", "plain"),
        ("plain Z = W[0, 0] << 2", "plain"),
        ("Z = X[0] * B[h, slot]", "compute"),
        ("Z = W[0, 0] - X[0]", "compute"),
        ("Z = sum q < r: W[q, 0] * permute(X[0], swap)", "compute"),
    ],
)
def test_kinds(statement: str, kind: str) -> None:
    assert family(statement).kind == kind


@pytest.mark.parametrize(
    ("statement", "code", "place"),
    [
        ("cipher Z = x[slot] * X[0]", "SL307", "X[0]"),
        ("cipher Z = x[slot] * W[0, 0]", "SL307", "W[0, 0]"),
        ("cipher Z = x[slot] * B[0, slot]", "SL313", "B[0, slot]"),
        ("cipher Z = (B @ x)[h]", "SL313", "(B @ x)[h]"),
        ("cipher Z = scale * x[slot]", "SL313", "scale"),
        ("plain Z = conj X[0]", "SL307", "X[0]"),
        ("plain Z = sum q < r: W[q, 0] + permute(X[0] << 1, swap)", "SL307", "X[0]"),
        ("plain Z = -x[slot]", "SL313", "x[slot]"),
        ("plain Z = (B @ x)[h]", "SL313", "(B @ x)[h]"),
        ("Z = W[0, 0] * scale", "SL307", "W[0, 0] * scale"),
        ("Z = X[0] + x[slot]", "SL313", "x[slot]"),
    ],
)
def test_who_may_read_what(statement: str, code: str, place: str) -> None:
    found = problem(statement)
    assert found.code == code and found.span is not None and found.span.text == place


def test_a_member_is_one_vector_for_all_slots() -> None:
    found = problem("Z = X[h // 2]")
    assert found.code == "SL207" and "h" in found.label
    found = problem("Z = sum c < K: X[2*c]")
    assert found.code == "SL305" and found.label == "is 2 at c = 1"
    assert family("Z = sum c < K: X[c*c]").kind == "compute"


def test_a_loop_variable_may_be_reused_and_a_declared_name_may_not() -> None:
    program = bound("P[q < r] = sum c < K: X[c] * W[q, c]\nS = sum q < r: P[q] << q")
    assert program.families["P"].binders[0].name == "q"
    found = problem("Z = sum r < K: X[r]")
    assert found.code == "SL202" and found.span is not None and found.span.text == "r"
    found = problem("let q = 2")
    assert found.code == "SL202" and found.notes == ("first declared in line 9",)
