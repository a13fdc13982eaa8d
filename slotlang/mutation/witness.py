"""A counterexample kept, to tell quickly that a changed program is still wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from slotlang.meaning.integers import SLOT, Cmp, Cond, IntConst, holds, variables
from slotlang.meaning.program import Claim, Program
from slotlang.proof.goals import goals
from slotlang.proof.monomials import canonical
from slotlang.proof.polyhedral import sides
from slotlang.proof.slot_products import SlotProducts
from slotlang.proof.terms import Expander, Term
from slotlang.proof.verdict import Failure, Goal, Monomial, Wrong
from slotlang.refusals import GaveUp

MAX_POINTS = 1 << 16
"""Loop values of a slot that are looked through: some milliseconds."""
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
            _coefficient(program, left, base, monomial) == _coefficient(program, right, base, monomial)
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


def _coefficient(
    program: Program, terms: Sequence[Term], base: Mapping[str, Any], monomial: Monomial
) -> tuple[Fraction, Fraction]:
    """The coefficient of a product in the terms at one point. Raises ``GaveUp`` beyond ``MAX_POINTS``."""
    scalars, reads = monomial
    re, im = Fraction(0), Fraction(0)
    for original in terms:
        for term in canonical(original):
            if term.scalars != scalars or [t for t, _ in term.reads] != [t for t, _ in reads]:
                continue
            times = _count(program, term, base, reads)
            re, im = re + term.re * times, im + term.im * times
    return re, im


def _count(program: Program, term: Term, base: Mapping[str, Any], reads: Sequence[tuple[str, tuple[int, ...]]]) -> int:
    """How many loop values of a term read these elements."""
    conds = list(term.conds)
    for (_, indices), (_, wanted) in zip(term.reads, reads, strict=True):
        conds += [Cmp("==", index, IntConst(value)) for index, value in zip(indices, wanted, strict=True)]
    if any(extent > MAX_POINTS for _, extent in term.bound):
        raise GaveUp("too many products")
    values = {name: np.arange(extent) for name, extent in term.bound}
    # what is said of one loop alone leaves few of its values, most often one
    several = []
    for cond in conds:
        used = variables(cond) & values.keys()
        if len(used) > 1:
            several.append(cond)
            continue
        truth = holds(cond, program.sizes, {**base, **{name: values[name] for name in used}})
        if not np.any(truth):
            return 0
        for name in used:
            values[name] = values[name][np.broadcast_to(truth, values[name].shape)]
    sizes = [len(of) for of in values.values()]
    if math.prod(sizes) > MAX_POINTS:
        raise GaveUp("too many products")
    # one axis for each loop: most conditions are about one or two loops
    env = {**base, **dict(zip(values, np.ix_(*values.values()), strict=True))}
    keep: Any = np.ones((1,) * len(sizes), bool)
    for cond in several:
        keep = keep & holds(cond, program.sizes, env)
    return int(np.broadcast_to(keep, sizes).sum())
