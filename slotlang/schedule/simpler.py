"""Operations made simpler as they are built: rotations of rotations, flat sums, and no family that is not used."""

from __future__ import annotations

from collections.abc import Mapping

from slotlang.meaning.integers import Cmp, Int, IntConst, add, evaluate, variables
from slotlang.meaning.program import Program
from slotlang.schedule import ops


def rotate(op: ops.Op, amount: Int, sizes: Mapping[str, int], decided: list[Cmp]) -> ops.Op:
    """``op << amount``, rotations of rotations merged. ``decided`` grows by what is 0 and so left out."""
    value = op
    if isinstance(op, ops.Rotate) and op.table is None:
        value, amount = op.value, add(op.amount, amount)
    amount = _without_cancelling(amount, sizes, decided)
    return value if amount == IntConst(0) else ops.Rotate(value, amount)


def _without_cancelling(amount: Int, sizes: Mapping[str, int], decided: list[Cmp]) -> Int:
    """``amount`` without the variables that fall out of it: what a giant step moved to the leaves leaves there
    is a baby step. A constant amount becomes a number when it is 0."""
    for var in sorted(variables(amount)):
        split = ops.linear(amount, var)
        if split is not None and evaluate(split[0], sizes, {}) == 0:
            decided.append(Cmp("==", split[0], IntConst(0)))
            amount = split[1]
    if variables(amount) or evaluate(amount, sizes, {}) != 0:
        return amount
    decided.append(Cmp("==", amount, IntConst(0)))
    return IntConst(0)


def added(operands: list[tuple[int, ops.Op]]) -> ops.Op:
    """A flat sum of signed operands."""
    flat: list[tuple[int, ops.Op]] = []
    for sign, op in operands:
        while isinstance(op, ops.Neg):
            sign, op = -sign, op.value
        if isinstance(op, ops.Add):
            flat.extend((sign * s, o) for s, o in op.operands)
        else:
            flat.append((sign, op))
    if len(flat) == 1:
        return flat[0][1] if flat[0][0] > 0 else ops.Neg(flat[0][1])
    flat.sort(key=lambda item: -item[0])
    if flat[0][0] < 0:
        return ops.Neg(ops.Add(tuple((-s, o) for s, o in flat)))
    return ops.Add(tuple(flat))


def needed(ciphers: tuple[ops.CipherFamily, ...], program: Program) -> tuple[ops.CipherFamily, ...]:
    """The families that some output depends on."""
    wanted = {o.family.name for o in program.outputs}
    kept: list[ops.CipherFamily] = []

    def visit(op: ops.Op) -> None:
        if isinstance(op, ops.Ref):
            wanted.add(op.family)
        for child in ops.children(op):
            visit(child)

    for family in reversed(ciphers):
        if family.name in wanted:
            kept.append(family)
            if family.body is not None:
                visit(family.body)
    return tuple(reversed(kept))
