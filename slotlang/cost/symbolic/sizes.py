"""What holds of a program's sizes whatever they are, and sizes as sympy has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import sympy

from slotlang.diagnostics import SlotError
from slotlang.meaning.integers import (
    And,
    Cmp,
    Cond,
    Int,
    IntConst,
    IntOp,
    IntSize,
    IntVar,
    Not,
    Or,
    evaluate,
    holds,
)
from slotlang.meaning.program import Program
from slotlang.proof.forall.conditions import Conditions, Defined, Divides, conditions
from slotlang.proof.forall.polynomials import Poly
from slotlang.proof.forall.size_solver import Empty, Symbols, Unsolved, cases
from slotlang.source import Span
from slotlang.syntax import tree

_NEGATED = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


class NoFormula(Exception):
    """A count has no formula; the message says why, and ``span`` where."""

    def __init__(self, reason: str, span: Span | None = None) -> None:
        super().__init__(reason)
        self.span = span


class AllSizes:
    """The sizes of a program: their names, what defines them, and what holds of all that are admitted."""

    def __init__(self, syntax: tree.Program) -> None:
        free = tuple(size.name for size in syntax.header.sizes)
        self.conditions: Conditions = conditions(syntax, {}, free)
        self.parameters = free
        self.exact = {(c.dividend, c.divisor) for c in self.conditions.all if isinstance(c, Divides)}
        for c in self.conditions.all:
            # what is required to leave no remainder divides exactly too
            match getattr(c, "condition", None):
                case Cmp("==", IntOp("%", a, b), IntConst(0)) | Cmp("==", IntConst(0), IntOp("%", a, b)):
                    self.exact.add((a, b))
        self.definitions = {c.name: c.value for c in self.conditions.all if isinstance(c, Defined)}
        self._always: dict[Cmp, bool] = {}

    @cached_property
    def families(self) -> list[Symbols]:
        """All sizes as families in independent symbols; empty where they have no such form."""
        try:
            return cases(self.conditions)
        except (Unsolved, Empty):
            return []

    def always(self, cond: Cmp) -> bool:
        """Whether a comparison of sizes is shown to hold for all that are admitted."""
        known = self._always.get(cond)
        if known is None:
            known = self._always[cond] = bool(self.families) and all(_shown(cond, family) for family in self.families)
        return known

    def expr(self, e: Int) -> Any:
        """An expression of sizes as sympy has it; variables keep their names."""
        match e:
            case IntConst(value, written):
                return sympy.Integer(value) if written is None else self.expr(written)
            case IntSize(name) | IntVar(name):
                return symbol(name)
            case IntOp(op, a, b):
                x, y = self.expr(a), self.expr(b)
                if op == "+":
                    return x + y
                if op == "-":
                    return x - y
                if op == "*":
                    return x * y
                if op == "//":
                    return x / y if (a, b) in self.exact else sympy.floor(x / y)
                return sympy.Integer(0) if (a, b) in self.exact else sympy.Mod(x, y)


def symbol(name: str) -> Any:
    """A size as sympy has it."""
    return sympy.Symbol(name, integer=True, positive=True)


def plain(e: Int) -> Int:
    """An expression with every number that was computed from sizes written out."""
    match e:
        case IntConst(_, written):
            return e if written is None else plain(written)
        case IntOp(op, a, b):
            return IntOp(op, plain(a), plain(b))
        case _:
            return e


def _shown(cond: Cmp, family: Symbols) -> bool:
    a, b = family.value(plain(cond.left)), family.value(plain(cond.right))
    if a is None or b is None:
        return False
    nonnegative = family.domain.nonnegative
    one = Poly.const(1)
    match cond.op:
        case "<=":
            return nonnegative(b - a)
        case ">=":
            return nonnegative(a - b)
        case "<":
            return nonnegative(b - a - one)
        case ">":
            return nonnegative(a - b - one)
        case "==":
            return not (a - b) or (nonnegative(a - b) and nonnegative(b - a))
        case _:
            return nonnegative(a - b - one) or nonnegative(b - a - one)


@dataclass
class Decisions:
    """Comparisons of sizes that a derivation has looked at, with the answers at its own sizes: what it derives holds
    wherever the answers are the same. Those that are shown for all sizes are not kept."""

    all: AllSizes
    sizes: Mapping[str, int]
    conditions: dict[Cmp, None] = field(default_factory=dict)

    def value(self, e: Int) -> int:
        """An expression at the derivation's sizes."""
        return int(evaluate(e, self.sizes, {}))

    def compare(self, a: Int, op: str, b: Int) -> bool:
        """Whether a comparison holds; the answer is kept."""
        a, b = plain(a), plain(b)
        answer = bool(holds(Cmp(op, a, b), self.sizes, {}))
        self.note(Cmp(op if answer else _NEGATED[op], a, b))
        return answer

    def need(self, a: Int, op: str, b: Int, reason: str, span: Span | None = None) -> None:
        """Raises ``NoFormula`` where a comparison does not hold."""
        if not self.compare(a, op, b):
            raise NoFormula(reason, span)

    def note(self, cond: Cmp) -> None:
        """Keep a comparison that holds, of expressions in the sizes' names."""
        if not self.all.always(cond):
            self.conditions[cond] = None

    def branch(self) -> Decisions:
        """Decisions of one count, beside those that all counts share."""
        return Decisions(self.all, self.sizes)


def sizes_of(cond: Cond) -> Iterable[Int]:
    """Both sides of every comparison in a condition."""
    match cond:
        case Cmp(_, a, b):
            yield from (a, b)
        case And(parts) | Or(parts):
            for part in parts:
                yield from sizes_of(part)
        case Not(part):
            yield from sizes_of(part)


def all_sizes(program: Program) -> AllSizes:
    """Raises ``NoFormula`` where the sizes of a program are not understood."""
    try:
        return AllSizes(program.syntax)
    except SlotError as problem:
        raise NoFormula(problem.diagnostics[0].message) from None
