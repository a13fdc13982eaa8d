"""The products of tensor elements that one slot holds, and those that it should hold, counted.

Products are numbers: their indices packed into one integer, so that arrays of a million of them are compared at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby
from math import lcm, prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.meaning.integers import SLOT, evaluate, holds
from slotlang.meaning.program import Program
from slotlang.proof.monomials import canonical
from slotlang.proof.terms import Term
from slotlang.proof.verdict import Monomial
from slotlang.refusals import GaveUp
from slotlang_runtime.amounts import count_of

MAX_POINTS = 1 << 22
"""Most products that are counted on a side: about a second, and 400 MB of memory."""
_SAFE = 1 << 62

Ints: TypeAlias = npt.NDArray[np.int64]
Signature: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]
Coefficient: TypeAlias = tuple[Fraction, Fraction]


@dataclass(frozen=True, eq=False)
class _Group:
    """Products of one signature: packed, ascending. A row each of the real and imaginary parts of the coefficients that
    they have, and should have, times the common denominator; whether the two differ; whether one should be there."""

    signature: Signature
    products: Ints
    coefficients: Ints
    wrong: npt.NDArray[np.bool_]
    wanted: npt.NDArray[np.bool_]


class SlotProducts:
    """What a slot ``holds`` and what it ``should`` hold, bound variables of the terms enumerated.

    Raises ``GaveUp`` beyond ``most`` products on one of the sides.
    """

    def __init__(
        self,
        program: Program,
        holds: Sequence[Term],
        should: Sequence[Term],
        binders: Mapping[str, int],
        slot: int,
        most: int = MAX_POINTS,
    ) -> None:
        self.program = program
        parts = [(side, part) for side, terms in ((0, holds), (2, should)) for t in terms for part in _ordered(t)]
        counted = {0: 0, 2: 0}
        for side, part in parts:
            counted[side] += prod(extent for _, extent in part.bound)
        if (points := max(counted.values())) > most:
            raise GaveUp(count_of(points, "product"))
        self.denominator = lcm(1, *(c.denominator for _, part in parts for c in (part.re, part.im)))
        largest = max((abs(c * self.denominator) for _, part in parts for c in (part.re, part.im)), default=0)
        if largest * (sum(counted.values()) + 1) >= _SAFE:
            raise GaveUp(f"coefficients up to {largest}")
        base: dict[str, Any] = {**program.slot_env(slot), **binders, SLOT: slot}
        found: dict[Signature, list[tuple[int, Term, Ints]]] = {}
        for side, part in parts:
            signature = (part.scalars, tuple(t for t, _ in part.reads))
            found.setdefault(signature, []).append((side, part, _occurrences(program, part, base)))
        self.groups = [self._added(signature, entries) for signature, entries in found.items()]

    def _added(self, signature: Signature, entries: Sequence[tuple[int, Term, Ints]]) -> _Group:
        keys = np.concatenate([products for _, _, products in entries])
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        starts = np.flatnonzero(np.r_[True, np.diff(keys) != 0][: len(keys)])
        sums = np.zeros((4, len(starts)), np.int64)
        for row in range(4):
            numbers = [
                int((term.im if row % 2 else term.re) * self.denominator) * (side == row - row % 2)
                for side, term, _ in entries
            ]
            if any(numbers):
                column = np.repeat(np.array(numbers, np.int64), [len(products) for _, _, products in entries])
                sums[row] = np.add.reduceat(column[order], starts)
        # a loop over four rows is faster than numpy's reduction along them
        wrong = (sums[0] != sums[2]) | (sums[1] != sums[3])
        return _Group(signature, keys[starts], sums, wrong, (sums[2] != 0) | (sums[3] != 0))

    @property
    def right(self) -> int:
        """How many products there should be, and are, with the factor that they should have."""
        return sum(int((group.wanted & ~group.wrong).sum()) for group in self.groups)

    @property
    def missing(self) -> int:
        """How many should be there, and are missing or have another factor."""
        return sum(int((group.wanted & group.wrong).sum()) for group in self.groups)

    @property
    def surplus(self) -> int:
        """How many do not belong."""
        return sum(int((~group.wanted & group.wrong).sum()) for group in self.groups)

    def first(self, *, missing: bool, but: Monomial | None = None) -> Monomial | None:
        """The first product, in the order of their names and indices, that is missing or has another factor; or, not
        ``missing``, that does not belong. Another one than ``but``."""
        firsts = []
        for group in self.groups:
            chosen = group.products[group.wrong & (group.wanted == missing)][:2]
            firsts += [m for key in chosen.tolist() if (m := self._unpacked(group.signature, key)) != but]
        return min(firsts, default=None)

    def coefficients(self, monomial: Monomial) -> tuple[Coefficient, Coefficient]:
        """The factor that a product has, and the one it should have."""
        scalars, reads = monomial
        packed = 0
        for tensor, indices in reads:
            for index, size in zip(indices, self.program.tensors[tensor].shape, strict=True):
                packed = packed * size + index
        numbers = [0, 0, 0, 0]
        for group in self.groups:
            if group.signature == (scalars, tuple(t for t, _ in reads)):
                numbers = group.coefficients[:, group.products == packed].sum(axis=1).tolist()
        re, im, wanted_re, wanted_im = (Fraction(n, self.denominator) for n in numbers)
        return (re, im), (wanted_re, wanted_im)

    def _unpacked(self, signature: Signature, key: int) -> Monomial:
        scalars, tensors = signature
        reads = []
        for tensor in reversed(tensors):
            indices = []
            for size in reversed(self.program.tensors[tensor].shape):
                key, index = divmod(key, size)
                indices.append(index)
            reads.append((tensor, tuple(reversed(indices))))
        return scalars, tuple(sorted(reads))


def _ordered(term: Term) -> list[Term]:
    """A term with its reads in the order of their tensors; those of one tensor may have to be sorted where they are
    counted, since they have too many orders to be terms of their own."""
    try:
        return canonical(term)
    except GaveUp:
        return [replace(term, reads=tuple(sorted(term.reads, key=lambda read: read[0])))]


def _occurrences(program: Program, term: Term, base: Mapping[str, Any]) -> Ints:
    """Each monomial of a term, its indices packed into one integer, as often as it occurs."""
    extents = [extent for _, extent in term.bound]
    total = prod(extents)
    room = prod(size for tensor, _ in term.reads for size in program.tensors[tensor].shape)
    if room >= _SAFE:
        raise GaveUp(f"numbers of products of {count_of(len(term.reads), 'element')}")
    # one axis for each loop, so that what depends on one loop alone is computed once for each of its values
    grid = np.ix_(*(np.arange(extent) for extent in extents))
    env = {**base, **{name: axis for (name, _), axis in zip(term.bound, grid, strict=True)}}
    packed: Any = np.zeros(1, np.int64)
    for tensor, reads in groupby(term.reads, key=lambda read: read[0]):
        shape, elements = program.tensors[tensor].shape, list[Any]()
        for _, indices in reads:
            element: Any = np.zeros(1, np.int64)
            for index, size in zip(indices, shape, strict=True):
                element = element * size + evaluate(index, program.sizes, env)
            elements.append(element)
        if len(term.reads) > 3 and len(elements) > 1:
            # those of fewer reads are in order: their orders are terms of their own
            elements = list(np.sort(np.stack(np.broadcast_arrays(*elements)), axis=0))
        for element in elements:
            packed = packed * prod(shape) + element
    every = np.broadcast_to(packed, extents or [1]).reshape(total)
    if not term.conds:
        return every
    keep: Any = np.ones(1, bool)
    for cond in term.conds:
        keep = keep & holds(cond, program.sizes, env)
    chosen: Ints = every[np.broadcast_to(keep, extents or [1]).reshape(total)]
    return chosen
