"""What is known of symbols: sizes with lower bounds and inequalities, variables with ranges, remainders.

``Domain.mod`` and ``Domain.div`` bring remainders and quotients into a normal form by the rules of docs/for-all.md;
``Domain.nonnegative`` proves inequalities. All answers are one-sided: what is not shown is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import permutations

from slotlang.proof.forall.polynomials import Poly, common

MAX_STEPS = 2
"""Most by which exponents are compared."""
MAX_DEPTH = 2
"""Inequalities added up in one proof of another, at most."""


class NotNormal(Exception):
    """An expression leaves what the rules are about; the message says which."""


class Domain:
    """Symbols and what holds of them.

    ``least`` maps a size symbol to its least value, 0 or 1. ``facts`` are polynomials that are nowhere negative.
    ``extents`` maps a variable to its extent: it runs over [0, extent), and the extent is at least 1.
    ``remainders`` maps the name of a remainder to (dividend, divisor), ``powers`` that of a power to (base, exponent).
    ``known_powers`` are (base, exponent, value) of powers that are sizes. ``points`` are values of the sizes that meet
    the facts; they only save work.
    """

    def __init__(self, least: dict[str, int], facts: Sequence[Poly] = ()) -> None:
        self.least = least
        self.facts = list(facts)
        self.extents: dict[str, Poly] = {}
        self.remainders: dict[str, tuple[Poly, Poly]] = {}
        self.powers: dict[str, tuple[int, Poly]] = {}
        self.known_powers: list[tuple[int, Poly, Poly]] = []
        self.points: list[dict[str, int]] = []
        self._known: dict[tuple[Poly, int], bool] = {}

    def assume(self, fact: Poly) -> None:
        """Take ``fact >= 0`` for granted."""
        if fact not in self.facts:
            self.facts.append(fact)
            self._known.clear()

    def under(self, facts: Sequence[Poly]) -> Domain:
        """What is known where some polynomials are not negative."""
        found = Domain(self.least, [*self.facts, *facts])
        found.extents, found.remainders, found.powers = dict(self.extents), self.remainders, self.powers
        found.points = self.points
        return found

    def bind(self, name: str, extent: Poly) -> None:
        """Let a variable run over [0, extent), whatever it ran over before."""
        if self.extents.get(name) != extent:
            self.extents[name] = extent
            self._known.clear()

    def range_of(self, name: str) -> Poly | None:
        """The extent of a variable or remainder; None for a size."""
        if name in self.extents:
            return self.extents[name]
        return self.remainders[name][1] if name in self.remainders else None

    # inequalities

    def nonnegative(self, p: Poly, depth: int = 0) -> bool:
        """Whether ``p >= 0`` is shown for all values of all symbols."""
        known = self._known.get((p, depth))
        if known is None:
            known = self._known[p, depth] = self._nonnegative(p, depth)
        return known

    def _nonnegative(self, p: Poly, depth: int) -> bool:
        if not p:
            return True
        clear = p.cleared()
        if clear != Poly.const(1):
            # names with negative powers are divisors, which are positive
            p = p * clear
        if all(self.range_of(name) is None for name in p.names()):
            if self._sizes_only(p):
                return True
        else:
            least = self._least(p)
            if least is not None and self.nonnegative(least, depth):
                return True
        if depth == MAX_DEPTH or self._seen_negative(p):
            return False
        negative = [(m, c) for m, c in p.terms.items() if c < 0]
        for fact in self.facts:
            for factor in self._factors(negative, fact):
                if self.nonnegative(p - fact * factor, depth + 1):
                    return True
        return False

    def _seen_negative(self, p: Poly) -> bool:
        """Whether ``p`` is negative at one of some points; saves the search for a proof that can't be found."""
        for point in self.points:
            values = dict(point)
            if p.value(self._valued(p, values)) < 0 and all(f.value(self._valued(f, values)) >= 0 for f in self.facts):
                return True
        return False

    def _valued(self, p: Poly, values: dict[str, int]) -> dict[str, int]:
        for name in p.names() - values.keys():
            if name in self.powers:
                base, exponent = self.powers[name]
                values[name] = base ** max(int(exponent.value(self._valued(exponent, values))), 0)
            elif name in self.remainders:
                dividend, divisor = self.remainders[name]
                low = divisor.value(self._valued(divisor, values))
                values[name] = int(dividend.value(self._valued(dividend, values)) % low)
            elif name in self.extents:
                extent = self.extents[name]
                # both ends of the range come up
                values[name] = (
                    (len(values) * 7 + len(name)) % 3 * (int(extent.value(self._valued(extent, values))) - 1) // 2
                )
            else:
                values[name] = 1
        return values

    def _factors(self, negative: list[tuple[tuple[tuple[str, int], ...], Fraction]], fact: Poly) -> list[Poly]:
        """Multiples of a fact that cancel a negative term of what is to be shown."""
        found: list[Poly] = []
        for monomial, c in negative:
            for mine, k in fact.terms.items():
                if k < 0:
                    factor = Poly({monomial: c}).over(Poly({mine: k}))
                    positive = all(e > 0 for m in factor.terms for _, e in m)
                    sizes = all(self.range_of(name) is None for name in factor.names())
                    if positive and sizes and factor not in found:
                        found.append(factor)
        return found

    def _least(self, p: Poly) -> Poly | None:
        """A polynomial in sizes that ``p`` is nowhere below: every variable at the end of its range where ``p`` is
        least. None when the direction of some variable is not known."""
        for name in sorted(p.names()):
            extent = self.range_of(name)
            if extent is None:
                continue
            parts = p.linear(name)
            if parts is None or any(self.range_of(n) is not None for n in parts[0].names()):
                continue
            slope, rest = parts
            quotient = self._as_quotient(name, slope, rest)
            if quotient is not None:
                return self._least(quotient)
            if self._sizes_only(slope):
                return self._least(rest)
            if self._sizes_only(-slope):
                return self._least(rest + slope * (extent - 1))
            return None
        return p if all(self.range_of(name) is None for name in p.names()) else None

    def _as_quotient(self, name: str, slope: Poly, rest: Poly) -> Poly | None:
        """``slope * (x % m) + rest`` with x - x % m in it replaced by m times a quotient of known range."""
        if name not in self.remainders:
            return None
        dividend, divisor = self.remainders[name]
        other = rest + slope * dividend
        if dividend.names() & other.names() - divisor.names() and len(other.terms) >= len(rest.terms):
            return None
        if divisor.single() is None or not any(self.range_of(n) for n in dividend.names()):
            return None
        if len(other.names()) >= len(rest.names()) or not self.nonnegative(dividend, MAX_DEPTH):
            return None
        most = self._least(-dividend)
        if most is None or not (-most + 1).over(divisor).whole():
            return None
        quotient = f"(({dividend}) // ({divisor}))"
        self.extents[quotient] = (-most + 1).over(divisor)
        return other - slope * divisor * Poly.symbol(quotient)

    def _sizes_only(self, p: Poly) -> bool:
        """Whether all coefficients are positive once every size is written as its least value plus more."""
        p = p * p.cleared()
        for name in p.names():
            if self.least.get(name) == 1:
                p = p.replaced(name, Poly.symbol(name) + 1)
        return all(c > 0 for c in p.terms.values())

    def within(self, p: Poly, extent: Poly) -> bool:
        """Whether ``0 <= p < extent`` is shown."""
        return self.nonnegative(p) and self.nonnegative(extent - 1 - p)

    # powers, remainders and quotients

    def power(self, base: int, exponent: Poly) -> Poly:
        """``base ** exponent`` for a base of at least 2: a number times a power whose exponent is free of numbers,
        which is a symbol with least value 1. What is known of exponents is known of powers. Raises ``NotNormal``."""
        offset = exponent.terms.get((), Fraction(0))
        rest = exponent - Poly.const(offset)
        if offset.denominator != 1:
            raise NotNormal(f"{base} to the power of {exponent}")
        factor = Fraction(base) ** int(offset)
        if not rest:
            return Poly.const(factor)
        for known_base, known, value in self.known_powers:
            difference = (exponent - known).number()
            if known_base == base and difference is not None and difference.denominator == 1:
                return value * Fraction(base) ** int(difference)
        if not self.nonnegative(rest):
            raise NotNormal(f"{base} to the power of {exponent}")
        name = f"{base}**({rest})"
        if name not in self.powers:
            self.powers[name] = base, rest
            self.least[name] = 1
            self.known_powers.append((base, rest, Poly.symbol(name)))
            self.compare_powers()
        return Poly.symbol(name) * factor

    def compare_powers(self) -> None:
        """Take for granted that of two powers the one of the larger exponent is that much larger. 1 is a power, too."""
        bases = {base for base, _, _ in self.known_powers}
        powers = [*self.known_powers, *((base, Poly(), Poly.const(1)) for base in sorted(bases))]
        for (base, low, less), (other, high, more) in permutations(powers, 2):
            steps = (n for n in range(MAX_STEPS, -1, -1) if base == other and self.nonnegative(high - low - n))
            if (n := next(steps, None)) is not None and not self.nonnegative(more - less * base**n):
                self.assume(more - less * base**n)

    def integral(self, p: Poly) -> bool:
        """Whether the values of ``p`` are shown to be integers: b**e is a multiple of b**n where e is at least n."""
        for monomial, c in p.terms.items():
            for name, times in monomial:
                base, exponent = self.powers.get(name, (1, Poly()))
                most = next((n for n in range(MAX_STEPS, 0, -1) if self.nonnegative(exponent - n)), 0)
                c *= base ** (most * max(times, 0))
            if c.denominator != 1 or any(times < 0 for _, times in monomial):
                return False
        return True

    def combined(self, op: str, a: Poly, b: Poly) -> Poly:
        """``a op b`` of integers: ``+ - * // %``. Raises ``NotNormal``."""
        match op:
            case "+":
                return a + b
            case "-":
                return a - b
            case "*":
                return a * b
            case _:
                return self.div(a, b) if op == "//" else self.mod(a, b)

    def div(self, p: Poly, m: Poly) -> Poly:
        """``p // m``."""
        if m.single() is None:
            if self.within(p, m):
                return Poly()
            raise NotNormal(f"a division by {m}")
        return (p - self.mod(p, m)).over(m)

    def mod(self, p: Poly, m: Poly) -> Poly:
        """``p % m`` for an integer ``p`` and a positive size ``m``."""
        if any(self.range_of(name) is not None for name in m.names()):
            raise NotNormal(f"a remainder by {m}")
        if m.single() is None:
            return p if self.within(p, m) else self._remainder(p, m)
        clear = p.cleared()
        if clear != Poly.const(1) and not self.integral(p):
            # m * (y % n) = (m * y) % (m * n)
            return self.mod(p * clear, m * clear).over(clear)
        p = self._reduced(self._unnested(p, m), m)
        for shift in (Poly(), m, -m):
            if self.within(p + shift, m):
                return p + shift
        for s in self._common_factors(p, m):
            if not self.integral(m.over(s)):
                continue
            outer = Poly({k: c for k, c in p.terms.items() if self.integral(Poly({k: c}).over(s))})
            inner = p - outer
            if self.within(inner, s):
                return s * self.mod(outer.over(s), m.over(s)) + inner
        return self._remainder(p, m)

    def _remainder(self, p: Poly, m: Poly) -> Poly:
        name = f"(({p}) % ({m}))"
        self.remainders[name] = (p, m)
        return Poly.symbol(name)

    def _unnested(self, p: Poly, m: Poly) -> Poly:
        """Remainders inside a remainder dropped: (a + c*(x % n)) % m = (a + c*x) % m when m divides c*n."""
        while True:
            for name in sorted(p.names() & self.remainders.keys()):
                parts = p.linear(name)
                if parts is None:
                    continue
                dividend, divisor = self.remainders[name]
                factor, rest = parts
                if (factor * divisor).over(m).whole():
                    p = self._reduced(factor * dividend + rest, m)
                    break
            else:
                return p

    def _reduced(self, p: Poly, m: Poly) -> Poly:
        """Without multiples of m; number coefficients between -n/2 and n/2 when m is the number n times names."""
        ((powers, n),) = m.terms.items()
        terms = {}
        for monomial, c in p.terms.items():
            if self.integral(Poly({monomial: c}).over(m)):
                continue
            if all(e > 0 for _, e in next(iter(Poly({monomial: Fraction(1)}).over(Poly({powers: Fraction(1)})).terms))):
                c = c % n
                c = c - n if 2 * c > n else c
            terms[monomial] = c
        return Poly(terms)

    def _common_factors(self, p: Poly, m: Poly) -> list[Poly]:
        """Divisors of m that it shares with terms of p, largest first."""
        found = {common(Poly({k: Fraction(abs(c.numerator))}), m) for k, c in p.terms.items()}
        found -= {Poly.const(1), m}
        return sorted(found, key=lambda s: (-sum(e for k in s.terms for _, e in k), -max(s.terms.values()), str(s)))
