"""Whether an index stays inside: compared with trying every value, on every route to an answer."""

from __future__ import annotations

import re
from itertools import product

import pytest
from amounts import examples
from hypothesis import given
from hypothesis import strategies as st

from slotlang.meaning import ranges
from slotlang.meaning.integers import Int, IntConst, IntOp, IntVar, evaluate, variables
from slotlang.meaning.program import Digit
from slotlang.meaning.ranges import escape
from slotlang.meaning.scope import Local, Scope
from slotlang.refusals import GaveUp

LOOPS = {"c": 3, "q": 2}


def const(value: int) -> IntConst:
    return IntConst(value)


def twelve_slots() -> Scope:
    """Two coordinate systems on 12 slots: (h < 4, t < 3) and (u < 2, v < 6)."""
    return Scope(
        slots=const(12),
        axes=[("h", "t"), ("u", "v")],
        digits={
            "h": Digit("h", const(4), const(3), 4, True),
            "t": Digit("t", const(3), const(1), 3, False),
            "u": Digit("u", const(2), const(6), 2, True),
            "v": Digit("v", const(6), const(1), 6, False),
        },
    )


SCOPE = twelve_slots()
POINTS = [
    {**dict(zip(LOOPS, p, strict=True)), "slot": s, "h": s // 3, "t": s % 3, "u": s // 6, "v": s % 6}
    for p in product(range(3), range(2))
    for s in range(12)
]

leaf = st.one_of(st.integers(-4, 9).map(IntConst), st.sampled_from(["c", "q", "slot", *"htuv"]).map(IntVar))
expressions = st.recursive(
    leaf,
    lambda parts: st.one_of(
        st.builds(IntOp, st.sampled_from("+-*"), parts, parts),
        st.builds(IntOp, st.sampled_from(["//", "%"]), parts, st.integers(1, 7).map(IntConst)),
    ),
    max_leaves=8,
)


def test_the_effort_of_one_program_is_limited() -> None:
    a, b = IntVar("a"), IntVar("b")
    index = IntOp("+", IntOp("%", IntOp("*", a, b), const(7)), IntOp("%", IntOp("+", a, b), const(7)))
    scope, local = twelve_slots(), Local({"a": 1000, "b": 1000}, False)
    for _ in range(100):
        left = scope.effort
        try:
            assert escape(scope, local, index, 12) is None
        except GaveUp:
            break
        assert scope.effort < left
    else:
        pytest.fail("a hundred times a million values were tried")
    assert scope.effort >= 0
    # what bounds show costs nothing
    assert escape(scope, local, index, 13) is None


def check(index: Int, size: int) -> None:
    """``escape`` finds a point exactly when there is one, and tells the truth about it."""
    values = [evaluate(index, {}, p) for p in POINTS]
    found = escape(twelve_slots(), Local(LOOPS, True), index, size)
    if found is None:
        assert all(0 <= v < size for v in values)
        return
    assert not 0 <= found.value < size
    told = {name: int(value) for name, value in re.findall(r"(\w+)(?: =)? (\d+)", found.at)}
    assert set(told) >= variables(index)
    matching = [v for p, v in zip(POINTS, values, strict=True) if all(p[n] == told[n] for n in told)]
    assert matching and set(matching) == {found.value}


@examples()
@given(expressions, st.integers(1, 40))
def test_halving_agrees_with_trying_every_value(index: Int, size: int) -> None:
    check(index, size)


@examples()
@given(expressions, st.integers(1, 40))
def test_trying_agrees_with_trying_every_value(index: Int, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "MAX_HALVING", 0)
        patch.setattr(ranges, "_CHUNK", 5)
        check(index, size)


def test_the_place_is_told_with_its_slot_and_digits() -> None:
    local = Local(LOOPS, True)
    far = IntOp("+", IntOp("*", IntVar("c"), const(4)), IntVar("h"))
    found = escape(SCOPE, local, far, 11)
    assert found is not None and (found.at, found.value) == ("c = 2, slot 9 (h = 3)", 11)
    assert escape(SCOPE, local, far, 12) is None
    found = escape(SCOPE, local, IntVar("slot"), 11)
    assert found is not None and (found.at, found.value) == ("slot 11", 11)
    found = escape(SCOPE, local, const(7), 7)
    assert found is not None and (found.at, found.value) == ("", 7)


def test_digits_of_two_systems_are_of_one_slot() -> None:
    # h >= 2 exactly when u = 1, so h - 2*u stays below 2 although h and 2*u apart do not
    index = IntOp("-", IntVar("h"), IntOp("*", const(2), IntVar("u")))
    assert escape(SCOPE, Local({}, True), index, 2) is None
    found = escape(SCOPE, Local({}, True), index, 1)
    assert found is not None and found.value == 1


def huge() -> Scope:
    n = 1 << 39
    return Scope(
        slots=const(n),
        axes=[("h", "t")],
        digits={
            "h": Digit("h", const(n // 8), const(8), n // 8, True),
            "t": Digit("t", const(8), const(1), 8, False),
        },
    )


def test_an_answer_at_huge_sizes_needs_no_memory() -> None:
    scope, n = huge(), 1 << 39
    local = Local({"c": 1 << 20}, True)
    index = IntOp("+", IntOp("*", IntVar("c"), const(n // 8)), IntVar("h"))
    assert escape(scope, local, index, n // 8 << 20) is None
    found = escape(scope, local, index, (n // 8 << 20) - 1)
    assert found is not None and found.value == (n // 8 << 20) - 1
    # every variable twice: the bounds alone do not tell, halves of the range do
    twice = IntOp("-", IntOp("*", const(2), IntVar("slot")), IntVar("slot"))
    assert escape(scope, local, twice, n) is None
    found = escape(scope, local, twice, n - 1)
    assert found is not None and found.value == n - 1


def test_what_neither_bounds_nor_trying_can_tell() -> None:
    a, b = IntVar("a"), IntVar("b")
    # the two remainders by 7 are never 6 at once, which no bound shows
    index = IntOp("+", IntOp("%", IntOp("*", a, b), const(7)), IntOp("%", IntOp("+", a, b), const(7)))
    scope = twelve_slots()
    assert escape(scope, Local({"a": 1000, "b": 1000}, False), index, 12) is None
    with pytest.raises(GaveUp) as problem:
        escape(scope, Local({"a": 10**6, "b": 10**6}, False), index, 12)
    assert problem.value.reason == "a*b % 7 + (a + b) % 7 takes values at 1,000,000,000,000 points"
