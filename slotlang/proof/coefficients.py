"""The coefficient that one product of tensor elements has in a slot, without all its other products."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from slotlang.meaning.integers import Cmp, IntConst, holds, variables
from slotlang.meaning.program import Program
from slotlang.proof.monomials import canonical
from slotlang.proof.terms import Term
from slotlang.proof.verdict import Monomial
from slotlang.refusals import GaveUp

__all__ = ["MAX_POINTS", "coefficient"]

MAX_POINTS = 1 << 16
"""Loop values of a slot that are looked through: some milliseconds."""


def coefficient(
    program: Program, terms: Sequence[Term], base: Mapping[str, Any], monomial: Monomial
) -> tuple[Fraction, Fraction]:
    """The coefficient of a product in the terms at one point: real and imaginary part. ``base`` has the values of the
    slot, its digits and the free variables. Raises ``GaveUp`` beyond ``MAX_POINTS``."""
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
