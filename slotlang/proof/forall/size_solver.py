"""Sizes as polynomials in independent symbols, solved from a program's conditions.

``d / C`` exact makes ``d`` the product ``C*K`` with a new symbol K, and so on through the text. Every choice of sizes
that meets the conditions is reached by some values of the symbols: a step either replaces a symbol by an expression
that takes all its values, or is left out, which only makes more sizes covered by a proof.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import assert_never

from slotlang.meaning.integer_functions import value
from slotlang.meaning.integers import (
    And,
    Cmp,
    Cond,
    Int,
    IntCall,
    IntConst,
    IntIf,
    IntOp,
    IntSize,
    IntVar,
    divisors,
    show,
)
from slotlang.proof.forall import size_points
from slotlang.proof.forall.condition_kinds import (
    Condition,
    Conditions,
    Defined,
    Divides,
    Positive,
    PowerOfTwo,
    Required,
    integer_parts,
)
from slotlang.proof.forall.inequalities import Domain
from slotlang.proof.forall.polynomials import Poly, common, simplest_bounds

MAX_CASES = 64
"""Most families of sizes."""
MAX_NUMBER = 1 << 16
"""Largest number whose divisors are tried."""


class Unsolved(Exception):
    """The sizes have no such form; the message names the condition."""


class Finite(Exception):
    """A symbol must divide a number: there are finitely many cases."""

    def __init__(self, symbol: str, number: int) -> None:
        super().__init__(f"{symbol} divides {number}")
        self.symbol, self.number = symbol, number


class Empty(Exception):
    """No sizes meet the conditions; the message is the text of the one that those before it exclude."""


@dataclass
class Symbols:
    """``sizes`` gives every size and ``let`` as a polynomial; ``domain`` what is known of the symbols. ``implied`` are
    requirements that follow from the conditions before them. ``loose`` when the symbols take values that no sizes give
    them: a proof for all of them is one for all sizes, and what is wrong at some of them need not be at any sizes."""

    sizes: dict[str, Poly] = field(default_factory=dict)
    domain: Domain = field(default_factory=lambda: Domain({}))
    implied: tuple[Required, ...] = ()
    loose: bool = False

    def parametrization(self, names: tuple[str, ...]) -> dict[str, str]:
        """The sizes of the given names as texts."""
        return {name: str(self.sizes[name]) for name in names if name in self.sizes}

    def value(self, e: Int) -> Poly | None:
        """An expression of sizes as a polynomial; None with quotients and remainders in it."""
        match e:
            case IntConst(value):
                return Poly.const(value)
            case IntSize(name):
                return self.sizes[name]
            case IntOp(op, a, b) if (x := self.value(a)) is not None and (y := self.value(b)) is not None:
                if op in "+-":
                    return x + y if op == "+" else x - y
                if op == "*":
                    return x * y
                return x.over(y) if op == "//" and y.single() is not None and x.over(y).whole() else None
            case _:
                return None

    def bare(self) -> Domain:
        """What is known of the symbols without any inequality between them."""
        return Domain(self.domain.least)

    def names(self) -> set[str]:
        """The independent symbols."""
        return set().union(*(p.names() for p in self.sizes.values()))


def cases(conditions: Conditions, known: Mapping[str, int] | None = None) -> list[Symbols]:
    """All sizes as finitely many families of sizes in independent symbols.

    Raises ``Empty`` when no sizes meet the conditions, and ``Unsolved``, also when there are more families than
    ``MAX_CASES``.
    """
    try:
        return [solve(conditions, known)]
    except Finite as finite:
        if finite.number > MAX_NUMBER:
            raise Unsolved(str(finite)) from None
        found: list[Symbols] = []
        excluded = Empty()
        for value in divisors(finite.number):
            try:
                found += cases(conditions, {**(known or {}), finite.symbol: value})
            except Empty as problem:
                excluded = problem
            if len(found) > MAX_CASES:
                raise Unsolved(f"{finite}: too many cases") from None
        if not found:
            raise excluded from None
        return found


def solve(conditions: Conditions, known: Mapping[str, int] | None = None) -> Symbols:
    """The sizes in independent symbols, some of which have given values (``known``).

    Raises ``Unsolved`` when a condition has no solution of this form, ``Finite`` when cases are needed, ``Empty``
    when no sizes meet them.
    """
    return _Solver(conditions, known or {}).run()


def _conjunction(cond: Cond) -> bool:
    """Whether a condition is made of comparisons that ``_Solver`` takes in full."""
    return cond.op != "!=" if isinstance(cond, Cmp) else isinstance(cond, And) and all(map(_conjunction, cond.parts))


class _Solver:
    def __init__(self, conditions: Conditions, known: Mapping[str, int]) -> None:
        self.conditions = conditions
        self.known = known
        self.sizes: dict[str, Poly] = {}
        self.least: dict[str, int] = {}
        self.facts: list[Poly] = []
        self.floors: list[tuple[Poly, Poly, Poly]] = []
        self.powers: list[tuple[int, Poly, Poly]] = []
        self.taken = {*conditions.parameters, *(c.name for c in conditions.all if isinstance(c, Defined))}
        self.hint = ""
        self.implied: list[Required] = []
        self.loose = False

    def run(self) -> Symbols:
        fixed = {c.name for c in self.conditions.all if isinstance(c, Defined)}
        for name in self.conditions.parameters:
            if name not in fixed:
                self.sizes[name] = self._symbol(name, 0)
        # extents of at least 1 speak of symbols that quotients are made of later
        for condition in self.conditions.all:
            if isinstance(condition, Positive) and isinstance(condition.value, IntSize):
                p = self.sizes.get(condition.value.name)
                if p is not None and p.names() == {condition.value.name}:
                    self.least[condition.value.name] = 1
        for position, condition in enumerate(self.conditions.all):
            try:
                self._take(position, condition)
            except Empty:
                raise Empty(condition.text) from None
            if self._excluded():
                raise Empty(condition.text)
        symbols = Symbols(
            self.sizes,
            Domain(self.least, [f for f in self.facts if f.number() is None]),
            tuple(self.implied),
            self.loose,
        )
        symbols.domain.known_powers = self.powers
        names = sorted(symbols.names() | symbols.domain.least.keys())
        points = size_points.small(symbols.domain, names, 8, 0)
        symbols.domain.points = [size_points.powered(p, self.powers) for p in points]
        return symbols

    def _excluded(self) -> bool:
        """Whether it is certain that nothing meets the inequalities there are."""
        if any((fact.number() or 0) < 0 for fact in self.facts):
            return True
        return bool(self.facts) and size_points.none(self._domain(), sorted(self.least))

    def _take(self, position: int, condition: Condition) -> None:
        match condition:
            case Defined(name, value):
                self.sizes[name] = self._poly(value)
            case Divides(a, b, text):
                following = self.conditions.all[position + 1 :]
                named = (c.name for c in following if isinstance(c, Defined) and c.value == IntOp("//", a, b))
                self.hint = next(named, "")
                self._divides(self._poly(a), self._poly(b), text)
                self.hint = ""
            case Positive(value):
                self._positive(self._poly(value))
            case PowerOfTwo(value):
                self._positive(self._poly(value))  # no more is said of it, which only covers more sizes
                number = self._poly(value).number()
                if number is not None and int(number) & (int(number) - 1):
                    raise Empty
            case Required(cond, text):
                before = self.sizes, list(self.facts)
                self._require(cond, text)
                if before == (self.sizes, self.facts) and _conjunction(cond):
                    self.implied.append(condition)

    def _symbol(self, name: str, least: int) -> Poly:
        if name in self.known:
            return Poly.const(self.known[name])
        self.least[name] = least
        return Poly.symbol(name)

    def _fresh(self, least: int) -> Poly:
        stem = self.hint
        self.hint = ""
        if not stem or stem in self.least:
            number = 1
            while f"n{number}" in self.taken:
                number += 1
            stem = f"n{number}"
        self.taken.add(stem)
        return self._symbol(stem, least)

    def _poly(self, e: Int) -> Poly:
        match e:
            case IntConst(value):
                return Poly.const(value)
            case IntSize(name):
                return self.sizes[name]
            case IntVar(name):
                raise Unsolved(f"'{name}' is no size")
            case IntOp(op, a, b):
                x, y = self._poly(a), self._poly(b)
                if op == "+":
                    return x + y
                if op == "-":
                    return x - y
                if op == "*":
                    return x * y
                floor = self._floor(x, y)
                return floor if op == "//" else x - y * floor
            case IntCall(name, args):
                return self._function(e, name, [self._poly(a) for a in args])
            case IntIf(_, yes, no):
                x, y = self._poly(yes), self._poly(no)
                return x if x == y else self._function(e, "if", [x, y])
            case _:
                assert_never(e)

    def _function(self, e: Int, name: str, args: list[Poly]) -> Poly:
        """A number, or a symbol of which the simplest bounds are known."""
        numbers = [p.number() for p in args]
        known = [int(n) for n in numbers if n is not None]
        if len(known) == len(args) and name != "if":
            if name == "log2" and known[0] < 1:
                raise Empty
            return Poly.const(int(value(name, known)))
        text = show(e)  # like a size, so that it is replaced as the sizes are
        if text in self.sizes:
            return self.sizes[text]
        if name == "^" or not all(self._domain().nonnegative(p) for p in args):
            raise Unsolved(f"{text} is decided at numbers alone")
        self.loose = True
        symbol = self._fresh(int(name == "**" and bool(self._domain().nonnegative(args[0] - 1))))
        self.facts += simplest_bounds(name, symbol, args)
        if name == "log2":
            self.powers.append((2, symbol, args[0]))
        elif name == "**" and (numbers[0] or 0) > 1:
            self.powers.append((known[0], args[1], symbol))
        self.sizes[text] = symbol
        return symbol

    def _floor(self, x: Poly, y: Poly) -> Poly:
        if y.single() is not None and x.over(y).whole():
            return x.over(y)
        a, b = x.number(), y.number()
        if a is not None and b is not None:
            return Poly.const(a // b)
        if self._domain().within(x, y):
            return Poly()
        for dividend, divisor, quotient in self.floors:
            if (dividend, divisor) == (x, y):
                return quotient
        if not self._domain().nonnegative(x):
            raise Unsolved(f"({x}) // ({y}) of what may be negative")
        quotient = self._fresh(0)
        self.floors.append((x, y, quotient))
        self.facts += [x - y * quotient, y * quotient + y - 1 - x]
        return quotient

    def _domain(self) -> Domain:
        return Domain(self.least, self.facts)

    def _replace(self, name: str, value: Poly) -> None:
        """A symbol for good replaced by an expression that takes all its values."""
        self.sizes = {n: p.replaced(name, value) for n, p in self.sizes.items()}
        self.facts = [p.replaced(name, value) for p in self.facts]
        self.floors = [
            (a.replaced(name, value), b.replaced(name, value), c.replaced(name, value)) for a, b, c in self.floors
        ]
        self.powers = [(b, e.replaced(name, value), v.replaced(name, value)) for b, e, v in self.powers]
        self.least.pop(name)

    def _positive(self, p: Poly) -> None:
        single = p.single()
        if single is not None and single[1] > 0:
            # a product of integers from 0 on is at least 1, so every one of them is
            self.least.update((name, 1) for name, _ in single[0])
        else:
            self._fact(p - 1)

    def _fact(self, p: Poly) -> None:
        if (p.number() or 0) < 0:
            raise Empty
        if not self._domain().nonnegative(p):
            self.facts.append(p)

    def _divides(self, a: Poly, b: Poly, text: str) -> None:
        while True:
            if a.number() == 0 or (b.single() is not None and a.over(b).whole()):
                return
            if a.number() is not None and b.number() is not None:
                raise Empty
            if b.single() is None or a.single() is None:
                self._linear(a, b, text)
                return
            shared = common(a, b)
            p, q = a.over(shared), b.over(shared)
            ((mp, cp),) = p.terms.items()
            ((mq, cq),) = q.terms.items()
            if len(mp) == 1 and mp[0][1] == 1 and cp == 1:
                # q divides the symbol: it is a multiple of q
                name = mp[0][0]
                self._replace(name, q * self._fresh(self.least[name]))
                return
            if not mp and len(mq) == 1 and mq[0][1] == 1:
                raise Finite(mq[0][0], abs(int(cp)))
            if len(mp) == 1 and mp[0][1] == 1 and not mq:
                # q is a number prime to cp
                name = mp[0][0]
                self._replace(name, q * self._fresh(self.least[name]))
                return
            if cp == cq == 1 and len(mp) >= 2 and len(mq) == 1 and mp[0][1] == mq[0][1] == 1:
                # t divides s*u: with g what t and s share, t = g*t', s = g*s', and t' divides u
                s, t = mp[0][0], mq[0][0]
                self.hint = ""
                shared, s_rest, t_rest = self._fresh(1), self._fresh(self.least[s]), self._fresh(1)
                self._replace(s, shared * s_rest)
                self._replace(t, shared * t_rest)
                a, b = Poly({mp[1:]: cp}), t_rest
                continue
            raise Unsolved(f"no general solution of: {text}")

    def _linear(self, a: Poly, b: Poly, text: str) -> None:
        """``a == b*Q`` solved for a symbol that occurs in ``a`` once, with the factor 1."""
        for name in sorted(a.names() - b.names()):
            parts = a.linear(name)
            if parts is not None and parts[0].number() == 1 and self._domain().nonnegative(a):
                value = b * self._fresh(0) - parts[1]
                least = self.least[name]
                self._replace(name, value)
                self._fact(value - least)
                return
        raise Unsolved(f"no general solution of: {text}")

    def _require(self, cond: Cond, text: str) -> None:
        for part in integer_parts(cond):
            match part:
                case Cmp("==", IntOp("%", a, b), IntConst(0)) | Cmp("==", IntConst(0), IntOp("%", a, b)):
                    self._divides(self._poly(a), self._poly(b), text)
                case Cmp("==", a, b):
                    self._equal(self._poly(a), self._poly(b))
                case Cmp("<", a, b):
                    self._fact(self._poly(b) - self._poly(a) - 1)
                case Cmp("<=", a, b):
                    self._fact(self._poly(b) - self._poly(a))
                case Cmp(">", a, b):
                    self._fact(self._poly(a) - self._poly(b) - 1)
                case Cmp(">=", a, b):
                    self._fact(self._poly(a) - self._poly(b))
                case _:
                    pass  # a fact less: what is proved without it holds with it

    def _equal(self, a: Poly, b: Poly) -> None:
        difference = a - b
        if not difference:
            return
        if difference.number() is not None:
            raise Empty
        for name in sorted(difference.names()):
            parts = difference.linear(name)
            if parts is not None and parts[0].number() in (1, -1):
                value = parts[1] * -int(parts[0].number() or 1)
                least = self.least[name]
                self._replace(name, value)
                self._fact(value - least)
                return
        self.facts += [difference, -difference]
