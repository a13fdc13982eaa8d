"""Sparse polynomials with coefficients in Q(i), each stored once, worked on many at a time.

A monomial is a multiset of atoms, numbers in [0, 2^31). A polynomial is a sorted list of (key, code): key is
``monomial * 2 + part``, part 1 standing for a factor i, and code is the exact coefficient. Equal polynomials
have equal numbers, so vectors of polynomials are integer arrays, compared, rotated and masked as such. Sums
and products are computed for the distinct combinations of operands only, all of them by the same few sorts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import islice
from math import lcm
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.refusals import GaveUp
from slotlang_runtime.amounts import count_of

Ids: TypeAlias = npt.NDArray[np.int64]
Numbers: TypeAlias = Any
"""An array of exact integers: int64 where they fit, else Python integers."""

MAX_BYTES = 1_500_000_000
"""Estimated bytes of stored polynomials; one operation needs up to a gigabyte beside them."""
MAX_WORK = 30_000_000
"""Coefficients computed before giving up, every slot touched counted as four, every product as three: ten seconds."""

_INDEX_BITS = 33
_KEY_BITS = 8 + _INDEX_BITS + 1
_MAX_DEGREE = 255
_MAX_ROWS = 1 << (63 - _KEY_BITS)
_CHUNK = 1 << 21
_MAX_ROW = 1 << 22
_SMALL = 1 << 40
_SAFE = 1 << 62
_OVERHEAD = 280


class Coefficients:
    """Rationals as int64 codes, equal for equal rationals: integers of magnitude below 2^40 stand for
    themselves, all others are numbered from 2^40 on."""

    def __init__(self) -> None:
        self._values: list[Fraction] = []
        self._index: dict[Fraction, int] = {}

    def code(self, value: Fraction) -> int:
        """The code of a rational."""
        if value.denominator == 1 and -_SMALL < value.numerator < _SMALL:
            return value.numerator
        index = self._index.setdefault(value, len(self._values))
        if index == len(self._values):
            self._values.append(value)
        return _SMALL + index

    def value(self, code: int) -> Fraction:
        """The rational of a code."""
        return self._values[code - _SMALL] if code >= _SMALL else Fraction(code)

    def numerators(self, codes: Ids) -> tuple[Numbers, int]:
        """These rationals over a common denominator."""
        if not codes.size or int(codes.max()) < _SMALL:
            return codes, 1
        distinct, inverse = np.unique(codes, return_inverse=True)
        values = [self.value(c) for c in distinct.tolist()]
        denominator = lcm(*(v.denominator for v in values))
        return narrow([int(v * denominator) for v in values])[inverse], denominator

    def codes(self, numbers: Numbers, denominator: int) -> Ids:
        """Codes of ``numbers / denominator``."""
        if numbers.dtype != object and denominator == 1 and _largest(numbers) < _SMALL:
            return np.asarray(numbers, np.int64)
        distinct, inverse = np.unique(numbers, return_inverse=True)
        table = [self.code(Fraction(int(n), denominator)) for n in distinct.tolist()]
        return np.array(table, np.int64)[inverse]


def narrow(numbers: Sequence[int]) -> Numbers:
    """Integers as an int64 array where they fit, else as Python integers."""
    fits = all(-_SAFE < n < _SAFE for n in numbers)
    return np.array(numbers, np.int64 if fits else object)


def _largest(numbers: Numbers) -> int:
    return max(int(numbers.max()), -int(numbers.min())) if numbers.size else 0


def _roomy(numbers: Numbers, factor: int) -> Numbers:
    """``numbers`` in a form in which ``factor`` times the largest of them does not overflow."""
    if numbers.dtype == object or _largest(numbers) * factor < _SAFE:
        return numbers
    return numbers.astype(object)


def _weight(degree: int) -> int:
    """Bytes that a monomial takes, measured."""
    return 140 + 4 * degree


class Monomials:
    """Monomials by number: ``degree * 2^33 + index``; the monomial 1 is 0, an atom a is 2^33 + a."""

    def __init__(self) -> None:
        self._content: list[list[bytes]] = [[], []]
        self._index: list[dict[bytes, int]] = [{}, {}]
        self.bytes = 0

    def of(self, atoms: npt.NDArray[np.int32]) -> Ids:
        """Numbers of the monomials whose atoms are the rows of an (n, degree) array."""
        count, degree = atoms.shape
        if degree == 0:
            return np.zeros(count, np.int64)
        if degree == 1:
            return atoms[:, 0].astype(np.int64) + (1 << _INDEX_BITS)
        if degree > _MAX_DEGREE:
            raise GaveUp(f"a product of more than {_MAX_DEGREE} factors")
        while len(self._index) <= degree:
            self._index.append({})
            self._content.append([])
        index, content = self._index[degree], self._content[degree]
        before = len(index)
        rows = np.sort(atoms, axis=1)
        names: list[bytes] = rows.view(f"V{4 * degree}").ravel().tolist()
        numbers = [index.setdefault(name, len(index)) for name in names]
        new = list(islice(reversed(index), len(index) - before))
        content.extend(reversed(new))
        self.bytes += len(new) * _weight(degree)
        return np.array([number | degree << _INDEX_BITS for number in numbers], np.int64)

    def count(self) -> list[int]:
        """How many monomials of each degree there are."""
        return [len(content) for content in self._content]

    def forget(self, count: Sequence[int]) -> None:
        """Forget those that have come since ``count``."""
        for degree, (content, index) in enumerate(zip(self._content, self._index, strict=True)):
            kept = count[degree] if degree < len(count) else 0
            self.bytes -= (len(content) - kept) * _weight(degree)
            for _ in content[kept:]:
                index.popitem()
            del content[kept:]

    def atoms(self, monomials: Ids) -> npt.NDArray[np.int32]:
        """The sorted atoms of monomials of one degree, (n, degree)."""
        if not monomials.size:
            return np.zeros((0, 0), np.int32)
        degree = int(monomials[0]) >> _INDEX_BITS
        indices = monomials & ((1 << _INDEX_BITS) - 1)
        if degree < 2:
            single: npt.NDArray[np.int32] = indices.astype(np.int32).reshape(-1, 1)
            return single[:, :degree]
        content = self._content[degree]
        joined = b"".join([content[i] for i in indices.tolist()])
        return np.frombuffer(joined, np.int32).reshape(-1, degree)

    def times(self, a: Ids, b: Ids) -> Ids:
        """Products, one by one."""
        result = a + b
        groups = a >> _INDEX_BITS << 8 | b >> _INDEX_BITS
        for group in np.flatnonzero(np.bincount(groups)).tolist():
            # where a or b is 1, their sum is the other
            if group >> 8 and group & 255:
                chosen = groups == group
                result[chosen] = self.of(np.hstack((self.atoms(a[chosen]), self.atoms(b[chosen]))))
        return result

    def split(self, monomials: Ids) -> tuple[Ids, Ids]:
        """Each monomial as another one times its highest atom; 1 is split into 1 and the atom -1."""
        rest, highest = np.zeros_like(monomials), np.full_like(monomials, -1)
        degrees = monomials >> _INDEX_BITS
        for degree in np.flatnonzero(np.bincount(degrees)).tolist():
            if degree:
                chosen = degrees == degree
                atoms = self.atoms(monomials[chosen])
                rest[chosen], highest[chosen] = self.of(atoms[:, :-1]), atoms[:, -1]
        return rest, highest


ZERO, ONE = 0, 1
"""Numbers of the polynomials 0 and 1."""

Part: TypeAlias = tuple[int, Ids, Ids | None]
"""``sign * a * b``, slot by slot, ``b`` None for 1. Vectors with one entry have it in every slot."""


class Polynomials:
    """All polynomials met so far, by number. Operations take and give arrays of numbers, one per slot.

    Any of them raises ``GaveUp`` when the budget of memory or work is spent.
    """

    def __init__(self) -> None:
        self.monomials = Monomials()
        self.coefficients = Coefficients()
        self._content: dict[int, bytes] = {}
        self._count = 0
        self._sizes = np.zeros(1 << 10, np.int64)
        self._table: dict[bytes, int] = {}
        self.held = 0
        """Bytes of the vectors that the caller keeps, which are part of the budget."""
        self._bytes = 0
        self._work = 0
        none = np.zeros(0, np.int64)
        self._intern(none, none, np.zeros(1, np.int64))
        self._intern(np.zeros(1, np.int64), np.ones(1, np.int64), np.ones(1, np.int64))

    # stored polynomials

    def constant(self, re: Fraction, im: Fraction) -> int:
        """The constant ``re + im*i``."""
        parts = [(key, self.coefficients.code(value)) for key, value in ((0, re), (1, im)) if value]
        pairs = np.array(parts, np.int64).reshape(-1, 2)
        return int(self._intern(pairs[:, 0], pairs[:, 1], np.array([len(parts)]))[0])

    def atoms(self, atoms: Ids) -> Ids:
        """The polynomials that are one atom each; 0 where the atom is negative."""
        distinct, inverse = np.unique(atoms, return_inverse=True)
        real = distinct[distinct >= 0]
        keys = self.monomials.of(real.astype(np.int32)[:, None]) * 2
        numbers = np.zeros(len(distinct), np.int64)
        numbers[distinct >= 0] = self.single(keys, np.ones_like(keys))
        return numbers[inverse]

    def single(self, keys: Ids, codes: Ids) -> Ids:
        """Polynomials of one term each; the coefficients are not 0."""
        return self._intern(keys, codes, np.ones_like(keys))

    def entries(self, ids: Ids) -> tuple[Ids, Ids, Ids]:
        """(position in ids, key, code) of every coefficient, in order of positions, then keys."""
        content = self._content
        flat = np.frombuffer(b"".join([content[i] for i in ids.tolist()]), np.int64).reshape(-1, 2)
        return np.repeat(np.arange(len(ids)), self._sizes[ids]), flat[:, 0], flat[:, 1]

    def coefficient(self, number: int, monomial: int) -> tuple[Fraction, Fraction]:
        """Real and imaginary part of one coefficient of one polynomial."""
        _, keys, codes = self.entries(np.array([number]))
        coefficients = dict(zip(keys.tolist(), codes.tolist(), strict=True))
        value = self.coefficients.value
        return value(coefficients.get(2 * monomial, 0)), value(coefficients.get(2 * monomial + 1, 0))

    def keep(self, vectors: Iterable[Ids]) -> None:
        """Forget all polynomials but those in the vectors (and 0 and 1)."""
        kept = np.zeros(self._count, np.bool_)
        kept[[ZERO, ONE]] = True
        for ids in vectors:
            kept[ids] = True
        marks = kept.tobytes()
        for number in [n for n in self._content if not marks[n]]:
            content = self._content.pop(number)
            del self._table[content]
            self._bytes -= len(content) + _OVERHEAD

    def _intern(self, keys: Ids, codes: Ids, lengths: Ids) -> Ids:
        joined = np.stack((keys, codes), axis=1).tobytes()
        table, content, count = self._table, self._content, self._count
        numbers, sizes = [], []
        start = 0
        for end in (np.cumsum(lengths) * 16).tolist():
            piece = joined[start:end]
            number = table.get(piece)
            if number is None:
                number = table[piece] = count
                content[count] = piece
                count += 1
                sizes.append(end - start)
            numbers.append(number)
            start = end
        if count > len(self._sizes):
            self._sizes = np.concatenate((self._sizes, np.zeros(count, np.int64)))
        self._sizes[self._count : count] = np.array(sizes, np.int64) >> 4
        self._count = count
        self._bytes += sum(sizes) + len(sizes) * _OVERHEAD
        self._work += len(keys)
        if self.bytes > MAX_BYTES:
            raise GaveUp(f"the values take more than {MAX_BYTES / 1e9:.1f} GB")
        self._within()
        return np.array(numbers, np.int64)

    def _within(self) -> None:
        """Raises ``GaveUp`` beyond ``MAX_WORK``."""
        if self._work > MAX_WORK:
            raise GaveUp(
                f"the exact method computes up to {MAX_WORK:,} terms, and these were not enough; "
                "a claim about every slot of what is multiplied would keep them few"
            )

    @property
    def bytes(self) -> int:
        """Estimated bytes of stored polynomials."""
        return self._bytes + self.monomials.bytes + self.held

    def collected(self, count: int, rows: Ids, keys: Ids, numbers: Numbers, denominator: int) -> Ids:
        """``count`` polynomials from the coefficients of each row, in any order; equal keys add up."""
        packed = rows << _KEY_BITS | keys
        order = np.argsort(packed, kind="stable")
        packed, numbers = packed[order], numbers[order]
        first = np.ones(len(packed), bool)
        first[1:] = packed[1:] != packed[:-1]
        if not first.all():
            starts = np.flatnonzero(first)
            numbers = np.add.reduceat(_roomy(numbers, len(numbers)), starts)
            packed = packed[starts]
        nonzero = np.asarray(numbers != 0, bool)
        if not nonzero.all():
            packed, numbers = packed[nonzero], numbers[nonzero]
        codes = self.coefficients.codes(numbers, denominator)
        lengths = np.bincount(packed >> _KEY_BITS, minlength=count)
        return self._intern(packed & ((1 << _KEY_BITS) - 1), codes, lengths)

    def _mapped(self, ids: Ids, change: Callable[[Ids, Numbers], tuple[Ids, Numbers]]) -> Ids:
        """Each distinct polynomial with its (keys, numerators) changed."""
        distinct, inverse = np.unique(ids, return_inverse=True)
        result = np.empty_like(distinct)
        for chunk in chunks(self._sizes[distinct]):
            rows, keys, codes = self.entries(distinct[chunk])
            numbers, denominator = self.coefficients.numerators(codes)
            keys, numbers = change(keys, numbers)
            result[chunk] = self.collected(len(result[chunk]), rows, keys, numbers, denominator)
        return result[inverse]

    # arithmetic

    def conj(self, ids: Ids) -> Ids:
        """Complex conjugates; atoms are real."""
        return self._mapped(ids, lambda keys, numbers: (keys, numbers * (1 - 2 * (keys & 1))))

    def part(self, ids: Ids, part: str) -> Ids:
        """Real ("re") or imaginary ("im") parts."""
        wanted = int(part == "im")
        return self._mapped(ids, lambda keys, numbers: (keys & ~1, numbers * ((keys & 1) == wanted)))

    def total(self, parts: Sequence[Part]) -> Ids:
        """Sum of ``sign * a * b``, slot by slot."""
        if len(parts) == 1 and parts[0][0] > 0 and parts[0][2] is None:
            return parts[0][1]
        columns = np.broadcast_arrays(*(_packed(a, b) for _, a, b in parts))
        signs = np.array([sign for sign, _, _ in parts], np.int64)
        step = max(1, _CHUNK // len(parts))
        slots = range(0, max(1, len(columns[0])), step)
        return np.concatenate([self._total(np.stack([c[s : s + step] for c in columns], axis=1), signs) for s in slots])

    def _total(self, rows: Ids, signs: Ids) -> Ids:
        """``total`` for packed products, one row for each slot."""
        self._work += 4 * rows.size
        names = rows.view(f"V{8 * len(signs)}").ravel()
        _, index, inverse = np.unique(names, return_index=True, return_inverse=True)
        rows = rows[index]
        present, single = rows != ZERO, (rows & _FACTOR) == ONE
        result = ((rows >> 32) * (signs > 0)).sum(axis=1)
        # right already where there is one part at most, and that is a polynomial as it stands
        hard = np.flatnonzero((present.sum(axis=1) > 1) | (present & (~single | (signs < 0))).any(axis=1))
        weights = (self._sizes[rows[hard] >> 32] * self._sizes[rows[hard] & _FACTOR]).sum(axis=1)
        for chunk in chunks(weights):
            here = rows[hard[chunk]]
            row, column = np.nonzero(here)
            cells = here[row, column]
            positions, keys, numbers, denominator = self._products(cells >> 32, cells & _FACTOR)
            numbers = numbers * signs[column][positions]
            result[hard[chunk]] = self.collected(len(here), row[positions], keys, numbers, denominator)
        return np.asarray(result[inverse], np.int64)

    def _products(self, a: Ids, b: Ids) -> tuple[Ids, Ids, Numbers, int]:
        """(position in a and b, key, numerator) of the terms of each product, and the denominator."""
        rows, keys, codes = self.entries(a)
        x, x_denominator = self.coefficients.numerators(codes)
        if (b == ONE).all():
            return rows, keys, x, x_denominator
        _, others, codes = self.entries(b)
        y, y_denominator = self.coefficients.numerators(codes)
        left, right = self._sizes[a], self._sizes[b]
        counts = left * right
        self._work += 3 * int(counts.sum())
        self._within()
        rows = np.repeat(np.arange(len(a)), counts)
        local = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        i = np.repeat(np.cumsum(left) - left, counts) + local // right[rows]
        j = np.repeat(np.cumsum(right) - right, counts) + local % right[rows]
        keys, others = keys[i], others[j]
        # i * i = -1
        numbers = _roomy(x, _largest(y))[i] * y[j] * (1 - 2 * (keys & others & 1))
        products = self.monomials.times(keys >> 1, others >> 1) * 2 + ((keys ^ others) & 1)
        return rows, products, numbers, x_denominator * y_denominator


_FACTOR = (1 << 32) - 1


def _packed(a: Ids, b: Ids | None) -> Ids:
    """Products as ``larger factor << 32 | smaller factor``, those that are 0 as 0."""
    if b is None:
        return np.where(a == ZERO, ZERO, a << 32 | ONE)
    # ZERO < ONE < all others
    low, high = np.minimum(a, b), np.maximum(a, b)
    return np.where(low == ZERO, ZERO, high << 32 | low)


def chunks(weights: Ids) -> Iterator[slice]:
    """Runs of rows small enough to be worked on at once, by their weights: the coefficients that each row takes."""
    total = np.cumsum(weights)
    start = 0
    while start < len(weights):
        if weights[start] > _MAX_ROW:
            raise GaveUp(f"a single value has up to {count_of(int(weights[start]), 'term')}")
        done = int(total[start - 1]) if start else 0
        end = int(np.searchsorted(total, done + _CHUNK, side="right"))
        end = min(max(end, start + 1), start + _MAX_ROWS)
        yield slice(start, end)
        start = end


__all__ = ["ONE", "ZERO", "Coefficients", "Ids", "Monomials", "Polynomials", "chunks", "narrow"]
