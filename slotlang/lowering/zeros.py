"""Plaintexts that are zero whatever the weights: padded blocks, diagonals outside a sparse pattern."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from slotlang.graph.graph import Member
from slotlang.graph.ring import PlainEvaluator, plain_vector
from slotlang.meaning.program import (
    Arith,
    Conj,
    Const,
    Element,
    FamilyRef,
    Iverson,
    Negate,
    Permuted,
    Program,
    Read,
    ScalarRef,
    Shift,
    SumOver,
    Value,
)
from slotlang.proof.field import PRIMES, TooLarge, random_field
from slotlang.schedule.ops import PlainFamily, Schedule

MAX_WORK = 1 << 26
"""Slots times members of families that are looked at: some seconds. Beyond, zeros are found when weights are
encoded, and the counts are upper bounds."""
MAX_CANCELLING_WORK = 1 << 18
"""The same for families in which only differences of equal things could vanish."""


def _may_vanish(program: Program, value: Value) -> tuple[bool, bool]:
    """Whether some brackets, padding, pattern or constant may make a value zero; whether a difference may."""
    match value:
        case Const(re, im):
            return not re and not im, False
        case Iverson():
            return True, False
        case Read(tensor, _, else_zero):
            return else_zero or program.tensors[tensor].pattern is not None, False
        case Element(form, _, else_zero):
            factors = [f for chain in form.chains for f in chain.factors]
            sparse = any(program.tensors[f.tensor].pattern is not None for f in factors)
            return else_zero or sparse, len(form.chains) > 1
        case ScalarRef():
            return False, False
        case FamilyRef(name):
            return _may_vanish(program, program.families[name].body)
        case Arith(op, left, right):
            a, b = _may_vanish(program, left), _may_vanish(program, right)
            return a[0] or b[0], op != "*" or a[1] or b[1]
        case SumOver(body=body):
            return _may_vanish(program, body)[0], True
        case Negate(inner) | Conj(inner) | Shift(inner) | Permuted(inner):
            return _may_vanish(program, inner)


def _limit(program: Program, family: PlainFamily) -> int:
    if family.body is None:
        return MAX_WORK if len(family.masks) > 1 else 0
    masked, cancelling = _may_vanish(program, family.body)
    return MAX_WORK if masked or family.masks else MAX_CANCELLING_WORK if cancelling else 0


def zero_plaintexts(schedule: Schedule) -> Callable[[Member], bool]:
    """Tells which members of a schedule's plaintext families are zero whatever the weights.

    Decided by evaluation at a random point modulo a prime near 2^31: a slot that is not always zero looks it
    with a probability of that order, and all slots of a vector must. Families whose definition can't vanish
    are not evaluated, nor those beyond ``MAX_WORK``, whose zeros are found when weights are encoded.
    """
    program = schedule.program
    looked_at: set[str] = set()
    for family in schedule.plains.values():
        work = program.slots * prod(loop.size for loop in family.loops)
        if work <= _limit(program, family):
            looked_at.add(family.name)
    found: dict[Member, bool] = {}
    evaluator: PlainEvaluator | None = None

    def is_zero(member: Member) -> bool:
        nonlocal evaluator
        name, indices = member
        if name not in looked_at:
            return False
        if member not in found:
            if evaluator is None:
                try:
                    evaluator = PlainEvaluator(program, random_field(program, PRIMES[:1], 1))
                except TooLarge:
                    looked_at.clear()
                    return False
            try:
                vector = plain_vector(schedule, evaluator, schedule.plains[name], indices)
            except TooLarge:
                looked_at.discard(name)
                return False
            found[member] = not vector.any()
        return found[member]

    return is_zero
