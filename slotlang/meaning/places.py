"""Places of slots and members that terms read, as expressions that stay short however often they are moved."""

from __future__ import annotations

from slotlang.meaning.integers import Int, IntConst, IntOp, add, mul, neg, parts
from slotlang.refusals import GaveUp

MAX_DEEP = 200
"""Operators inside each other in a place, at most. What walks along one uses Python's stack."""
MAX_PARTS = 4096
"""Parts of a place, at most: one that has two digits of another doubles with each step."""
SHORT = 24
"""Parts up to which a place is written out again where it is needed."""


def shifted(slots: Int, slot: Int, step: Int) -> Int:
    """``(slot + step) % slots``, nested remainders by ``slots`` merged: (a % n + b) % n = (a + b) % n. Steps of one
    kind are added up: (slot + b + b) % n = (slot + 2*b) % n."""
    if step == IntConst(0):
        return slot
    if isinstance(slot, IntOp) and slot.op == "%" and slot.right == slots:
        slot = slot.left
    return IntOp("%", summed(slot, step), slots)


def summed(slot: Int, step: Int) -> Int:
    """A sum with one more summand, which joins the one that is a multiple of the same thing."""
    number, of = _multiple(step)
    after: list[Int] = []
    e = slot
    while isinstance(e, IntOp) and e.op == "+":
        so_far, like = _multiple(e.right)
        if like == of:
            whole = _times(so_far + number, of)
            e = e.left if whole == IntConst(0) else IntOp("+", e.left, whole)
            for summand in reversed(after):
                e = add(e, summand)
            return e
        after.append(e.right)
        e = e.left
    return add(slot, step)


def _multiple(e: Int) -> tuple[int, Int | None]:
    """A number and what it multiplies, None for a number alone."""
    match e:
        case IntConst(value):
            return value, None
        case IntOp("*", IntConst(value), other) | IntOp("*", other, IntConst(value)):
            return value, other
        case IntOp("-", IntConst(0), other):
            return -1, other
        case _:
            return 1, e


def _times(number: int, of: Int | None) -> Int:
    if of is None:
        return IntConst(number)
    return neg(of) if number == -1 else mul(IntConst(number), of)


def short(e: Int) -> bool:
    """Whether a place has few parts."""
    return _within(e, SHORT, SHORT)


def check_place(e: Int) -> None:
    """Raises ``GaveUp`` for a place that is too long for what walks along it."""
    if not _within(e, MAX_PARTS, MAX_DEEP):
        raise GaveUp(f"an index that nests more than {MAX_DEEP} deep, or has more than {MAX_PARTS:,} parts")


def _within(e: Int, most: int, deepest: int) -> bool:
    # a list in place of Python's stack, on which this is no limit
    waiting = [(e, 1)]
    for _ in range(most):
        if not waiting:
            return True
        part, depth = waiting.pop()
        if depth > deepest:
            return False
        waiting += [(inner, depth + 1) for inner in parts(part)]  # type: ignore[misc]
    return not waiting


__all__ = ["check_place", "shifted", "short", "summed"]
