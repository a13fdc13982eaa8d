"""Bounds of expressions in sizes, whatever the values of their variables."""

from __future__ import annotations

from collections.abc import Mapping

from slotlang.cost.symbolic.steps import ONE, ZERO, difference
from slotlang.meaning.integers import Int, IntCall, IntConst, IntIf, IntOp, IntSize, IntVar, add, mul, variables


def ends(e: Int, extents: Mapping[str, Int]) -> tuple[Int, Int] | None:
    """The least and the largest value of an expression, or bounds of them, in sizes; None where none are simple."""
    match e:
        case IntConst() | IntSize():
            return e, e
        case IntVar(name):
            return (ZERO, difference(extents[name], ONE)) if name in extents else None
        case IntOp(op, a, b):
            x, y = ends(a, extents), ends(b, extents)
            if x is None or y is None:
                return None
            if op == "+":
                return add(x[0], y[0]), add(x[1], y[1])
            if op == "-":
                return difference(x[0], y[1]), difference(x[1], y[0])
            if op == "*":
                # sizes are not negative, and neither are variables
                negative = [v for v in (*x, *y) if isinstance(v, IntOp) and v.op == "-" and v.left == ZERO]
                return None if negative else (mul(x[0], y[0]), mul(x[1], y[1]))
            if variables(b) or y[0] != y[1]:
                return None
            if op == "//":
                return IntOp("//", x[0], b), IntOp("//", x[1], b)
            return ZERO, difference(b, ONE)
        case IntCall() | IntIf():
            return None
