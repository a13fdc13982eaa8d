"""Polynomials with rational coefficients in named integers, negative powers allowed.

Index expressions have few terms, and a name stands for a size, a loop variable or a remainder that does not
simplify; exponents may be negative because ``x // m`` is kept as ``(x - x % m) / m``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import gcd
from typing import TypeAlias

Monomial: TypeAlias = tuple[tuple[str, int], ...]
"""(name, exponent), sorted by name, no exponent 0."""


class Poly:
    """An immutable polynomial; equal polynomials have equal ``terms`` and the same text."""

    __slots__ = ("_hash", "_text", "terms")

    def __init__(self, terms: Mapping[Monomial, Fraction] | Iterable[tuple[Monomial, Fraction]] = ()) -> None:
        self.terms: dict[Monomial, Fraction] = {m: c for m, c in dict(terms).items() if c}
        self._hash: int | None = None
        self._text: str | None = None

    @staticmethod
    def const(value: int | Fraction) -> Poly:
        """A number."""
        return Poly([((), Fraction(value))])

    @staticmethod
    def symbol(name: str) -> Poly:
        """A name."""
        return Poly([(((name, 1),), Fraction(1))])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Poly) and self.terms == other.terms

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self.terms.items()))
        return self._hash

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __add__(self, other: Poly | int) -> Poly:
        other = _poly(other)
        terms = dict(self.terms)
        for monomial, c in other.terms.items():
            terms[monomial] = terms.get(monomial, Fraction(0)) + c
        return Poly(terms)

    def __neg__(self) -> Poly:
        return Poly({m: -c for m, c in self.terms.items()})

    def __sub__(self, other: Poly | int) -> Poly:
        return self + -_poly(other)

    def __mul__(self, other: Poly | int | Fraction) -> Poly:
        if not isinstance(other, Poly):
            return Poly({m: c * other for m, c in self.terms.items()})
        terms: dict[Monomial, Fraction] = {}
        for a, x in self.terms.items():
            for b, y in other.terms.items():
                product = times(a, b)
                terms[product] = terms.get(product, Fraction(0)) + x * y
        return Poly(terms)

    def names(self) -> set[str]:
        """Every name in it."""
        return {name for monomial in self.terms for name, _ in monomial}

    def number(self) -> Fraction | None:
        """Its value when it is a number."""
        if not self.terms:
            return Fraction(0)
        return self.terms[()] if len(self.terms) == 1 and () in self.terms else None

    def single(self) -> tuple[Monomial, Fraction] | None:
        """Monomial and coefficient when it has one term."""
        return next(iter(self.terms.items())) if len(self.terms) == 1 else None

    def over(self, divisor: Poly) -> Poly:
        """The quotient by a polynomial of one term."""
        single = divisor.single()
        assert single is not None
        inverse = tuple((name, -e) for name, e in single[0])
        return Poly({times(m, inverse): c / single[1] for m, c in self.terms.items()})

    def whole(self) -> bool:
        """Whether all coefficients are integers and no exponent is negative."""
        return all(c.denominator == 1 and all(e > 0 for _, e in m) for m, c in self.terms.items())

    def cleared(self) -> Poly:
        """The least product of names and a number, by which it becomes ``whole``."""
        number, powers = 1, dict[str, int]()
        for monomial, c in self.terms.items():
            number = number * c.denominator // gcd(number, c.denominator)
            for name, e in monomial:
                if e < 0:
                    powers[name] = max(powers.get(name, 0), -e)
        return Poly({tuple(sorted(powers.items())): Fraction(number)})

    def linear(self, name: str) -> tuple[Poly, Poly] | None:
        """(a, b) with ``self == a*name + b``, neither holding the name; None when it is not linear in it."""
        a: dict[Monomial, Fraction] = {}
        b: dict[Monomial, Fraction] = {}
        for monomial, c in self.terms.items():
            power = dict(monomial).get(name, 0)
            if power == 0:
                b[monomial] = c
            elif power == 1:
                a[tuple(p for p in monomial if p[0] != name)] = c
            else:
                return None
        return Poly(a), Poly(b)

    def replaced(self, name: str, value: Poly) -> Poly:
        """With a name replaced. Negative powers need a value of one term."""
        if not any(name == n for m in self.terms for n, _ in m):
            return self
        result = Poly()
        for monomial, c in self.terms.items():
            term = Poly({tuple(p for p in monomial if p[0] != name): c})
            power = dict(monomial).get(name, 0)
            for _ in range(abs(power)):
                term = term * value if power > 0 else term.over(value)
            result += term
        return result

    def value(self, names: Mapping[str, int]) -> Fraction:
        """Its value."""
        total = Fraction(0)
        for monomial, c in self.terms.items():
            for name, e in monomial:
                c *= Fraction(names[name]) ** e
            total += c
        return total

    def __str__(self) -> str:
        if self._text is None:
            parts = []
            for monomial, c in sorted(self.terms.items(), key=lambda t: (-sum(e for _, e in t[0]), t[0])):
                powers = [(n if e == 1 else f"{n}^{e}") for n, e in monomial]
                if abs(c) != 1 or not powers:
                    powers.insert(0, str(abs(c)))
                parts.append(("- " if c < 0 else "+ ") + "*".join(powers))
            text = " ".join(parts) or "0"
            self._text = text[2:] if text.startswith("+ ") else text.replace("- ", "-", 1) if parts else text
        return self._text

    __repr__ = __str__


def _poly(value: Poly | int) -> Poly:
    return value if isinstance(value, Poly) else Poly.const(value)


def times(a: Monomial, b: Monomial) -> Monomial:
    """The product of two monomials."""
    if not a:
        return b
    if not b:
        return a
    powers = dict(a)
    for name, e in b:
        powers[name] = powers.get(name, 0) + e
    return tuple(sorted((n, e) for n, e in powers.items() if e))


def common(a: Poly, b: Poly) -> Poly:
    """The greatest common divisor of two whole polynomials of one term each."""
    (ma, ca), (mb, cb) = _single(a), _single(b)
    powers = dict(mb)
    shared = tuple((name, min(e, powers[name])) for name, e in ma if name in powers)
    return Poly({shared: Fraction(gcd(int(ca), int(cb)))})


def _single(p: Poly) -> tuple[Monomial, Fraction]:
    found = p.single()
    assert found is not None
    return found
