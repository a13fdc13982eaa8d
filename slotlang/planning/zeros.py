"""Plaintexts that are zero whatever the weights: padded blocks, diagonals outside a sparse pattern."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from slotlang.graph.graph import Member
from slotlang.graph.member_classes import Likeness
from slotlang.graph.ring import PlainEvaluator, plain_vector
from slotlang.meaning.program import Program
from slotlang.meaning.value import (
    Arith,
    Conj,
    Const,
    Element,
    FamilyRef,
    Injective,
    Iverson,
    Linear,
    Negate,
    Permuted,
    Read,
    ScalarRef,
    Shift,
    SumOver,
    Value,
    children,
)
from slotlang.proof.field import PRIMES, random_field
from slotlang.refusals import GaveUp
from slotlang.schedule.ops import PlainFamily, Schedule

MAX_WORK = 1 << 26
"""Slots times members of families that are looked at: some seconds. Beyond, zeros are found when weights are
encoded, and the counts are upper bounds."""
MAX_CANCELLING_WORK = 1 << 18
"""The same for families in which only differences of equal things could vanish."""


class _Zeros:
    """What may make values zero; families, which may mention each other often, are looked at once."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._vanishing: dict[str, tuple[bool, bool]] = {}
        self._phases: dict[str, complex | None] = {}

    def may_vanish(self, value: Value) -> tuple[bool, bool]:
        """Whether some brackets, padding, pattern or constant may make a value zero; whether a difference may."""
        program = self.program
        if isinstance(value, Linear):
            (operand,) = children(value)
            vanishing, cancelling = self.may_vanish(operand)
            return vanishing, cancelling or not isinstance(value, Injective)
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
                if name not in self._vanishing:
                    self._vanishing[name] = self.may_vanish(program.families[name].body)
                return self._vanishing[name]
            case Arith(op, left, right):
                a, b = self.may_vanish(left), self.may_vanish(right)
                apart = op == "*" or {self.phase(left), self.phase(right)} == {1, 1j}
                return a[0] or b[0], not apart or a[1] or b[1]

    def phase(self, value: Value) -> complex | None:
        """1 for a value that is real in all slots, 1j for one that is imaginary, None for one that is neither so far as
        can be seen: a real and an imaginary part do not cancel."""
        match value:
            case Const(re, im):
                return 1 if not im else 1j if not re else None
            case Read() | Element() | ScalarRef() | Iverson():
                return 1
            case FamilyRef(name):
                if name not in self._phases:
                    self._phases[name] = self.phase(self.program.families[name].body)
                return self._phases[name]
            case Arith(op, left, right):
                a, b = self.phase(left), self.phase(right)
                if op != "*":
                    return a if a == b else None
                return None if a is None or b is None else 1j if a != b else 1
            case Negate(inner) | Conj(inner) | Shift(inner) | Permuted(inner) | SumOver(body=inner):
                return self.phase(inner)
            case _:
                return None


def _limit(zeros: _Zeros, family: PlainFamily) -> int:
    if family.body is None:
        return MAX_WORK if len(family.masks) > 1 else 0
    masked, cancelling = zeros.may_vanish(family.body)
    return MAX_WORK if masked or family.masks else MAX_CANCELLING_WORK if cancelling else 0


def zero_plaintexts(schedule: Schedule) -> Callable[[Member], bool]:
    """Tells which members of a schedule's plaintext families are zero whatever the weights.

    Decided by evaluation at a random point modulo a prime near 2^31: a slot that is not always zero is zero there with
    a probability of the order of 2^-31, and all slots of a vector would have to be. Where nothing could cancel, one of
    all members that are alike is looked at. Families whose definition can't vanish are not evaluated, nor those beyond
    ``MAX_WORK``, whose zeros are found when weights are encoded.
    """
    program = schedule.program
    zeros = _Zeros(program)
    looked_at: set[str] = set()
    likeness: dict[str, Likeness] = {}
    for family in schedule.plains.values():
        work = program.slots * prod(loop.size for loop in family.loops)
        if work <= _limit(zeros, family):
            looked_at.add(family.name)
            if family.body is not None and not zeros.may_vanish(family.body)[1]:
                likeness[family.name] = Likeness(program, family)
    found: dict[Member, bool] = {}
    evaluator: PlainEvaluator | None = None

    def is_zero(member: Member) -> bool:
        nonlocal evaluator
        name, indices = member
        if name not in looked_at:
            return False
        place = (name, likeness[name].of(indices) if name in likeness else indices)
        if place not in found:
            if evaluator is None:
                try:
                    evaluator = PlainEvaluator(program, random_field(program, PRIMES[:1], 1))
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
