"""Polynomials against sympy."""

from __future__ import annotations

import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from slotlang.proof.forall.polynomials import Poly, common

NAMES = ("a", "b", "c")
MONOMIALS = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(1, 3)), max_size=3)
POLYNOMIALS = st.lists(st.tuples(MONOMIALS, st.integers(-5, 5)), max_size=4)


def ours(terms) -> Poly:
    total = Poly()
    for powers, c in terms:
        term = Poly.const(c)
        for name, e in powers:
            for _ in range(e):
                term = term * Poly.symbol(name)
        total = total + term
    return total


def theirs(p: Poly) -> sympy.Expr:
    return sum(
        (
            sympy.Rational(c.numerator, c.denominator) * sympy.prod([sympy.Symbol(n) ** e for n, e in m])
            for m, c in p.terms.items()
        ),
        sympy.Integer(0),
    )


@settings(max_examples=60, deadline=None)
@given(POLYNOMIALS, POLYNOMIALS)
def test_arithmetic(a, b):
    p, q = ours(a), ours(b)
    assert sympy.expand(theirs(p + q) - theirs(p) - theirs(q)) == 0
    assert sympy.expand(theirs(p * q) - theirs(p) * theirs(q)) == 0
    assert sympy.expand(theirs(p.replaced("a", q)) - theirs(p).subs(sympy.Symbol("a"), theirs(q))) == 0


@settings(max_examples=60, deadline=None)
@given(POLYNOMIALS, st.tuples(MONOMIALS, st.integers(1, 6)))
def test_quotients(a, b):
    p, m = ours(a), ours([b])
    assert p.over(m) * m == p
    q = p.over(m)
    assert (q * q.cleared()).whole()
    for monomial, c in p.terms.items():
        shared = common(Poly({monomial: abs(c)}), m)
        expected = sympy.gcd(theirs(Poly({monomial: abs(c)})), theirs(m))
        assert sympy.expand(theirs(shared) - expected) == 0


def test_linear_parts():
    p = ours([([("a", 1), ("b", 1)], 2), ([("b", 1)], 3), ([], 5)])
    assert p.linear("a") == (ours([([("b", 1)], 2)]), ours([([("b", 1)], 3), ([], 5)]))
    assert ours([([("a", 2)], 1)]).linear("a") is None
