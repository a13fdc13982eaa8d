"""Loop-invariant operations get a name: what a loop would compute again is computed once, before it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product

from slotlang.meaning.integers import IntVar, evaluate, variables
from slotlang.meaning.program import Program
from slotlang.schedule import ops

MAX_AMOUNTS = 1 << 16
"""Rotations of one statement beyond which they are not compared with those of others."""


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


def _ladder(op: ops.Op, loops: tuple[ops.Loop, ...], program: Program) -> ops.Ladder | None:
    """A rotation in equal steps of a vector that does not depend on the stepping loop, as a ladder."""
    if not isinstance(op, ops.Rotate) or op.table is not None:
        return None
    for loop in reversed(loops):
        split = ops.linear(op.amount, loop.var)
        if split is None or variables(split[1]) or loop.size < 3 or loop.var in free_loops(op.value):
            continue
        step, first = (int(evaluate(e, program.sizes, {})) for e in split)
        last = first + step * (loop.size - 1)
        if not first and 0 < abs(last) < program.slots:
            return ops.Ladder(op.value, loop.var, step, split[0])
        # past a full turn, and on the way to it, a direct rotation can be free where a ladder's is not
        if step and first // program.slots == last // program.slots and first % program.slots and last % program.slots:
            return ops.Ladder(ops.Rotate(op.value, split[1]), loop.var, step, split[0], split[1])
    return None


@dataclass(frozen=True, slots=True)
class _Turns:
    """The rotations that one operation makes of the members of a family. ``chain``: the first of them and the step from
    one to the next, where each is made from the one before."""

    op: ops.Rotate
    value: ops.Ref
    amounts: frozenset[int]
    chain: tuple[int, int] | None


def _turns(op: ops.Op, loops: tuple[ops.Loop, ...], program: Program) -> Iterator[_Turns]:
    if isinstance(op, ops.Rotate) and isinstance(op.value, ops.Ref):
        used = [loop for loop in loops if loop.var in variables(op.amount)]
        count = 1
        for loop in used:
            count *= loop.size
        if count <= MAX_AMOUNTS:
            steps = (
                int(evaluate(op.amount, program.sizes, dict(zip((v.var for v in used), point, strict=True))))
                for point in product(*(range(loop.size) for loop in used))
            )
            amounts = frozenset((k if op.table is None else op.table[k]) % program.slots for k in steps)
            yield _Turns(op, op.value, amounts, _chain(_ladder(op, loops, program), program))
    inside = (*loops, op.loop) if isinstance(op, ops.Sum | ops.Horner) else loops
    for child in ops.children(op):
        yield from _turns(child, inside, program)


def _chain(ladder: ops.Ladder | None, program: Program) -> tuple[int, int] | None:
    if ladder is None:
        return None
    step = ladder.step % program.slots
    # one that starts at X << step is part of the one that starts at X
    return int(evaluate(ladder.base, program.sizes, {})) % program.slots or step, step


def _directly(families: tuple[ops.CipherFamily, ...], program: Program) -> set[ops.Op]:
    """Rotations that are not made into ladders, since other statements need some of them too: ``S << 2`` is shared with
    ``sum q < 8: (S << q) * V[q]`` when both rotate S itself."""
    by_family: dict[str, list[_Turns]] = defaultdict(list)
    for family in families:
        if family.body is not None:
            for turns in _turns(family.body, family.loops, program):
                by_family[turns.value.family].append(turns)

    def same_member(a: ops.Ref, b: ops.Ref) -> bool:
        fixed = not any(variables(i) for i in (*a.indices, *b.indices))
        return not fixed or [evaluate(i, program.sizes, {}) for i in a.indices] == [
            evaluate(i, program.sizes, {}) for i in b.indices
        ]

    direct: set[ops.Op] = set()
    for group in by_family.values():
        for one in group:
            if one.chain is None:
                continue
            beyond = one.amounts - {0, one.chain[0]}
            if any(
                other.chain != one.chain and beyond & other.amounts and same_member(one.value, other.value)
                for other in group
            ):
                direct.add(one.op)
    return direct


def hoist(
    families: tuple[ops.CipherFamily, ...], fresh: Callable[[str], str], program: Program
) -> tuple[ops.CipherFamily, ...]:
    """The families with every operation that is invariant in a loop around it lifted into a family
    of its own, placed before, and rotations of one vector in equal steps made into ladders. Equal lifted
    operations share one family."""
    direct = _directly(families, program)
    result: list[ops.CipherFamily] = []
    known: dict[str, str] = {}

    def ladder(op: ops.Op, loops: tuple[ops.Loop, ...]) -> ops.Op:
        return op if op in direct else _ladder(op, loops, program) or op

    def lift(op: ops.Op, loops: tuple[ops.Loop, ...], family: ops.CipherFamily) -> ops.Op:
        own = tuple(loop for loop in loops if loop.var in free_loops(op))
        key = repr((own, op))
        if key not in known:
            name = fresh(_stem(op, family))
            body = visit(ladder(op, own), own, family, True)
            result.append(ops.CipherFamily(name, own, body, family.source, family.span))
            known[key] = name
        return ops.Ref(known[key], tuple(IntVar(loop.var) for loop in own))

    def visit(op: ops.Op, loops: tuple[ops.Loop, ...], family: ops.CipherFamily, whole: bool = False) -> ops.Op:
        if isinstance(op, ops.Ref):
            return op
        used = free_loops(op)
        if any(loop.var not in used and loop.size > 1 for loop in loops):
            return lift(op, loops, family)
        if not whole and isinstance(ladder(op, loops), ops.Ladder):
            return lift(op, loops, family)

        match op:
            case ops.Sum(loop, body) | ops.Horner(loop, body):
                return replace(op, body=visit(body, (*loops, loop), family))
            case _:
                return ops.rebuilt(op, lambda o: visit(o, loops, family))

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
