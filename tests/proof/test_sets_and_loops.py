"""Boxes of points as isl sets, and loops that are shortened: both against every point of small boxes."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import islpy as isl
import numpy as np
import pytest
from repository import bind_text

from slotlang.meaning.integers import Cmp, Int, IntConst, IntOp, IntVar, Not, Or, evaluate, holds
from slotlang.meaning.program import Program
from slotlang.proof.loops import fixed, nonlinear, one_period, replaced
from slotlang.proof.sets import Box, coordinates, members
from slotlang.proof.terms import Term
from slotlang.refusals import GaveUp

PROGRAM = """program p(n = 3, slots = 8)
input x[64], z[8]
axes (h < 4, t < 2)
axes wide (u < 2, v < 4)
cipher X = x[slot]
output y[slot] = X
prove y == z
"""


def program() -> Program:
    return bind_text(PROGRAM)


def v(name: str) -> IntVar:
    return IntVar(name)


def op(sign: str, a: Int, b: Int | int) -> IntOp:
    return IntOp(sign, a, b if not isinstance(b, int) else IntConst(b))


CONDITIONS = [
    Cmp("<", v("h"), v("q")),
    Cmp("==", op("%", v("slot"), 3), IntConst(1)),
    Cmp("!=", v("u"), v("t")),
    Cmp(">=", op("-", op("*", v("v"), 2), v("q")), IntConst(2)),
    Not(Cmp("<=", op("//", op("+", v("slot"), v("q")), 3), IntConst(1))),
    Or((Cmp(">", v("h"), IntConst(2)), Cmp("==", v("q"), IntConst(0)))),
]


def environment(q: int, h: int, t: int) -> dict[str, int]:
    """All variables at a point: the digits of both systems are those of one slot."""
    slot = h * 2 + t
    return {"q": q, "h": h, "t": t, "slot": slot, "u": slot // 4, "v": slot % 4}


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
def test_points(condition: Cmp | Not | Or) -> None:
    box = Box(program(), isl.Context(), [("q", 3)], [])
    found: list[tuple[int, ...]] = []
    box.points([condition]).foreach_point(lambda point: found.append(tuple(coordinates(point, 3))))
    every = product(range(3), range(4), range(2))
    assert sorted(found) == [at for at in every if holds(condition, {"n": 3}, environment(*at))]


def test_a_map_sends_points_to_what_expressions_give() -> None:
    box = Box(program(), isl.Context(), [], [("q", 3)])
    targets = [op("%", op("+", v("slot"), v("q")), 5), op("//", v("v"), 2)]
    relation = box.map([Cmp("<", v("q"), IntConst(2))], targets)
    count = 0
    for h, t, q in product(range(4), range(2), range(3)):
        env = environment(q, h, t)
        image = [h, t, *(evaluate(e, {}, env) for e in targets)]
        point = f"{{ [{h}, {t}, {q}] -> [{', '.join(map(str, image))}] }}"
        there = not relation.intersect(isl.Map.read_from_str(relation.get_ctx(), point)).is_empty()
        assert there == (q < 2)
        count += there
    assert count == 16


@pytest.mark.parametrize(
    "e", [op("*", v("q"), v("h")), op("//", v("h"), v("q")), op("%", IntConst(7), v("q")), v("nobody")], ids=str
)
def test_what_is_not_affine(e: Int) -> None:
    with pytest.raises(GaveUp):
        Box(program(), isl.Context(), [("q", 3)], []).aff(e)


# loops


def value(term: Term, bound: list[tuple[str, int]]) -> dict[tuple[int, ...], Fraction]:
    """The real coefficient of every product at every slot, added up point by point."""
    sums: dict[tuple[int, ...], Fraction] = {}
    for h, t in product(range(4), range(2)):
        for point in product(*(range(n) for _, n in bound)):
            env = {**environment(0, h, t), **dict(zip((name for name, _ in bound), point, strict=True))}
            if all(holds(c, {"n": 3}, env) for c in term.conds):
                key = (h, t, *(evaluate(i, {"n": 3}, env) for _, indices in term.reads for i in indices))
                sums[key] = sums.get(key, Fraction(0)) + term.re
    return {key: c for key, c in sums.items() if c}


def term(index: Int, *conds: Cmp, bound: tuple[tuple[str, int], ...] = (("f", 12),)) -> Term:
    return Term(re=Fraction(1), im=Fraction(0), scalars=(), conds=conds, reads=(("x", (index,)),), bound=bound)


@pytest.mark.parametrize(
    ("index", "conds", "period"),
    [
        (op("+", v("slot"), op("*", op("%", v("f"), 3), 8)), (), 3),
        (op("%", op("+", v("slot"), op("*", v("f"), 2)), 8), (), 4),
        (v("slot"), (), 1),
        (v("slot"), (Cmp("==", op("%", v("f"), 4), v("h")),), 4),
        (op("+", v("slot"), op("*", v("f"), 2)), (), None),
        (v("slot"), (Cmp("<", v("f"), IntConst(5)),), None),
    ],
)
def test_one_period(index: Int, conds: tuple[Cmp, ...], period: int | None) -> None:
    whole = term(index, *conds)
    box = Box(program(), isl.Context(), [], list(whole.bound))
    short = one_period(box, whole)
    if period is None:
        assert short is None
        return
    assert short is not None
    assert short.bound == (("f", period),)
    assert value(short, list(short.bound)) == value(whole, list(whole.bound))


def test_fixed_values_add_up_to_the_loop() -> None:
    whole = term(op("+", v("slot"), op("*", v("f"), v("f"))), Cmp("!=", v("f"), v("h")), bound=(("f", 4),))
    assert nonlinear(whole) == {"f"}
    total: dict[tuple[int, ...], Fraction] = {}
    for n in range(4):
        part = fixed(whole, "f", n)
        assert part.bound == ()
        assert nonlinear(part) == set()
        for key, c in value(part, []).items():
            total[key] = total.get(key, Fraction(0)) + c
    assert total == value(whole, [("f", 4)])


def test_replaced_keeps_the_loop() -> None:
    whole = term(v("f"), Cmp("<", v("f"), IntConst(3)))
    moved = replaced(whole, "f", op("+", v("f"), 1))
    assert moved.bound == whole.bound
    assert {key[2] for key in value(moved, [("f", 12)])} == {1, 2}


@pytest.mark.parametrize(
    "text",
    [
        "{ [h, t] : (h + t) mod 3 = 1 and 0 <= h < 10 and 0 <= t < 4 and 2 * h != 3 * t }",
        "{ [h, t] : exists k : h = 4 * k + t and 0 <= k < 2 and 0 <= t < 4 }",
        "{ [h, t] : (floor((h + floor(t / 2)) / 3) - 2 * t) mod 5 = 0 or h = 9 }",
        "{ [h, t] : 1 = 0 }",
    ],
)
def test_members_are_those_that_isl_finds(text: str) -> None:
    points = isl.Set(text)
    h, t = np.meshgrid(np.arange(12), np.arange(5), indexing="ij")
    found = members(points, [h.reshape(-1), t.reshape(-1)])
    for place, (a, b) in enumerate(zip(h.reshape(-1).tolist(), t.reshape(-1).tolist(), strict=True)):
        here = isl.Set(f"{{ [{a}, {b}] }}")
        assert bool(found[place]) == (not (points & here).is_empty())
