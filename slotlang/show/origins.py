"""Which slots every slot of a value is computed from, all slots at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.meaning.deep import Steps, walked
from slotlang.meaning.integers import And, Int, evaluate, holds, within
from slotlang.meaning.program import Program
from slotlang.meaning.value import (
    Arith,
    Element,
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
from slotlang.show.symbolic import Ints

__all__ = ["MAX_READS", "SlotsRead", "occurrences", "slots_read", "vanishes"]

Mask = npt.NDArray[np.bool_]

MAX_READS = 1 << 11
"""Most members, as often as they are rotated differently, that are listed of one value."""


@dataclass(frozen=True, eq=False)
class SlotsRead:
    """Slot s of a value is computed from slot ``source[s]`` of a member of ``family``, where ``read[s]``: elsewhere the
    product that it stands in is 0."""

    family: str
    member: tuple[int, ...]
    source: Ints = field(repr=False)
    read: Mask

    @property
    def step(self) -> int | None:
        """How far the member is rotated to the left, in [0, slots); None where it is permuted otherwise."""
        slots = len(self.source)
        moved = (self.source - np.arange(slots)) % slots
        return int(moved[0]) if bool((moved == moved[0]).all()) else None


def slots_read(program: Program, family: str, member: tuple[int, ...]) -> list[SlotsRead] | None:
    """Members that a member of a computed family reads, plaintexts among them, in the order in which they are written;
    one that is read twice alike is listed once. None where there are more than ``MAX_READS``."""
    definition = program.families[family]
    found: dict[tuple[str, tuple[int, ...], bytes], SlotsRead] = {}
    slots = np.arange(program.slots)
    env = definition.env(member)
    for number, new in enumerate(occurrences(program, definition.body, env, slots, np.ones(program.slots, bool))):
        if number >= MAX_READS:
            return None
        key = new.family, new.member, new.source.tobytes()
        old = found.get(key)
        found[key] = new if old is None else replace(old, read=old.read | new.read)
    return [entry for entry in found.values() if entry.read.any()]


def occurrences(
    program: Program, value: Value, env: Mapping[str, int], source: Ints, read: Mask
) -> Iterator[SlotsRead]:
    """What ``value`` reads, as often as it does, where slot s is that of its slot ``source[s]`` and counts where
    ``read[s]``."""
    match value:
        case FamilyRef(name, indices):
            yield SlotsRead(name, tuple(_at(program, i, env) for i in indices), source, read)
        case Arith("*"):
            inside = read & ~vanishes(program, value, env, source)
            if inside.any():
                for child in children(value):
                    yield from occurrences(program, child, env, source, inside)
        case Shift(inner, amount):
            yield from occurrences(program, inner, env, (source + _at(program, amount, env)) % program.slots, read)
        case SumOver(var, extent, _, _, body):
            for v in range(_at(program, extent, env)):
                yield from occurrences(program, body, {**env, var: v}, source, read)
        case Permuted(inner, name, inverse):
            table = program.permutations[name].destination
            if not inverse:
                back = np.empty_like(table)
                back[table] = np.arange(len(table))
                table = back
            yield from occurrences(program, inner, env, table[source], read)
        case _:
            for child in children(value):
                yield from occurrences(program, child, env, source, read)


def _at(program: Program, e: Int, env: Mapping[str, int]) -> int:
    return int(evaluate(e, program.sizes, env))


def vanishes(program: Program, value: Value, env: Mapping[str, int], slots: Ints) -> Mask:
    """At which slots a value is 0 because a bracket in it does not hold, or what it reads lies beyond its tensor."""
    return walked(_vanishes(program, value, env, slots, {}))


_Known: TypeAlias = dict[tuple[str, tuple[int, ...], bytes], Mask]
"""Of members at slots, which may be read along many ways."""


def _vanishes(program: Program, value: Value, env: Mapping[str, int], slots: Ints, known: _Known) -> Steps[Mask]:
    match value:
        case Iverson(condition):
            true = holds(condition, program.sizes, {**program.slot_env(slots), **env})
            return ~np.broadcast_to(np.asarray(true, bool), slots.shape)
        case Read(_, indices, True) | Element(_, indices, True):
            extents = program.tensors[value.tensor].extents if isinstance(value, Read) else program.extents(value.form)
            inside = holds(And(within(indices, extents)), program.sizes, {**program.slot_env(slots), **env})
            return ~np.broadcast_to(np.asarray(inside, bool), slots.shape)
        case Arith("*"):
            zero = np.zeros(slots.shape, bool)
            for factor in children(value):
                zero |= yield _vanishes(program, factor, env, slots, known)
            return zero
        case FamilyRef(name, indices) if program.families[name].kind == "plain":
            family, places = program.families[name], tuple(_at(program, i, env) for i in indices)
            key = name, places, slots.tobytes()
            if key not in known:
                known[key] = yield _vanishes(program, family.body, family.env(places), slots, known)
            return known[key]
        case _ if isinstance(value, Slotwise):
            zero = np.ones(slots.shape, bool)
            for part in children(value):
                zero &= yield _vanishes(program, part, env, slots, known)
            return zero
        case _:
            return np.zeros(slots.shape, bool)
