"""Where the content of a slot came from: slots of the families it was made of, back to what the client packed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

import numpy as np

from slotlang.meaning.integers import Int, evaluate, holds
from slotlang.meaning.program import Program, member_text
from slotlang.meaning.value import (
    Arith,
    FamilyRef,
    Iverson,
    Permuted,
    Read,
    Shift,
    Slotwise,
    SumOver,
    Value,
    children,
)

MAX_READS = 1 << 14
"""Most slots that one slot may read; a slot that reads more is traced no further."""
SHOWN = 4

Place = tuple[str, tuple[int, ...], int]
"""A family, the indices of a member, a slot."""


def reads(program: Program, value: Value, env: Mapping[str, int], slot: int) -> Iterator[Place]:
    """Encrypted slots that the value of one slot is computed from, as often as they occur. Products with a bracket that
    does not hold at their slot are left out."""
    match value:
        case FamilyRef(name, indices):
            if program.families[name].kind != "plain":
                yield name, tuple(_at(program, i, env) for i in indices), slot
        case Arith("*") if _vanishes(program, value, env, slot):
            return
        case Shift(inner, amount):
            yield from reads(program, inner, env, (slot + _at(program, amount, env)) % program.slots)
        case SumOver(var, extent, _, _, body):
            for v in range(_at(program, extent, {})):
                yield from reads(program, body, {**env, var: v}, slot)
        case Permuted(inner, name, inverse):
            destination = program.permutations[name].destination
            source = int(destination[slot]) if inverse else int(np.flatnonzero(destination == slot)[0])
            yield from reads(program, inner, env, source)
        case _:
            for child in children(value):
                yield from reads(program, child, env, slot)


def _at(program: Program, e: Int, env: Mapping[str, int]) -> int:
    return int(evaluate(e, program.sizes, env))


def _vanishes(program: Program, value: Value, env: Mapping[str, int], slot: int) -> bool:
    """Whether a value is 0 at a slot because a bracket in it does not hold."""
    match value:
        case Iverson(condition):
            return not holds(condition, program.sizes, {**program.slot_env(slot), **env})
        case Arith("*"):
            return any(_vanishes(program, factor, env, slot) for factor in children(value))
        case FamilyRef(name, indices) if program.families[name].kind == "plain":
            family = program.families[name]
            return _vanishes(program, family.body, family.env([_at(program, i, env) for i in indices]), slot)
        case _:
            return isinstance(value, Slotwise) and all(_vanishes(program, part, env, slot) for part in children(value))


def trace(program: Program, family: str, indices: tuple[int, ...], slot: int) -> list[str]:
    """A line for each step back from a slot, along the first of the slots it was made of each time, down to what
    the client packed: ``S slot 0 <- Z[0] slot 0``."""
    lines: list[str] = []
    place: Place = family, indices, slot
    while True:
        name, member, at = place
        definition = program.families[name]
        env = definition.env(member)
        here = f"{member_text(name, member)} slot {at}"
        if definition.kind == "cipher":
            return [*lines, f"{here} = {_packed(program, definition.body, env, at)}"]
        made_of = list(islice(reads(program, definition.body, env, at), MAX_READS + 1))
        if not made_of or len(made_of) > MAX_READS:
            return [*lines, f"{here} <- {'nothing' if not made_of else 'more slots than are shown'}"]
        distinct = [p for p in dict.fromkeys(made_of) if not _zero(program, p)]
        if not distinct:
            return [*lines, f"{here} <- slots that hold 0"]
        texts = [f"{member_text(n, m)} slot {s}" for n, m, s in distinct[:SHOWN]]
        more = f", … ({len(distinct):,} in all)" if len(distinct) > SHOWN else ""
        lines.append(f"{here} <- {', '.join(texts)}{more}")
        place = distinct[0]


def _zero(program: Program, place: Place) -> bool:
    name, member, slot = place
    family = program.families[name]
    return _vanishes(program, family.body, family.env(member), slot)


def _packed(program: Program, body: Value, env: Mapping[str, int], slot: int) -> str:
    here = {**program.slot_env(slot), **env}
    if isinstance(body, Read):
        return member_text(body.tensor, [_at(program, i, here) for i in body.indices])  # type: ignore[arg-type]
    return "packed by the client"


__all__ = ["reads", "trace"]
