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
from slotlang_runtime.amounts import count_of

MAX_TABLE = 1 << 20
"""Most slots of a permutation, whose table is kept in memory; CKKS rings have 2^16 slots at most."""


def permutation(scope: Scope, slots: int, statement: tree.DefinePermutation) -> Permutation:
    """The permutation a ``perm`` statement defines, its table filled in and checked at every slot.

    Raises SL230 (form), SL231 (not a bijection: names two slots that meet, or one that leaves the vector),
    SL309 (too many slots), and what ``integer`` raises.
    """
    if slots > MAX_TABLE:
        raise error(
            "SL309",
            f"a permutation of {count_of(slots, 'slot')} is too large",
            statement.span,
            notes=[f"its table is kept in memory; {MAX_TABLE:,} slots are the limit"],
        )
    form = statement.form
    if isinstance(form, tree.CyclePermutation):
        return _cycles(scope, slots, statement.name, form)
    expression = _slot_expression(scope, form)
    slot = np.arange(slots, dtype=np.int64)
    env: dict[str, npt.NDArray[np.int64]] = {SLOT: slot}
    for name in variables(expression) - {SLOT}:
        env[name] = evaluate(scope.digits[name].of(IntVar(SLOT)), scope.sizes, {SLOT: slot})
    values = np.asarray(evaluate(expression, scope.sizes, env), dtype=np.int64)
    destination = np.broadcast_to(values, (slots,)).copy()
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
            notes=[f"slots go from 0 to {slots - 1}"],
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
    if isinstance(form, tree.SlotPermutation):
        if form.source.name != SLOT:
            digit = form.source.name in scope.digits
            raise error(
                "SL230",
                "a permutation maps `slot` or a tuple of digits",
                form.source.span,
                label="is one digit of several" if digit else "",
                hint="perm p: slot -> (slot + 1) % slots, or perm p: (h, t) -> (t, h)",
            )
        return integer(scope, Local({}, True), form.target)
    names = tuple(n.name for n in form.source)
    for name in names:
        scope.sure(name)
    if names not in scope.axes:
        known = " or ".join(f"({', '.join(system)})" for system in scope.axes) or "none"
        raise error(
            "SL230",
            "the left side must be all digits of one axes statement, in its order",
            form.source[0].span.to(form.source[-1].span),
            notes=[f"axes declared: {known}"],
        )
    if len(form.target) != len(names):
        raise error(
            "SL230",
            f"the left side has {count_of(len(names), 'digit')} and the right side {len(form.target)}",
            form.target[0].span.to(form.target[-1].span),
            hint="one target for each digit",
        )
    result: Int = IntConst(0)
    used: set[str] = set()
    for target in form.target:
        name, e = _target(scope, names, target)
        if name in used:
            missing = [n for n in names if n not in used]
            raise error(
                "SL230",
                f"'{name}' is used twice",
                target.span,
                hint=f"use every digit once; {', '.join(missing)} is still to come",
            )
        used.add(name)
        result = add(mul(result, scope.digits[name].extent), e)
    return result


def _target(scope: Scope, names: tuple[str, ...], target: tree.Expr) -> tuple[str, Int]:
    """The digit a target digit is made of, and the target over it, shown to stay in the digit's range."""
    e = integer(scope, Local({}, True), target)
    used = variables(e)
    if len(used) != 1 or not used <= set(names):
        raise error(
            "SL230",
            "each target digit must be made of exactly one source digit",
            target.span,
            label=f"is made of {', '.join(sorted(used))}" if used else "is a constant",
            hint="to mix digits, give the whole slot: perm p: slot -> expression",
        )
    (name,) = used
    size = scope.digits[name].size
    values = evaluate(e, scope.sizes, {name: np.arange(size, dtype=np.int64)})
    bad = np.flatnonzero((values < 0) | (values >= size))
    if bad.size:
        at = int(bad[0])
        raise error(
            "SL231",
            f"this digit leaves its range, 0 to {size - 1}",
            target.span,
            label=f"is {int(values[at])} at {name} = {at}",
            hint=f"wrap it around: (...) % {size}",
        )
    return name, e


def _cycles(scope: Scope, slots: int, name: str, form: tree.CyclePermutation) -> Permutation:
    destination = np.arange(slots, dtype=np.int64)
    seen: dict[int, Span] = {}
    for cycle in form.cycles:
        points = [constant(scope, e, "a slot in a cycle") for e in cycle]
        for e, point in zip(cycle, points, strict=True):
            if not 0 <= point < slots:
                raise error(
                    "SL231",
                    f"there is no slot {point}",
                    e.span,
                    notes=[f"slots go from 0 to {slots - 1}"],
                )
            if point in seen:
                raise error(
                    "SL231",
                    f"slot {point} stands in the cycles twice",
                    e.span,
                    hint="a slot goes to one place, so it stands in one cycle, once",
                )
            seen[point] = e.span
        for a, b in zip(points, points[1:] + points[:1], strict=True):
            destination[a] = b
    moved = tuple((s, int(destination[s])) for s in sorted(seen) if destination[s] != s)
    return Permutation(name, None, moved, destination, form.span)
