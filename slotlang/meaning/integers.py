"""Integer expressions over sizes, loop variables and slot digits, and conditions on them.

Sizes stay symbolic (``IntSize``) next to their bound values, so that a stage can work with either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isqrt
from typing import Any, TypeAlias, assert_never

SLOT = "slot"
"""The variable that is the plain slot index."""


@dataclass(frozen=True, slots=True)
class IntConst:
    """An integer constant. ``written``: what it is the value of, where it was computed from sizes."""

    value: int
    written: Int | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class IntSize:
    """A size or ``let`` of the program, by name."""

    name: str


@dataclass(frozen=True, slots=True)
class IntVar:
    """A loop variable, a family index, a slot digit (an axis) or ``slot``."""

    name: str


@dataclass(frozen=True, slots=True)
class IntOp:
    """``+ - * // %``; floor division and remainder as in Python. Divisors hold no variables."""

    op: str
    left: Int
    right: Int


Int: TypeAlias = IntConst | IntSize | IntVar | IntOp


@dataclass(frozen=True, slots=True)
class Cmp:
    """``left op right`` with op one of ``== != < <= > >=``."""

    op: str
    left: Int
    right: Int


@dataclass(frozen=True, slots=True)
class And:
    """Every part holds; true when empty."""

    parts: tuple[Cond, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Some part holds; false when empty."""

    parts: tuple[Cond, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Cond


Cond: TypeAlias = Cmp | And | Or | Not


def _folded(op: str, a: IntConst, b: IntConst, value: int) -> IntConst:
    """A constant made of two, which knows what it is the value of where one of these does."""
    if a.written is None and b.written is None:
        return IntConst(value)
    return IntConst(value, IntOp(op, a.written or a, b.written or b))


def add(a: Int, b: Int) -> Int:
    """``a + b`` with zeros and constants folded."""
    if isinstance(a, IntConst) and isinstance(b, IntConst):
        return _folded("+", a, b, a.value + b.value)
    if a == IntConst(0):
        return b
    if b == IntConst(0):
        return a
    return IntOp("+", a, b)


def mul(a: Int, b: Int) -> Int:
    """``a * b`` with ones, zeros and constants folded."""
    if isinstance(a, IntConst) and isinstance(b, IntConst):
        return _folded("*", a, b, a.value * b.value)
    if a == IntConst(0) or b == IntConst(0):
        return IntConst(0)
    if a == IntConst(1):
        return b
    if b == IntConst(1):
        return a
    return IntOp("*", a, b)


def neg(a: Int) -> Int:
    """``-a``."""
    if isinstance(a, IntConst):
        return _folded("-", IntConst(0), a, -a.value)
    return IntOp("-", IntConst(0), a)


def within(indices: Sequence[Int], extents: Sequence[Int]) -> tuple[Cond, ...]:
    """``0 <= index`` and ``index < extent`` for each index: what holds together inside an array."""
    parts: list[Cond] = []
    for index, extent in zip(indices, extents, strict=True):
        parts += [Cmp(">=", index, IntConst(0)), Cmp("<", index, extent)]
    return tuple(parts)


def variables(e: Int | Cond) -> frozenset[str]:
    """Names of the ``IntVar`` in an expression or condition."""
    match e:
        case IntConst() | IntSize():
            return frozenset()
        case IntVar(name):
            return frozenset([name])
        case IntOp(_, a, b) | Cmp(_, a, b):
            return variables(a) | variables(b)
        case And(parts) | Or(parts):
            return frozenset().union(*map(variables, parts))
        case Not(part):
            return variables(part)
        case _:
            assert_never(e)


def substitute(e: Int, get: Callable[[str], Int | None]) -> Int:
    """``e`` with every variable for which ``get`` gives an expression replaced by it."""
    match e:
        case IntConst() | IntSize():
            return e
        case IntVar(name):
            new = get(name)
            return e if new is None else new
        case IntOp(op, a, b):
            na, nb = substitute(a, get), substitute(b, get)
            return e if na is a and nb is b else IntOp(op, na, nb)
        case _:
            assert_never(e)


def substitute_cond(c: Cond, get: Callable[[str], Int | None]) -> Cond:
    """``substitute`` for conditions."""
    match c:
        case Cmp(op, a, b):
            return Cmp(op, substitute(a, get), substitute(b, get))
        case And(parts):
            return And(tuple(substitute_cond(p, get) for p in parts))
        case Or(parts):
            return Or(tuple(substitute_cond(p, get) for p in parts))
        case Not(part):
            return Not(substitute_cond(part, get))
        case _:
            assert_never(c)


def evaluate(e: Int, sizes: Mapping[str, int], env: Mapping[str, Any]) -> Any:
    """Value of ``e``; ``env`` gives variables as ints or as arrays that broadcast together."""
    match e:
        case IntConst(value):
            return value
        case IntSize(name):
            return sizes[name]
        case IntVar(name):
            return env[name]
        case IntOp(op, a, b):
            x, y = evaluate(a, sizes, env), evaluate(b, sizes, env)
            if op == "+":
                return x + y
            if op == "-":
                return x - y
            if op == "*":
                return x * y
            return x // y if op == "//" else x % y
        case _:
            assert_never(e)


_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def holds(c: Cond, sizes: Mapping[str, int], env: Mapping[str, Any]) -> Any:
    """Truth of ``c``, a bool or a bool array that broadcasts with the arrays of ``env``."""
    match c:
        case Cmp(op, a, b):
            return _COMPARE[op](evaluate(a, sizes, env), evaluate(b, sizes, env))
        case And(parts):
            result: Any = True
            for part in parts:
                result = result & holds(part, sizes, env)
            return result
        case Or(parts):
            result = False
            for part in parts:
                result = result | holds(part, sizes, env)
            return result
        case Not(part):
            truth = holds(part, sizes, env)
            return (not truth) if isinstance(truth, bool) else ~truth
        case _:
            assert_never(c)


def bounds(e: Int, sizes: Mapping[str, int], extents: Mapping[str, int]) -> tuple[int, int]:
    """An interval that holds every value of ``e`` when each variable v runs over [0, extents[v]).

    Exact when every variable occurs once and no remainder wraps; never too small.
    """
    return interval(e, sizes, {name: (0, extent - 1) for name, extent in extents.items()})


def interval(e: Int, sizes: Mapping[str, int], ranges: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """``bounds`` for variables that run over given ranges, both ends included."""
    match e:
        case IntConst(value):
            return value, value
        case IntSize(name):
            return sizes[name], sizes[name]
        case IntVar(name):
            return ranges[name]
        case IntOp(op, a, b):
            lo, hi = interval(a, sizes, ranges)
            lo2, hi2 = interval(b, sizes, ranges)
            if op == "+":
                return lo + lo2, hi + hi2
            if op == "-":
                return lo - hi2, hi - lo2
            if op == "*":
                corners = [lo * lo2, lo * hi2, hi * lo2, hi * hi2]
                return min(corners), max(corners)
            if op == "//":
                return lo // lo2, hi // lo2
            return (lo % lo2, hi % lo2) if lo // lo2 == hi // lo2 else (0, lo2 - 1)
        case _:
            assert_never(e)


def divisors(n: int) -> list[int]:
    """The positive divisors of a positive integer, ascending."""
    small = [m for m in range(1, isqrt(n) + 1) if n % m == 0]
    return small + [n // m for m in reversed(small) if m * m != n]


_STRENGTH = {"+": 1, "-": 1, "*": 2, "//": 2, "%": 2}


def show(e: Int, strength: int = 0) -> str:
    """The expression as slot text, with the parentheses it needs and no more."""
    match e:
        case IntConst(value):
            return str(value) if value >= 0 or strength <= 1 else f"({value})"
        case IntSize(name) | IntVar(name):
            return name
        case IntOp("-", IntConst(0), b):
            text = f"-{show(b, 3)}"
            return f"({text})" if strength > 1 else text
        case IntOp(op, a, b):
            mine = _STRENGTH[op]
            # a // n * m is written wide: a // n*m would look like a // (n*m)
            wide = op != "*" or (isinstance(a, IntOp) and a.op in ("//", "%"))
            sign = f" {op} " if wide else op
            text = f"{show(a, mine)}{sign}{show(b, mine + 1)}"
            return f"({text})" if mine < strength else text
        case _:
            assert_never(e)


def show_cond(c: Cond, strength: int = 0) -> str:
    """The condition as slot text."""
    match c:
        case Cmp(op, a, b):
            return f"{show(a)} {op} {show(b)}"
        case And(parts):
            text = " and ".join(show_cond(p, 2) for p in parts)
            return f"({text})" if strength > 2 else text
        case Or(parts):
            text = " or ".join(show_cond(p, 1) for p in parts)
            return f"({text})" if strength > 1 else text
        case Not(part):
            return f"not {show_cond(part, 3)}"
        case _:
            assert_never(c)
