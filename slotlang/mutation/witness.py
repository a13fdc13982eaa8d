"""A counterexample kept, to tell quickly that a changed program is still wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from slotlang.meaning.integers import SLOT, evaluate, holds
from slotlang.meaning.program import Claim, Program
from slotlang.proof.explain import least, slot_polynomial
from slotlang.proof.goals import goals
from slotlang.proof.polyhedral import canonical, sides
from slotlang.proof.terms import Expander, Term
from slotlang.proof.verdict import Failure, Goal, Monomial, Wrong
from slotlang.refusals import GaveUp

MAX_POINTS = 1 << 16
"""Loop values of a slot that are looked through: some milliseconds."""


class Witness:
    """Products that a slot has and should not have, or should have and has not.

    A changed program in which one of them is still wrong is not repaired. That they are all right now says little.
    """

    def __init__(self, program: Program, failure: Failure) -> None:
        self.failure = failure
        self.monomials: list[Monomial] = []
        if isinstance(failure, Wrong):
            self.monomials = _wrong_monomials(program, failure)

    def gone(self, program: Program) -> bool:
        """Whether none of them is wrong in a changed program, as far as is looked."""
        if not self.monomials or not isinstance(self.failure, Wrong):
            return True
        goal = _same_goal(program, self.failure.goal)
        if goal is None or self.failure.slot >= program.slots:
            return True
        if any(self.failure.binders.get(b.name, b.size) >= b.size for b in goal.statement.binders):
            return True
        expander = Expander(program)
        for claim in _claims_before(program, goal):
            expander.learn(claim)
        try:
            left, right, where = sides(program, expander, goal)
            base = {**program.slot_env(self.failure.slot), **self.failure.binders, SLOT: self.failure.slot}
            if where is not None and not holds(where, program.sizes, base):
                return True
            return all(
                _coefficient(program, left, base, monomial) == _coefficient(program, right, base, monomial)
                for monomial in self.monomials
            )
        except GaveUp:
            return True


def _same_goal(program: Program, old: Goal) -> Goal | None:
    return next((g for g in goals(program) if g.span.start == old.span.start), None)


def _claims_before(program: Program, goal: Goal) -> list[Claim]:
    """What is known where a goal is proved, if all claims before it are true."""
    claims = [s for s in program.steps if isinstance(s, Claim)]
    if isinstance(goal.statement, Claim):
        return claims[: next(n for n, c in enumerate(claims) if c is goal.statement)]
    return claims


def _wrong_monomials(program: Program, failure: Wrong) -> list[Monomial]:
    """One product that is missing and one that is surplus, where there are both."""
    monomials = [] if failure.monomial is None else [failure.monomial]
    expander = Expander(program)
    for claim in _claims_before(program, failure.goal):
        expander.learn(claim)
    try:
        left, right, _ = sides(program, expander, failure.goal)
        if sum(math.prod(extent for _, extent in term.bound) for term in (*left, *right)) > MAX_POINTS:
            return monomials
        actual = slot_polynomial(program, left, failure.binders, failure.slot)
        wanted = slot_polynomial(program, right, failure.binders, failure.slot)
    except GaveUp:
        return monomials
    missing = least(program, (m for m, value in wanted.items() if actual.get(m) != value))
    surplus = least(program, (m for m in actual if m not in wanted))
    return [m for m in (missing, surplus) if m is not None] or monomials


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
            extents = [extent for _, extent in term.bound]
            if math.prod(extents) > MAX_POINTS:
                raise GaveUp("too many products")
            grid = np.indices(extents or [1]).reshape(max(1, len(extents)), -1)
            env = {**base, **{name: grid[n] for n, (name, _) in enumerate(term.bound)}}
            keep = np.ones(grid.shape[1], bool)
            for (_, indices), (_, wanted) in zip(term.reads, reads, strict=True):
                for index, value in zip(indices, wanted, strict=True):
                    keep &= np.asarray(evaluate(index, program.sizes, env) == value)
            for cond in term.conds:
                keep &= np.asarray(holds(cond, program.sizes, env))
            times = int(keep.sum())
            re, im = re + term.re * times, im + term.im * times
    return re, im
