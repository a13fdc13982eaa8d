"""Polynomials with rational coefficients in named integers, negative powers allowed: elements of sympy's rings.

A name stands for a size, a loop variable or a remainder that does not simplify; exponents may be negative because
``x // m`` is kept as ``(x - x % m) / m``. A ring of sympy has its generators from the start, and names come up while a
proof goes on. So rings are made with generators to spare, which names are given to one by one, and an element moves to
a larger ring when it meets another that lives there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from math import gcd, lcm
from threading import Lock
from typing import Any, TypeAlias

from sympy.polys.domains import QQ
from sympy.polys.rings import PolyElement, ring

Monomial: TypeAlias = tuple[tuple[str, int], ...]
"""(name, exponent), sorted by name, no exponent 0."""
Powers: TypeAlias = tuple[int, ...]
"""Exponents of a ring's generators."""

GENERATORS = 32
"""Of the first ring; later ones have twice as many each."""
MAX_GENERATORS = 256
"""Arithmetic takes time for every generator: beyond so many a new ring is begun, with the names that are at hand."""


class _Names:
    """A ring and the names that its first generators have been given."""

    def __init__(self, generators: int, names: Iterable[str] = ()) -> None:
        self.ring: Any = ring([f"x{n}" for n in range(generators)], QQ)[0]
        self.names = list(names)
        self.places = {name: n for n, name in enumerate(self.names)}
        self.one: Powers = (0,) * generators

    def powers(self, monomial: Monomial) -> Powers:
        """A monomial of names that all have generators."""
        powers = [0] * len(self.one)
        for name, e in monomial:
            powers[self.places[name]] = e
        return tuple(powers)

    def monomial(self, powers: Powers) -> Monomial:
        """The same the other way round."""
        return tuple(sorted((self.names[n], e) for n, e in enumerate(powers) if e))


_current = _Names(GENERATORS)
_lock = Lock()


def _named(names: Collection[str]) -> _Names:
    """A ring in which all of some names have generators."""
    global _current
    if all(name in _current.places for name in names):
        return _current
    with _lock:
        needed = [name for name in names if name not in _current.places]
        size, kept = len(_current.one), _current.names
        if len(kept) + len(needed) > size:
            if 2 * size > MAX_GENERATORS:
                size, kept, needed = GENERATORS, [], list(dict.fromkeys(names))
            while len(kept) + len(needed) > size:
                size *= 2
            _current = _Names(size, kept)
        home = _current
        for name in needed:
            if name not in home.places:
                home.places[name] = len(home.names)
                home.names.append(name)
    return home


def _number(value: Any) -> Fraction:
    return Fraction(int(value.numerator), int(value.denominator))


class Poly:
    """An immutable polynomial; equal polynomials have equal ``terms`` and the same text."""

    __slots__ = ("_element", "_hash", "_home", "_names", "_terms", "_text")

    def __init__(self, terms: Mapping[Monomial, Fraction] | Iterable[tuple[Monomial, Fraction]] = ()) -> None:
        terms = dict(terms)
        home = _named({name for monomial in terms for name, _ in monomial})
        self._set(home, {home.powers(m): QQ(c.numerator, c.denominator) for m, c in terms.items() if c})

    def _set(self, home: _Names, element: Mapping[Powers, Any]) -> None:
        self._home = home
        self._element: Any = element if isinstance(element, PolyElement) else home.ring.from_dict(element)
        self._hash: int | None = None
        self._names: frozenset[str] | None = None
        self._terms: dict[Monomial, Fraction] | None = None
        self._text: str | None = None

    @staticmethod
    def _of(home: _Names, element: Mapping[Powers, Any]) -> Poly:
        p = Poly.__new__(Poly)
        p._set(home, element)
        return p

    @staticmethod
    def const(value: int | Fraction) -> Poly:
        """A number."""
        return Poly([((), Fraction(value))])

    @staticmethod
    def symbol(name: str) -> Poly:
        """A name."""
        home = _named([name])
        return Poly._of(home, home.ring.gens[home.places[name]])

    @property
    def terms(self) -> dict[Monomial, Fraction]:
        """Its coefficients, none 0, by monomial."""
        if self._terms is None:
            self._terms = {self._home.monomial(m): _number(c) for m, c in self._element.items()}
        return self._terms

    def _in(self, home: _Names) -> Any:
        """Its element in another ring that has all its names."""
        if self._home is not home:
            moved: dict[Powers, Any]
            names = self._home.names
            if home.names[: len(names)] == names:
                padding = (0,) * (len(home.one) - len(self._home.one))
                moved = {m + padding: c for m, c in self._element.items()}
            else:
                moved = {home.powers(self._home.monomial(m)): c for m, c in self._element.items()}
            self._home, self._element = home, home.ring.from_dict(moved)
        return self._element

    def _with(self, other: Poly) -> tuple[_Names, Any, Any]:
        """Its element and another's in one ring."""
        home = self._home
        if other._home is not home:
            home = _named(self.names() | other.names())
        return home, self._in(home), other._in(home)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Poly):
            return False
        if self._home is other._home:
            return bool(self._element == other._element)
        return self.terms == other.terms

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self.terms.items()))
        return self._hash

    def __bool__(self) -> bool:
        return bool(self._element)

    def __add__(self, other: Poly | int) -> Poly:
        home, a, b = self._with(_poly(other))
        return Poly._of(home, a + b)

    def __neg__(self) -> Poly:
        return Poly._of(self._home, -self._element)

    def __sub__(self, other: Poly | int) -> Poly:
        home, a, b = self._with(_poly(other))
        return Poly._of(home, a - b)

    def __mul__(self, other: Poly | int | Fraction) -> Poly:
        home, a, b = self._with(other if isinstance(other, Poly) else Poly.const(other))
        return Poly._of(home, a * b)

    def names(self) -> set[str]:
        """Every name in it."""
        if self._names is None:
            names = self._home.names
            self._names = frozenset(names[n] for powers in self._element for n, e in enumerate(powers) if e)
        return set(self._names)

    def number(self) -> Fraction | None:
        """Its value when it is a number."""
        if not self._element:
            return Fraction(0)
        c = self._element.get(self._home.one)
        return _number(c) if c is not None and len(self._element) == 1 else None

    def single(self) -> tuple[Monomial, Fraction] | None:
        """Monomial and coefficient when it has one term."""
        return next(iter(self.terms.items())) if len(self._element) == 1 else None

    def over(self, divisor: Poly) -> Poly:
        """The quotient by a polynomial of one term."""
        home, a, b = self._with(divisor)
        ((powers, c),) = b.items()
        over = home.ring.monomial_ldiv
        return Poly._of(home, {over(m, powers): k / c for m, k in a.items()})

    def whole(self) -> bool:
        """Whether all coefficients are integers and no exponent is negative."""
        return all(c.denominator == 1 and min(m) >= 0 for m, c in self._element.items())

    def cleared(self) -> Poly:
        """The least product of names and a number, by which it becomes ``whole``."""
        number = lcm(*(int(c.denominator) for c in self._element.values()))
        lowest = [0] * len(self._home.one)
        for powers in self._element:
            if min(powers) < 0:
                lowest = list(map(min, lowest, powers))
        return Poly._of(self._home, {tuple(-e for e in lowest): QQ(number)})

    def _by_power(self, home: _Names, name: str) -> dict[int, Any]:
        """Its parts by the exponent of a name, without the name."""
        place = home.places[name]
        parts: dict[int, dict[Powers, Any]] = {}
        for powers, c in self._in(home).items():
            rest = (*powers[:place], 0, *powers[place + 1 :]) if powers[place] else powers
            parts.setdefault(powers[place], {})[rest] = c
        return {e: home.ring.from_dict(part) for e, part in parts.items()}

    def linear(self, name: str) -> tuple[Poly, Poly] | None:
        """(a, b) with ``self == a*name + b``, neither holding the name; None when it is not linear in it."""
        if name not in self.names():
            return Poly(), self
        parts = self._by_power(self._home, name)
        if parts.keys() - {0, 1}:
            return None
        a, b = (Poly._of(self._home, parts.get(e, {})) for e in (1, 0))
        return a, b

    def replaced(self, name: str, value: Poly) -> Poly:
        """With a name replaced. Negative powers need a value of one term."""
        if name not in self.names():
            return self
        home, _, v = self._with(value)
        total = home.ring.zero
        for e, part in self._by_power(home, name).items():
            if e > 0:
                part = part * v**e
            for _ in range(-e):
                part = Poly._of(home, part).over(value)._in(home)
            total += part
        return Poly._of(home, total)

    def value(self, names: Mapping[str, int]) -> Fraction:
        """Its value."""
        total = Fraction(0)
        for monomial, c in self.terms.items():
            for name, e in monomial:
                c *= names[name] ** e if e > 0 else Fraction(names[name]) ** e
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


def common(a: Poly, b: Poly) -> Poly:
    """The greatest common divisor of two whole polynomials of one term each."""
    home, p, q = a._with(b)
    ((m, c),), ((n, k),) = p.items(), q.items()
    return Poly._of(home, {home.ring.monomial_gcd(m, n): QQ(gcd(int(c), int(k)))})


def simplest_bounds(name: str, value: Poly, args: Sequence[Poly]) -> list[Poly]:
    """Polynomials that are not negative where ``value`` is a function of integers of ``args``."""
    match name:
        case "min":
            return [p - value for p in args]
        case "max":
            return [value - p for p in args]
        case "log2":
            return [args[0] - value - 1]
        case _:
            return []
