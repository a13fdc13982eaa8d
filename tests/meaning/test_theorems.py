"""Claims, outputs and what is proved."""

from __future__ import annotations

from fractions import Fraction

import pytest
from repository import bind_text

from slotlang.diagnostics import Diagnostic, SlotError
from slotlang.meaning.integers import Cmp, IntConst, IntOp, IntSize, IntVar
from slotlang.meaning.program import Binder, Claim, Program
from slotlang.meaning.value import Chain, Const, Factor, FamilyRef, Read
from slotlang.source import Source, Span

HEAD = """program t(d = 16, r = 4, slots = 8)
let K = d / slots
input  x[d]
weight B[r, d]
axes (h < 4, t < 2)
cipher X[c < K] = x[c*slots + slot]
plain  W[q < r, c < K] = B[q, c*slots + slot]
P[q < r, c < K] = X[c] * W[q, c]
S = X[0] + X[1]
"""
END = "output y[c*slots + slot] = X[c]\nprove y == x\n"
HERE = Span(Source("", ""), 0, 0)


def bound(statements: str, end: str = END) -> Program:
    return bind_text(f"{HEAD}{statements}\n{end}")


def claim(text: str) -> Claim:
    last = bound(f"claim {text}").steps[-1]
    assert isinstance(last, Claim)
    return last


def problems(statements: str, end: str = END) -> tuple[Diagnostic, ...]:
    with pytest.raises(SlotError) as caught:
        bound(statements, end)
    return caught.value.diagnostics


# claims


def test_a_claim_about_a_single_vector() -> None:
    found = claim("S == x[slot] + x[slots + slot]")
    assert (found.family, found.binders, found.indices, found.where, found.every) == ("S", (), (), None, True)


def test_bare_new_names_stand_for_every_index_with_its_extent() -> None:
    found = claim("P[i, k] == x[k*slots + slot] * B[i, k*slots + slot]")
    assert found.binders == (Binder("i", IntSize("r"), 4), Binder("k", IntSize("K"), 2))
    assert found.indices == (IntVar("i"), IntVar("k")) and found.every


def test_a_constant_index_speaks_of_one_member() -> None:
    found = claim("P[2, k] == x[k*slots + slot] * B[2, k*slots + slot]")
    assert found.binders == (Binder("k", IntSize("K"), 2),)
    assert found.indices == (IntConst(2), IntVar("k")) and not found.every
    assert claim("X[1] == x[slots + slot]").indices == (IntConst(1),)


def test_a_size_or_an_expression_in_the_brackets_is_no_new_name() -> None:
    found = claim("P[i, K - 1] == x[slots + slot] * B[i, slots + slot]")
    assert found.binders == (Binder("i", IntSize("r"), 4),) and not found.every
    assert found.indices == (IntVar("i"), IntOp("-", IntSize("K"), IntConst(1)))
    assert problems("claim P[K, r] == 0")[0].code == "SL305"


def test_a_name_given_twice_is_one_variable() -> None:
    assert problems("claim P[i, i] == 0")[0].label == "is 2 at i = 2"
    text = "Q[a < 2, b < 2] = X[a] * X[b]\nclaim Q[i, i] == x[i*slots + slot] * x[i*slots + slot]"
    found = bound(text).steps[-1]
    assert isinstance(found, Claim) and found.indices == (IntVar("i"), IntVar("i"))
    assert len(found.binders) == 1 and not found.every


def test_where_limits_a_claim_to_some_slots_and_members() -> None:
    found = claim("X[c] == x[c*slots + slot] where h < 2")
    assert found.where == Cmp("<", IntVar("h"), IntConst(2)) and found.every
    assert claim("X[c] == x[c*slots + slot] where c < 1").where == Cmp("<", IntVar("c"), IntConst(1))


def test_claims_may_speak_of_any_tensor_and_of_plain_families() -> None:
    assert claim("W[q, c] == B[q, c*slots + slot]").value == Read(
        "B",
        (IntVar("q"), IntOp("+", IntOp("*", IntVar("c"), IntSize("slots")), IntVar("slot"))),
        False,
        HERE,
    )
    assert claim("S == 1/2 - 1i").value == Const(Fraction(1, 2), Fraction(-1), HERE)


# outputs


def test_an_output_tells_the_place_of_every_slot() -> None:
    program = bound("", "output y[c*slots + slot] = re X[c] where t < 1\nprove y == x\n")
    (output,) = program.outputs
    assert (output.name, output.part, output.where) == ("y", "re", Cmp("<", IntVar("t"), IntConst(1)))
    assert output.family == FamilyRef("X", (IntVar("c"),), HERE)
    assert output.binders == (Binder("c", IntSize("K"), 2),)
    assert output.indices == (IntOp("+", IntOp("*", IntVar("c"), IntSize("slots")), IntVar("slot")),)


@pytest.mark.parametrize(("value", "part"), [("X[c]", None), ("re X[c]", "re"), ("im X[c]", "im"), ("re (X[c])", "re")])
def test_the_part_that_is_read(value: str, part: str | None) -> None:
    assert bound("", f"output y[c*slots + slot] = {value}\nprove y == x\n").outputs[0].part == part


def test_an_element_outside_the_result_is_no_error_of_binding() -> None:
    assert bound("", "output y[c*slots + slot + 3] = X[c]\nprove y == x\n").slots == 8


def test_a_result_may_have_several_outputs() -> None:
    program = bound("", "output y[slot] = X[0]\noutput y[slots + slot] = X[1]\nprove y == x\n")
    assert [o.family.indices for o in program.outputs] == [(IntConst(0),), (IntConst(1),)]


def test_there_may_be_several_results_and_their_proofs_may_stand_first() -> None:
    program = bound("", "prove z == 2 * x\noutput y[c*slots + slot] = X[c]\nprove y == x\noutput z[slot] = S\n")
    assert sorted(program.theorems) == ["y", "z"]
    assert program.theorems["z"].form.chains == (Chain(Fraction(2), (), (Factor("x", False),)),)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("output y[slot] = S\n", [("SL312", "y", 1)]),
        ("prove y == x\n", [("SL312", "y", 1)]),
        ("output y[slot] = S\noutput y[slot] = X[1]\n", [("SL312", "y", 1)]),
        ("output y[slot] = S\nprove z == x\n", [("SL312", "z", 2)]),
        (
            "output y[slot] = S\noutput w[slot] = S\nprove z == x\n",
            [("SL312", "y", 1), ("SL312", "w", 2), ("SL312", "z", 3)],
        ),
        ("output y[slot, 0] = S\nprove y == x\n", [("SL303", "y", 1)]),
        ("prove y == x\noutput y[slot, 0] = S\n", [("SL303", "y", 2)]),
        ("output y[slot] = S\nprove y == x\nprove y == x\n", [("SL202", "y", 3)]),
    ],
)
def test_outputs_and_proofs_go_together(end: str, expected: list[tuple[str, str, int]]) -> None:
    before = HEAD.count("\n") + 1
    found = problems("", end)
    assert [(p.code, p.span.text, p.span.line - before) for p in found if p.span] == expected


def test_a_wrong_output_still_counts_as_an_output() -> None:
    (found,) = problems("", "output y[slot] = SS\nprove y == x\n")
    assert found.code == "SL201" and found.span is not None and found.span.text == "SS"
