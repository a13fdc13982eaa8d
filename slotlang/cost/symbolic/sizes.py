"""What holds of a program's sizes whatever they are, and sizes as sympy has them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import sympy

from slotlang.cost.symbolic.functions import function
from slotlang.diagnostics import SlotError
from slotlang.meaning.integers import (
    Cmp,
    Int,
    IntCall,
    IntConst,
    IntIf,
    IntOp,
    IntSize,
    IntVar,
    evaluate,
    holds,
    show,
)
from slotlang.meaning.program import Program
from slotlang.proof.forall.condition_kinds import Conditions, Defined, Divides
from slotlang.proof.forall.conditions import conditions
from slotlang.proof.forall.inequalities import Domain
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
        if self.conditions.undecided:
            raise NoFormula(self.conditions.undecided)
        self.parameters = free
        self.exact = {(c.dividend, c.divisor) for c in self.conditions.all if isinstance(c, Divides)}
        for c in self.conditions.all:
            # what is required to leave no remainder divides exactly too
            match getattr(c, "condition", None):
                case Cmp("==", IntOp("%", a, b), IntConst(0)) | Cmp("==", IntConst(0), IntOp("%", a, b)):
                    self.exact.add((a, b))
        self.definitions = {c.name: c.value for c in self.conditions.all if isinstance(c, Defined)}
        self.texts = {c.name: c.text.partition(" = ")[2] for c in self.conditions.all if isinstance(c, Defined)}
        self._always: dict[object, bool] = {}

    @cached_property
    def families(self) -> list[Symbols]:
        """All sizes as families in independent symbols; empty where they have no such form."""
        try:
            return cases(self.conditions)
        except (Unsolved, Empty):
            return []

    def always(self, cond: Cmp, given: Collection[Cmp] = ()) -> bool:
        """Whether a comparison of sizes is shown to hold for all that are admitted and meet those given."""
        key = (cond, frozenset(given))
        known = self._always.get(key)
        if known is None:
            known = bool(self.families) and all(_Known(self, family, given).shown(cond) for family in self.families)
            self._always[key] = known
        return known

    def multiple(self, a: Int, b: Int) -> bool:
        """Whether an expression is shown to be a multiple of another for all sizes."""
        return bool(self.families) and all(_Known(self, family, ()).multiple(a, b) for family in self.families)


def symbol(name: str) -> Any:
    """A size as sympy has it."""
    return sympy.Symbol(name, integer=True, nonnegative=True)


def plain(e: Int) -> Int:
    """An expression with every number that was computed from sizes written out."""
    match e:
        case IntConst(_, written):
            return e if written is None else plain(written)
        case IntOp(op, a, b):
            return IntOp(op, plain(a), plain(b))
        case IntCall(name, args):
            return IntCall(name, tuple(map(plain, args)))
        case _:
            return e


class _Known:
    """What is known of one family of sizes, comparisons that are given included."""

    def __init__(self, sizes: AllSizes, family: Symbols, given: Collection[Cmp]) -> None:
        self.family = family
        self.exact = sizes.exact | {
            (c.left.left, c.left.right)
            for c in given
            if c.op == "==" and c.right == IntConst(0) and isinstance(c.left, IntOp) and c.left.op == "%"
        }
        self.domain = Domain(dict(family.domain.least), family.domain.facts)
        self.domain.points = family.domain.points
        for cond in given:
            for p in self._nonnegative(cond) or ():
                self.domain.assume(p)

    def shown(self, cond: Cmp) -> bool:
        """Whether a comparison is shown to hold."""
        if cond.op == "!=":
            return any(self.shown(Cmp(op, cond.left, cond.right)) for op in "<>")
        parts = self._nonnegative(cond)
        return parts is not None and all(map(self.domain.nonnegative, parts))

    def multiple(self, a: Int, b: Int) -> bool:
        """Whether an expression is shown to be a multiple of another."""
        x, y = self._poly(plain(a)), self._poly(plain(b))
        return x is not None and y is not None and y.single() is not None and x.over(y).whole()

    def _nonnegative(self, cond: Cmp) -> list[Poly] | None:
        """What is not negative exactly where a comparison holds; None where that is not expressed by polynomials."""
        a, b = self._poly(cond.left), self._poly(cond.right)
        if a is None or b is None:
            return None
        one = Poly.const(1)
        forms = {"<=": [b - a], ">=": [a - b], "<": [b - a - one], ">": [a - b - one], "==": [a - b, b - a]}
        found = forms.get(cond.op)
        # names with negative powers are divisors, which are positive
        return None if found is None else [p * p.cleared() for p in found]

    def _poly(self, e: Int) -> Poly | None:
        match e:
            case IntOp(op, a, b) if (x := self._poly(a)) is not None and (y := self._poly(b)) is not None:
                if op in ("//", "%") and (a, b) in self.exact and y.single() is not None:
                    return x.over(y) if op == "//" else Poly()
                if op in "+-*":
                    return x + y if op == "+" else x - y if op == "-" else x * y
        return self.family.value(e)


@dataclass
class Decisions:
    """Comparisons of sizes that a derivation has looked at, with the answers at its own sizes: what it derives holds
    wherever the answers are the same. Those that are shown for all sizes are not kept."""

    all: AllSizes
    sizes: Mapping[str, int]
    conditions: dict[Cmp, None] = field(default_factory=dict)
    shared: Mapping[Cmp, None] = field(default_factory=dict)

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

    def without_implied(self, conditions: Iterable[Cmp]) -> tuple[Cmp, ...]:
        """Comparisons of which none is shown to follow from the others."""
        kept = list(dict.fromkeys(conditions))
        for cond in list(kept):
            others = [c for c in kept if c is not cond]
            if self.all.always(cond, others):
                kept = others
        return tuple(kept)

    def branch(self) -> Decisions:
        """Decisions of one count, beside those that all counts share."""
        return Decisions(self.all, self.sizes, shared={**self.shared, **self.conditions})

    def divides(self, a: Int, b: Int) -> bool:
        """Whether a division leaves nothing, by what is asked of sizes or was decided."""
        rest = Cmp("==", IntOp("%", a, b), IntConst(0))
        return (a, b) in self.all.exact or rest in self.conditions or rest in self.shared

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
                whole = x / y if self.divides(plain(a), plain(b)) else sympy.floor(x / y)
                return whole if op == "//" else x - y * whole
            case IntCall("**", (base, exponent)):
                return self.expr(base) ** self.expr(exponent)
            case IntCall("min" | "max" | "log2" as name, args):
                known = {"min": sympy.Min, "max": sympy.Max, "log2": function("log2")}
                return known[name](*map(self.expr, args))
            case IntCall() | IntIf():
                raise NoFormula(f"{show(e)} is decided at numbers alone")


def all_sizes(program: Program) -> AllSizes:
    """Raises ``NoFormula`` where the sizes of a program are not understood."""
    try:
        return AllSizes(program.syntax)
    except SlotError as problem:
        raise NoFormula(problem.diagnostics[0].message) from None
