"""What the slots of values hold and where it came from, as a page has it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Any

import numpy as np

from slotlang.diagnostics import SlotError
from slotlang.graph.estimate import operations
from slotlang.meaning.program import Claim, Family, Program, member_text
from slotlang.page.columns import column, texts
from slotlang.page.results import Results, elements
from slotlang.show.content import SlotContents, contents
from slotlang.show.grid import grid_of
from slotlang.show.holding import many
from slotlang.show.origins import SlotsRead, slots_read
from slotlang.show.wrong import WrongSlots, mark_wrong
from slotlang_runtime.amounts import count_of

__all__ = ["MAX_SLOTS", "chosen_members", "value", "values"]

MAX_SLOTS = 1 << 16
"""Slots of a vector up to which a page draws it."""
MAX_DRAWN = 1 << 18
"""Slots of all members that are in one page, at most: some seconds."""
MAX_COMPARED = 20_000
"""Operations of a program up to which slots of long sums are compared at a random point."""
FOLLOWED = 1 << 9
"""Products that take as long as it takes to follow one member to its definition, about."""
MAX_WORK = 1 << 25
"""Products multiplied out for one page, about: some seconds."""
MAX_TEXTS = 1 << 13
"""Most contents of one value that are written out."""

Member = tuple[str, tuple[int, ...]]


def chosen_members(program: Program, first: Sequence[Member] = ()) -> Iterator[Member]:
    """The members in the order in which a page has room for them: ``first``, then the first of every family, the
    second, and so on."""
    yield from first
    runs = [(family.name, family.points()) for family in program.families.values()]
    while runs:
        left = []
        for name, points in runs:
            for point in islice(points, 1):
                if (name, point) not in first:
                    yield name, point
                left.append((name, points))
        runs = left


def values(
    program: Program,
    claims: Sequence[Claim],
    wrong: WrongSlots | None,
    room: int,
    drawn: int = MAX_DRAWN,
    results: Results = MappingProxyType({}),
) -> tuple[dict[str, Any], bool]:
    """The values of a program by their titles, as many as there is ``room`` for in bytes, with at most ``drawn`` slots,
    and whether that is all. ``claims``: those that may be taken at their word; ``wrong``: wrong slots, where they are
    known; ``results``: the outputs that are proved."""
    found: dict[str, Any] = {}
    if program.slots > MAX_SLOTS:
        return found, False
    # what a page opens with
    opened = next((f for f in program.families.values() if f.kind == "compute"), None)
    first = [] if opened is None else [(opened.name, (0,) * len(opened.binders))]
    if wrong is not None and (wrong.family, wrong.member) not in first:
        first.insert(0, (wrong.family, wrong.member))
    compare = operations(program) <= MAX_COMPARED
    total = sum(family.size for family in program.families.values())
    work = 0
    seen: set[str] = set()
    for name, member in chosen_members(program, first):
        if (found and (len(found) + 1) * program.slots > drawn) or work > MAX_WORK:
            break
        made, cost = _value(program, name, member, claims, wrong, results, compare=compare and name not in seen)
        seen.add(name)
        work += cost
        room -= len(json.dumps(made, separators=(",", ":")))
        if room < 0:
            break
        found[member_text(name, member)] = made
    return found, len(found) == total


def value(
    program: Program,
    name: str,
    member: tuple[int, ...],
    claims: Sequence[Claim],
    wrong: WrongSlots | None = None,
    results: Results = MappingProxyType({}),
) -> dict[str, Any]:
    """One value; only ``why`` there is none where it is too large to draw. Raises ``SlotError`` SL601 where there is no
    such member."""
    if program.slots > MAX_SLOTS:
        why = f"{count_of(program.slots, 'slot')} are too many to draw"
        return {"family": name, "member": list(member), "title": member_text(name, member), "why": why, "reads": None}
    return _value(program, name, member, claims, wrong, results, compare=operations(program) <= MAX_COMPARED)[0]


def _value(
    program: Program,
    name: str,
    member: tuple[int, ...],
    claims: Sequence[Claim],
    wrong: WrongSlots | None,
    results: Results,
    *,
    compare: bool,
) -> tuple[dict[str, Any], int]:
    """A value and what it cost: products that were multiplied out, about."""
    family = program.families[name]
    base: dict[str, Any] = {"family": name, "member": list(member), "title": member_text(name, member)}
    try:
        held = contents(program, name, member, claims=claims, compare=compare)
        held = mark_wrong(held, wrong)
    except SlotError as problem:
        return {**base, "why": problem.diagnostics[0].message, "reads": _reads(program, family, member)}, program.slots
    grid = grid_of(held)
    described, listed = _texts(held)
    made = {
        **base,
        "rows": grid.rows,
        "columns": grid.columns,
        "groups": None if held.groups is None else column(held.groups),
        "texts": texts(listed),
        "described": described,
        "compared": held.compared,
        "summary": held.summary(),
        "wrong": None if held.wrong is None else column(held.wrong.astype(np.int64)),
        "wrong_sentence": held.wrong_sentence(),
        "claims": [[line, text] for line, text in held.claims],
        "reads": _reads(program, family, member),
        "results": elements(program, results.get((name, member), ())),
    }
    products = program.slots * max(1, min(held.describer.points, 1 << 10)) // (1 if held.describer.exact else 4)
    return made, products + FOLLOWED * held.describer.named.followed


def _texts(held: SlotContents) -> tuple[str, list[str]]:
    """What texts are of, ``groups`` or ``slots``, and the texts: of each group, by one slot that has it, or of the
    first slots where it is not known which hold the same."""
    most = min(held.describer.affordable, MAX_TEXTS)
    if held.groups is None:
        return "slots", [h.text for h in held.holdings(range(min(held.slots, most)))]
    numbers, slots = np.unique(held.groups, return_index=True)
    slots = slots[numbers >= 0]
    listed = [h.text for h in held.holdings(slots[:most].tolist())]
    return "groups", listed + [many(held.describer.points).text] * (len(slots) - len(listed))


def _reads(program: Program, family: Family, member: tuple[int, ...]) -> list[Any] | None:
    """Every member that is read: family, indices, the step of its rotation or the column of source slots, and 1 or the
    column of slots that read it (1 where they do). None where there are too many; empty for what is not computed."""
    if family.kind != "compute":
        return []
    found = slots_read(program, family.name, member)
    return None if found is None else [_read(entry) for entry in found]


def _read(entry: SlotsRead) -> list[Any]:
    step = entry.step
    where: Any = 1 if entry.read.all() else column(entry.read.astype(np.int64))
    return [entry.family, list(entry.member), column(entry.source) if step is None else step, where]
