"""Whether an index stays inside: an answer at any size, with the point where it does not.

Boxes of index values are bounded by interval arithmetic and halved where that does not decide, so the cost
does not grow with the sizes. What is left undecided is tried value by value, up to a limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from slotlang.meaning.integers import (
    SLOT,
    Cond,
    Int,
    IntVar,
    evaluate,
    interval,
    parts,
    show,
    substitute,
    variables,
)
from slotlang.meaning.scope import Local, Scope
from slotlang.refusals import GaveUp
from slotlang_runtime.amounts import count_of

MAX_HALVING = 1 << 16
"""Most work spent on halving the boxes of one index, counted in nodes of the expression."""
_HALVING_COST = 128
"""A node in interval arithmetic costs about as much as this many in arrays."""
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Escape:
    """Where an index leaves its range: a text such as ``c = 7, slot 12 (h = 3)``, and the value there."""

    at: str
    value: int


def escape(scope: Scope, local: Local, index: Int, size: int) -> Escape | None:
    """Where ``index`` leaves [0, size) for some loop values and slot; None when it never does.

    Raises ``GaveUp`` when that takes more than is left of ``scope.effort``.
    """
    used = variables(index)
    digits = [name for system in scope.axes for name in system if name in used]
    systems = sum(1 for system in scope.axes if used & set(system))
    flat = SLOT in used or systems > 1
    if flat:
        # digits of two systems depend on each other: all of them become digits of one slot
        index = substitute(
            index, lambda n: scope.digits[n].of(IntVar(SLOT)) if n in scope.digits and n in used else None
        )
    loops = [name for name in local.extents if name in used]
    box = {name: local.extents[name] for name in loops}
    if flat:
        assert scope.slots is not None
        box[SLOT] = scope.value(scope.slots)
    else:
        box.update((name, scope.digits[name].size) for name in digits)
    point = _search(scope, index, size, box)
    if point is None:
        return None
    at = [f"{name} = {point[name]}" for name in loops]
    if flat or digits:
        slot = point[SLOT] if flat else sum(point[n] * scope.value(scope.digits[n].stride) for n in digits)
        shown = [f"{n} = {scope.digit(n, slot)}" for n in digits]
        at.append(f"slot {slot}" + (f" ({', '.join(shown)})" if shown else ""))
    return Escape(", ".join(at), int(evaluate(index, scope.sizes, point)))


def _search(scope: Scope, index: Int, size: int, box: dict[str, int]) -> dict[str, int] | None:
    names, nodes = list(box), _nodes(index)
    steps = min(MAX_HALVING, scope.effort // _HALVING_COST) // nodes
    stack = [tuple((0, extent - 1) for extent in box.values())]
    while stack:
        ranges = stack.pop()
        low, high = interval(index, scope.sizes, dict(zip(names, ranges, strict=True)))
        if low >= 0 and high < size:
            continue
        if high < 0 or low >= size:
            return {name: lo for name, (lo, _) in zip(names, ranges, strict=True)}
        if not steps:
            return _try_all(scope, index, size, box)
        steps -= 1
        scope.effort -= nodes * _HALVING_COST
        # a box of one point was decided above: its interval is its value
        widest = max(range(len(ranges)), key=lambda i: ranges[i][1] - ranges[i][0])
        lo, hi = ranges[widest]
        middle = (lo + hi) // 2
        for half in ((middle + 1, hi), (lo, middle)):
            stack.append((*ranges[:widest], half, *ranges[widest + 1 :]))
    return None


def _try_all(scope: Scope, index: Int, size: int, box: dict[str, int]) -> dict[str, int] | None:
    count = prod(box.values())
    if count * _nodes(index) > scope.effort:
        raise GaveUp(f"{show(index)} takes values at {count_of(count, 'point')}")
    scope.effort -= count * _nodes(index)
    for start in range(0, count, _CHUNK):
        rest = np.arange(start, min(start + _CHUNK, count), dtype=np.int64)
        env: dict[str, npt.NDArray[np.int64]] = {}
        for name in reversed(box):
            rest, env[name] = np.divmod(rest, box[name])
        values = evaluate(index, scope.sizes, env)
        bad = np.flatnonzero((values < 0) | (values >= size))
        if bad.size:
            return {name: int(env[name][bad[0]]) for name in box}
    return None


def _nodes(e: Int | Cond) -> int:
    return 1 + sum(map(_nodes, parts(e)))
