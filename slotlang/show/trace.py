"""Where the content of a slot came from: slots of the families it was made of, back to what the client packed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice

import numpy as np

from slotlang.meaning.integers import evaluate
from slotlang.meaning.program import Program, member_text
from slotlang.meaning.value import Read, Value
from slotlang.show.origins import occurrences, vanishes

MAX_READS = 1 << 14
"""Most slots that one slot may read; a slot that reads more is traced no further."""
SHOWN = 4

Place = tuple[str, tuple[int, ...], int]
"""A family, the indices of a member, a slot."""


def reads(program: Program, value: Value, env: Mapping[str, int], slot: int) -> Iterator[Place]:
    """Encrypted slots that the value of one slot is computed from, as often as they occur. Products with a bracket that
    does not hold at their slot are left out."""
    for entry in occurrences(program, value, env, np.array([slot]), np.ones(1, bool)):
        if program.families[entry.family].kind != "plain":
            yield entry.family, entry.member, int(entry.source[0])


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
        times = Counter(made_of)
        distinct = [p for p in times if not _zero(program, p)]
        if not distinct:
            return [*lines, f"{here} <- slots that hold 0"]
        texts = [_read_text(place, times[place]) for place in distinct[:SHOWN]]
        more = f", … ({len(distinct):,} in all)" if len(distinct) > SHOWN else ""
        lines.append(f"{here} <- {', '.join(texts)}{more}")
        place = distinct[0]


def _read_text(place: Place, times: int) -> str:
    name, member, slot = place
    often = "" if times == 1 else f" ({'twice' if times == 2 else f'{times:,} times'})"
    return f"{member_text(name, member)} slot {slot}{often}"


def _zero(program: Program, place: Place) -> bool:
    name, member, slot = place
    family = program.families[name]
    return bool(vanishes(program, family.body, family.env(member), np.array([slot]))[0])


def _packed(program: Program, body: Value, env: Mapping[str, int], slot: int) -> str:
    here = {**program.slot_env(slot), **env}
    if isinstance(body, Read):
        return member_text(body.tensor, [int(evaluate(i, program.sizes, here)) for i in body.indices])
    return "packed by the client"


__all__ = ["reads", "trace"]
