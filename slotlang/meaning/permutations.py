"""Permutations of slot indices: their tables, and the check that they are bijections."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from slotlang.diagnostics import error
from slotlang.meaning.integers import SLOT, Int, IntConst, IntVar, add, evaluate, mul, variables
from slotlang.meaning.program import Permutation
from slotlang.meaning.scope import Local, Scope, constant, integer
from slotlang.source import Span
from slotlang.syntax import tree

MAX_TABLE = 1 << 24


def permutation(scope: Scope, slots: int, statement: tree.DefinePermutation) -> Permutation:
    """The permutation a ``perm`` statement defines, its table filled in and checked at every slot.

    Raises SL230 (form), SL231 (not a bijection: names two slots that meet, or one that leaves the vector).
    """
    if slots > MAX_TABLE:
        raise error("SL309", f"a permutation of {slots:,} slots is too large", statement.span)
    form = statement.form
    if isinstance(form, tree.CyclePermutation):
        return _cycles(scope, slots, statement.name, form)
    expression = _slot_expression(scope, form)
    slot = np.arange(slots, dtype=np.int64)
    env: dict[str, npt.NDArray[np.int64] | int] = {SLOT: slot}
    for name, digit in scope.digits.items():
        env[name] = evaluate(digit.of(IntVar(SLOT)), scope.sizes, {SLOT: slot})
    destination = np.broadcast_to(np.asarray(evaluate(expression, scope.sizes, env), np.int64), (slots,)).copy()
    _check(statement.name, destination, slots, form.span)
    return Permutation(statement.name, expression, (), destination, statement.span)


def _check(name: str, destination: npt.NDArray[np.int64], slots: int, span: Span) -> None:
    outside = np.flatnonzero((destination < 0) | (destination >= slots))
    if outside.size:
        s = int(outside[0])
        raise error(
            "SL231",
            f"'{name}' is not a permutation of the slots",
            span,
            label=f"slot {s} would go to {int(destination[s])}",
            notes=[f"slots run from 0 to {slots - 1}"],
        )
    order = np.argsort(destination, kind="stable")
    clash = np.flatnonzero(destination[order[1:]] == destination[order[:-1]])
    if clash.size:
        first, second = int(order[clash[0]]), int(order[clash[0] + 1])
        raise error(
            "SL231",
            f"'{name}' is not a permutation of the slots",
            span,
            label=f"slots {first} and {second} would both go to {int(destination[first])}",
            hint="every slot must go to a slot of its own",
        )


def _slot_expression(scope: Scope, form: tree.DigitPermutation | tree.SlotPermutation) -> Int:
    local = Local({}, True)
    if isinstance(form, tree.SlotPermutation):
        if form.source.name != SLOT:
            raise error(
                "SL230",
                "a permutation maps `slot` or a tuple of digits",
                form.source.span,
                hint="perm p: slot -> (slot + 1) % slots, or perm p: (h, t) -> (t, h)",
            )
        return integer(scope, local, form.target)
    names = tuple(n.name for n in form.source)
    if names not in scope.axes:
        known = ", ".join(f"({', '.join(system)})" for system in scope.axes) or "none"
        raise error(
            "SL230",
            "the left side must be the digits of one axes statement, in its order",
            form.span,
            notes=[f"axes declared: {known}"],
        )
    if len(form.target) != len(names):
        raise error(
            "SL230", f"{len(names)} digits can't become {len(form.target)}", form.span, hint="one target per digit"
        )
    result: Int = IntConst(0)
    seen: set[str] = set()
    for target in form.target:
        e = integer(scope, local, target)
        used = variables(e)
        if len(used) != 1 or not used <= set(names):
            raise error(
                "SL230",
                "each target digit must be made of exactly one source digit",
                target.span,
                hint="to mix digits, give the whole slot: perm p: slot -> expression",
            )
        (name,) = used
        if name in seen:
            raise error("SL230", f"'{name}' is used twice and another digit not at all", target.span)
        seen.add(name)
        digit = scope.digits[name]
        values = np.asarray(
            np.broadcast_to(evaluate(e, scope.sizes, {name: np.arange(digit.size)}), (digit.size,))
        )
        bad = np.flatnonzero((values < 0) | (values >= digit.size))
        if bad.size:
            raise error(
                "SL231",
                f"this digit leaves its range, 0 to {digit.size - 1}",
                target.span,
                label=f"is {int(values[bad[0]])} at {name} = {int(bad[0])}",
            )
        result = add(mul(result, digit.extent), e)
    return result


def _cycles(scope: Scope, slots: int, name: str, form: tree.CyclePermutation) -> Permutation:
    destination = np.arange(slots, dtype=np.int64)
    seen: dict[int, Span] = {}
    for cycle in form.cycles:
        points = [constant(scope, e, "a cycle") for e in cycle]
        for e, point in zip(cycle, points, strict=True):
            if not 0 <= point < slots:
                raise error("SL231", f"there is no slot {point}", e.span, notes=[f"slots run from 0 to {slots - 1}"])
            if point in seen:
                raise error("SL231", f"slot {point} stands in the cycles twice", e.span)
            seen[point] = e.span
        for a, b in zip(points, points[1:] + points[:1], strict=True):
            destination[a] = b
    moved = tuple((s, int(destination[s])) for s in sorted(seen) if destination[s] != s)
    return Permutation(name, None, moved, destination, form.span)
