"""Checks on slot values: who may read which tensor, and that every read stays inside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import assert_never

import numpy as np

from slotlang.diagnostics import error
from slotlang.meaning.integers import SLOT, Int, bounds, evaluate, show, variables
from slotlang.meaning.program import (
    Arith,
    Conj,
    Const,
    Element,
    FamilyRef,
    Iverson,
    Negate,
    Permuted,
    Read,
    ScalarRef,
    Shift,
    SumOver,
    Value,
)
from slotlang.meaning.scope import Scope

MAX_POINTS = 1 << 26
"""Most index values enumerated to show that a read stays inside its tensor."""


def leaves(value: Value, extents: Mapping[str, int], sizes: Mapping[str, int]) -> Iterator[tuple[Value, Mapping[str, int]]]:
    """Every leaf of a value with the extents of the loop variables in force there."""
    match value:
        case Const() | Read() | Element() | ScalarRef() | Iverson() | FamilyRef():
            yield value, extents
        case Arith(_, left, right):
            yield from leaves(left, extents, sizes)
            yield from leaves(right, extents, sizes)
        case Negate(inner) | Conj(inner) | Shift(inner) | Permuted(inner):
            yield from leaves(inner, extents, sizes)
        case SumOver(var, extent, _, _, body):
            yield from leaves(body, {**extents, var: int(evaluate(extent, sizes, {}))}, sizes)
        case _:
            assert_never(value)


_WHO = {
    "cipher": ("weight", "the client packs inputs and does not know weights", "multiply by a plain family instead"),
    "plain": ("input", "the server does not know inputs", "pack it: cipher X = x[...]"),
    "compute": ("input", "inputs are encrypted before anything is computed", "pack it: cipher X = x[...]"),
}


def check_tensors(scope: Scope, kind: str, value: Value) -> None:
    """Raises SL313 when a family reads a tensor or scalar that its owner does not have."""
    forbidden, why, hint = _WHO[kind]
    for leaf, _ in leaves(value, {}, scope.sizes):
        match leaf:
            case Read(tensor, _, _, span) if scope.tensors[tensor].kind == forbidden:
                raise error("SL313", f"'{tensor}' can't be read here: {why}", span, hint=hint)
            case Element(form, _, _, span):
                for chain in form.chains:
                    for factor in chain.factors:
                        if scope.tensors[factor.tensor].kind == forbidden:
                            raise error("SL313", f"'{factor.tensor}' can't be read here: {why}", span, hint=hint)
            case ScalarRef(name, span) if kind == "cipher":
                raise error("SL313", f"'{name}' can't be used here: {why}", span, hint=hint)
            case FamilyRef(name, _, span) if kind == "cipher":
                raise error(
                    "SL313",
                    f"'{name}' can't be used here: a packed ciphertext is made from inputs alone",
                    span,
                    hint="drop the keyword `cipher` to define a computed family",
                )
            case _:
                pass


def check_reads(scope: Scope, slots: int, extents: Mapping[str, int], value: Value) -> None:
    """Raises SL308, naming the slot, when a read without ``else 0`` leaves its tensor."""
    for leaf, inner in leaves(value, extents, scope.sizes):
        match leaf:
            case Read(tensor, indices, False, span):
                shape, name = scope.tensors[tensor].shape, f"'{tensor}'"
            case Element(form, indices, False, span):
                shape, name = form.shape, f"'{form.text}'"
            case _:
                continue
        for dimension, (index, size) in enumerate(zip(indices, shape, strict=True)):
            bad = _outside(scope, slots, inner, index, size)
            if bad is None:
                continue
            at, found = bad
            raise error(
                "SL308",
                f"this read leaves {name}",
                span,
                label=f"index {dimension} is {found} at {at}" if at else f"index {dimension} is {found}",
                notes=[f"{show(index)} must stay in 0 to {size - 1}; the shape is {' x '.join(map(str, shape))}"],
                hint="to read zeros outside the tensor, write `else 0` after the brackets",
            )


def _outside(
    scope: Scope, slots: int, extents: Mapping[str, int], index: Int, size: int
) -> tuple[str, int] | None:
    """The first point at which an index leaves [0, size), told with its slot; None when there is none."""
    ranges = {**extents, SLOT: slots, **{name: d.size for name, d in scope.digits.items()}}
    low, high = bounds(index, scope.sizes, ranges)
    if low >= 0 and high < size:
        return None
    used = variables(index)
    digits = sorted(used & (scope.digits.keys() | {SLOT}))
    loops = sorted(used - set(digits))
    systems = [system for system in scope.axes if set(system) & set(digits)]
    # digits of one system are independent; across systems, or with `slot`, the slot itself is enumerated
    together = SLOT in digits or len(systems) > 1
    slot_points = slots if together else 1
    if not together:
        for name in digits:
            slot_points *= ranges[name]
    total = slot_points
    for name in loops:
        total *= ranges[name]
    if total > MAX_POINTS:
        raise error(
            "SL309",
            "can't tell whether every read stays inside its tensor at these sizes",
            notes=[f"{show(index)} takes {total:,} values"],
        )
    env: dict[str, object] = {}
    if together:
        slot = np.arange(slots)
        env[SLOT] = slot
    else:
        # points of the used digits, the others 0: every combination occurs in some slot
        slot = np.zeros(1, np.int64)
        for name in digits:
            digit = scope.digits[name]
            stride = int(evaluate(digit.stride, scope.sizes, {}))
            slot = (slot[:, None] + stride * np.arange(digit.size)[None, :]).reshape(-1)
        slot.sort()
    for name, digit in scope.digits.items():
        stride = int(evaluate(digit.stride, scope.sizes, {}))
        env[name] = slot // stride % digit.size
    env[SLOT] = slot
    for point in product(*(range(ranges[name]) for name in loops)):
        values = np.broadcast_to(
            evaluate(index, scope.sizes, {**env, **dict(zip(loops, point, strict=True))}), slot.shape
        )
        bad = np.flatnonzero((values < 0) | (values >= size))
        if bad.size:
            at = [f"{name} = {value}" for name, value in zip(loops, point, strict=True)]
            if digits:
                at.append(f"slot {int(slot[bad[0]])}")
            return ", ".join(at), int(values[bad[0]])
    return None
