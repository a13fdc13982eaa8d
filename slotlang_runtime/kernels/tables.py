"""Constants of a ring for the kernels: powers of roots of unity, and permutations of slots. Imports neither tenseal nor
numba.

Of each prime five arrays: factors of the transform and its last three levels, the same of the inverse, and ten
constants. Of each pair of primes (i, j) eight numbers: p_i, half of it, -half modulo p_j, its inverse modulo p_j with a
quotient, and -p_i modulo p_j. Each of doubles or words, as the arithmetic is.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]

LOW_BITS = 30
"""Where factors of sums of products are split, in words."""

LINE = 64
"""Bytes of a line of the cache, with which arrays begin."""

MOST_BITS = {"words": 63, "doubles": 51, "ifma50": 51, "ifma45": 51}
"""Bits of a plaintext's coefficient with its sign that kernels expand, by their kind."""

STRIP = 128
"""Residues of a row that are summed up at a time, so that sums of products stay in the nearest cache."""

PAD = 72
"""Words after each row: rows that lie a power of two apart would fall on the same few sets of the cache."""


def aligned(shape: tuple[int, ...], kind: Any = np.uint64) -> Array:
    """A new array of zeros that starts with a line of the cache; items are of 8 bytes."""
    size = 8 * int(np.prod(shape))
    room = np.zeros(size + 64, np.uint8)
    start = -room.ctypes.data % 64
    made: Array = room[start : start + size].view(kind).reshape(shape)
    return made


def reversed_bits(n: int) -> npt.NDArray[np.int64]:
    """The numbers below n, a power of two, by their bits in reverse."""
    k = n.bit_length() - 1
    numbers = np.arange(n)
    return sum(((numbers >> i & 1) << (k - 1 - i) for i in range(k)), np.zeros(n, np.int64))


@lru_cache(maxsize=64)
def smallest_root(p: int, n: int) -> int:
    """SEAL's choice of a primitive root of order 2n modulo p: the smallest one."""
    root = next(r for r in (pow(a, (p - 1) // (2 * n), p) for a in range(2, 1000)) if pow(r, n, p) == p - 1)
    square, best = root * root % p, root
    for _ in range(n):
        root = root * square % p
        best = min(best, root)
    return best


def compact_bytes(bits: int, count: int) -> int:
    """Bytes of a plaintext of so many coefficients of so many bits, and of what is read behind them."""
    return bits * count // 8 + LINE


class Arithmetic:
    """How one kind of kernels holds constants."""

    def __init__(self, kind: str) -> None:
        self.bits = {"words": 64, "doubles": 0}.get(kind, 52)
        self.type: Any = np.uint64 if self.bits else np.float64

    def twice(self, w: int, p: int) -> tuple[Any, Any]:
        """A constant factor and its quotient."""
        if self.bits:
            return w, (w << self.bits) // p
        w = centred(w, p)
        return w, w / p

    def constants(self, p: int) -> list[Any]:
        """p, 1/p or its like; then what sums of products need."""
        if self.bits == 52:
            return [p, (1 << 52) // p, *self.twice((1 << 52) % p, p), 0, 0, 0, 0, 0, 0]
        if self.bits:
            bits = p.bit_length()
            return [
                p,
                (1 << 64) // p,
                *self.twice((1 << bits) % p, p),
                2 * LOW_BITS - bits,
                (1 << bits) - 1,
                0,
                0,
                0,
                0,
            ]
        return [p, 1 / p, 1.5 * 2.0 ** (2 * p.bit_length() + 2), 0, 0, 0, 0, 0, 0, 0]

    def pair(self, p: int, other: int) -> list[Any]:
        """Of prime ``p`` modulo another."""
        if p == other:
            return [p, p >> 1, *[0] * 6]
        return [p, p >> 1, -(p >> 1) % other, *self.twice(pow(p, -1, other), other), -p % other, 0, 0]


def centred(w: int, p: int) -> int:
    """The residue around 0."""
    return w - p if 2 * w > p else w


def _transform(arithmetic: Arithmetic, p: int, n: int) -> list[Array]:
    root, powers = smallest_root(p, n), [1]
    for _ in range(2 * n - 1):
        powers.append(powers[-1] * root % p)
    order, pair = reversed_bits(n), np.arange(n // 16).reshape(-1, 4, 1)
    made = []
    for sign in (1, -1):
        twiddles = [powers[sign * e % (2 * n)] for e in order.tolist()]
        both = [arithmetic.twice(w, p) for w in twiddles]
        table = aligned((n + 1, 2), arithmetic.type)
        if sign < 0:
            # the last level divides by n
            divided = pow(n, -1, p)
            both = [arithmetic.twice(divided, p), *both[1:], arithmetic.twice(divided * twiddles[1] % p, p)]
        table[: len(both)] = np.array(both, arithmetic.type)
        # of four pairs of vectors each: 8, 4 and 2 factors, and their quotients where products take them
        levels = ((n // 2, [0, 2, 4, 6, 1, 3, 5, 7]), (n // 4, [0, 1, 2, 3]), (n // 8, [0, 1]))
        parts = [
            table[first + len(lanes) * pair + lanes, : 2 if arithmetic.bits else 1].swapaxes(2, 3)
            for first, lanes in levels
        ]
        found = np.concatenate([part.reshape(len(pair), -1) for part in parts], 1)
        tail = aligned(found.shape, arithmetic.type)
        tail[:] = found
        made += [table, tail]
    return made


class Tables:
    """Constants of a ring. ``addresses``: primes x 5, of their arrays; ``pairs``: primes x primes x 8."""

    def __init__(self, kind: str, degree: int, moduli: Sequence[int]) -> None:
        self.arithmetic = Arithmetic(kind)
        self.degree, self.moduli = degree, list(moduli)
        self._arrays: list[Array] = []
        self.addresses = aligned((len(self.moduli), 5))
        self.pairs = aligned((len(self.moduli), len(self.moduli), 8), self.arithmetic.type)
        for i, p in enumerate(self.moduli):
            row = aligned((10,), self.arithmetic.type)
            row[:] = np.array(self.arithmetic.constants(p), self.arithmetic.type)
            made = [*_transform(self.arithmetic, p, degree), row]
            self._arrays += made
            self.addresses[i] = [array.ctypes.data for array in made]
            for j, other in enumerate(self.moduli):
                self.pairs[i, j] = np.array(self.arithmetic.pair(p, other), self.arithmetic.type)
        self._lock = threading.Lock()
        self._moves: dict[int, tuple[int, int]] = {}

    @cached_property
    def stride(self) -> int:
        """Words from one row to the next."""
        return self.degree + PAD

    def move(self, element: int) -> tuple[int, int]:
        """Addresses of how X -> X^element moves residues in SEAL's order: block b of eight comes from block
        ``source[b] >> 3``, its lanes by the order number ``source[b] & 7``."""
        with self._lock:
            if element not in self._moves:
                n, order, three = self.degree, reversed_bits(self.degree // 8), reversed_bits(8)
                to = (2 * order + 1) * element % (2 * n)
                source, lanes = aligned((n // 8,)), aligned((8, 8))
                source[:] = order[(to % (n // 4) - 1) // 2] * 8 + to // (n // 4)
                for c in range(8):
                    lanes[c] = three[(three * element + c) % 8]
                self._arrays += [source, lanes]
                self._moves[element] = int(source.ctypes.data), int(lanes.ctypes.data)
            return self._moves[element]


@lru_cache(maxsize=16)
def tables_of(kind: str, degree: int, moduli: tuple[int, ...]) -> Tables:
    """The constants of a ring, made once for all its programs."""
    return Tables(kind, degree, moduli)
