"""Powers of a number with a variable exponent, and sums of one more term, against brute force."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import product
from random import Random

import pytest
from amounts import drawn, some

from slotlang.proof.forall.inequalities import Domain, NotNormal
from slotlang.proof.forall.polynomials import Poly
from slotlang.proof.forall.sum_equality import collected, joined
from slotlang.proof.forall.sums import Rules, Sum

N, K, k, h = (Poly.symbol(name) for name in ("N", "K", "k", "h"))
POINTS = [(n, e, i) for n in (1, 2, 3, 4, 6) for e in (1, 2, 3, 4) for i in range(e)]
"""Values of the sizes N and K and of the index k < K."""


def domain(*, step: bool = False) -> Domain:
    """Sizes N, K, an index k < K, which is at least 1 in a ``step``, and a digit h < N."""
    d = Domain({"N": 1, "K": 1})
    d.extents = {"k": K, "h": N}
    d.points = [{"N": 4, "K": 3}, {"N": 1, "K": 1}]
    if step:
        d.assume(k - 1)
    return d


def value(d: Domain, p: Poly, env: dict[str, int]) -> Fraction:
    known = dict(env)
    for name in p.names() - known.keys():
        if name in d.powers:
            base, exponent = d.powers[name]
            known[name] = Fraction(base) ** int(value(d, exponent, env))
        else:
            dividend, divisor = d.remainders[name]
            known[name] = value(d, dividend, env) % value(d, divisor, env)
    return p.value(known)


def counted(d: Domain, sums: list[Sum], env: dict[str, int]) -> dict[object, Fraction]:
    """How often each tuple of indices occurs at values of the sizes and of k."""
    total: Counter = Counter()
    holds = {"ge": lambda x: x >= 0, "eq": lambda x: x == 0, "ne": lambda x: x != 0}
    for s in sums:
        for values in product(*(range(int(value(d, d.extents[b], env))) for b in s.bound)):
            here = {**env, **dict(zip(s.bound, values, strict=True))}
            if all(holds[kind](value(d, p, here)) for kind, p in s.conds):
                total[tuple(value(d, p, here) for _, indices in s.reads for p in indices)] += s.re
    return {key: count for key, count in total.items() if count}


def points(*, step: bool) -> list[dict[str, int]]:
    return [{"N": n, "K": e, "k": i} for n, e, i in POINTS if i >= step]


@drawn
@pytest.mark.parametrize("seed", range(some(200, least=4, share=50)))
def test_normal_forms(seed):
    """Remainders and inequalities of expressions with 2**k, 2**(k - 1), 3**k and 2**(K - 1) in them."""
    draw = Random(seed)
    step = draw.random() < 0.7
    d = domain(step=step)
    kinds = [(2, k), (2, K), (3, k), (2, K - 1), (2, k + 1)] + [(2, k - 1), (3, k - 1)] * step
    terms = [(draw.choice([1, -1, 2]), *draw.choice(kinds), draw.choice([0, 0, 1])) for _ in range(draw.randint(1, 3))]
    offset = draw.randint(-2, 2)
    modulus = draw.choice([[N], [N, (2, K)], [N, 2], [(2, K - 1)], [(2, K - 1), N]])

    def built(part) -> Poly:
        return d.power(*part) if isinstance(part, tuple) else Poly.const(part) if isinstance(part, int) else part

    p = h + offset
    for c, base, exponent, times in terms:
        p = p + d.power(base, exponent) * c * (N if times else 1)
    m = Poly.const(1)
    for part in modulus:
        m = m * built(part)
    rest = d.mod(p, m)
    below, above = d.nonnegative(m - 1 - p), d.nonnegative(p)
    for env in points(step=step):
        n, e, i = env["N"], env["K"], env["k"]
        by = 1
        for part in modulus:
            power = part[0] ** int(part[1].value({"K": e, "k": i})) if isinstance(part, tuple) else 0
            by *= power or (part if isinstance(part, int) else n)
        for digit in range(n):
            exact = digit + offset
            for c, base, exponent, times in terms:
                exact += c * base ** int(exponent.value({"K": e, "k": i})) * (n if times else 1)
            here = {**env, "h": digit}
            assert value(d, rest, here) == exact % by
            assert not below or exact < by
            assert not above or exact >= 0


def test_what_is_a_whole_number():
    half = Fraction(1, 2)
    d = domain()
    assert d.integral(d.power(2, k + 1) * half) and not d.integral(d.power(2, k) * half)
    assert d.power(2, k - 1) == d.power(2, k) * half and not d.integral(d.power(2, k - 1))
    d = domain(step=True)
    assert d.integral(d.power(2, k - 1)) and not d.integral(d.power(2, k - 2)) and not d.integral(d.power(3, k) * half)
    assert d.integral(d.power(2, k) * d.power(2, k) * Fraction(1, 4)) and not d.integral(d.power(2, k).over(N))


def test_what_is_known_of_powers():
    d = domain()
    small, large = d.power(2, k), d.power(2, K)
    assert (
        d.nonnegative(large - small * 2) and not d.nonnegative(large - small * 4) and not d.nonnegative(small - large)
    )
    assert d.nonnegative(small - 1) and not d.nonnegative(small - 2)
    assert d.power(2, Poly.const(3)) == Poly.const(8) and d.power(2, K - 1) == large * Fraction(1, 2)
    with pytest.raises(NotNormal):
        d.power(2, k - K)
    with pytest.raises(NotNormal):
        d.power(2, k * Fraction(1, 2) + Fraction(1, 2))
    # a size that is a power by the program's own words: N = 2**K
    d = domain()
    d.known_powers = [(2, K, N)]
    assert d.power(2, K - 1) == N * Fraction(1, 2) and d.power(2, K) == N
    assert d.nonnegative(N - d.power(2, k) * 2)


def test_a_power_of_a_variable_that_gets_a_value():
    rules = Rules(domain())
    p = rules.domain.power(2, k) * h + rules.domain.mod(h + rules.domain.power(2, k), N)
    assert rules.mentions(p) >= {"k", "h"}
    at_zero = rules.substituted(p, "k", Poly())
    assert at_zero == h + rules.domain.mod(h + 1, N)


@drawn
@pytest.mark.parametrize("seed", range(some(120, least=3, share=40)))
def test_bounds_that_free_variables_have_a_part_in(seed):
    """sum over v < E of [s*v <= p] f(v), where p has k, 2**k and 2**(k - 1) in it."""
    draw = Random(seed)
    step = draw.random() < 0.7
    rules = Rules(domain(step=step))
    d = rules.domain
    extent = draw.choice([K, K + 1, N + K, d.power(2, K)])
    v = rules.variable(extent)
    u = rules.variable(N)
    bound = draw.choice(
        [k, k + 1, K, d.power(2, k), d.power(2, k) - 1, k * 2, d.power(2, k) * Fraction(1, 2), Poly.symbol(u)]
    )
    slope = draw.choice([1, 1, 2])
    conds = (
        (("ge", bound * 2 - 1 - Poly.symbol(v) * slope),)
        if draw.random() < 0.3
        else (("ge", bound - 1 - Poly.symbol(v)),)
    )
    s = Sum(Fraction(1), Fraction(0), (), (v, u), conds, (("x", (Poly.symbol(v) + h, Poly.symbol(u))),))
    normal = rules.normals(s)
    for env in points(step=step):
        here = {**env, "h": 0}
        assert counted(d, normal, here) == counted(d, [s], here)


ENDS = {
    "one more at the end": (k, lambda v: v, k, 1),
    "one before the start": (k, lambda v: v, Poly.const(-1), 1),
    "one beyond the end": (k, lambda v: v, k + 1, 2),
    "the last again": (k, lambda v: v, k - 1, 2),
    "the first again": (k, lambda v: v, Poly(), 2),
    "by two": (k, lambda v: v * 2, k * 2, 1),
    "turned around": (k, lambda v: -v, -k, 1),
    "of another form": (k, lambda v: v * 2, k * 2 - 1, 2),
    "a power of them": (None, lambda v: v, None, 1),
}


@pytest.mark.parametrize("name", ENDS)
def test_one_more_term(name):
    extent, f, other, left = ENDS[name]
    rules = Rules(domain(step=True))
    d = rules.domain
    extent = d.power(2, k) if extent is None else extent
    other = extent if other is None else other
    v = rules.variable(extent)
    sums = [
        Sum(Fraction(1), Fraction(0), (), (v,), (), (("x", (f(Poly.symbol(v)) + h,)),)),
        Sum(Fraction(1), Fraction(0), (), (), (), (("x", (other + h,)),)),
    ]
    found = joined(rules, collected(rules, [n for s in sums for n in rules.normals(s)]))
    assert len(found) == left
    for env in points(step=True):
        assert counted(d, list(found.values()), {**env, "h": 0}) == counted(d, sums, {**env, "h": 0})


def test_no_term_more_where_there_may_be_fewer_than_none():
    """A sum over v < N - 3 may be one over fewer than no terms: then f(N - 3) is not its next one."""
    rules = Rules(domain())
    v = rules.variable(N - 3)
    sums = [
        Sum(Fraction(1), Fraction(0), (), (v,), (), (("x", (Poly.symbol(v),)),)),
        Sum(Fraction(1), Fraction(0), (), (), (), (("x", (N - 3,)),)),
    ]
    assert len(joined(rules, collected(rules, sums))) == 2


def test_a_power_is_a_multiple_of_no_number_that_it_may_be_less_than():
    """(2*h + u) % 2**(K - 1), u < 2, is not 2*(h % 2**(K - 2)) + u where K is 1."""
    d = domain()
    d.extents["u"] = Poly.const(2)
    rest = d.mod(h * 2 + Poly.symbol("u"), d.power(2, K - 1))
    for env in points(step=False):
        for digit, u in product(range(env["N"]), range(2)):
            assert value(d, rest, {**env, "h": digit, "u": u}) == (2 * digit + u) % 2 ** (env["K"] - 1)
