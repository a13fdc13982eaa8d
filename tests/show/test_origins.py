"""Slots that are read, all at once, compared with ``trace.reads`` slot by slot."""

from __future__ import annotations

from itertools import product

import pytest
from repository import bind_text, program_text
from small_programs import MOVES

from slotlang.show import origins
from slotlang.show.origins import slots_read
from slotlang.show.trace import reads

TEXT = MOVES.replace("U = permute(T, inverse(turn))", "U = permute(T << 1, inverse(turn)) * [h < 5]")
SMALL = {"d": 16, "r": 4, "batch": 2, "slots": 16}


@pytest.mark.parametrize(
    ("text", "sizes"), [(TEXT, {}), (program_text("rank_complex"), SMALL), (program_text("permuted"), None)]
)
def test_each_slot_reads_what_the_trace_reads(text, sizes):
    program = bind_text(text, sizes or {})
    slots = range(program.slots) if program.slots <= 16 else (0, 1, 77, program.slots - 1)
    for family in program.families.values():
        if family.kind != "compute":
            continue
        for member in list(product(*(range(b.size) for b in family.binders)))[:2]:
            found = slots_read(program, family.name, member)
            assert found is not None
            for slot in slots:
                mine = {(r.family, r.member, int(r.source[slot])) for r in found if r.read[slot]}
                mine = {place for place in mine if program.families[place[0]].kind != "plain"}
                assert mine == set(reads(program, family.body, family.env(member), slot))


def test_rotations_have_a_step_and_permutations_have_none():
    program = bind_text(TEXT)
    steps = {(r.family, r.step) for r in slots_read(program, "S", ())}
    assert steps == {("Z", 0), ("Z", 1), ("Z", 2), ("Z", 3)}
    assert [r.step for r in slots_read(program, "T", ())] == [0, None]


def test_a_value_that_reads_too_much_is_not_listed(monkeypatch):
    monkeypatch.setattr(origins, "MAX_READS", 3)
    assert slots_read(bind_text(TEXT), "S", ()) is None
