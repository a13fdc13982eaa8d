"""Sets of rotation steps in symbols, and how many different ones several sets have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import sympy

from slotlang.cost.symbolic.functions import function, of_doubling, steps_of
from slotlang.cost.symbolic.sizes import Decisions, plain
from slotlang.meaning.integers import Int, IntConst, add, mul, neg
from slotlang.schedule.doubling import RADIX

ZERO, ONE, TWO = IntConst(0), IntConst(1), IntConst(RADIX)


@dataclass(frozen=True)
class Steps:
    """Different steps, none of them 0 modulo slots, as whole numbers between -slots and slots.

    ``range``: ``first + i*step`` for i < ``count``. ``doubling``: what doubling ``count`` terms by ``step`` rotates by,
    ``radix`` copies at a time; ``first`` is ``step``. ``table``: these numbers, from the first to the last.
    """

    kind: Literal["range", "doubling", "table"]
    first: Int
    step: Int
    count: Int
    table: tuple[int, ...] = ()
    radix: Int = TWO

    def plain(self) -> Steps:
        """With every number that was computed from sizes written out."""
        numbers = (self.first, self.step, self.count, self.radix)
        first, step, count, radix = map(plain, numbers)
        return replace(self, first=first, step=step, count=count, radix=radix)

    def size(self, decisions: Decisions) -> Any:
        """How many there are."""
        count = decisions.expr(self.count)
        return count if self.kind != "doubling" else of_doubling("doubling_steps", count, decisions.expr(self.radix))

    def expr(self, decisions: Decisions) -> Any:
        """The set as formulas name it."""
        first, step, count = (decisions.expr(e) for e in (self.first, self.step, self.count))
        if self.kind == "doubling":
            return steps_of(step, count, decisions.expr(self.radix))
        if self.kind == "table":
            return function("numbers")(*self.table)
        if count == 1:
            return function("numbers")(first)
        return function("range_steps")(first, step, count)

    def ends(self, decisions: Decisions, slots: Int) -> tuple[Int, Int]:
        """The least and the largest step, modulo slots, or bounds of them; the signs are decided."""
        last: Int
        if self.kind == "table":
            last = IntConst(self.table[-1])
        elif self.kind == "range":
            last = _plus(self.first, mul(self.step, _less(self.count)))
        else:
            last = mul(self.step, _less(self.count))
        low, high = (self.first, last)
        if decisions.value(self.step) < 0:
            low, high = high, low
        if decisions.value(low) < 0:
            return _plus(slots, low), _plus(slots, high)
        return low, high


def single(step: Int) -> Steps:
    """One step."""
    return Steps("range", step, ZERO, ONE)


def numbers(steps: tuple[int, ...]) -> Steps:
    """The steps of a table, ascending."""
    return Steps("table", IntConst(steps[0]), ZERO, IntConst(len(steps)), steps)


def _less(e: Int) -> Int:
    return _plus(e, IntConst(-1))


def _plus(a: Int, b: Int) -> Int:
    return add(plain(a), plain(b))


def difference(a: Int, b: Int) -> Int:
    """``a - b``."""
    return add(a, neg(b))


def disjoint(a: Steps, b: Steps, decisions: Decisions, slots: Int) -> bool:
    """Whether two sets have no step in common, by their ends; the reason is kept where there is one."""
    low_a, high_a = a.ends(decisions, slots)
    low_b, high_b = b.ends(decisions, slots)
    if decisions.value(high_a) < decisions.value(low_b):
        return decisions.compare(high_a, "<", low_b)
    if decisions.value(high_b) < decisions.value(low_a):
        return decisions.compare(high_b, "<", low_a)
    return False


def inside(a: Steps, b: Steps, decisions: Decisions) -> bool:
    """Whether all steps of one set are steps of another, by their definitions; the reason is kept if there is one."""
    value = decisions.value
    if a.kind == "table" or b.kind == "table":
        return a == b
    if a.kind == b.kind and value(a.step) == value(b.step) and value(a.first) == value(b.first):
        if a.kind == "doubling":
            same = value(a.count) == value(b.count) and value(a.radix) == value(b.radix)
        else:
            same = value(a.count) <= value(b.count)
        if same:
            decisions.compare(a.first, "==", b.first)
            if value(a.count) == 1 and a.kind == "range" and plain(a.step) != plain(b.step):
                decisions.compare(a.count, "==", ONE)
            else:
                decisions.compare(a.step, "==", b.step)
            if a.kind == "doubling":
                decisions.compare(a.radix, "==", b.radix)
            return decisions.compare(a.count, "==" if a.kind == "doubling" else "<=", b.count)
    if a.kind == "range" and value(a.count) == 1 and value(a.first) == value(b.first):
        # the first step of a range; a doubling rotates by its step when there is an odd part, or two terms and more
        least = 1 if b.kind == "range" else 2
        if value(b.count) >= least:
            decisions.compare(a.count, "==", ONE)
            decisions.compare(a.first, "==", b.first)
            return decisions.compare(b.count, ">=", IntConst(least))
    return False


def distinct(sets: Sequence[Steps], decisions: Decisions, slots: Int) -> Any:
    """How many different steps several sets have together: a sum where each set is apart from the others or inside one
    of them, and otherwise the function of that name."""
    kept: list[Steps] = []
    present = [s for s in dict.fromkeys(sets) if _present(s, decisions)]
    for position, s in enumerate(present):
        others = [*kept, *present[position + 1 :]]
        if any(inside(s, other, trial) for other in others if (trial := decisions.branch())):
            other = next(o for o in others if inside(s, o, decisions.branch()))
            inside(s, other, decisions)
        else:
            kept.append(s)
    trial = decisions.branch()
    if all(disjoint(a, b, trial, slots) for n, a in enumerate(kept) for b in kept[:n]):
        decisions.conditions.update(trial.conditions)
        return sum((s.size(decisions) for s in kept), sympy.Integer(0))
    return function("distinct")(decisions.expr(slots), *(s.expr(decisions) for s in kept))


def _present(s: Steps, decisions: Decisions) -> bool:
    """Whether there is a step. That there is one is no condition: a count of none says so by itself."""
    least = IntConst(2 if s.kind == "doubling" else 1)
    return decisions.value(s.count) >= least.value or decisions.compare(s.count, ">=", least)
