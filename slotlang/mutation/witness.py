"""A counterexample kept, to tell quickly that a changed program is still wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slotlang.meaning.integers import SLOT, Cond, holds
from slotlang.meaning.program import Claim, Program
from slotlang.proof.coefficients import MAX_POINTS, coefficient
from slotlang.proof.goals import goals
from slotlang.proof.polyhedral import sides
from slotlang.proof.slot_products import SlotProducts
from slotlang.proof.terms import Expander, Term
from slotlang.proof.verdict import Failure, Goal, Monomial, Wrong
from slotlang.refusals import GaveUp

MAX_KEPT = 16
"""Counterexamples that are kept."""


@dataclass(frozen=True, slots=True)
class Point:
    """Products that a slot of a member has and should not have, or should have and has not."""

    binders: Mapping[str, int]
    slot: int
    monomials: Sequence[Monomial]


class Witness:
    """Counterexamples to the goal that fails: that of the program, and those of changed programs that were looked at.

    A changed program in which one of them is still wrong is not repaired. That they are all right now says little.
    """

    def __init__(self, program: Program, failure: Failure) -> None:
        self.failure = failure
        self.points: list[Point] = []
        if isinstance(failure, Wrong):
            self._keep(Point(failure.binders, failure.slot, _wrong_monomials(program, failure)))

    def _keep(self, point: Point) -> None:
        if point.monomials:
            self.points.insert(0, point)
            del self.points[MAX_KEPT:]

    def learn(self, failure: Failure | None) -> None:
        """Keep what is wrong with a changed program: others are often wrong at the same place."""
        if isinstance(failure, Wrong) and failure.monomial is not None:
            self._keep(Point(failure.binders, failure.slot, [failure.monomial]))

    def same_goal(self, program: Program) -> Goal | None:
        """The goal that fails, in a changed program; None where it is not there, or where no goal fails."""
        if not isinstance(self.failure, Wrong):
            return None
        start = self.failure.goal.span.start
        return next((goal for goal in goals(program) if goal.span.start == start), None)

    def gone(self, program: Program) -> bool:
        """Whether none of them is wrong in a changed program, as far as is looked."""
        goal = self.same_goal(program) if self.points else None
        if goal is None:
            return True
        expander = Expander(program)
        for claim in claims_before(program, goal):
            expander.learn(claim)
        try:
            left, right, where = sides(program, expander, goal)
        except GaveUp:
            return True
        for number, point in enumerate(self.points):
            if not _right_at(program, goal, point, left, right, where):
                # what one change leaves wrong, the next ones often do
                self.points.insert(0, self.points.pop(number))
                return False
        return True


def _right_at(
    program: Program, goal: Goal, point: Point, left: Sequence[Term], right: Sequence[Term], where: Cond | None
) -> bool:
    """Whether the products are as they should be, or can't be told, at a point of a changed program."""
    if point.slot >= program.slots:
        return True
    if any(point.binders.get(b.name, b.size) >= b.size for b in goal.statement.binders):
        return True
    base = {**program.slot_env(point.slot), **point.binders, SLOT: point.slot}
    if where is not None and not holds(where, program.sizes, base):
        return True
    try:
        return all(
            coefficient(program, left, base, monomial) == coefficient(program, right, base, monomial)
            for monomial in point.monomials
        )
    except GaveUp:
        return True


def claims_before(program: Program, goal: Goal) -> list[Claim]:
    """What is known where a goal is proved, if all claims before it are true."""
    claims = [s for s in program.steps if isinstance(s, Claim)]
    if isinstance(goal.statement, Claim):
        return claims[: next(n for n, c in enumerate(claims) if c is goal.statement)]
    return claims


def _wrong_monomials(program: Program, failure: Wrong) -> list[Monomial]:
    """One product that is missing and one that is surplus, where there are both."""
    monomials = [] if failure.monomial is None else [failure.monomial]
    expander = Expander(program)
    for claim in claims_before(program, failure.goal):
        expander.learn(claim)
    try:
        left, right, _ = sides(program, expander, failure.goal)
        products = SlotProducts(program, left, right, failure.binders, failure.slot, MAX_POINTS)
    except GaveUp:
        return monomials
    found = (products.first(missing=True), products.first(missing=False))
    return [m for m in found if m is not None] or monomials
