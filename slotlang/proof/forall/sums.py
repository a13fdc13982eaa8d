"""Sums over boxes of symbolic extents, and the equations between them that a proof is made of.

A ``Sum`` is a coefficient times scalars times tensor elements, summed over bound variables at the points where its
conditions hold. Every rule here replaces a sum by one of the same value, at every value of the free variables;
docs/for-all.md states and proves each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeAlias

from slotlang.proof.forall.inequalities import Domain, NotNormal
from slotlang.proof.forall.polynomials import Poly, common

Given: TypeAlias = tuple[str, Poly]
"""A condition on a polynomial: "ge" (at least 0), "eq" (0) or "ne" (not 0)."""

MAX_STEPS = 200
"""Rewriting steps on one sum."""
MAX_SHORT = 4
"""Most terms that a sum around a circle may be short of."""


@dataclass(frozen=True)
class Sum:
    """One sum. Extents of the bound variables are the domain's."""

    re: Fraction
    im: Fraction
    scalars: tuple[str, ...]
    bound: tuple[str, ...]
    conds: tuple[Given, ...]
    reads: tuple[tuple[str, tuple[Poly, ...]], ...]

    def polynomials(self) -> list[Poly]:
        """Every polynomial in it."""
        return [p for _, p in self.conds] + [p for _, indices in self.reads for p in indices]


class Rules:
    """The rules, over one domain. New variables get names of their own."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self._count = 0

    def variable(self, extent: Poly) -> str:
        """A new variable that runs over [0, extent)."""
        self._count += 1
        name = f"${self._count}"
        self.domain.extents[name] = extent
        return name

    # names

    def mentions(self, p: Poly) -> set[str]:
        """Names in a polynomial and inside its remainders."""
        found = p.names()
        for name in list(found):
            if name in self.domain.remainders:
                found |= self.mentions(self.domain.remainders[name][0])
            if name in self.domain.powers:
                found |= self.mentions(self.domain.powers[name][1])
        return found

    def substituted(self, p: Poly, name: str, value: Poly) -> Poly:
        """A polynomial with a variable replaced, in its remainders and powers too; ``value`` must not mention it."""
        for power in p.names() & self.domain.powers.keys():
            base, exponent = self.domain.powers[power]
            if name in self.mentions(exponent):
                p = p.replaced(power, self.domain.power(base, self.substituted(exponent, name, value)))
        for remainder in p.names() & self.domain.remainders.keys():
            dividend, divisor = self.domain.remainders[remainder]
            if name in self.mentions(dividend):
                p = p.replaced(remainder, self.domain.mod(self.substituted(dividend, name, value), divisor))
        return p.replaced(name, value)

    def mapped(self, s: Sum, change: Callable[[Poly], Poly]) -> Sum:
        """A sum with every polynomial changed."""
        conds = tuple((kind, change(p)) for kind, p in s.conds)
        return replace(s, conds=conds, reads=tuple((t, tuple(map(change, i))) for t, i in s.reads))

    def with_value(self, s: Sum, name: str, value: Poly) -> Sum:
        """A sum with a variable replaced by a value."""
        return self.mapped(s, lambda p: self.substituted(p, name, value))

    # splitting variables into digits

    def split(self, polynomials: Iterable[Poly]) -> tuple[str, Poly] | None:
        """A variable v and an m for which ``v % m`` occurs and v runs over a multiple of m."""
        for p in polynomials:
            for name in sorted(self.mentions(p)):
                if name in self.domain.remainders:
                    dividend, divisor = self.domain.remainders[name]
                    single = dividend.single()
                    if single is not None and len(single[0]) == 1 and single[1] == 1:
                        variable = single[0][0][0]
                        extent = self.domain.extents.get(variable)
                        if extent is not None and divisor.single() and extent.over(divisor).whole():
                            return variable, divisor
        return None

    def digits(self, variable: str, m: Poly) -> tuple[str, str]:
        """Names of the two digits of a variable to the base m, high and low."""
        return self.variable(self.domain.extents[variable].over(m)), self.variable(m)

    # conditions

    def simplified(self, given: Given) -> list[Given] | None:
        """Conditions that together say the same, those that always hold left out; None when it never holds."""
        kind, p = given
        shown = self.domain.nonnegative
        p = self._primitive(p * p.cleared())
        if kind == "ge":
            if shown(p):
                return []
            if shown(-p - 1):
                return None
            if shown(-p):
                return self.simplified(("eq", p))
            quotient = self._floor(p)
            return [(kind, p)] if quotient is None else self.simplified((kind, quotient))
        if not p:
            return [] if kind == "eq" else None
        if shown(p - 1) or shown(-p - 1):
            return None if kind == "eq" else []
        if kind == "eq":
            pair = self._radix(p)
            if pair is not None:
                parts = [self.simplified(("eq", q)) for q in pair]
                return None if None in parts else [g for part in parts if part is not None for g in part]
        if kind == "eq" and (remainder := self._odd(p)) is not None:
            return [("ne", remainder)]
        first = min(p.terms)
        return [(kind, -p if p.terms[first] < 0 else p)]

    def _odd(self, p: Poly) -> Poly | None:
        """x where p is 0 only where x is 1, for a remainder x that is 0 or 1."""
        for name in p.names() & self.domain.remainders.keys():
            x = Poly.symbol(name)
            if self.domain.range_of(name) == Poly.const(2) and p in (x - 1, -x + 1):
                return x
        return None

    def _primitive(self, p: Poly) -> Poly:
        """Without the number and the positive sizes that all its terms share: its sign stays."""
        shared: Poly | None = None
        for monomial, c in p.terms.items():
            sizes = tuple(f for f in monomial if self.domain.least.get(f[0]) == 1)
            part = Poly({sizes: abs(c)})
            shared = part if shared is None else common(shared, part)
        return p if shared is None else p.over(shared)

    def _radix(self, p: Poly) -> tuple[Poly, Poly] | None:
        """(a, b) with p = s*a + b and -s < b < s, so that p is 0 only where a and b are."""
        for s, high, low in self._parts(p):
            if self.domain.nonnegative(s - 1 - low) and self.domain.nonnegative(s - 1 + low):
                return high.over(s), low
        return None

    def _floor(self, p: Poly) -> Poly | None:
        """a with p = s*a + b and 0 <= b < s: a is p // s, so that p is negative exactly where a is."""
        for s, high, low in self._parts(p):
            for shift in (Poly(), s):
                if self.domain.within(low + shift, s):
                    return (high - shift).over(s)
        return None

    def _parts(self, p: Poly) -> Iterator[tuple[Poly, Poly, Poly]]:
        """(s, high, low) with p = high + low, for products s of sizes that divide every term of high; low is not 0."""
        for monomial, c in p.terms.items():
            sizes = Poly({tuple(f for f in monomial if self.domain.range_of(f[0]) is None): abs(c)})
            if sizes == Poly.const(1):
                continue
            high = Poly({m: k for m, k in p.terms.items() if Poly({m: k}).over(sizes).whole()})
            if p != high:
                yield sizes, high, p - high

    def settled(self, s: Sum) -> Sum | None:
        """A sum with its conditions simplified; None when they never hold together."""
        conds: list[Given] = []
        for given in s.conds:
            parts = self.simplified(given)
            if parts is None:
                return None
            conds += [g for g in parts if g not in conds]
        return replace(s, conds=tuple(conds))

    # one sum

    def normals(self, s: Sum) -> list[Sum]:
        """Sums in normal form that add up to one: several where a circle of remainders is short of some terms."""
        normal = self.normal(s)
        if normal is None:
            return []
        parts = self._completed(normal)
        return [n for part in parts for n in self.normals(part)] if parts else [normal]

    def _completed(self, s: Sum) -> list[Sum]:
        """sum over v < M - k of f(v) = sum over v < M of f(v) - f(M - k) - ... - f(M - 1), k a small number, where v
        occurs in one remainder by M only, so that the whole circle can be wound."""
        for remainder in sorted(set().union(*(p.names() for p in s.polynomials())) & self.domain.remainders.keys()):
            dividend, modulus = self.domain.remainders[remainder]
            for name in s.bound:
                extent, parts = self.domain.extents[name], dividend.linear(name)
                short = (modulus - extent).number()
                if short is None or not 0 < short <= MAX_SHORT or short.denominator > 1:
                    continue
                around = parts is not None and parts[0] in (Poly.const(1), Poly.const(-1))
                # of a sum over fewer than no terms more would be taken off than stand there
                if not around or not self.domain.nonnegative(extent) or self._elsewhere(s, name, remainder):
                    continue
                whole = self.variable(modulus)
                circle = replace(s, bound=tuple(whole if b == name else b for b in s.bound))
                rest = replace(s, re=-s.re, im=-s.im, bound=tuple(b for b in s.bound if b != name))
                missing = [self.with_value(rest, name, extent + j) for j in range(int(short))]
                return [self.with_value(circle, name, Poly.symbol(whole)), *missing]
        return []

    def _elsewhere(self, s: Sum, variable: str, remainder: str) -> bool:
        """Whether a variable occurs outside of a remainder's dividend, in which it stands by itself."""
        others = set[str]().union(*(p.names() for p in s.polynomials())) - {remainder}
        inner = self.domain.remainders[remainder][0].names() & self.domain.remainders.keys()
        return any(variable in self.mentions(Poly.symbol(name)) for name in others | inner)

    def normal(self, s: Sum) -> Sum | None:
        """The normal form of a sum; None when it is 0."""
        rules = (self._single, self._solved, self._inside, self._cut, self._reflected, self._wound, self._merged)
        for _ in range(MAX_STEPS):
            settled = self.settled(s)
            if settled is None:
                return None
            s = settled
            digit = self.split(s.polynomials())
            if digit is not None and digit[0] in s.bound:
                s = self._digits(s, *digit)
                continue
            changed = next((new for rule in rules if (new := rule(s)) is not None), None)
            if changed is None:
                return s
            s = changed
        raise NotNormal("a sum that does not settle")

    def _digits(self, s: Sum, variable: str, m: Poly) -> Sum:
        high, low = self.digits(variable, m)
        s = self.with_value(s, variable, m * Poly.symbol(high) + Poly.symbol(low))
        return replace(s, bound=(*(b for b in s.bound if b != variable), high, low))

    def _single(self, s: Sum) -> Sum | None:
        """sum over v < 1 of f(v) = f(0), and a sum of what does not depend on v < n is n of them, n a number."""
        for name in s.bound:
            extent = self.domain.extents[name].number()
            if extent is None:
                continue
            rest = replace(s, bound=tuple(b for b in s.bound if b != name))
            if extent == 1:
                return self.with_value(rest, name, Poly())
            if all(name not in self.mentions(p) for p in s.polynomials()):
                return replace(rest, re=s.re * extent, im=s.im * extent)
        return None

    def _solved(self, s: Sum) -> Sum | None:
        """sum over v of [v == e] f(v) = [0 <= e < extent] f(e)."""
        for given in s.conds:
            kind, p = given
            if kind != "eq":
                continue
            for name in s.bound:
                value = solved_for(self, p, name)
                if value is not None:
                    rest = replace(s, conds=tuple(g for g in s.conds if g != given))
                    rest = self.with_value(rest, name, value)
                    inside = (("ge", value), ("ge", self.domain.extents[name] - 1 - value))
                    return replace(rest, bound=tuple(b for b in s.bound if b != name), conds=rest.conds + inside)
        return None

    def _inside(self, s: Sum) -> Sum | None:
        """[0 <= e < M] f(e % M) = [0 <= e < M] f(e), and the same of e + M and e - M."""
        names = set[str]().union(*(self.mentions(p) for p in s.polynomials()))
        for remainder in sorted(names & self.domain.remainders.keys()):
            dividend, modulus = self.domain.remainders[remainder]
            # a condition on the remainder itself may hold where that of its value does not
            known = [p for kind, p in s.conds if kind == "ge" and remainder not in self.mentions(p)]
            for shift in (Poly(), modulus, -modulus):
                value = dividend + shift
                if self._implied(value, known) and self._implied(modulus - 1 - value, known):
                    return self.mapped(s, lambda p, r=remainder, v=value: self._without(p, r, v))  # type: ignore[misc]
        return None

    def _without(self, p: Poly, remainder: str, value: Poly) -> Poly:
        """A polynomial with a value in place of a remainder, in other remainders too."""
        for other in p.names() & self.domain.remainders.keys() - {remainder}:
            dividend, divisor = self.domain.remainders[other]
            if remainder in self.mentions(dividend):
                p = p.replaced(other, self.domain.mod(self._without(dividend, remainder, value), divisor))
        return p.replaced(remainder, value)

    def _implied(self, p: Poly, known: list[Poly]) -> bool:
        """Whether p is at least 0 where the known polynomials are."""
        if self.domain.nonnegative(p) or any(self.domain.nonnegative(p - q) for q in known):
            return True
        return len(known) > 1 and self.domain.under(known).nonnegative(p)

    def _cut(self, s: Sum) -> Sum | None:
        """sum over v < E of [v < D] f(v) = sum over v < D of f(v) when 1 <= D <= E."""
        for given in s.conds:
            kind, p = given
            if kind != "ge":
                continue
            for name in s.bound:
                parts = p.linear(name)
                slope = None if parts is None else parts[0].number()
                if parts is None or slope is None or slope >= 0:
                    continue
                extent = parts[1].over(Poly.const(-slope)) + 1
                # a bound that other variables of this sum have a part in is not one for all of its terms
                others = self.mentions(parts[1])
                if not others.isdisjoint((*s.bound, *self.domain.remainders)) or not self.domain.integral(extent):
                    continue
                if self.domain.nonnegative(extent - 1) and self.domain.nonnegative(self.domain.extents[name] - extent):
                    new = self.variable(extent)
                    rest = replace(s, conds=tuple(g for g in s.conds if g != given))
                    rest = self.with_value(rest, name, Poly.symbol(new))
                    return replace(rest, bound=tuple(new if b == name else b for b in s.bound))
        return None

    def _reflected(self, s: Sum) -> Sum | None:
        """sum over v < E of f(-v) = sum over v < E of f(v - E + 1), where v occurs with negative factors only."""
        for name in s.bound:
            slopes = []
            for p in s.polynomials():
                parts = p.linear(name)
                if parts is None or name in self.mentions(parts[1]):
                    break
                slopes.append(parts[0])
            else:
                if any(slopes) and all(self.domain.nonnegative(-slope) for slope in slopes):
                    extent = self.domain.extents[name]
                    new = self.variable(extent)
                    s = self.with_value(s, name, extent - 1 - Poly.symbol(new))
                    return replace(s, bound=tuple(new if b == name else b for b in s.bound))
        return None

    def _wound(self, s: Sum) -> Sum | None:
        """sum over v1, v2, ... of f((e + v1 + E1*v2 + ...) % M) = sum over w < M of f(w) when E1*E2*... = M."""
        polynomials = s.polynomials()
        top = sorted(set().union(*(p.names() for p in polynomials)) & self.domain.remainders.keys())
        for remainder in top:
            dividend, modulus = self.domain.remainders[remainder]
            elsewhere: set[str] = set()
            for p in polynomials:
                # factors of the remainder among them
                for name in p.names() - {remainder}:
                    elsewhere |= self.mentions(Poly.symbol(name))
            for name in dividend.names() & self.domain.remainders.keys():
                elsewhere |= self.mentions(Poly.symbol(name))
            strides: dict[Poly, str] = {}
            for name in s.bound:
                parts = dividend.linear(name)
                if name not in elsewhere and parts is not None and parts[0]:
                    strides[parts[0]] = name
            used, reach = [], Poly.const(1)
            while reach != modulus:
                name = strides.get(reach) or strides.get(-reach) or ""
                if not name or name in used:
                    break
                used.append(name)
                reach = reach * self.domain.extents[name]
            if reach == modulus and used:
                new = self.variable(modulus)
                s = self.mapped(s, lambda p, r=remainder, n=new: p.replaced(r, Poly.symbol(n)))  # type: ignore[misc]
                return replace(s, bound=(*(b for b in s.bound if b not in used), new))
        return None

    def _merged(self, s: Sum) -> Sum | None:
        """sum over u < U, v < V of f(V*u + v) = sum over w < U*V of f(w)."""
        for v in s.bound:
            for u in s.bound:
                if u == v or not self._together(s, u, v):
                    continue
                extents = self.domain.extents
                w = self.variable(extents[u] * extents[v])
                value = Poly.symbol(w) - extents[v] * Poly.symbol(u)
                new = self.with_value(s, v, value)
                if all(u not in self.mentions(p) for p in new.polynomials()):
                    return replace(new, bound=(*(b for b in s.bound if b not in (u, v)), w))
        return None

    def _together(self, s: Sum, u: str, v: str) -> bool:
        """Whether u occurs, outside remainders, as V*u beside v only."""
        ratio, seen = self.domain.extents[v], False
        for p in s.polynomials():
            a, b = p.linear(u), p.linear(v)
            if a is None or b is None or a[0] != b[0] * ratio:
                return False
            seen = seen or bool(b[0])
        return seen or any(u in self.mentions(p) for p in s.polynomials())


def negated(given: Given) -> Given:
    """The condition that holds where another does not."""
    kind, p = given
    return ("ge", -p - 1) if kind == "ge" else ("ne" if kind == "eq" else "eq", p)


def solved_for(rules: Rules, p: Poly, name: str) -> Poly | None:
    """The value of a variable for which ``p`` is 0, when it occurs in ``p`` once, with the factor 1 or -1."""
    parts = p.linear(name)
    if parts is None or parts[0].number() not in (1, -1) or name in rules.mentions(parts[1]):
        return None
    return parts[1] * -int(parts[0].number() or 1)
