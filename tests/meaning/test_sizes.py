"""Sizes, requirements, tensors and slot digits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from repository import bind_text

from slotlang.diagnostics import Diagnostic, SlotError, render
from slotlang.meaning.integers import SLOT, Cmp, IntConst, IntOp, IntSize, IntVar, evaluate, show
from slotlang.meaning.program import Program

END = "\ncipher End = first[0]\noutput end[0] = End where slot == 0\nprove end == first\n"


def bound(declarations: str, overrides: Mapping[str, int] | None = None, size: str = "slots = 8") -> Program:
    """A program of the declarations, completed by an input, an output and a theorem."""
    text = f"program t({size})\n{declarations}\ninput first[1]{END}"
    return bind_text(text, overrides)


def problems(text: str, overrides: Mapping[str, int] | None = None) -> tuple[Diagnostic, ...]:
    with pytest.raises(SlotError) as caught:
        bind_text(text, overrides)
    return caught.value.diagnostics


# sizes


def test_sizes_come_from_defaults_lets_and_earlier_sizes() -> None:
    program = bound("let K = d / slots\nlet low = 0 - K", size="slots = 8, d = 4*slots")
    assert program.sizes == {"slots": 8, "d": 32, "K": 4, "low": -4}
    assert program.parameters == ("slots", "d")


def test_overrides_take_the_place_of_defaults_and_lets_follow() -> None:
    program = bound("let K = d / slots", {"d": 64}, size="slots = 8, d = 16")
    assert (program.sizes["d"], program.sizes["K"], program.sizes["slots"]) == (64, 8, 8)


def test_a_default_that_follows_another_size_follows_its_override() -> None:
    assert bound("", {"slots": 16}, size="slots = 8, d = 4*slots").sizes["d"] == 64


def test_an_override_gives_a_size_without_default_its_value() -> None:
    assert bound("", {"d": 5}, size="slots = 8, d").sizes["d"] == 5


def test_overriding_what_is_no_size() -> None:
    text = "program t(d_in = 8, slots = 8)\nlet C = 2\n"
    (first, second) = problems(text, {"d_inn": 4, "C": 3})
    assert render(first) == (
        "error[SL212]: the program has no size 'd_inn' to set\n"
        "  --> t.slot:1:11\n"
        "   |\n"
        " 1 | program t(d_in = 8, slots = 8)\n"
        "   |           ^^^^^^^^^^^^^^^^^^^\n"
        "  note: its sizes are d_in, slots\n"
        "  hint: did you mean 'd_in'?"
    )
    assert second.code == "SL212" and second.hint == "'C' is computed in line 2"


@pytest.mark.parametrize("value", [-1, (1 << 40) + 1])
def test_overrides_are_checked_like_defaults(value: int) -> None:
    (problem,) = problems("program t(d = 8, slots = 8)\n", {"d": value})
    assert problem.code == "SL206" and str(value) in problem.message
    assert problem.span is not None and problem.span.text == "d = 8"


def test_the_largest_sizes_are_sizes() -> None:
    program = bound("weight w[d, d]", size="slots = 1099511627776, d = 1099511627776")
    assert program.sizes["d"] == program.slots == 1 << 40
    assert program.tensors["w"].shape == (1 << 40, 1 << 40)


def test_division_must_be_exact_and_floor_and_remainder_need_not() -> None:
    sizes = bound("let q = n / 4\nlet f = n // 5\nlet m = n % 5\nlet g = (1 - n) // 5", size="slots = 8, n = 12").sizes
    assert (sizes["q"], sizes["f"], sizes["m"], sizes["g"]) == (3, 2, 2, -3)
    (problem,) = problems("program t(n = 12)\nlet a = 2\nlet q = n / (a + 3)\n")
    assert problem.code == "SL204"
    assert "12 is not a multiple of 5" in problem.message and "leaves 2" in problem.label


def test_division_of_variables_is_floor_division_of_exact_sizes() -> None:
    program = bound("weight w[4]\nplain V = w[(n/4)*0 + slot // (n/6)]", size="slots = 8, n = 12")
    read = program.families["V"].body
    assert [int(evaluate(read.indices[0], program.sizes, {SLOT: s})) for s in range(8)] == [s // 2 for s in range(8)]


# requirements


@pytest.mark.parametrize(
    ("requirement", "label"),
    [
        ("n % 4 == 0", None),
        ("n % 5 == 0", "n % 5 is 2"),
        ("n != 12", "n is 12"),
        ("4 <= n < 13", None),
        ("4 <= n < 12", "n is 12"),
        ("n > slots and n*2 < 3*slots", "n*2 is 24, 3*slots is 24"),
        ("n > 12 or n == 12 and slots == 8", None),
        ("not (n > 12 or n == 12)", "n is 12"),
        ("n / 3 == 4 and not n < 5", None),
    ],
)
def test_requirements(requirement: str, label: str | None) -> None:
    declaration = f"require {requirement}"
    if label is None:
        assert bound(declaration, size="slots = 8, n = 12").sizes["n"] == 12
    else:
        text = f"program t(slots = 8, n = 12)\n{declaration}\n"
        (problem,) = problems(text)
        assert problem.code == "SL214" and problem.label == label
        assert problem.notes == ("sizes: slots = 8, n = 12",)


def test_a_requirement_is_tried_at_the_overriding_sizes() -> None:
    assert bound("require n == 5", {"n": 5}, size="slots = 8, n = 4").sizes["n"] == 5
    (problem,) = problems("program t(slots = 8, n = 4)\nrequire n == 4\n", {"n": 5})
    assert problem.code == "SL214" and problem.label == "n is 5"


# tensors


def test_tensors_keep_their_shape_with_its_text() -> None:
    program = bound("input x[n, 2*m]\nweight A[n], B[m] sparse", size="slots = 8, n = 3, m = 5")
    x, a, b = (program.tensors[name] for name in ("x", "A", "B"))
    assert (x.kind, x.shape, list(map(show, x.extents))) == ("input", (3, 10), ["n", "2*m"])
    assert (a.kind, a.shape, a.sparse, a.pattern) == ("weight", (3,), False, None)
    assert (b.kind, b.shape, b.sparse, b.pattern) == ("weight", (5,), True, None)
    assert x.indices == ("#0", "#1")


def test_a_sparse_pattern_speaks_of_the_named_indices() -> None:
    program = bound("weight B[i < n, k < m] sparse where k % n == i", size="slots = 8, n = 3, m = 6")
    b = program.tensors["B"]
    assert b.indices == ("i", "k") and b.sparse
    assert b.pattern == Cmp("==", IntOp("%", IntVar("k"), IntSize("n")), IntVar("i"))


def test_indices_may_be_named_without_a_pattern_and_only_in_part() -> None:
    b = bound("weight B[2, k < 3] sparse where k < 1").tensors["B"]
    assert (b.shape, b.indices, b.pattern) == ((2, 3), ("#0", "k"), Cmp("<", IntVar("k"), IntConst(1)))
    assert bound("weight B[i < 2, k < 3]").tensors["B"].shape == (2, 3)


def test_scalars_are_listed_in_order() -> None:
    assert bound("scalar scale, other").scalars == ("scale", "other")


@pytest.mark.parametrize(
    "second",
    [
        "scalar s, x",
        "let x = 2",
        "input x[2]",
        "weight x[2]",
        "perm x: slot -> slot",
        "cipher x = 1",
        "plain x = 1",
        "axes (x < 8)",
        "plain V[x < 2] = 1",
        "plain V = sum x < 2: 1",
        "weight W[x < 2]",
        "output x[slot] = X",
    ],
)
def test_names_are_declared_once(second: str) -> None:
    text = f"program t(slots = 8)\ninput x[8]\ncipher X = x[slot]\n{second}\noutput y[slot] = X\nprove y == x\n"
    first = problems(text)[0]
    assert first.code == "SL202" and first.message == "'x' is already an input"
    assert first.span is not None and (first.span.line, first.span.text) == (4, "x")


# slots and digits


def test_the_number_of_slots_is_the_size_of_that_name() -> None:
    program = bound("axes (h < 4, t < 2)")
    assert (program.slots, program.slots_expr) == (8, IntSize("slots"))
    assert bound("let slots = 2*n", size="n = 4").slots == 8


def test_without_such_a_size_it_is_the_product_of_the_first_axes() -> None:
    program = bound("axes (h < n, t < 3)\naxes (u < 12)", size="n = 4")
    assert program.slots == 12 and show(program.slots_expr) == "n*3"


def test_digits_are_the_mixed_radix_digits_of_the_slot() -> None:
    program = bound("axes (h < 2, t < n, w < 4)\naxes tall (u < 12, v < 2)", size="n = 3")
    assert program.axes == (("h", "t", "w"), ("u", "v"))
    env = program.slot_env(np.arange(24))
    for slot in range(24):
        h, t, w, u, v = (int(env[name][slot]) for name in ("h", "t", "w", "u", "v"))
        assert (h * 3 + t) * 4 + w == slot == u * 2 + v
        assert t < 3 and w < 4 and v < 2
    assert program.slot_extents() == {SLOT: 24, "h": 2, "t": 3, "w": 4, "u": 12, "v": 2}


def test_digits_of_a_given_slot_expression() -> None:
    program = bound("axes (h < 4, t < 2)")
    assert program.digit_of(IntVar("s"), SLOT) == IntVar("s")
    assert program.digit_of(IntVar("s"), "h") == IntOp("//", IntVar("s"), IntConst(2))
    assert program.digit_of(IntVar("s"), "t") == IntOp("%", IntVar("s"), IntConst(2))
    assert program.digit_of(IntVar("s"), "q") is None


# several messages


def test_every_wrong_declaration_has_a_message_and_what_hangs_on_it_has_none() -> None:
    found = problems(
        "program t(d = 12, e, slots = 8)\n"
        "let C = d / slots\n"
        "let D = C + 1\n"
        "weight A[d, C], B[dd, e], E[d]\n"
        "axes (h < e, t < 2)\n"
        "require d == 12 and C == 2\n"
        "require E == 1\n"
    )
    places = [(p.code, p.span.line, p.span.text) for p in found if p.span]
    assert places == [
        ("SL213", 1, "e"),
        ("SL204", 2, "d / slots"),
        ("SL201", 4, "dd"),
        ("SL203", 7, "E"),
    ]


def test_messages_end_after_twenty() -> None:
    text = "program t(slots = 8)\n" + "".join(f"let a{i} = 1 / 2\n" for i in range(50))
    found = problems(text)
    assert len(found) == 20
    assert [p.span.line for p in found if p.span] == list(range(2, 22))
