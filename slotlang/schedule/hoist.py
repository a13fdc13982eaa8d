"""Loop-invariant operations get a name: what a loop would compute again is computed once, before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from slotlang.meaning.integers import IntVar, evaluate, variables
from slotlang.meaning.program import Program
from slotlang.schedule import ops


def free_loops(op: ops.Op) -> frozenset[str]:
    """Loop variables an operation depends on and does not itself run over."""
    match op:
        case ops.Ref(_, indices):
            return frozenset().union(*map(variables, indices))
        case ops.MulPlain(value, plain) | ops.AddPlain(value, plain):
            return free_loops(value).union(*map(variables, plain.indices))
        case ops.Rotate(value, amount):
            return free_loops(value) | variables(amount)
        case ops.Ladder(value, var):
            return free_loops(value) | {var}
        case ops.Sum(loop, body) | ops.Horner(loop, body):
            return free_loops(body) - {loop.var}
        case _:
            return frozenset().union(*map(free_loops, ops.children(op)))


def hoist(
    families: tuple[ops.CipherFamily, ...], fresh: Callable[[str], str], program: Program
) -> tuple[ops.CipherFamily, ...]:
    """The same families with every operation that is invariant in a loop around it lifted into a family
    of its own, placed before, and rotations of one vector in equal steps made into ladders. Equal lifted
    operations share one family."""

    def ladder(op: ops.Op, loops: tuple[ops.Loop, ...]) -> ops.Op:
        if not isinstance(op, ops.Rotate) or op.table is not None:
            return op
        for loop in reversed(loops):
            split = ops.linear(op.amount, loop.var)
            if split is None or variables(split[1]) or loop.size < 3 or loop.var in free_loops(op.value):
                continue
            step, base = (int(evaluate(e, program.sizes, {})) for e in split)
            # past a full turn, or with an offset, a direct rotation can be free where a ladder's is not
            if base == 0 and 0 < abs(step) * (loop.size - 1) < program.slots:
                return ops.Ladder(op.value, loop.var, step)
        return op
    result: list[ops.CipherFamily] = []
    known: dict[str, str] = {}

    def lift(op: ops.Op, loops: tuple[ops.Loop, ...], family: ops.CipherFamily) -> ops.Op:
        own = tuple(loop for loop in loops if loop.var in free_loops(op))
        key = repr((own, op))
        if key not in known:
            name = fresh(_stem(op, family))
            body = visit(ladder(op, own), own, family, True)
            result.append(ops.CipherFamily(name, own, body, family.source, family.span))
            known[key] = name
        return ops.Ref(known[key], tuple(IntVar(loop.var) for loop in own))

    def visit(
        op: ops.Op, loops: tuple[ops.Loop, ...], family: ops.CipherFamily, whole: bool = False
    ) -> ops.Op:
        if isinstance(op, ops.Ref):
            return op
        used = free_loops(op)
        if any(loop.var not in used and loop.size > 1 for loop in loops):
            return lift(op, loops, family)
        if not whole and isinstance(ladder(op, loops), ops.Ladder):
            return lift(op, loops, family)

        def inside(o: ops.Op) -> ops.Op:
            return visit(o, loops, family)

        match op:
            case ops.Add(operands):
                return ops.Add(tuple((s, inside(o)) for s, o in operands))
            case ops.Mul(left, right):
                return ops.Mul(inside(left), inside(right))
            case ops.Sum(loop, body, tree):
                return ops.Sum(loop, visit(body, (*loops, loop), family), tree)
            case ops.Horner(loop, body, step):
                return ops.Horner(loop, visit(body, (*loops, loop), family), step)
            case (
                ops.Neg(value)
                | ops.AddPlain(value)
                | ops.MulPlain(value)
                | ops.Rotate(value)
                | ops.Ladder(value)
                | ops.Conjugate(value)
                | ops.Rescale(value)
                | ops.Doubling(value)
            ):
                return replace(op, value=inside(value))

    for family in families:
        if family.body is None:
            result.append(family)
        else:
            body = visit(ladder(family.body, family.loops), family.loops, family, True)
            result.append(replace(family, body=body))
    return tuple(result)


def _stem(op: ops.Op, family: ops.CipherFamily) -> str:
    inner, suffix = op, ""
    match op:
        case ops.Rotate(value):
            inner, suffix = value, "rotated"
        case ops.Conjugate(value):
            inner, suffix = value, "conj"
        case _:
            pass
    if suffix and isinstance(inner, ops.Ref):
        return f"{inner.family}_{suffix}"
    return f"{family.name}_part"
