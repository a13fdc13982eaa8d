"""Ciphertexts and plaintexts as residues in the runtime's own arrays.

A ciphertext's polynomials follow each other, each with a row for every prime of its level; a row has room behind it
(``tables.PAD``). Arrays are used again: new memory would cost as much time as what is computed in it.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from slotlang_runtime.kernels.library import Kernels, kernels
from slotlang_runtime.kernels.processor import processor
from slotlang_runtime.kernels.tables import LINE, LOW_BITS, Array, tables_of
from slotlang_runtime.kernels.unavailable import Unavailable
from slotlang_runtime.parameters import LEAST_DEGREE
from slotlang_runtime.residues import Words
from slotlang_runtime.seal.ring import Ring


class Rows:
    """Memory for rows; given back when it is no longer used."""

    __slots__ = ("_free", "at", "count", "memory", "start")

    def __init__(self, count: int, stride: int, free: list[tuple[Array, int]]) -> None:
        self.count, self._free = count, free
        try:
            # another thread may take the last one
            self.memory, self.start = free.pop()
        except IndexError:
            self.memory = np.empty(8 * count * stride + LINE, np.uint8)
            self.start = int(self.memory.ctypes.data)
        self.at = self.start + -self.start % LINE

    def __del__(self) -> None:
        self._free.append((self.memory, self.start))


@dataclass(eq=False, slots=True)
class Ciphertext:
    """``size`` polynomials at a level, and their scale. ``digits``: of its last polynomial, once a key switch has asked
    for them. ``waits``: it is a sum of products that is not computed yet."""

    rows: Rows
    size: int
    level: int
    scale: float
    digits: Rows | None = None
    waits: bool = False


@dataclass(eq=False, slots=True)
class Plaintext:
    """A plaintext at a level, and its scale: a factor of products, or what is added."""

    rows: Rows
    level: int
    scale: float


@dataclass(frozen=True, slots=True)
class ArrangedKey:
    """A key as kernels read it, at an address; ``digits``: the primes of the first ciphertexts it switches."""

    memory: Array = field(repr=False)
    at: int
    digits: int


@dataclass(frozen=True, slots=True)
class Switch:
    """A key switch of the last polynomial of a ciphertext: with the key of a Galois element, 1 for relinearisation."""

    source: Ciphertext
    element: int


@dataclass(eq=False, slots=True)
class Pending:
    """A sum of key switches and of ciphertexts of two polynomials that is not divided by the key prime yet. ``value``:
    the ciphertext, once something has asked for it. ``merged``: it is part of another sum too."""

    level: int
    scale: float
    switches: list[Switch]
    plus: list[Ciphertext] = field(default_factory=list)
    minus: list[Ciphertext] = field(default_factory=list)
    value: Ciphertext | None = None
    merged: bool = False


def kernels_of(ring: Ring) -> Kernels:
    """The kernels of a ring. Raises Unavailable where it has none."""
    if ring.degree < LEAST_DEGREE:
        raise Unavailable(f"there are no kernels for degree {ring.degree}")
    return kernels(processor().kind(max(ring.moduli).bit_length()))


class ResidueRing:
    """A ring's kernels, tables and memory. Threads share it. ``kernels``: others than the processor's for this ring.
    Raises Unavailable."""

    def __init__(self, ring: Ring, kernels: Kernels | None = None) -> None:
        self.ring, self.degree, self.count = ring, ring.degree, len(ring.moduli)
        self.kernels = kernels or kernels_of(ring)
        self.tables = tables_of(self.kernels.kind, ring.degree, tuple(ring.moduli))
        self.stride = self.tables.stride
        self.table = int(self.tables.addresses.ctypes.data)
        self.pairs = int(self.tables.pairs.ctypes.data)
        self._free: dict[int, list[tuple[Array, int]]] = defaultdict(list)

    def primes(self, level: int) -> int:
        """The number of primes of a ciphertext at a level."""
        return self.count - 1 - level

    def rows(self, count: int) -> Rows:
        """Memory for so many rows, of any content."""
        return Rows(count, self.stride, self._free[count])

    def kept_rows(self, count: int) -> Rows:
        """The same for what is kept: its memory is not used again here, but the system's once it is given up."""
        return Rows(count, self.stride, [])

    def view(self, rows: Rows) -> Array:
        """The rows as an array, with the room behind each."""
        kind = self.tables.arithmetic.type
        made: Array = np.ndarray((rows.count, self.stride), kind, rows.memory, rows.at - rows.start)
        return made

    def ciphertext(self, size: int, level: int, scale: float) -> Ciphertext:
        """A new ciphertext of any content."""
        return Ciphertext(self.rows(size * self.primes(level)), size, level, scale)

    def held(self, a: Ciphertext) -> Words | None:
        """The residues of a ciphertext where they stand, polynomials x primes x degree, to read and to write as long as
        it is there; None where kernels hold doubles."""
        if self.tables.arithmetic.type is not np.uint64:
            return None
        found: Words = self.view(a.rows).reshape(a.size, -1, self.stride)[..., : self.degree]
        return found

    def taken(self, words: Words, level: int, scale: float) -> Ciphertext:
        """A ciphertext from its residues, polynomials x primes x degree."""
        made = self.ciphertext(len(words), level, scale)
        self._read(words, made.rows, self.primes(level))
        return made

    def given(self, a: Ciphertext) -> Words:
        """The residues of a ciphertext, polynomials x primes x degree."""
        primes = self.primes(a.level)
        words = np.empty((a.size, primes, self.degree), np.uint64)
        for k in range(a.size):
            self.kernels.write_rows(
                a.rows.at + 8 * self.stride * primes * k,
                words.ctypes.data + 8 * self.degree * primes * k,
                primes,
                self.degree,
                self.stride,
                0,
                self.table,
            )
        return words

    def _read(self, words: Words, rows: Rows, primes: int) -> None:
        words = np.ascontiguousarray(words, np.uint64)
        for k in range(rows.count // primes):
            self.kernels.read_rows(
                words.ctypes.data + 8 * self.degree * primes * k,
                rows.at + 8 * self.stride * primes * k,
                primes,
                self.degree,
                self.stride,
                0,
                self.table,
            )

    def plaintext(self, words: Words, level: int, scale: float, added: bool, rows: Rows | None = None) -> Plaintext:
        """A plaintext from its residues, primes x degree, in these rows or new ones."""
        primes = self.primes(level)
        rows = rows or self.rows(primes)
        if added:
            self._read(words, rows, primes)
        else:
            words = np.ascontiguousarray(words, np.uint64)
            self.kernels.factors(words.ctypes.data, rows.at, primes, self.degree, self.stride, self.table)
        return Plaintext(rows, level, scale)

    def plaintext_words(self, plain: Plaintext, added: bool) -> Words:
        """The residues of a plaintext, primes x degree: what ``plaintext`` was given."""
        primes = self.primes(plain.level)
        if added or self.kernels.kind != "words":
            (only,) = self.given(Ciphertext(plain.rows, 1, plain.level, plain.scale))
            return np.asarray(only)
        split = self.view(plain.rows)[:, : self.degree]
        low = np.uint64((1 << LOW_BITS) - 1)
        words: Words = (split & low) | (split >> np.uint64(32) << np.uint64(LOW_BITS))
        return words[:primes]

    def transformed(self, words: Words) -> Words:
        """The residues of a polynomial, rows x degree of the first primes, in the order of SEAL's transform."""
        return self._through(self.kernels.transform, words)

    def untransformed(self, words: Words) -> Words:
        """The residues of coefficients, from those in the order of SEAL's transform."""
        return self._through(self.kernels.untransform, words)

    def _through(self, kernel: Any, words: Words) -> Words:
        count, step = len(words), 8 * self.stride
        rows, out = self.rows(count), np.empty((count, self.degree), np.uint64)
        self._read(words, rows, count)
        for j in range(count):
            kernel(rows.at + step * j, rows.at + step * j, self.degree, self.table + 40 * j)
        layout = count, self.degree, self.stride, 0, self.table
        self.kernels.write_rows(rows.at, out.ctypes.data, *layout)
        return out

    def key(self, words: Words) -> ArrangedKey:
        """A key for key switches, from its words, digits x 2 x primes x degree, as kernels read it."""
        digits, _, _, degree = words.shape
        memory = np.empty(8 * words.size + LINE, np.uint8)
        at = int(memory.ctypes.data)
        at += -at % LINE
        words = np.ascontiguousarray(words, np.uint64)
        self.kernels.arranged(words.ctypes.data, at, digits, self.count, degree, self.table)
        return ArrangedKey(memory, at, digits)


def addresses(values: Iterable[int]) -> tuple[Any, int]:
    """A list of addresses for a kernel: what owns it, and where it is."""
    held = array("Q", values)
    return held, held.buffer_info()[0]
