"""Programs whose loops are all kept: choices stay in their families and sums, and a family reads its own members.

A program that is run is written out where it chooses by a loop variable (``unroll``), which takes numbers. For all
sizes there are none: a choice becomes a sum of its branches, each under a guard.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from slotlang.meaning.integers import (
    Cond,
    Int,
    IntCall,
    IntConst,
    IntOp,
    IntVar,
    Not,
    add,
    show,
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
        """The extent of a loop over sizes alone: where it depends on variables, the greatest that it has, and the sum
        is cut. Raises ``GaveUp`` where it is not known to grow, or to shrink, with them."""
        self.cuts.pop(name, None)
        if variables(extent):
            self.cuts[name] = extent
            extent = self._greatest(extent)
        self.extents[name] = extent
        return extent

    def _greatest(self, e: Int) -> Int:
        for name in sorted(variables(e)):
            end = add(self.extents[name], IntConst(-1)) if _direction(e, name) > 0 else IntConst(0)
            e = substitute(e, lambda n, name=name, end=end: end if n == name else None)  # type: ignore[misc]
        return e


def _direction(e: Int, name: str) -> int:
    """1 where an expression never shrinks while a variable grows, -1 where it never grows, 0 without the variable.
    Raises ``GaveUp`` where neither is known."""
    match e:
        case IntVar(other):
            return int(other == name)
        case IntOp("+" | "-" as op, a, b):
            both = {_direction(a, name), _direction(b, name) * (1 if op == "+" else -1)} - {0}
            if len(both) < 2:
                return both.pop() if both else 0
        case IntOp("*", IntConst(factor), inner) | IntOp("*", inner, IntConst(factor)):
            return _direction(inner, name) * ((factor > 0) - (factor < 0))
        case IntCall("**", (IntConst(base), exponent)) if base > 1:
            return _direction(exponent, name)
    if name in variables(e):
        raise GaveUp(f"whether the extent {show(e)} of a sum grows with '{name}' is not known")
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
            case _:
                pass
    return found


__all__ = ["Case", "Kept", "branches", "choice", "guarded"]
