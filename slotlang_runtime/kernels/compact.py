"""Plaintexts kept as integer coefficients, in the bits that they need, and expanded by transforms when they are used.

An encoded plaintext is a polynomial of integers about as large as its scale. Its residues, transformed modulo every
prime and eight bytes each, take several times as much memory. The residues that come of its coefficients are the same,
so all that is computed with them is the same, bit for bit. Of real slots, half of the coefficients say all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from slotlang_runtime.kernels.residues import Plaintext, ResidueRing, Rows, addresses
from slotlang_runtime.kernels.tables import LINE, MOST_BITS, Array, compact_bytes
from slotlang_runtime.residues import Words


@dataclass(eq=False, slots=True)
class Compact:
    """A plaintext at a level, and its scale, as coefficients of so many bits each, at an address (``compacting.py``).
    ``half``: of real slots, of which half of the coefficients are kept. ``added``: it is added, and is not a factor of
    products."""

    memory: Array = field(repr=False)
    at: int
    bits: int
    half: bool
    level: int
    scale: float
    added: bool

    def size(self, degree: int) -> int:
        """The memory it takes."""
        return compact_bytes(self.bits, degree // 2 if self.half else degree)

    def content(self, degree: int) -> memoryview:
        """That memory."""
        start = self.at - int(self.memory.ctypes.data)
        return self.memory[start : start + self.size(degree)].data


def compacted(ring: ResidueRing, plain: Plaintext, added: bool) -> Compact | Plaintext:
    """The compact form of a plaintext. The plaintext itself where coefficients have more bits than kernels expand."""
    words = ring.plaintext_words(plain, added)
    # where all coefficients are within half of a prime around 0, its residues say all
    for rows in (1, len(words)):
        numbers = _integers(ring, words[:rows])
        made = None if numbers is None else _packed(ring, numbers, plain, added)
        if made is not None and np.array_equal(ring.plaintext_words(expanded(ring, made), added), words):
            return made
    return plain


def expanded(ring: ResidueRing, plain: Compact, rows: Rows | None = None) -> Plaintext:
    """The plaintext of a compact one, in these rows or new ones."""
    rows = rows or ring.rows(ring.primes(plain.level))
    expand(ring, ring.kernels, [plain], rows)
    return Plaintext(rows, plain.level, plain.scale)


def expand(ring: ResidueRing, kernels: Any, plains: Sequence[Compact], rows: Rows) -> None:
    """Expand plaintexts of one level, either all factors or all added, to rows that follow each other."""
    at, bits = addresses(plain.at for plain in plains), addresses(plain.bits + (plain.half << 8) for plain in plains)
    primes = ring.primes(plains[0].level)
    layout = primes, ring.degree, ring.stride, ring.table
    kernels.expanded(at[1], bits[1], rows.at, len(plains), not plains[0].added, *layout)


def _integers(ring: ResidueRing, words: Words) -> npt.NDArray[np.int64] | None:
    """The integers around 0 with these residues modulo the first primes, primes x degree; None where one has more than
    63 bits."""
    rows, moduli = ring.untransformed(words), ring.ring.moduli[: len(words)]
    if len(moduli) == 1:
        numbers: npt.NDArray[np.int64] = rows[0].astype(np.int64)
        numbers -= np.int64(moduli[0]) * (numbers > moduli[0] // 2)
        return numbers
    modulus, total = math.prod(moduli), np.zeros(ring.degree, object)
    for row, prime in zip(rows, moduli, strict=True):
        others = modulus // prime
        total = total + row.astype(object) * (others * pow(others, -1, prime))
    centred = (total + modulus // 2) % modulus - modulus // 2
    if centred.min() < -(1 << 62) or centred.max() >= 1 << 62:
        return None
    found: npt.NDArray[np.int64] = centred.astype(np.int64)
    return found


def _packed(ring: ResidueRing, numbers: npt.NDArray[np.int64], plain: Plaintext, added: bool) -> Compact | None:
    """The compact form of these coefficients; None where they have too many bits."""
    bits = int(np.maximum(numbers, ~numbers).max()).bit_length() + 1
    if bits > MOST_BITS[ring.kernels.kind]:
        return None
    quarter, middle = ring.degree // 4, ring.degree // 2
    half = not numbers[middle] and np.array_equal(numbers[1:middle], -numbers[:middle:-1])
    if half:
        numbers = np.concatenate([numbers[: quarter + 1], numbers[middle - 1 : quarter : -1]])
    memory = np.empty(compact_bytes(bits, len(numbers)) + LINE, np.uint8)
    at = int(memory.ctypes.data)
    at += -at % LINE
    counted = (numbers + (1 << (bits - 1))).view(np.uint64)
    ring.kernels.shrunk(counted.ctypes.data, at, len(numbers), bits)
    return Compact(memory, at, bits, half, plain.level, plain.scale, added)
