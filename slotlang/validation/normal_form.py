"""Ciphertext values as polynomials in turned vectors.

A value is a sum of monomials; a monomial is a product of vectors of the registry, each turned and perhaps conjugated,
and its coefficient is a number or a vector of numbers (masks). Rotation, conjugation, sums and products all act on
this form exactly, so two values with the same form are equal whatever the vectors hold.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.refusals import GaveUp
from slotlang.validation.contents import Contents, Factor
from slotlang.validation.symbolic import Ints, Numbers, Vector
from slotlang_runtime.amounts import count_of

TOLERANCE = 1e-11
"""Relative: coefficients are constants of the program, computed in doubles on one side."""


MAX_MERGED = 1 << 24
"""Monomials times slots whose contents are multiplied out: some seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Sparse:
    """A vector of numbers that is zero outside ``slots`` (ascending)."""

    slots: Ints = field(repr=False)
    values: Numbers


Coefficient: TypeAlias = complex | Sparse
Monomial: TypeAlias = tuple[Factor, ...]
Form: TypeAlias = dict[Monomial, Coefficient]


class Forms:
    """Arithmetic of forms over one registry of contents."""

    def __init__(self, contents: Contents) -> None:
        self.contents = contents
        self.slots = contents.slots
        self.named: dict[int, Form] = {}
        """What vectors that have a name stand for, by their content."""
        self._supports: dict[int, npt.NDArray[np.bool_]] = {}

    def factor(self, factor: Factor) -> Form:
        """One vector."""
        return {(factor,): 1 + 0j}

    def vector(self, vector: Vector) -> Form:
        """A plaintext: a number, a vector of numbers, or a content."""
        numbers = self.contents.numbers(vector)
        if numbers is None:
            found = self.contents.factor(vector)
            return {(found[1],): found[0]} if found is not None else {}
        if len(numbers) == 1:
            return {(): complex(numbers[0])} if numbers[0] else {}
        where = np.flatnonzero(numbers)
        return {(): Sparse(where, numbers[where])} if where.size else {}

    def accumulate(self, total: Form, form: Form, sign: complex = 1) -> None:
        """Add ``sign * form`` into ``total``."""
        for monomial, coefficient in form.items():
            known = total.get(monomial)
            new = self._times(coefficient, sign) if sign != 1 else coefficient
            if known is not None:
                found = self._plus(known, new)
                if found is None:
                    del total[monomial]
                    continue
                new = found
            total[monomial] = new

    def scaled(self, form: Form, factor: complex) -> Form:
        """A form times a number."""
        return {m: self._times(c, factor) for m, c in form.items()}

    def product(self, a: Form, b: Form) -> Form:
        """Slotwise product."""
        result: Form = {}
        for left, c in a.items():
            for right, d in b.items():
                coefficient = self._times(c, d)
                if isinstance(coefficient, Sparse) and not coefficient.slots.size:
                    continue
                monomial = tuple(sorted(left + right)) if left and right else left or right
                self.accumulate(result, {monomial: coefficient})
        return result

    def rotated(self, form: Form, amount: int) -> Form:
        """``form << amount``."""
        amount %= self.slots
        if not amount:
            return form
        period = self.contents.period
        result: Form = {}
        for monomial, coefficient in form.items():
            turned = tuple(
                sorted(Factor(f.content, (f.amount + amount) % period[f.content], f.conjugated) for f in monomial)
            )
            self.accumulate(result, {turned: self._turned(coefficient, amount)})
        return result

    def conjugated(self, form: Form) -> Form:
        """Complex conjugate."""
        real = self.contents.real
        result: Form = {}
        for monomial, c in form.items():
            turned = tuple(
                sorted(Factor(f.content, f.amount, not real[f.content] and not f.conjugated) for f in monomial)
            )
            value = Sparse(c.slots, c.values.conj()) if isinstance(c, Sparse) else c.conjugate()
            self.accumulate(result, {turned: value})
        return result

    def permuted(self, form: Form, source: Ints) -> Form:
        """The vector whose slot s holds what ``form`` has in slot ``source[s]``."""
        distance = (source - np.arange(self.slots)) % self.slots
        result: Form = {}
        for amount in np.unique(distance):
            where = np.flatnonzero(distance == amount)
            mask: Form = {(): Sparse(where, np.ones(len(where), np.complex128))}
            self.accumulate(result, self.product(self.rotated(form, int(amount)), mask))
        return result

    def masked(self, form: Form, mask: npt.NDArray[np.bool_]) -> Form:
        """A form where the mask holds, else 0."""
        where = np.flatnonzero(mask)
        return self.product(form, {(): Sparse(where, np.ones(len(where), np.complex128))}) if where.size else {}

    def support(self, form: Form) -> npt.NDArray[np.bool_]:
        """Slots in which a form may not be zero: elsewhere some factor of every product is, by brackets or padding."""
        found = np.zeros(self.slots, bool)
        for monomial, coefficient in form.items():
            here = np.ones(self.slots, bool)
            if isinstance(coefficient, Sparse):
                here[:] = False
                here[coefficient.slots] = True
            for factor in monomial:
                here &= self._support_of(factor)
            found |= here
        return found

    def _support_of(self, factor: Factor) -> npt.NDArray[np.bool_]:
        known = self._supports.get(factor.content)
        if known is None:
            named = self.named.get(factor.content)
            whole = Factor(factor.content, 0, False)
            known = self.contents.support(whole) if named is None else self.support(named)
            self._supports[factor.content] = known
        return np.roll(known, -factor.amount)

    def same(self, a: Form, b: Form) -> bool:
        """Whether two forms are equal, coefficients up to the rounding of doubles."""
        return a.keys() == b.keys() and all(self._close(c, b[m]) for m, c in a.items())

    def merged(self, form: Form) -> Form:
        """A form in which products of known contents and masks are one content each, where the contents were kept: a
        schedule may multiply plaintexts beforehand."""
        result: Form = {}
        for monomial, coefficient in form.items():
            known = [(f, v) for f in monomial if (v := self.contents.vector(f)) is not None]
            if not known:
                self.accumulate(result, {monomial: coefficient})
                continue
            product = known[0][1]
            for _, vector in known[1:]:
                product = product * vector
            factor: Form = {(): coefficient}
            if isinstance(coefficient, Sparse):
                numbers = np.zeros(self.slots, np.complex128)
                numbers[coefficient.slots] = coefficient.values
                product, factor = product.scaled(numbers), {(): 1 + 0j}
            names = tuple(f for f in monomial if self.contents.vector(f) is None)
            rest: Form = {names: 1 + 0j}
            self.accumulate(result, self.product(self.product(rest, factor), self.vector(product)))
        return result

    def equal_on(self, a: Form, b: Form, mask: npt.NDArray[np.bool_], *, merging: bool) -> bool:
        """Whether two forms are equal in the slots of a mask; ``merging`` also tries ``merged``, which takes a
        millisecond per monomial and 4096 slots."""
        if self.same(a, b):
            return True
        a, b = (a, b) if mask.all() else (self.masked(a, mask), self.masked(b, mask))
        if self.same(a, b):
            return True
        if not merging:
            return False
        if max(len(a), len(b)) * self.slots > MAX_MERGED:
            raise GaveUp(f"a value of {count_of(max(len(a), len(b)), 'product')}, too many to compare one by one")
        return self.same(self.merged(a), self.merged(b))

    # coefficients

    def _times(self, a: Coefficient, b: Coefficient) -> Coefficient:
        if isinstance(a, Sparse) and isinstance(b, Sparse):
            common, i, j = np.intersect1d(a.slots, b.slots, assume_unique=True, return_indices=True)
            return Sparse(common, a.values[i] * b.values[j])
        if isinstance(b, Sparse):
            a, b = b, a
        assert not isinstance(b, Sparse)
        return Sparse(a.slots, a.values * b) if isinstance(a, Sparse) else a * b

    def _plus(self, a: Coefficient, b: Coefficient) -> Coefficient | None:
        """The sum; None when it is zero, a number when all slots hold it."""
        if not isinstance(a, Sparse) and not isinstance(b, Sparse):
            total = a + b
            return None if abs(total) <= TOLERANCE * (abs(a) + abs(b)) else total
        values = np.zeros(self.slots, np.complex128)
        size = np.zeros(self.slots)
        for part in (a, b):
            if isinstance(part, Sparse):
                values[part.slots] += part.values
                size[part.slots] += np.abs(part.values)
            else:
                values += part
                size += abs(part)
        values[np.abs(values) <= TOLERANCE * size] = 0
        where = np.flatnonzero(values)
        if not where.size:
            return None
        if len(where) == self.slots and (values == values[0]).all():
            return complex(values[0])
        return Sparse(where, values[where])

    def _turned(self, c: Coefficient, amount: int) -> Coefficient:
        if not isinstance(c, Sparse):
            return c
        moved = (c.slots - amount) % self.slots
        order = np.argsort(moved)
        return Sparse(moved[order], c.values[order])

    def _close(self, a: Coefficient, b: Coefficient) -> bool:
        if isinstance(a, Sparse) and isinstance(b, Sparse):
            return bool(np.array_equal(a.slots, b.slots) and np.allclose(a.values, b.values, TOLERANCE, 0))
        if isinstance(a, Sparse) or isinstance(b, Sparse):
            return False
        return abs(a - b) <= TOLERANCE * max(abs(a), abs(b))


def weight(forms: Iterable[Form]) -> int:
    """Most monomials in one of the forms."""
    return max((len(f) for f in forms), default=0)
