"""Plaintexts that are zero whatever the weights: padded blocks, diagonals outside a sparse pattern."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import replace
from math import prod
from typing import Any

from slotlang.cost.vanishing import Vanishing
from slotlang.graph.graph import Member
from slotlang.graph.member_classes import Likeness
from slotlang.graph.ring import PlainEvaluator, Slots, plain_vector
from slotlang.meaning.program import Program
from slotlang.meaning.value import TensorForm
from slotlang.proof.field import PRIMES, Field, random_field
from slotlang.refusals import GaveUp
from slotlang.schedule.ops import PlainFamily, Schedule

MAX_WORK = 1 << 26
"""Slots times members of families that are looked at: some seconds. Beyond, zeros are found when weights are
encoded, and the counts are upper bounds."""
MAX_CANCELLING_WORK = 1 << 18
"""The same for families in which only differences of equal things could vanish."""


class _Few(PlainEvaluator):
    """Evaluates few of a program's plaintexts: products of matrices are not multiplied out for them."""

    def __init__(self, program: Program, field: Field) -> None:
        super().__init__(program, field)
        self._field = field

    def _elements(self, form: TensorForm, flat: Slots) -> Any:
        return self._field.elements(form, flat)


def _limit(zeros: Vanishing, family: PlainFamily) -> int:
    if family.body is None:
        return MAX_WORK if len(family.masks) > 1 else 0
    masked, cancelling = zeros.may_vanish(family.body)
    return MAX_WORK if masked or family.masks else MAX_CANCELLING_WORK if cancelling else 0


def same_plaintexts(one: Schedule, other: Schedule) -> bool:
    """Whether schedules multiply with the same plaintexts, at whatever scales: then the same ones are zero."""
    plains = [{name: replace(family, encoding=None) for name, family in s.plains.items()} for s in (one, other)]
    return one.program is other.program and plains[0] == plains[1]


def zero_plaintexts(
    schedule: Schedule, likeness: MutableMapping[str, Likeness] | None = None
) -> Callable[[Member], bool]:
    """Tells which members of a schedule's plaintext families are zero whatever the weights. ``likeness``: which members
    are alike, by family, as far as it was asked; more is added.

    Decided by evaluation at a random point modulo a prime near 2^31: a slot that is not always zero is zero there with
    a probability of the order of 2^-31, and all slots of a vector would have to be. Where nothing could cancel, one of
    all members that are alike is looked at. Families whose definition can't vanish are not evaluated, nor those beyond
    ``MAX_WORK``, whose zeros are found when weights are encoded.
    """
    program = schedule.program
    zeros = Vanishing(program)
    looked_at: set[str] = set()
    likeness = {} if likeness is None else likeness
    classed: set[str] = set()
    for family in schedule.plains.values():
        work = program.slots * prod(loop.size for loop in family.loops)
        if work <= _limit(zeros, family):
            looked_at.add(family.name)
            if family.body is not None and not zeros.may_vanish(family.body)[1]:
                classed.add(family.name)
                if family.name not in likeness:
                    likeness[family.name] = Likeness(program, family)
    found: dict[Member, bool] = {}
    known: dict[Member, bool] = {}
    evaluator: _Few | None = None

    def is_zero(member: Member) -> bool:
        # graphs of several drafts ask about the same ones
        if member not in known:
            known[member] = decided(member)
        return known[member]

    def decided(member: Member) -> bool:
        nonlocal evaluator
        name, indices = member
        if name not in looked_at:
            return False
        place = (name, likeness[name].of(indices) if name in classed else indices)
        if place not in found:
            if evaluator is None:
                try:
                    evaluator = _Few(program, random_field(program, PRIMES[:1], 1))
                except GaveUp:
                    looked_at.clear()
                    return False
            try:
                vector = plain_vector(schedule, evaluator, schedule.plains[name], indices)
            except GaveUp:
                looked_at.discard(name)
                return False
            found[place] = not vector.any()
        return found[place]

    return is_zero
