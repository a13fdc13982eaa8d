"""Every rewriting rule against brute force over integers."""

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

SIZES = ("M", "N", "R")
EXTENTS = {"u": ["M", "N"], "v": ["N"], "w": ["R"], "z": ["M"], "h": ["N", "R"]}


def sized(names) -> Poly:
    total = Poly.const(1)
    for name in names:
        total = total * Poly.symbol(name)
    return total


def domain() -> Domain:
    found = Domain(dict.fromkeys(SIZES, 1))
    found.points = [{"M": 2, "N": 3, "R": 2}, {"M": 1, "N": 1, "R": 4}]
    found.extents = {name: sized(extent) for name, extent in EXTENTS.items()}
    return found


def value(d: Domain, p: Poly, env: dict[str, int]) -> Fraction:
    """The value of a polynomial, remainders by Python's own."""
    known = dict(env)
    for name in p.names() - known.keys():
        if name in d.remainders:
            dividend, divisor = d.remainders[name]
            known[name] = value(d, dividend, env) % value(d, divisor, env)
        else:
            raise AssertionError(name)
    return p.value(known)


def points(d: Domain, names, sizes: dict[str, int]):
    ranges = [range(int(d.extents[n].value(sizes))) for n in names]
    for values in product(*ranges):
        yield {**sizes, **dict(zip(names, values, strict=True))}


class Tree:
    """A random index expression: its normal form, and its value by Python's own operators."""

    def __init__(self, draw: Random, d: Domain, depth: int = 3) -> None:
        self.d = d
        self.op = draw.choice(["+", "-", "*", "//", "%", "%"]) if depth else draw.choice(["var", "var", "size"])
        if self.op == "var":
            self.name = draw.choice(sorted(EXTENTS))
            self.poly = Poly.symbol(self.name)
        elif self.op == "size":
            self.name = draw.choice(SIZES)
            self.poly = Poly.symbol(self.name)
        else:
            self.left = Tree(draw, d, depth - 1)
            if self.op in "+-":
                self.right = Tree(draw, d, depth - 1)
                self.poly = self.left.poly + (self.right.poly if self.op == "+" else -self.right.poly)
            else:
                self.by = sized(draw.choices(SIZES, k=draw.randint(1, 2))) * draw.choice([1, 1, 2])
                if self.op == "*":
                    self.poly = self.left.poly * self.by
                else:
                    self.poly = (d.div if self.op == "//" else d.mod)(self.left.poly, self.by)

    def at(self, env: dict[str, int]) -> int:
        if self.op in ("var", "size"):
            return env[self.name]
        a = self.left.at(env)
        if self.op in "+-":
            return a + self.right.at(env) if self.op == "+" else a - self.right.at(env)
        b = int(self.by.value(env))
        return a * b if self.op == "*" else a // b if self.op == "//" else a % b


@drawn
@pytest.mark.parametrize("seed", range(some(150, share=12)))
def test_normal_forms_and_inequalities(seed):
    draw, d = Random(seed), domain()
    e = Tree(draw, d)
    bound = sized(draw.choices(SIZES, k=draw.randint(1, 3)))
    below, above = d.nonnegative(bound - 1 - e.poly), d.nonnegative(e.poly)
    for _ in range(40):
        sizes = {name: draw.randint(1, 4) for name in SIZES}
        env = {**sizes, **{n: draw.randrange(int(x.value(sizes))) for n, x in domain().extents.items()}}
        assert value(d, e.poly, env) == e.at(env)
        assert not below or e.at(env) < bound.value(sizes)
        assert not above or e.at(env) >= 0


def counted(d: Domain, sums: list[Sum], sizes: dict[str, int]) -> dict[object, Fraction]:
    """What sums come to: how often each tuple of indices occurs, with its coefficient. Conditions by their meaning."""
    total: Counter = Counter()
    holds = {"ge": lambda x: x >= 0, "eq": lambda x: x == 0, "ne": lambda x: x != 0}
    for s in sums:
        for env in points(d, s.bound, sizes):
            if all(holds[kind](value(d, p, env)) for kind, p in s.conds):
                total[tuple(value(d, p, env) for _, indices in s.reads for p in indices)] += s.re
    return {key: count for key, count in total.items() if count}


def random_sum(draw: Random, rules: Rules) -> Sum:
    d = rules.domain
    names = {n: rules.variable(d.extents[n]) for n in draw.sample(sorted(EXTENTS), draw.randint(1, 3))}
    symbols = [Poly.symbol(n) for n in names.values()]

    def index() -> Poly:
        e = Poly.const(draw.randint(-1, 1))
        for symbol in symbols:
            e = e + symbol * sized(draw.choices(SIZES, k=draw.randint(0, 1))) * draw.choice([0, 1, 1, -1])
        return d.mod(e, sized(draw.sample(SIZES, 2))) if draw.random() < 0.6 else e

    conds = []
    for _ in range(draw.randint(0, 2)):
        kind = draw.choice(["ge", "ge", "eq", "ne"])
        conds.append((kind, draw.choice([index(), sized(draw.choices(SIZES, k=1)) - 1 - draw.choice(symbols)])))
    reads = (("x", tuple(index() for _ in range(draw.randint(1, 2)))),)
    return Sum(Fraction(1), Fraction(0), (), tuple(names.values()), tuple(conds), reads)


@drawn
@pytest.mark.parametrize("seed", range(some(150, share=12)))
def test_sums_keep_their_value(seed):
    draw = Random(seed)
    rules = Rules(domain())
    s = random_sum(draw, rules)
    try:
        normal = rules.normals(s)
    except NotNormal:
        return
    for sizes in ({"M": 1, "N": 2, "R": 3}, {"M": 2, "N": 2, "R": 1}, {"M": 2, "N": 3, "R": 2}):
        assert counted(rules.domain, normal, sizes) == counted(rules.domain, [s], sizes)


@drawn
@pytest.mark.parametrize("seed", range(some(80)))
def test_remainders_of_what_conditions_keep_inside(seed):
    """Conditions on the dividend of a remainder, on more or less than it, and on the remainder itself."""
    draw = Random(seed)
    rules = Rules(domain())
    d = rules.domain
    v, w = rules.variable(sized(["M", "N"])), rules.variable(symbol("R"))
    modulus = draw.choice([symbol("M") * symbol("N"), symbol("N") * symbol("R"), symbol("R") + 1])
    e = symbol(v) + symbol(w) * draw.choice([1, 1, -1]) + draw.randint(-2, 2)
    remainder = d.mod(e, modulus)
    shift = draw.choice([Poly(), modulus, -modulus])
    conds = [("ge", e + shift + draw.choice([0, 0, 1])), ("ge", modulus - 1 - e - shift + draw.choice([0, 0, -1]))]
    conds += [("ge", remainder - draw.randint(0, 2)), ("ge", symbol("M") - 1 - remainder)][: draw.randint(0, 2)]
    draw.shuffle(conds)
    s = Sum(Fraction(1), Fraction(0), (), (v, w), tuple(conds), (("x", (remainder, symbol(w))),))
    normal = rules.normal(s)
    for sizes in ({"M": 1, "N": 2, "R": 3}, {"M": 2, "N": 2, "R": 1}, {"M": 2, "N": 3, "R": 2}):
        assert counted(d, [] if normal is None else [normal], sizes) == counted(d, [s], sizes)


@drawn
@pytest.mark.parametrize("seed", range(some(80, least=6, share=12)))
def test_remainders_that_several_conditions_keep_inside(seed):
    """(N*a + b) % (N*M), or with b % N inside, where conditions keep a and b inside, or nearly."""
    draw = Random(seed)
    rules = Rules(domain())
    d, m, n = rules.domain, symbol("M"), symbol("N")
    u, v = rules.variable(symbol("R") + 1), rules.variable(n + 1)
    a, b = symbol(u) + draw.randint(-1, 1), symbol(v) + draw.randint(-1, 1)
    slack = [draw.choice([0, 0, 0, 1, -1]) for _ in range(4)]
    conds = [("ge", a + slack[0]), ("ge", m - 1 - a + slack[1]), ("ge", b + slack[2]), ("ge", n - 1 - b + slack[3])]
    low = d.mod(b, n) if draw.random() < 0.5 else b
    if draw.random() < 0.2:
        conds.append(("ge", low - 1))
    draw.shuffle(conds)
    conds = conds[: draw.choice([5, 5, 3])]
    reads = (("x", (d.mod(n * a + low, n * m), symbol(u), symbol(v))),)
    s = Sum(Fraction(1), Fraction(0), (), (u, v), tuple(conds), reads)
    normal = rules.normal(s)
    if not any(slack) and len(conds) > 3:
        assert normal is not None and not set(d.remainders) & normal.reads[0][1][0].names()
    for sizes in SMALL:
        assert counted(d, [] if normal is None else [normal], sizes) == counted(d, [s], sizes)


@drawn
@pytest.mark.parametrize("seed", range(some(60)))
def test_conditions_on_a_quotient(seed):
    """Conditions on s*a + b where b stays below s, or below 2*s, or below 0, or is not known to."""
    draw = Random(seed)
    rules = Rules(domain())
    u, v, w = (rules.variable(sized([name])) for name in ("R", "M", "N"))
    s = draw.choice([symbol("M"), symbol("M") * 2, symbol("M") * symbol("N"), Poly.const(2)])
    low = draw.choice([symbol(v), -symbol(v), symbol(v) * 2 + 1, symbol("M") * symbol(w) + symbol(v), symbol(w)])
    a = symbol(u) * draw.choice([1, -1]) + draw.choice([-1, 0, 1, symbol("R")])
    p = s * a + low + draw.choice([-1, 0, 1])
    before = Sum(Fraction(1), Fraction(0), (), (u, v, w), (("ge", p),), (("x", tuple(map(symbol, (u, v, w)))),))
    settled = rules.settled(before)
    for sizes in SMALL:
        assert counted(rules.domain, [] if settled is None else [settled], sizes) == counted(
            rules.domain, [before], sizes
        )


def test_a_quotient_that_has_one_value():
    """M*u + v < M, with v < M, says that u is 0; and M*u + v < M*R that u is less than R."""
    rules = Rules(domain())
    m, r = symbol("M"), symbol("R")
    u, v = rules.variable(r * 2), rules.variable(m)
    assert rules.simplified(("ge", m - 1 - (m * symbol(u) + symbol(v)))) == [("eq", symbol(u))]
    assert rules.simplified(("ge", m * r - 1 - (m * symbol(u) + symbol(v)))) == [("ge", r - 1 - symbol(u))]
    assert rules.simplified(("ge", m * symbol(u) + symbol(v) - m * r)) == [("ge", symbol(u) - r)]


@pytest.mark.parametrize("short", [1, 2, 3])
@pytest.mark.parametrize("sign", [1, -1])
def test_circles_that_are_short_of_terms(short, sign):
    rules = Rules(domain())
    d = rules.domain
    modulus = symbol("M") * symbol("N") + 3
    h, v = rules.variable(modulus), rules.variable(modulus - short)
    place = d.mod(symbol(h) + symbol(v) * sign + 1, modulus)
    for reads in ((("x", (place, symbol(h))),), (("x", (place, symbol(h), symbol(v))),)):
        s = Sum(Fraction(1), Fraction(0), (), (h, v), (), reads)
        normal = rules.normals(s)
        assert len(normal) == (1 + short if len(reads[0][1]) == 2 else 1)
        for sizes in SMALL:
            assert counted(d, normal, sizes) == counted(d, [s], sizes)


SMALL = ({"M": 1, "N": 2, "R": 3}, {"M": 2, "N": 2, "R": 1}, {"M": 2, "N": 3, "R": 2}, {"M": 1, "N": 1, "R": 1})


def symbol(name: str) -> Poly:
    return Poly.symbol(name)


def test_each_rule_settles_its_example():
    """Without the rule a sum would keep its loops."""
    m, n, _ = map(symbol, SIZES)
    for build, loops in (
        (lambda d, u, v, w: (d.mod(u + v * n * m + 1, m * n * n),), 1),  # wound
        (lambda d, u, v, w: (w * n + v,), 1),  # merged
        (lambda d, u, v, w: (-v,), 1),  # reflected
    ):
        rules = Rules(domain())
        d = rules.domain
        names = [rules.variable(d.extents[x]) for x in "uvw"]
        p = build(d, *map(symbol, names))
        used = tuple(x for x in names if any(x in rules.mentions(q) for q in p))
        s = Sum(Fraction(1), Fraction(0), (), used, (), (("x", p),))
        normal = rules.normal(s)
        assert normal is not None and len(normal.bound) == loops
        assert not set(d.remainders) & normal.reads[0][1][0].names()
        assert all(c > 0 for c in normal.reads[0][1][0].linear(normal.bound[0])[0].terms.values())


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("eq", lambda d, u: d.mod(u, Poly.const(2)), "ne"),
        ("eq", lambda d, u: d.mod(u, Poly.const(2)), lambda d, u: ("eq", d.mod(u, Poly.const(2)) - 1)),
        ("ge", lambda d, u: u * 3 - symbol("N"), lambda d, u: ("ge", symbol("N") - u * 3 - 1)),
        ("ge", lambda d, u: symbol("M") - 3, lambda d, u: ("ge", symbol("M") * -1 + 2)),
        ("ge", lambda d, u: symbol("M") - 3, lambda d, u: ("ge", symbol("M") * -1 + 1)),
        ("ge", lambda d, u: symbol("M") - 3, lambda d, u: ("ge", symbol("M") * -1 + 3)),
    ],
)
def test_conditions_that_exclude_each_other(kind, one, other):
    rules = Rules(domain())
    d = rules.domain
    sums = []
    for number in range(2):
        v = rules.variable(sized(["M", "N"]))
        p = one(d, symbol(v))
        given = (kind, p) if number == 0 else (other, p) if isinstance(other, str) else other(d, symbol(v))
        sums.append(Sum(Fraction(1), Fraction(0), (), (v,), (given,), (("x", (symbol(v),)),)))
    normal = [n for s in sums if (n := rules.normal(s)) is not None]
    found = joined(rules, collected(rules, normal))
    each = [{"M": m, "N": n, "R": 1} for m in range(1, 6) for n in (1, 2, 3)]
    whole = all(counted(d, sums, sizes) == {(v,): 1 for v in range(sizes["M"] * sizes["N"])} for sizes in each)
    assert (len(found) == 1) == whole
    for sizes in each:
        assert counted(d, list(found.values()), sizes) == counted(d, sums, sizes)


@pytest.mark.parametrize("case", ["end to end", "interleaved", "gap", "overlap"])
def test_tiling(case):
    rules = Rules(domain())
    n, r = symbol("N"), symbol("R")
    if case in ("interleaved", "gap"):
        offsets = [(n, 2, 0), (n, 2, 1 if case == "interleaved" else 3)]
    else:
        offsets = [(n, 1, 0), (r, 1, n if case == "end to end" else n - 1)]
    sums = []
    for extent, step, start in offsets:
        v = rules.variable(extent)
        sums.append(Sum(Fraction(1), Fraction(0), (), (v,), (), (("x", (symbol(v) * step + start,)),)))
    found = joined(rules, collected(rules, sums))
    assert len(found) == (1 if case in ("end to end", "interleaved") else 2)
    for sizes in ({"M": 1, "N": 2, "R": 3}, {"M": 1, "N": 3, "R": 1}):
        assert counted(rules.domain, list(found.values()), sizes) == counted(rules.domain, sums, sizes)
