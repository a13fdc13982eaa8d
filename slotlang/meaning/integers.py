"""Integer expressions over sizes, loop variables and slot digits, and conditions on them.

Sizes stay symbolic (``IntSize``) next to their bound values, so that a stage can work with either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isqrt
from typing import Any, TypeAlias, assert_never

from slotlang.meaning import integer_functions

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


@dataclass(frozen=True, slots=True)
class IntCall:
    """A function of integers: ``min``, ``max``, ``log2``, the power ``**``, the exclusive or ``^``.

    Binding has shown that it has a value wherever it is looked at: exponents and what ``^`` joins are not negative,
    ``log2`` is of a power of two and holds no variables. Elsewhere, in a branch that is not taken, its value is any.
    """

    name: str
    args: tuple[Int, ...]


@dataclass(frozen=True, slots=True)
class IntIf:
    """``yes if condition else no``, with variables in the condition; one of sizes alone is decided when it is bound."""

    condition: Cond
    yes: Int
    no: Int


Int: TypeAlias = IntConst | IntSize | IntVar | IntOp | IntCall | IntIf


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


def parts(e: Int | Cond) -> tuple[Int | Cond, ...]:
    """What an expression or condition is made of, in the order in which it is written."""
    match e:
        case IntConst() | IntSize() | IntVar():
            return ()
        case IntOp(_, a, b) | Cmp(_, a, b):
            return (a, b)
        case IntCall(_, args):
            return args
        case IntIf(cond, yes, no):
            return (yes, cond, no)
        case And(inner) | Or(inner):
            return inner
        case Not(part):
            return (part,)
        case _:
            assert_never(e)


def variables(e: Int | Cond) -> frozenset[str]:
    """Names of the ``IntVar`` in an expression or condition."""
    if isinstance(e, IntVar):
        return frozenset([e.name])
    return frozenset[str]().union(*map(variables, parts(e)))


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
        case IntCall(name, args):
            return IntCall(name, tuple(substitute(a, get) for a in args))
        case IntIf(cond, yes, no):
            return IntIf(substitute_cond(cond, get), substitute(yes, get), substitute(no, get))
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
        case IntCall(name, args):
            return integer_functions.value(name, [evaluate(a, sizes, env) for a in args])
        case IntIf(cond, yes, no):
            truth = holds(cond, sizes, env)
            return integer_functions.chosen(truth, evaluate(yes, sizes, env), evaluate(no, sizes, env))
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
        case IntCall(name, args):
            return integer_functions.interval(name, [interval(a, sizes, ranges) for a in args])
        case IntIf(cond, yes, no):
            truth = decided(cond, sizes, ranges)
            taken = [interval(e, sizes, ranges) for e, way in ((yes, True), (no, False)) if truth in (way, None)]
            return min(low for low, _ in taken), max(high for _, high in taken)
        case _:
            assert_never(e)


def decided(c: Cond, sizes: Mapping[str, int], ranges: Mapping[str, tuple[int, int]]) -> bool | None:
    """Whether a condition holds, or fails, for all variables in their ranges; None where neither is plain. Never None
    when each range is one value."""
    match c:
        case Cmp(op, a, b):
            (lo, hi), (lo2, hi2) = interval(a, sizes, ranges), interval(b, sizes, ranges)
            truths = {_COMPARE[op](x, y) for x in {lo, hi} for y in {lo2, hi2}}
            if op in ("==", "!=") and (lo, lo2) != (hi, hi2) and hi >= lo2 and hi2 >= lo:
                return None
            return truths.pop() if len(truths) == 1 else None
        case And(parts) | Or(parts):
            found = [decided(part, sizes, ranges) for part in parts]
            stops = isinstance(c, Or)
            if stops in found:
                return stops
            return None if None in found else not stops
        case Not(part):
            truth = decided(part, sizes, ranges)
            return None if truth is None else not truth
        case _:
            assert_never(c)


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
        case IntCall("**", (a, b)):
            text = f"{show(a, 5)}**{show(b, 4)}"
            return f"({text})" if strength > 4 else text
        case IntCall("^", (a, b)):
            return f"({show(a)} ^ {show(b)})"
        case IntCall(name, args):
            return f"{name}({', '.join(map(show, args))})"
        case IntIf(cond, yes, no):
            return f"({show(yes)} if {show_cond(cond)} else {show(no)})"
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
