"""Products of a slot, counted, compared with the definition of terms: one loop value after the other."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import product
from random import Random
from typing import Any

import generate
import pytest
from repository import bind_text, program_text

from slotlang import api
from slotlang.meaning.integers import SLOT, evaluate, holds
from slotlang.meaning.program import Program
from slotlang.proof.explain import Counterexample
from slotlang.proof.goals import goals
from slotlang.proof.polyhedral import sides
from slotlang.proof.slot_products import SlotProducts
from slotlang.proof.terms import Expander, Term
from slotlang.refusals import GaveUp

TEXT = program_text("rank_complex")
TINY = {"d": 8, "r": 4, "batch": 2, "slots": 8}


def polynomial(program: Program, terms: list[Term], base: dict[str, int]) -> dict[Any, tuple[Fraction, Fraction]]:
    re: Counter[Any] = Counter()
    im: Counter[Any] = Counter()
    for term in terms:
        for point in product(*(range(extent) for _, extent in term.bound)):
            env = {**base, **{name: v for (name, _), v in zip(term.bound, point, strict=True)}}
            if all(holds(cond, program.sizes, env) for cond in term.conds):
                reads = sorted((t, tuple(evaluate(i, program.sizes, env) for i in at)) for t, at in term.reads)
                re[term.scalars, tuple(reads)] += term.re
                im[term.scalars, tuple(reads)] += term.im
    return {m: (Fraction(re[m]), Fraction(im[m])) for m in re if re[m] or im[m]}


def compared(text: str, sizes: dict[str, int]) -> int:
    program = bind_text(text, sizes)
    expander = Expander(program)
    wrong = 0
    for goal in goals(program):
        left, right, where = sides(program, expander, goal)
        binders = next(goal.statement.envs())
        for slot in range(min(program.slots, 3)):
            base = {**program.slot_env(slot), **binders, SLOT: slot}
            if where is not None and not holds(where, program.sizes, base):
                continue
            try:
                found = SlotProducts(program, left, right, binders, slot)
            except GaveUp:
                continue
            actual, wanted = (polynomial(program, terms, base) for terms in (left, right))
            missing = sorted(m for m in wanted if actual.get(m) != wanted[m])
            surplus = sorted(m for m in actual if m not in wanted)
            right_ones = len(wanted) - len(missing)
            assert (found.right, found.missing, found.surplus) == (right_ones, len(missing), len(surplus))
            assert found.first(missing=True) == next(iter(missing), None)
            assert found.first(missing=False) == next(iter(surplus), None)
            assert found.first(missing=False, but=next(iter(surplus), None)) == next(iter(surplus[1:]), None)
            nothing = (Fraction(0), Fraction(0))
            for m in (*missing[:5], *surplus[:5], *list(wanted)[:5]):
                assert found.coefficients(m) == (actual.get(m, nothing), wanted.get(m, nothing))
            wrong += len(missing) + len(surplus)
    return wrong


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<< f*R", "<< f"),
        ("re Y[c]", "Y[c]"),
        ("scale * (", "(1/3 + 1/7 * 1i) * ("),
        ("x[c*C + h, t]\n", "2 * x[0, t]\n"),
    ],
)
def test_changed_programs(old: str, new: str) -> None:
    assert old in TEXT
    assert compared(TEXT.replace(old, new), TINY) > 0


def test_random_programs() -> None:
    wrong = 0
    for seed in range(16):
        wrong += compared(*generate.random_program(Random(7000 + seed)))
    assert wrong > 10


def test_elements_of_one_tensor_in_any_order() -> None:
    text = """program p(n = 4)
input x[n]
axes (h < n)
cipher X = x[h]
Y = X * (X << 1) * (X << 2) - (X << 1) * X * X
output y[h] = Y
prove y == x
"""
    assert compared(text, {}) > 0


def test_too_many_products() -> None:
    program = bind_text(TEXT, TINY)
    left, right, _ = sides(program, Expander(program), goals(program)[0])
    with pytest.raises(GaveUp, match="products"):
        SlotProducts(program, left, right, {}, 0, most=10)


def test_products_of_many_factors_are_counted() -> None:
    """Eight elements of one tensor have too many orders to be terms of their own: they are sorted as numbers."""
    text = (
        "program powers(n = 8)\ninput x[n]\nweight a[n], b[n]\naxes (h < n)\ncipher X = x[h]\nplain W = a[h]\n"
        "Z = X ** 4 * (X << 1) ** 4 * W * (W << 1) * (W << 2)\noutput y[h] = Z\n"
        "prove y[i < n] == x[(i + 1) % n] ** 3 * x[i] ** 5 * a[(i + 2) % n] * a[i] * a[(i + 1) % n]\n"
    )
    program = api.loads(text)
    example = api.check(program).counterexample
    assert isinstance(example, Counterexample)
    assert example.monomial == " * ".join(["a[0]", "a[1]", "a[2]", *["x[0]"] * 5, *["x[1]"] * 3])
    assert example.example_extra == " * ".join(["a[0]", "a[1]", "a[2]", *["x[0]"] * 4, *["x[1]"] * 4])
    assert (example.products_right, example.products_missing, example.products_extra) == (0, 1, 1)
