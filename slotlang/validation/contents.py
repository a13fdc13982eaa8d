"""Contents of plaintexts under names that do not depend on who made them, nor on how far they are turned.

Two vectors get the same identity when they are equal, when one is a rotation of the other, or its conjugate; the
factor says which. Identity is decided by the SHA-256 of the whole content in a canonical form, positions and
coefficients both. Constants are compared to 12 digits: the emitted text computes them in doubles, the program's are
exact.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from slotlang.validation.symbolic import Atom, Ints, Numbers, Vector

MAX_BYTES = 1 << 28
"""Of contents that are kept."""
DIGITS = 40
"""Binary digits of a coefficient that count."""


class Factor(NamedTuple):
    """A content of the registry, turned by ``<< amount``, conjugated or not."""

    content: int
    amount: int
    conjugated: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Canonical terms of one kind: the same tensors in every row. Rows have increasing positions in every slot, and
    a coefficient of zero stands with positions -1. Coefficients that are the same in all slots are given once."""

    atoms: tuple[Atom, ...]
    coefficients: Numbers
    positions: Ints  # rows x reads x slots


def rounded(values: Numbers) -> Numbers:
    """To ``DIGITS`` binary digits, real and imaginary part each, without negative zeros."""

    def part(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        mantissa, exponent = np.frexp(x)
        result: npt.NDArray[np.float64] = np.ldexp(np.rint(np.ldexp(mantissa, DIGITS)), exponent - DIGITS) + 0.0
        return result

    return part(values.real) + 1j * part(values.imag)


def _canonical(vector: Vector, slots: int) -> list[_Rows]:
    groups: dict[tuple[Atom, ...], list[tuple[Numbers, Ints]]] = {}
    for term in vector.terms:
        reads = sorted(term.reads, key=lambda r: r[0])
        atoms = tuple(a for a, _ in reads)
        at = np.empty((len(reads), slots), np.int64)
        for row, (_, positions) in enumerate(reads):
            at[row] = positions
        _sort_equal_atoms(atoms, at)
        coefficient = np.asarray(term.coefficient, np.complex128)
        groups.setdefault(atoms, []).append((coefficient, at))
    result = []
    for atoms in sorted(groups):
        terms = groups[atoms]
        if len(terms) == 1 and not terms[0][0].ndim:
            # most contents are one read with one coefficient
            rows = _Rows(atoms, rounded(terms[0][0].reshape(1, 1)), terms[0][1][None]) if terms[0][0] else None
        else:
            positions = np.stack([p for _, p in terms])
            rows = _ordered(atoms, [c for c, _ in terms], positions)
            if rows is None:
                rows = _merged(atoms, np.stack([np.broadcast_to(c, slots) for c, _ in terms]), positions)
        if rows is not None:
            result.append(rows)
    return result


def _sort_equal_atoms(atoms: tuple[Atom, ...], at: Ints) -> None:
    """A product does not depend on the order of factors: positions in the same tensor ascend in every slot."""
    start = 0
    while start < len(atoms):
        end = start + 1
        while end < len(atoms) and atoms[end] == atoms[start]:
            end += 1
        if end - start > 1:
            at[start:end].sort(axis=0)
        start = end


def _ordered(atoms: tuple[Atom, ...], coefficients: list[Numbers], positions: Ints) -> _Rows | None:
    """What ``_merged`` gives where rows need no merging: no coefficient depends on the slot, and one order of the rows
    has increasing positions in all slots, as where they are the two parts of complex numbers. None elsewhere."""
    if not atoms or any(c.ndim or not c for c in coefficients):
        return None
    order = np.lexsort(tuple(positions[:, k, 0] for k in reversed(range(len(atoms)))))
    positions = positions[order]
    less = np.zeros((len(coefficients) - 1, positions.shape[2]), bool)
    for read in reversed(range(len(atoms))):
        before, behind = positions[:-1, read], positions[1:, read]
        less = (before < behind) | ((before == behind) & less)
    if not less.all():
        return None
    return _Rows(atoms, rounded(np.array(coefficients)[order][:, None]), positions)


def _merged(atoms: tuple[Atom, ...], coefficients: Numbers, positions: Ints) -> _Rows | None:
    """Rows sorted slot by slot, equal ones added, zeros first and left out where a whole row is zero."""
    for again in (False, True):
        if len(coefficients) > 1:
            if atoms:
                order = np.lexsort(tuple(positions[:, k] for k in reversed(range(len(atoms)))), axis=0)
                coefficients = np.take_along_axis(coefficients, order, axis=0)
                positions = np.take_along_axis(positions, order[:, None, :], axis=0)
            if not again:
                coefficients = _added(coefficients, positions)
        if not again:
            coefficients = rounded(coefficients)
            zero = coefficients == 0
            if zero.any():
                positions = np.where(zero[:, None, :], -1, positions)
    present = coefficients.any(axis=1)
    if not present.any():
        return None
    coefficients, positions = coefficients[present], positions[present]
    if (coefficients == coefficients[:, :1]).all():
        coefficients = coefficients[:, :1]
    return _Rows(atoms, coefficients, positions)


def _added(coefficients: Numbers, positions: Ints) -> Numbers:
    coefficients = coefficients.copy()
    for row in range(len(coefficients) - 1, 0, -1):
        same = (positions[row] == positions[row - 1]).all(axis=0)
        coefficients[row - 1] += np.where(same, coefficients[row], 0)
        # what cancels up to the rounding of doubles is zero
        size = np.abs(coefficients[row]) * 2.0**-DIGITS
        coefficients[row - 1] = np.where(same & (np.abs(coefficients[row - 1]) <= size), 0, coefficients[row - 1])
        coefficients[row] = np.where(same, 0, coefficients[row])
    return coefficients


def _name(vector: Vector) -> bytes:
    """A name for a vector's terms as they stand."""
    digest = hashlib.sha256(repr(vector.shape).encode())
    for term in vector.terms:
        arrays = [np.asarray(term.coefficient, np.complex128), *(at for _, at in term.reads)]
        digest.update(repr(([atom for atom, _ in term.reads], [(a.shape, a.dtype.str) for a in arrays])).encode())
        for array in arrays:
            digest.update(np.ascontiguousarray(array).data)
    return digest.digest()


def _leading(rows: list[_Rows]) -> complex:
    """The first coefficient, where all are the same in all slots: the rows are divided by it."""
    if any(group.coefficients.shape[1] > 1 for group in rows):
        return 1 + 0j
    number = complex(rows[0].coefficients[0, 0])
    for n, group in enumerate(rows):
        rows[n] = _Rows(group.atoms, rounded(group.coefficients / number), group.positions)
    return number


def _marks(rows: list[_Rows]) -> npt.NDArray[np.uint64]:
    """A number per slot, the same for equal slots and for conjugate ones."""
    mark = np.zeros(rows[0].positions.shape[2], np.uint64)
    with np.errstate(over="ignore"):
        for group in rows:
            for row, coefficient in enumerate(group.coefficients):
                parts = [*group.positions[row]]
                parts += [coefficient.real.view(np.int64), np.abs(coefficient.imag).view(np.int64)]
                for part in parts:
                    mark = (mark ^ np.ascontiguousarray(part).view(np.uint64)) * ODD
                    mark ^= mark >> np.uint64(29)
    return mark


def _start(marks: npt.NDArray[np.uint64]) -> tuple[int, int]:
    """Where the rotation of the marks begins that is the same for all their rotations, and their period. Marks are
    compared run by run: a weight fills as many slots in a row as there are tokens."""
    begins = np.flatnonzero(marks != np.roll(marks, 1))
    if not len(begins):
        return 0, 1
    lengths = np.diff(begins, append=begins[0] + len(marks))
    with np.errstate(over="ignore"):
        first, period = _least(marks[begins] ^ lengths.astype(np.uint64) * ODD)
    return int(begins[first]), int(lengths[:period].sum())


def _least(marks: npt.NDArray[np.uint64]) -> tuple[int, int]:
    """Where the least rotation of the marks begins, and their period."""
    n = len(marks)
    candidates = np.flatnonzero(marks == marks.min())
    offset = 1
    while len(candidates) > 1 and offset < n:
        ahead = marks[(candidates + offset) % n]
        kept = candidates[ahead == ahead.min()]
        if len(kept) == len(candidates) and n % len(candidates) == 0:
            # evenly spaced candidates that never differ: a period, if the whole says so
            period = n // len(candidates)
            if offset >= period and (np.diff(candidates) == period).all():
                break
        candidates = kept
        offset += 1
    return int(candidates[0]), n // len(candidates) if n % len(candidates) == 0 else n


def _bytes(rows: list[_Rows], turn: int, conjugated: bool) -> bytes:
    digest = hashlib.sha256()
    for group in rows:
        coefficients = group.coefficients.conj() + 0.0 if conjugated else group.coefficients
        digest.update(repr((group.atoms, coefficients.shape)).encode())
        digest.update(_turned(coefficients, turn))
        digest.update(_turned(group.positions, turn))
    return digest.digest()


def _turned(array: npt.NDArray[np.generic], turn: int) -> bytes:
    return np.concatenate((array[..., turn:], array[..., :turn]), axis=-1).tobytes()


ODD = np.uint64(0x9E3779B97F4A7C15)
"""Mixes bits, as a factor."""


@dataclass
class Contents:
    """The registry. ``slots`` is the length of vectors; everything else repeats with it."""

    slots: int
    period: list[int] = field(default_factory=list)
    real: list[bool] = field(default_factory=list)
    _seen: list[tuple[Vector, int, bool] | None] = field(default_factory=list)
    """How each was first seen, where it starts, and whether as its conjugate; None for names, and beyond
    ``MAX_BYTES``."""
    _bytes: int = 0
    _known: dict[bytes, int] = field(default_factory=dict)
    _read: dict[bytes, tuple[complex, Factor] | None] = field(default_factory=dict)
    """What was found for vectors by their terms as they stand: module and program mostly say the same in one way."""

    def numbers(self, vector: Vector) -> Numbers | None:
        """The values of a vector that reads no tensor, one number when all slots hold the same; else None."""
        terms = [t for t in vector.terms if t.coefficient.any()]
        if any(t.reads for t in terms):
            return None
        values = np.zeros(1, np.complex128)
        for term in terms:
            values = values + np.atleast_1d(term.coefficient)
        return values[:1] if (values == values[0]).all() else values

    def factor(self, vector: Vector) -> tuple[complex, Factor] | None:
        """A number and the identity of a vector that reads tensors, which is their product; None when all of it
        cancels."""
        slots = (
            1 if all(_constant(t.coefficient) and all(_constant(p) for _, p in t.reads) for t in vector.terms) else 0
        )
        if slots:
            vector = vector.map(lambda a: np.asarray(a).reshape(-1)[:1])
        name = _name(vector)
        if name not in self._read:
            self._read[name] = self._identified(vector, slots)
        return self._read[name]

    def _identified(self, vector: Vector, slots: int) -> tuple[complex, Factor] | None:
        """``factor`` of a vector not seen before in these terms; ``slots``: 1 where all hold the same, else 0."""
        rows = _canonical(vector, slots or self.slots)
        if not rows:
            return None
        number = _leading(rows)
        start, period = (0, 1) if slots else _start(_marks(rows))
        real = not any(group.coefficients.imag.any() for group in rows)
        conjugated = not real and _leads_down(rows, start)
        digest = _bytes(rows, start, conjugated)
        known = self._known.get(digest)
        if known is None:
            known = self._known[digest] = len(self.period)
            if period < self.slots and not slots and _bytes(rows, start + period, conjugated) != digest:
                # the marks repeat and the content does not: conjugates of each other, or a collision
                period = self.slots
            self._new(period, real, vector.scaled(1 / number), start, conjugated)
        return number, Factor(known, -start % self.period[known], conjugated)

    def name(self, *, real: bool = False) -> Factor:
        """A vector of which nothing is known, or only that it is real."""
        self._new(self.slots, real, None, 0, False)
        return Factor(len(self.period) - 1, 0, False)

    def support(self, factor: Factor) -> npt.NDArray[np.bool_]:
        """Slots in which a factor may not be zero, by its coefficients; all, where it was not kept."""
        vector = self.vector(factor)
        found = np.zeros(self.slots, bool)
        for term in vector.terms if vector is not None else ():
            found |= np.asarray(term.coefficient, np.complex128) != 0
        return found if vector is not None else ~found

    def _new(self, period: int, real: bool, vector: Vector | None, start: int, conjugated: bool) -> None:
        if vector is not None:
            self._bytes += sum(t.coefficient.nbytes + sum(p.nbytes for _, p in t.reads) for t in vector.terms)
        self.period.append(period)
        self.real.append(real)
        self._seen.append(None if vector is None or self._bytes > MAX_BYTES else (vector, start, conjugated))

    def vector(self, factor: Factor) -> Vector | None:
        """What a factor stands for, where that was kept."""
        seen = self._seen[factor.content]
        if seen is None:
            return None
        vector, start, conjugated = seen
        vector = vector.map(lambda array: np.roll(array, -start - factor.amount))
        return vector.conj() if factor.conjugated != conjugated else vector


def _constant(array: npt.NDArray[np.generic]) -> bool:
    if array.ndim == 0 or not any(array.strides):
        return True
    flat = array.reshape(-1)
    return bool(flat[0] == flat[-1] and (flat == flat[0]).all())


def _leads_down(rows: list[_Rows], start: int) -> bool:
    """Whether the first imaginary part, read from ``start``, is negative: then the conjugate is the one to name."""
    for group in rows:
        for coefficient in group.coefficients:
            imaginary = np.roll(coefficient.imag, -start)
            nonzero = np.flatnonzero(imaginary)
            if nonzero.size:
                return bool(imaginary[nonzero[0]] < 0)
    return False
