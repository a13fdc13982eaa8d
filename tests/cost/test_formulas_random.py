"""Formulas of random programs: what is not refused is right, at the program's own sizes and at others."""

from __future__ import annotations

from random import Random

import pytest
from amounts import drawn, some
from generate import random_program
from generate_families import random_families
from repository import bind_text

from slotlang.cost.counts import Counts
from slotlang.cost.symbolic.sizes import AllSizes
from slotlang.diagnostics import SlotError
from slotlang.meaning.program import Program
from slotlang.planning.formulas import formulas
from slotlang.planning.parameters import UNRESCALED_DEPTH
from slotlang.planning.plan import Draft
from slotlang.proof.forall import size_points
from slotlang.schedule.build import EVERY, schedule

MAX_SIZE = 64
OTHERS = 4


def _counts(program: Program) -> Counts:
    drops = EVERY if schedule(program).depth > UNRESCALED_DEPTH else ()
    return Draft.of(program, "mask", drops).counts


def _others(every: AllSizes, seed: int) -> list[dict[str, int]]:
    """Small sizes that a program admits."""
    found: list[dict[str, int]] = []
    for family in every.families[:3]:
        names = sorted(family.names() | family.domain.least.keys())
        for point in size_points.small(family.domain, names, OTHERS, seed):
            sizes = {name: int(family.sizes[name].value(point)) for name in every.parameters}
            if max(sizes.values()) <= MAX_SIZE and every.conditions.hold(sizes):
                found.append(sizes)
    return found[:OTHERS]


def _compare(text: str, sizes: dict[str, int], seed: int) -> int:
    """The number of sizes at which formulas of a program were compared."""
    program = bind_text(text, sizes)
    try:
        found = formulas(program)
    except SlotError as problem:
        assert problem.diagnostics[0].code in ("SL401", "SL402", "SL403", "SL447")
        return 0
    own = {name: program.sizes[name] for name in program.parameters}
    for given in (own, *_others(AllSizes(program.syntax), seed)):
        try:
            counts = _counts(bind_text(text, given))
        except SlotError:
            continue
        said = {name: number for name, number in found.at(given).items() if number is not None}
        assert said == {name: getattr(counts, name) for name in said}, (text, given)
        assert given is not own or set(said) == set(found.counts)
    return 1


@drawn
@pytest.mark.parametrize("kind", ["schemes", "families"])
def test_random_programs(kind: str) -> None:
    compared = 0
    for seed in range(some(60, 8)):
        rng = Random(seed)
        if kind == "schemes":
            text, sizes = random_program(rng)
        else:
            program = random_families(rng)
            text, sizes = program.text, program.defaults
        try:
            bind_text(text, sizes)
        except SlotError:
            continue
        compared += _compare(text, sizes, seed)
    assert compared
