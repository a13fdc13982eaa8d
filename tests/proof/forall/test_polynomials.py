"""Polynomials against sympy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import sympy
from amounts import examples
from hypothesis import given
from hypothesis import strategies as st

from slotlang.proof.forall.polynomials import MAX_GENERATORS, Poly, common

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


@examples(60)
@given(POLYNOMIALS, POLYNOMIALS)
def test_arithmetic(a, b):
    p, q = ours(a), ours(b)
    assert sympy.expand(theirs(p + q) - theirs(p) - theirs(q)) == 0
    assert sympy.expand(theirs(p * q) - theirs(p) * theirs(q)) == 0
    assert sympy.expand(theirs(p.replaced("a", q)) - theirs(p).subs(sympy.Symbol("a"), theirs(q))) == 0


@examples(60)
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


def test_more_names_than_a_ring_has_generators():
    """Elements of rings that were left behind, smaller ones and ones without the newer names, go on being what they
    are."""
    first = Poly.symbol("first") * 2 - Poly.symbol("second").over(Poly.symbol("third"))
    kept = [first]
    for n in range(2 * MAX_GENERATORS):
        kept.append(kept[-1] + Poly.symbol(f"other{n}") if n % 16 else first * Poly.symbol(f"other{n}"))
        assert kept[-1] - first == kept[-1] + -first
    assert kept[0] == first and hash(kept[0]) == hash(first)
    assert first - kept[0] == Poly() and first.names() == {"first", "second", "third"}
    last = kept[-1]
    for n in range(2 * MAX_GENERATORS - 15, 2 * MAX_GENERATORS):
        last = last.replaced(f"other{n}", Poly())
    assert last == first * Poly.symbol(f"other{2 * MAX_GENERATORS - 16}")
    assert last.over(first.linear("first")[0]) * 2 == last
    wide = sum((Poly.symbol(f"wide{n}") for n in range(3 * MAX_GENERATORS)), Poly())
    assert len(wide.names()) == 3 * MAX_GENERATORS
    assert wide.value({f"wide{n}": n for n in range(3 * MAX_GENERATORS)}) == sum(range(3 * MAX_GENERATORS))


def test_a_check_without_open_sizes_does_not_import_sympy():
    """It takes longer to import than most programs take to check."""
    path = Path(__file__).parents[3] / "programs" / "squat_tall.slot"
    code = f"import sys; from slotlang.cli import main; sys.argv = ['slotlang', 'check', {str(path)!r}]\n"
    code += "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\nassert 'sympy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
