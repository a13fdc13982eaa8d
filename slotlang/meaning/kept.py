"""Programs whose loops are all kept: choices stay in their families and sums, and a family reads its own members.

A program that is run is written out where it chooses by a loop variable (``unroll``), which takes numbers. For all sizes
there are none: a choice becomes a sum of its branches, each under a guard.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from slotlang.meaning.integers import (
    Cond,
    Int,
    IntConst,
    IntOp,
    IntVar,
    Not,
    add,
    mul,
    neg,
    substitute,
    variables,
)
from slotlang.meaning.value import Arith, Iverson, Value, nodes
from slotlang.refusals import GaveUp
from slotlang.source import Span


@dataclass(frozen=True, slots=True)
class Case:
    """What a family's member is where ``condition`` holds, over the family's indices. Of the cases of a family one
    holds for each member."""

    condition: Cond
    body: Value


@dataclass
class Kept:
    """``extents`` of the loop variables met, over the names of sizes; ``cuts`` are those of sums that depend on other
    variables, as the program writes them."""

    extents: dict[str, Int] = field(default_factory=dict)
    cuts: dict[str, Int] = field(default_factory=dict)

    def loop(self, name: str, extent: Int) -> Int:
        """The extent of a loop over sizes alone: where it depends on variables, the greatest that it has, and the sum is
        cut. Raises ``GaveUp`` where that is not linear in them."""
        self.cuts.pop(name, None)
        if variables(extent):
            self.cuts[name] = extent
            extent = self._greatest(extent)
        self.extents[name] = extent
        return extent

    def _greatest(self, e: Int) -> Int:
        for name in sorted(variables(e)):
            slope = _slope(e, name)
            end = add(self.extents[name], IntConst(-1)) if slope > 0 else IntConst(0)
            e = substitute(e, lambda n, name=name, end=end: end if n == name else None)  # type: ignore[misc]
        return e


def _slope(e: Int, name: str) -> int:
    """The factor of a variable in an expression that is linear in it. Raises ``GaveUp``."""
    match e:
        case IntVar(other):
            return int(other == name)
        case IntOp("+" | "-" as op, a, b):
            return _slope(a, name) + (_slope(b, name) if op == "+" else -_slope(b, name))
        case IntOp("*", IntConst(factor), inner) | IntOp("*", inner, IntConst(factor)):
            return factor * _slope(inner, name)
    if name in variables(e):
        raise GaveUp(f"the extent of a sum is not linear in '{name}'")
    return 0


def choice(test: Cond, yes: Value, no: Value, span: Span) -> Value:
    """``yes if test else no``."""
    return Arith("+", guarded(test, yes, span), guarded(Not(test), no, span), span)


def guarded(test: Cond, value: Value, span: Span) -> Value:
    """A value where a condition holds; elsewhere it is not looked at, and this is 0."""
    return Arith("*", Iverson(test, span, True), value, span)


def branches(value: Value) -> list[tuple[Value, Value]]:
    """Both branches of every choice inside a value."""
    found: list[tuple[Value, Value]] = []
    for node in nodes(value):
        match node:
            case Arith("+", Arith("*", Iverson(guard=True), yes), Arith("*", Iverson(guard=True), no)):
                found.append((yes, no))
    return found


__all__ = ["Case", "Kept", "branches", "choice", "guarded"]
