"""A counterexample kept, to tell quickly that a changed program is still wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from slotlang.meaning.integers import SLOT, evaluate, holds
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


class Witness:
    """Products that a slot has and should not have, or should have and has not.

    A changed program in which one of them is still wrong is not repaired. That they are all right now says little.
    """

    def __init__(self, program: Program, failure: Failure) -> None:
        self.failure = failure
        self.monomials: list[Monomial] = []
        if isinstance(failure, Wrong):
            self.monomials = _wrong_monomials(program, failure)

    def same_goal(self, program: Program) -> Goal | None:
        """The goal that fails, in a changed program; None where it is not there, or where no goal fails."""
        if not isinstance(self.failure, Wrong):
            return None
        start = self.failure.goal.span.start
        return next((goal for goal in goals(program) if goal.span.start == start), None)

    def gone(self, program: Program) -> bool:
        """Whether none of them is wrong in a changed program, as far as is looked."""
        if not self.monomials or not isinstance(self.failure, Wrong):
            return True
        goal = self.same_goal(program)
        if goal is None or self.failure.slot >= program.slots:
            return True
        if any(self.failure.binders.get(b.name, b.size) >= b.size for b in goal.statement.binders):
            return True
        expander = Expander(program)
        for claim in claims_before(program, goal):
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
            extents = [extent for _, extent in term.bound]
            if math.prod(extents) > MAX_POINTS:
                raise GaveUp("too many products")
            # one axis for each loop: most conditions are about one or two loops
            grid = np.ix_(*(np.arange(extent) for extent in extents))
            env = {**base, **{name: axis for (name, _), axis in zip(term.bound, grid, strict=True)}}
            times = _count(program, term, env, extents, reads)
            re, im = re + term.re * times, im + term.im * times
    return re, im


def _count(
    program: Program,
    term: Term,
    env: Mapping[str, Any],
    extents: Sequence[int],
    reads: Sequence[tuple[str, tuple[int, ...]]],
) -> int:
    """How many loop values of a term read these elements."""
    keep: Any = np.ones((1,) * len(extents), bool)
    for (_, indices), (_, wanted) in zip(term.reads, reads, strict=True):
        for index, value in zip(indices, wanted, strict=True):
            keep = keep & (evaluate(index, program.sizes, env) == value)
            if not keep.any():
                return 0
    for cond in term.conds:
        keep = keep & holds(cond, program.sizes, env)
    return int(np.broadcast_to(keep, extents).sum())
