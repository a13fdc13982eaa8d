"""Two lists of sums compared: like sums added up; sums whose conditions exclude each other, or whose ranges lie end to
end or interleave, joined."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import replace
from fractions import Fraction

from slotlang.proof.forall.polynomials import Poly
from slotlang.proof.forall.sums import Rules, Sum, negated

MAX_TERMS = 16
"""Most terms that a sum is written out to."""
MAX_SUMS = 256
"""Sums from which on none is written out."""
MAX_INTERLEAVED = 8
"""Most sums that interleave."""


def key(rules: Rules, s: Sum) -> Hashable:
    """What a sum is, apart from its coefficient and the names of its bound variables."""
    domain = rules.domain
    names: dict[str, int] = {}

    def number(p: Poly) -> None:
        for _, name in sorted((str(p.linear(n)), n) if p.linear(n) else ("", n) for n in p.names()):
            if name in domain.remainders:
                number(domain.remainders[name][0])
            elif name in s.bound:
                names.setdefault(name, len(names))

    def shape(p: Poly) -> Hashable:
        return frozenset((frozenset((atom(n), e) for n, e in monomial), c) for monomial, c in p.terms.items())

    def atom(name: str) -> Hashable:
        if name in domain.remainders:
            dividend, divisor = domain.remainders[name]
            return shape(dividend), shape(divisor)
        return names.get(name, name)

    reads = sorted(s.reads, key=lambda r: (r[0], [_masked(p, s.bound) for p in r[1]]))
    for p in [p for _, indices in reads for p in indices] + [p for _, p in s.conds]:
        number(p)
    for name in s.bound:
        names.setdefault(name, len(names))
    return (
        s.scalars,
        tuple((t, tuple(map(shape, indices))) for t, indices in reads),
        frozenset((kind, shape(p)) for kind, p in s.conds),
        tuple(shape(domain.extents[name]) for name in sorted(s.bound, key=lambda n: names[n])),
    )


def _masked(p: Poly, bound: tuple[str, ...]) -> str:
    for name in bound:
        p = p.replaced(name, Poly())
    return str(p)


def collected(rules: Rules, sums: list[Sum]) -> dict[Hashable, Sum]:
    """Like sums added up; those that cancel are gone."""
    found: dict[Hashable, Sum] = {}
    for s in sums:
        name = key(rules, s)
        if name in found:
            s = replace(s, re=s.re + found[name].re, im=s.im + found[name].im)
        found[name] = s
    return {name: s for name, s in found.items() if s.re or s.im}


def joined(rules: Rules, sums: dict[Hashable, Sum]) -> dict[Hashable, Sum]:
    """Sums joined as long as two of them can be."""
    while True:
        changed = (
            _complementary(rules, sums)
            or _end_to_end(rules, sums)
            or _one_more(rules, sums)
            or _interleaved(rules, sums)
        )
        if changed is None:
            return sums
        sums = changed


def term_by_term(rules: Rules, sums: Iterable[Sum]) -> dict[Hashable, Sum]:
    """sum over v < n of f(v) = f(0) + ... + f(n - 1), for small numbers n."""
    pending, done = list(sums), list[Sum]()
    while pending:
        s = pending.pop()
        for v in s.bound:
            number = rules.domain.extents[v].number()
            if number is not None and number <= MAX_TERMS and len(pending) + len(done) < MAX_SUMS:
                rest = replace(s, bound=tuple(b for b in s.bound if b != v))
                for n in range(int(number)):
                    pending += rules.normals(rules.with_value(rest, v, Poly.const(n)))
                break
        else:
            done.append(s)
    return collected(rules, done)


def _complementary(rules: Rules, sums: dict[Hashable, Sum]) -> dict[Hashable, Sum] | None:
    """sum over v of [g] f(v) + sum over v of [not g] f(v) = sum over v of f(v)."""
    for first_key, first in sums.items():
        for given in first.conds:
            opposite = rules.simplified(negated(given))
            if opposite is None:
                continue
            rest = tuple(g for g in first.conds if g != given)
            second_key = key(rules, replace(first, conds=(*rest, *(g for g in opposite if g not in rest))))
            second = sums.get(second_key)
            if second is not None and second_key != first_key and (first.re, first.im) == (second.re, second.im):
                return _with(rules, sums, {first_key, second_key}, replace(first, conds=rest))
    return None


def _end_to_end(rules: Rules, sums: dict[Hashable, Sum]) -> dict[Hashable, Sum] | None:
    """sum over v < D of f(v) + sum over v < E of f(D + v) = sum over v < D + E of f(v)."""
    for first_key, first in sums.items():
        for v in first.bound:
            extent = rules.domain.extents[v]
            for second_key, second in sums.items():
                if second_key == first_key or (first.re, first.im) != (second.re, second.im):
                    continue
                if len(first.bound) != len(second.bound) or first.scalars != second.scalars:
                    continue
                for u in second.bound:
                    other = rules.variable(rules.domain.extents[u])
                    if _moved(rules, first, v, Poly.symbol(other) + extent, other) != second_key:
                        continue
                    whole = rules.variable(extent + rules.domain.extents[u])
                    return _with(rules, sums, {first_key, second_key}, _renamed(rules, first, v, whole))
    return None


def _one_more(rules: Rules, sums: dict[Hashable, Sum]) -> dict[Hashable, Sum] | None:
    """sum over v < E of f(v) + f(E) = sum over v < E + 1 of f(v); with f(-1) in place of f(E), of f(v - 1)."""
    for first_key, first in sums.items():
        for v in first.bound:
            extent = rules.domain.extents[v]
            if not rules.domain.nonnegative(extent):
                continue
            rest = replace(first, bound=tuple(b for b in first.bound if b != v))
            for value, shift in ((extent, 0), (Poly.const(-1), 1)):
                settled = rules.normal(rules.with_value(rest, v, value))
                name = None if settled is None else key(rules, settled)
                if name in sums and name != first_key and (sums[name].re, sums[name].im) == (first.re, first.im):
                    more = rules.variable(extent + 1)
                    moved = rules.with_value(first, v, Poly.symbol(more) - shift)
                    whole = replace(moved, bound=tuple(more if b == v else b for b in first.bound))
                    return _with(rules, sums, {first_key, name}, whole)
    return None


def _interleaved(rules: Rules, sums: dict[Hashable, Sum]) -> dict[Hashable, Sum] | None:
    """sum over k < n and v < E of f(n*v + k) = sum over v < n*E of f(v)."""
    for first_key, first in sums.items():
        for v in first.bound:
            for n in range(2, min(len(sums), MAX_INTERLEAVED) + 1):
                if not all(_multiple(rules, p, v, n) for p in first.polynomials()):
                    continue
                extent = rules.domain.extents[v]
                whole = rules.variable(extent * n)
                general = rules.with_value(first, v, Poly.symbol(whole) * Fraction(1, n))
                general = replace(general, bound=tuple(whole if b == v else b for b in first.bound))
                used = {first_key}
                for k in range(1, n):
                    other = rules.variable(extent)
                    name = _moved(rules, general, whole, Poly.symbol(other) * n + k, other)
                    if name in sums and (sums[name].re, sums[name].im) == (first.re, first.im):
                        used.add(name)
                if len(used) == n:
                    return _with(rules, sums, used, general)
    return None


def _multiple(rules: Rules, p: Poly, v: str, n: int) -> bool:
    """Whether v occurs in multiples of n only, and in no remainder."""
    parts = p.linear(v)
    if parts is None or v in rules.mentions(parts[1]) - parts[1].names():
        return False
    return all(c % n == 0 for c in parts[0].terms.values())


def _moved(rules: Rules, s: Sum, v: str, value: Poly, new: str) -> Hashable:
    moved = replace(rules.with_value(s, v, value), bound=tuple(new if b == v else b for b in s.bound))
    settled = rules.settled(moved)
    return None if settled is None else key(rules, settled)


def _renamed(rules: Rules, s: Sum, v: str, new: str) -> Sum:
    return replace(rules.with_value(s, v, Poly.symbol(new)), bound=tuple(new if b == v else b for b in s.bound))


def _with(rules: Rules, sums: dict[Hashable, Sum], used: set[Hashable], new: Sum) -> dict[Hashable, Sum]:
    rest = [s for name, s in sums.items() if name not in used]
    normal = rules.normal(new)
    return collected(rules, rest if normal is None else [*rest, normal])
