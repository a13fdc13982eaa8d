"""Integer expressions and conditions: values, bounds, text, substitution."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from amounts import examples
from hypothesis import given
from hypothesis import strategies as st

from slotlang.meaning.integers import (
    And,
    Cmp,
    Cond,
    Int,
    IntConst,
    IntOp,
    IntSize,
    IntVar,
    Not,
    Or,
    add,
    bounds,
    evaluate,
    holds,
    interval,
    mul,
    neg,
    show,
    show_cond,
    substitute,
    substitute_cond,
    variables,
)
from slotlang.meaning.scope import Local, Scope, condition, integer
from slotlang.source import Source
from slotlang.syntax import tree
from slotlang.syntax.parser import parse

SIZES = {"n": 6, "m": 4}
EXTENTS = {"a": 3, "b": 4, "c": 2}
POINTS = [dict(zip(EXTENTS, p, strict=True)) for p in product(*(range(e) for e in EXTENTS.values()))]


def const(value: int) -> IntConst:
    return IntConst(value)


leaf = st.one_of(
    st.integers(-9, 9).map(IntConst), st.sampled_from("nm").map(IntSize), st.sampled_from("abc").map(IntVar)
)
divisor = st.one_of(st.integers(1, 7).map(IntConst), st.sampled_from("nm").map(IntSize))


def grown(parts: st.SearchStrategy[Int]) -> st.SearchStrategy[Int]:
    return st.one_of(
        st.builds(IntOp, st.sampled_from("+-*"), parts, parts),
        st.builds(IntOp, st.sampled_from(["//", "%"]), parts, divisor),
    )


expressions = st.recursive(leaf, grown, max_leaves=10)
conditions = st.recursive(
    st.builds(Cmp, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), expressions, expressions),
    lambda parts: st.one_of(
        st.builds(lambda *p: And(p), parts, parts),
        st.builds(lambda *p: Or(p), parts, parts),
        st.builds(lambda *p: Or(p), parts, parts, parts),
        st.builds(Not, parts),
    ),
    max_leaves=5,
)


def python(text: str, env: dict[str, int]) -> int:
    """The value of a text that means the same in Python."""
    return eval(text, {"__builtins__": {}}, {**SIZES, **env})


def parsed(text: str) -> tree.Expr:
    statement = parse(Source("t", f"program t\nrequire {text}")).statements[1]
    assert isinstance(statement, tree.Require)
    return statement.condition


def test_floor_division_and_remainder_are_pythons() -> None:
    e = IntOp("//", IntOp("-", IntVar("a"), const(5)), const(3))
    assert [evaluate(e, {}, {"a": a}) for a in range(6)] == [-2, -2, -1, -1, -1, 0]
    e = IntOp("%", IntOp("-", IntVar("a"), const(5)), const(3))
    assert [evaluate(e, {}, {"a": a}) for a in range(6)] == [1, 2, 0, 1, 2, 0]


@examples()
@given(expressions)
def test_value_is_that_of_the_same_text_in_python(e: Int) -> None:
    for env in POINTS:
        assert evaluate(e, SIZES, env) == python(show(e), env)


@examples()
@given(expressions)
def test_arrays_are_evaluated_point_by_point(e: Int) -> None:
    env = {name: np.array([p[name] for p in POINTS]) for name in EXTENTS}
    whole = np.broadcast_to(evaluate(e, SIZES, env), len(POINTS))
    assert whole.tolist() == [evaluate(e, SIZES, p) for p in POINTS]


@examples()
@given(conditions)
def test_truth_is_that_of_the_same_text_in_python(c: Cond) -> None:
    for env in POINTS:
        assert bool(holds(c, SIZES, env)) == bool(python(show_cond(c), env))


@examples()
@given(conditions)
def test_conditions_hold_array_by_array(c: Cond) -> None:
    env = {name: np.array([p[name] for p in POINTS]) for name in EXTENTS}
    whole = np.broadcast_to(holds(c, SIZES, env), len(POINTS))
    assert whole.tolist() == [bool(holds(c, SIZES, p)) for p in POINTS]


@examples()
@given(expressions)
def test_text_reads_back_with_the_same_value(e: Int) -> None:
    scope = Scope(sizes=dict(SIZES))
    back = integer(scope, Local(EXTENTS, False), parsed(show(e)))
    for env in POINTS:
        assert evaluate(back, SIZES, env) == evaluate(e, SIZES, env)


@examples()
@given(conditions)
def test_condition_text_reads_back_with_the_same_truth(c: Cond) -> None:
    scope = Scope(sizes=dict(SIZES))
    back = condition(scope, Local(EXTENTS, False), parsed(show_cond(c)))
    for env in POINTS:
        assert holds(back, SIZES, env) == holds(c, SIZES, env)


@pytest.mark.parametrize(
    "text",
    [
        "c*m + a",
        "(a - b) % n",
        "a - (b - c)",
        "a - b - c",
        "(a + b)*m",
        "a*(b*c)",
        "a % n // 2",
        "-a + b",
        "a*(-2)",
        "(-a)*b",
        "b + (-a)",
        "-2 + a",
        "-(a + b)",
        "a // n * m",
    ],
)
def test_text_has_the_parentheses_it_needs_and_no_more(text: str) -> None:
    e = integer(Scope(sizes=dict(SIZES)), Local(EXTENTS, False), parsed(text))
    assert show(e) == text


@pytest.mark.parametrize(
    "text", ["a < 3", "a < 3 and b == 1 or c > 0", "a < 3 and (b == 1 or c > 0)", "not (a < 3 and b < 2)"]
)
def test_condition_text(text: str) -> None:
    c = condition(Scope(sizes=dict(SIZES)), Local(EXTENTS, False), parsed(text))
    assert show_cond(c) == text


def test_a_chain_of_comparisons_is_their_conjunction() -> None:
    c = condition(Scope(), Local(EXTENTS, False), parsed("0 <= a < b"))
    assert c == And((Cmp("<=", const(0), IntVar("a")), Cmp("<", IntVar("a"), IntVar("b"))))


@examples()
@given(expressions)
def test_bounds_hold_every_value(e: Int) -> None:
    low, high = bounds(e, SIZES, EXTENTS)
    values = [evaluate(e, SIZES, p) for p in POINTS]
    assert low <= min(values) and max(values) <= high


@examples()
@given(expressions, st.data())
def test_intervals_hold_every_value_of_a_box(e: Int, data: st.DataObject) -> None:
    ranges = {}
    for name in EXTENTS:
        low = data.draw(st.integers(-6, 6), name)
        ranges[name] = (low, low + data.draw(st.integers(0, 4), name))
    low, high = interval(e, SIZES, ranges)
    for p in product(*(range(lo, hi + 1) for lo, hi in ranges.values())):
        assert low <= evaluate(e, SIZES, dict(zip(ranges, p, strict=True))) <= high


@st.composite
def single(draw: st.DrawFn, names: tuple[str, ...] = ("a", "b", "c")) -> Int:
    """An expression in which every variable occurs at most once, without remainders."""
    if len(names) <= 1 and draw(st.booleans()):
        return IntVar(names[0]) if names else const(draw(st.integers(-9, 9)))
    op = draw(st.sampled_from(["+", "-", "*", "//"]))
    if op == "//":
        return IntOp(op, draw(single(names)), draw(divisor))
    cut = draw(st.integers(0, len(names)))
    if not names or cut in (0, len(names)):
        return IntOp(op, draw(single(names)), draw(st.one_of(divisor, st.integers(-9, 9).map(IntConst))))
    return IntOp(op, draw(single(names[:cut])), draw(single(names[cut:])))


@examples()
@given(single())
def test_bounds_are_exact_where_every_variable_occurs_once(e: Int) -> None:
    values = [evaluate(e, SIZES, p) for p in POINTS]
    assert bounds(e, SIZES, EXTENTS) == (min(values), max(values))


@examples()
@given(single(), st.integers(0, 200))
def test_bounds_are_exact_where_no_remainder_wraps(e: Int, spare: int) -> None:
    low, high = bounds(e, SIZES, EXTENTS)
    wide = IntOp("%", IntOp("+", e, const(spare - low)), const(high - low + spare + 1))
    values = [evaluate(wide, SIZES, p) for p in POINTS]
    assert bounds(wide, SIZES, EXTENTS) == (min(values), max(values)) == (spare, high - low + spare)


def test_bounds_of_a_layout_index() -> None:
    index = add(mul(IntVar("c"), IntSize("C")), IntVar("h"))
    assert bounds(index, {"C": 512}, {"c": 8, "h": 512}) == (0, 4095)
    turned = IntOp("%", IntOp("-", IntVar("h"), IntVar("q")), IntSize("C"))
    assert bounds(turned, {"C": 512}, {"q": 8, "h": 512}) == (0, 511)


@examples()
@given(expressions, expressions, expressions)
def test_substitution_is_evaluation_of_the_replacements(e: Int, for_a: Int, for_b: Int) -> None:
    new = substitute(e, {"a": for_a, "b": for_b}.get)
    for env in POINTS:
        replaced = {**env, "a": evaluate(for_a, SIZES, env), "b": evaluate(for_b, SIZES, env)}
        assert evaluate(new, SIZES, env) == evaluate(e, SIZES, replaced)


@examples()
@given(conditions, expressions)
def test_substitution_in_conditions(c: Cond, for_a: Int) -> None:
    new = substitute_cond(c, {"a": for_a}.get)
    for env in POINTS:
        replaced = {**env, "a": evaluate(for_a, SIZES, env)}
        assert holds(new, SIZES, env) == holds(c, SIZES, replaced)


@examples()
@given(expressions)
def test_substitution_of_nothing_is_the_same_object(e: Int) -> None:
    assert substitute(e, lambda _: None) is e


@examples()
@given(expressions)
def test_a_value_depends_on_the_variables_named_and_no_others(e: Int) -> None:
    used = variables(e)
    assert used <= set(EXTENTS)
    env = dict.fromkeys(used, 1)
    assert evaluate(e, SIZES, env) == evaluate(e, SIZES, {"a": 1, "b": 1, "c": 1})


def test_variables_of_conditions() -> None:
    a, b, c = map(IntVar, "abc")
    assert variables(Or((Cmp("<", a, IntSize("n")), Not(And((Cmp("==", b, c),)))))) == {"a", "b", "c"}


@examples()
@given(st.integers(-5, 5), st.integers(-5, 5), st.sampled_from("abn"))
def test_folding_keeps_the_value(x: int, y: int, name: str) -> None:
    e: Int = IntSize(name) if name == "n" else IntVar(name)
    env = {"a": 2, "b": 3}
    v = evaluate(e, SIZES, env)
    assert add(const(x), const(y)) == const(x + y)
    assert mul(const(x), const(y)) == const(x * y)
    assert neg(const(x)) == const(-x)
    assert evaluate(add(e, const(x)), SIZES, env) == v + x == evaluate(add(const(x), e), SIZES, env)
    assert evaluate(mul(e, const(x)), SIZES, env) == v * x == evaluate(mul(const(x), e), SIZES, env)
    assert evaluate(neg(e), SIZES, env) == -v


def test_zeros_and_ones_leave_no_trace() -> None:
    a = IntVar("a")
    assert add(a, const(0)) == add(const(0), a) == mul(a, const(1)) == mul(const(1), a) == a
    assert mul(a, const(0)) == mul(const(0), a) == const(0)
