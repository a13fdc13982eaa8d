"""Vectors of polynomials: the ring in which the exact method evaluates, with opaque atoms for claimed products."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from math import lcm, prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.graph.ring import Slots
from slotlang.meaning.program import Program
from slotlang.meaning.value import Chain, Element, Factor, TensorForm, Value, leaves
from slotlang.proof.field import pattern_mask
from slotlang.proof.polynomials import ZERO, Ids, Part, Polynomials, chunks, narrow
from slotlang.proof.verdict import Monomial
from slotlang.refusals import GaveUp

Factors: TypeAlias = tuple[Factor, ...]


class Vector:
    """A polynomial's number for every slot (or one for all); or a product or a signed sum of rotated vectors.

    Sums wait to be added up: chains of additions and rotations, such as Horner's, are added up once.
    """

    __slots__ = ("factor", "ids", "terms")

    def __init__(self, ids: Ids | None, factor: Ids | None = None, terms: tuple[Term, ...] = ()) -> None:
        self.ids = ids
        self.factor = factor
        self.terms = terms

    def parts(self) -> Iterator[tuple[int, int, Ids, Ids | None]]:
        """The summands: (sign, rotation, vector, factor or None)."""
        stack = [(1, 0, self)]
        while stack:
            sign, step, vector = stack.pop()
            if vector.ids is not None:
                yield sign, step, vector.ids, vector.factor
            stack.extend((sign * s, step + more, v) for s, more, v in vector.terms)


Term: TypeAlias = tuple[int, int, Vector]
"""Sign, rotation and vector."""


def signed_sum(*terms: Term) -> Vector:
    """The sum of rotated vectors, added up when it is first needed."""
    return Vector(None, None, terms)


@dataclass(frozen=True, slots=True)
class _Matrix:
    """Part of a chain as a matrix of atoms: element (i, j) is ``offset + i*down + j*right``."""

    offset: int
    down: int
    right: int
    columns: int
    alive: npt.NDArray[np.bool_] | None


class PolynomialRing:
    """Vectors of polynomials, for ``PlainEvaluator``. Chains in ``opaque`` have atoms for their elements."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.polynomials = Polynomials()
        self.opaque: frozenset[Factors] = frozenset()
        self.journal: list[tuple[Vector, Ids | None, Ids | None, tuple[Term, ...]]] = []
        """Vectors that were added up, as they were before."""
        self._ranges: list[tuple[int, str | Factors, tuple[int, ...]]] = []
        self._offsets: dict[str | Factors, int] = {}
        self._end = 0
        for name in program.scalars:
            self._register(name, ())
        for name, decl in program.tensors.items():
            self._register(name, decl.shape)
        self.first_opaque = self._end
        self._patterns = {name: pattern_mask(program, name) for name in program.tensors}

    # atoms

    def _register(self, owner: str | Factors, shape: tuple[int, ...]) -> int:
        if owner not in self._offsets:
            if self._end + prod(shape) >= 1 << 31:
                raise GaveUp("the tensors have more than 2^31 elements")
            self._offsets[owner] = self._end
            self._ranges.append((self._end, owner, shape))
            self._end += prod(shape)
        return self._offsets[owner]

    def _owner(self, atom: int) -> tuple[str | Factors, tuple[int, ...]]:
        position = bisect_right(self._ranges, atom, key=lambda r: r[0]) - 1
        # an empty range can't be: shapes have extents of at least 1
        offset, owner, shape = self._ranges[position]
        return owner, tuple(int(i) for i in np.unravel_index(atom - offset, shape))

    def monomial(self, number: int) -> Monomial:
        """A monomial without opaque atoms in the program's terms."""
        scalars, reads = [], []
        for atom in self.polynomials.monomials.atoms(np.array([number])).ravel().tolist():
            owner, indices = self._owner(atom)
            assert isinstance(owner, str)
            if owner in self.program.tensors:
                reads.append((owner, indices))
            else:
                scalars.append(owner)
        return tuple(sorted(scalars)), tuple(sorted(reads))

    def _dims(self, factor: Factor) -> tuple[int, int]:
        shape = self.program.tensors[factor.tensor].shape
        if len(shape) == 1:
            return shape[0], 1
        return (shape[1], shape[0]) if factor.transposed else (shape[0], shape[1])

    def canonical(self, factors: Factors) -> tuple[Factors, bool]:
        """The one of a chain and its transpose that names the elements which both have, and whether it is the
        transpose."""
        if len(self.program.tensors[factors[-1].tensor].shape) == 1:
            return factors, False
        transposed = tuple(Factor(f.tensor, not f.transposed) for f in reversed(factors))
        if [(f.tensor, f.transposed) for f in transposed] < [(f.tensor, f.transposed) for f in factors]:
            return transposed, True
        return factors, False

    def _matrix(self, factors: Factors) -> _Matrix:
        rows, columns = self._dims(factors[0])[0], self._dims(factors[-1])[1]
        if len(factors) == 1:
            name = factors[0].tensor
            offset, transposed, alive = self._offsets[name], factors[0].transposed, self._patterns[name]
        else:
            owner, transposed = self.canonical(factors)
            offset, alive = self._register(owner, (columns, rows) if transposed else (rows, columns)), None
        down, right = (1, rows) if transposed else (columns, 1)
        return _Matrix(offset, down, right, columns, alive)

    def _matrices(self, factors: Factors) -> list[_Matrix]:
        """The chain cut into its longest opaque parts, and single tensors between them."""
        for length in range(len(factors), 1, -1):
            for start in range(len(factors) - length, -1, -1):
                part = factors[start : start + length]
                if self.canonical(part)[0] in self.opaque:
                    before, after = factors[:start], factors[start + length :]
                    return [*self._matrices(before), self._matrix(part), *self._matrices(after)]
        return [self._matrix((f,)) for f in factors]

    def chains_of(self, value: Value) -> frozenset[Factors]:
        """Chains of several factors that a value reads elements of."""
        forms = [leaf.form for leaf in leaves(value) if isinstance(leaf, Element)]
        chains = [c.factors for form in forms for c in form.chains if len(c.factors) > 1]
        return frozenset(self.canonical(factors)[0] for factors in chains)

    def chains_in(self, ids: Ids) -> frozenset[Factors]:
        """Chains whose opaque atoms occur in some of the polynomials."""
        chains: set[Factors] = set()
        if self._end == self.first_opaque:
            return frozenset()
        _, keys, _ = self.polynomials.entries(np.unique(ids))
        rest = np.unique(keys >> 1)
        while rest.size:
            rest, highest = self.polynomials.monomials.split(rest)
            hidden = highest >= self.first_opaque
            rest = np.unique(rest[hidden])
            for offset, owner, shape in self._ranges:
                if isinstance(owner, tuple) and owner not in chains:
                    if ((highest >= offset) & (highest < offset + prod(shape))).any():
                        chains.add(owner)
        return frozenset(chains)

    @contextmanager
    def hiding(self, chains: frozenset[Factors]) -> Iterator[None]:
        """Within it these chains are opaque."""
        before, self.opaque = self.opaque, chains
        try:
            yield
        finally:
            self.opaque = before

    # the ring

    def ids(self, vector: Vector) -> Ids:
        """The vector multiplied and added up."""
        if vector.ids is None or vector.factor is not None:
            parts = [(s, _rolled(a, step), b if b is None else _rolled(b, step)) for s, step, a, b in vector.parts()]
            ids = self.polynomials.total(parts)
            self.journal.append((vector, vector.ids, vector.factor, vector.terms))
            vector.ids, vector.factor, vector.terms = ids, None, ()
        return vector.ids

    def const(self, re: Fraction, im: Fraction) -> Vector:
        """A constant."""
        return Vector(np.array([self.polynomials.constant(re, im)], np.int64))

    def scalar(self, name: str) -> Vector:
        """A scalar is an atom."""
        return Vector(self.polynomials.atoms(np.array([self._offsets[name]])))

    def gather(self, tensor: str, flat: Slots) -> Vector:
        """Elements of a tensor are atoms, or 0 by its declared pattern."""
        atoms = flat + self._offsets[tensor]
        alive = self._patterns[tensor]
        return Vector(self.polynomials.atoms(atoms if alive is None else np.where(alive[flat], atoms, -1)))

    def element(self, form: TensorForm, flat: Slots) -> Vector:
        """Elements of a tensor expression, multiplied out except for opaque chains."""
        distinct, inverse = np.unique(flat, return_inverse=True)
        chains = [(c, self._matrices(c.factors)) for c in form.chains if c.coefficient]
        denominator = lcm(*(c.coefficient.denominator for c, _ in chains))
        terms = sum(prod(m.columns for m in matrices[:-1]) for _, matrices in chains)
        result = np.zeros(len(distinct), np.int64)
        for chunk in chunks(np.full(len(distinct), terms)):
            here = distinct[chunk]
            i, j = divmod(here, form.shape[1]) if len(form.shape) == 2 else (here, np.zeros_like(here))
            parts = [self._chain(c, matrices, i, j, denominator) for c, matrices in chains]
            if parts:
                rows, keys, numbers = (np.concatenate(column) for column in zip(*parts, strict=True))
                result[chunk] = self.polynomials.collected(len(here), rows, keys, numbers, denominator)
        return Vector(result[inverse])

    def _chain(self, chain: Chain, matrices: list[_Matrix], i: Ids, j: Ids, denominator: int) -> tuple[Ids, Ids, Any]:
        """(row, key, numerator) of every term of the elements (i, j) of a chain."""
        count = prod(m.columns for m in matrices[:-1])
        inner, left, stride = np.arange(count), i[:, None], count
        atoms = np.empty((len(i), count, len(matrices) + len(chain.scalars)), np.int32)
        alive = np.ones((len(i), count), bool)
        for position, matrix in enumerate(matrices):
            right = j[:, None]
            if position < len(matrices) - 1:
                stride //= matrix.columns
                right = inner[None, :] // stride % matrix.columns
            flat = left * matrix.down + right * matrix.right
            atoms[:, :, position] = flat + matrix.offset
            if matrix.alive is not None:
                alive &= matrix.alive[flat]
            left = right
        for position, name in enumerate(chain.scalars, len(matrices)):
            atoms[:, :, position] = self._offsets[name]
        keys = self.polynomials.monomials.of(atoms[alive]) * 2
        number = narrow([int(chain.coefficient * denominator)])
        return np.nonzero(alive)[0], keys, np.repeat(number, len(keys))

    def add(self, a: Vector, b: Vector) -> Vector:
        """a + b, later."""
        return signed_sum((1, 0, a), (1, 0, b))

    def sub(self, a: Vector, b: Vector) -> Vector:
        """a - b, later."""
        return signed_sum((1, 0, a), (-1, 0, b))

    def mul(self, a: Vector, b: Vector) -> Vector:
        """a * b, later."""
        return Vector(self.ids(a), self.ids(b))

    def conj(self, a: Vector) -> Vector:
        """Complex conjugate; atoms are real."""
        return Vector(self.polynomials.conj(self.ids(a)))

    def masked(self, a: Vector, mask: npt.NDArray[np.bool_]) -> Vector:
        """``a`` where the mask holds."""
        return Vector(np.where(mask, self.ids(a), ZERO))

    def expanded(self, number: int) -> int:
        """A polynomial with its opaque atoms multiplied out."""
        polynomials = self.polynomials
        while True:
            _, keys, codes = polynomials.entries(np.array([number]))
            rest, highest = polynomials.monomials.split(keys >> 1)
            hidden = highest >= self.first_opaque
            if not hidden.any():
                return number
            plain = polynomials.single(keys[~hidden], codes[~hidden])
            factors = polynomials.single(rest[hidden] * 2 + (keys[hidden] & 1), codes[hidden])
            parts: list[Part] = [(1, np.array([p]), None) for p in plain.tolist()]
            for p, q in zip(factors.tolist(), self._revealed(highest[hidden]).tolist(), strict=True):
                parts.append((1, np.array([p]), np.array([q])))
            number = int(polynomials.total(parts)[0])

    def _revealed(self, atoms: Ids) -> Ids:
        """Opaque atoms as polynomials over elements of tensors."""
        values = []
        with self.hiding(frozenset()):
            for atom in atoms.tolist():
                owner, indices = self._owner(atom)
                assert isinstance(owner, tuple)
                shape = self._dims(owner[0])[0], self._dims(owner[-1])[1]
                form = TensorForm((Chain(Fraction(1), (), owner),), shape, "")
                flat = np.array([np.ravel_multi_index(indices, shape)])
                values.append(int(self.ids(self.element(form, flat))[0]))
        return np.array(values, np.int64)


def _rolled(ids: Ids, step: int) -> Ids:
    return np.roll(ids, -step) if step and len(ids) > 1 else ids
