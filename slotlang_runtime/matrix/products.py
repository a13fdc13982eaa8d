"""Matrix products of integers modulo the primes, exact in float64.

A constant is encoded as an integer c, so that each result is a sum of integers times ciphertexts, modulo every
prime p. Residues are cut into pieces of b bits, x = sum_i x_i * 2^(b*i), and the products C @ x_i are float64 BLAS:
integers, and exact in any order of summation, for |sum_k c_k * x_ik| < 2^b * sum_k |c_k| <= 2^53. With t = sum_i
2^(b*i) * (C @ x_i) as an integer modulo 2^64 and q = round(t / p) in floating point, t - q*p is the residue, or the
residue less p: q is off by at most 1/2 and the error of its computation, below (pieces + 3) * 2^-53 * sum_k |c_k|
<= 2^-b * (pieces + 3), which is below 1/4 for b >= LEAST_PIECE; so |t - q*p| < 3/4 * p < 2^63, and t - q*p is right
although t itself may not fit 64 bits.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang_runtime.masks import uniform
from slotlang_runtime.matrix.constants import Constants, Impossible
from slotlang_runtime.matrix.recording import Plan, Stage
from slotlang_runtime.module import Name

Words: TypeAlias = npt.NDArray[np.uint64]
Numbers: TypeAlias = npt.NDArray[np.float64]

TILE = 1 << 10, 1 << 5
"""Residues and rows that are worked on at once: they stay in the second cache."""


class Product:
    """One stage: its matrix, and how its operands are cut into pieces."""

    def __init__(self, stage: Stage) -> None:
        self.matrix, self.at = stage.matrix(), stage.at
        largest = int(np.abs(self.matrix).sum(axis=1).max())
        self.bits = min(53 - largest.bit_length(), 52)

    def run(self, taken: Callable[[list[int]], Words], prime: int) -> Iterator[Words]:
        """Rows modulo a prime, a tile after the other; ``taken(places)`` are residues of operands."""
        rows, columns = self.matrix.shape
        pieces: Any = None
        for row in range(0, rows, TILE[1]):
            sums: Any = 0
            for start in range(0, columns, TILE[1]):
                if columns > TILE[1] or pieces is None:
                    pieces = cut(taken(self.at[start : start + TILE[1]]), self.bits, prime)
                sums = sums + self.matrix[row : row + TILE[1], start : start + TILE[1]] @ pieces
            yield reduced(sums, self.bits, prime)


def cut(residues: Words, bits: int, prime: int) -> Numbers:
    """Residues as float64 numbers of this number of bits each, the lowest first."""
    mask = np.uint64((1 << bits) - 1)
    pieces = np.empty((-(-prime.bit_length() // bits), *residues.shape))
    for n, piece in enumerate(pieces):
        np.copyto(piece, residues >> np.uint64(bits * n) & mask, casting="unsafe")
    return pieces


def reduced(sums: Numbers, bits: int, prime: int) -> Words:
    """``sum_i sums[i] * 2^(bits*i)`` modulo a prime, of integers in float64; ``sums`` is overwritten."""
    total, other = np.empty(sums.shape[1:], np.int64), np.empty(sums.shape[1:], np.int64)
    words = total.view(np.uint64)
    np.copyto(total, sums[-1], casting="unsafe")
    quotient = sums[-1]
    for below in sums[-2::-1]:
        words <<= np.uint64(bits)
        np.copyto(other, below, casting="unsafe")
        total += other
        quotient *= 2.0**bits
        quotient += below
    quotient *= 1 / prime
    np.rint(quotient, out=quotient)
    np.copyto(other, quotient, casting="unsafe")
    other *= prime
    total -= other
    np.right_shift(total, 63, out=other)  # -1 where negative
    other &= prime
    total += other
    return words


class Memory(threading.local):
    """Room for residues: that of an earlier call, if this process and thread made it and nothing refers to a part of it
    any more.

    To get new memory takes as long as to compute on it.
    """

    def __init__(self) -> None:
        self._process: int | None = None
        self._room: Words = np.empty(0, np.uint64)

    def __call__(self, *shape: int) -> Words:
        if self._process != os.getpid() or self._room.shape != shape or sys.getrefcount(self._room) > 2:
            # one array, which the system gives in large pages
            self._process, self._room = os.getpid(), np.empty(shape, "<u8")
        return self._room.view()


class Matrices:
    """A plan as matrix products. Raises ``Impossible`` where they would not be exact, or where this machine's BLAS
    is not."""

    def __init__(self, ring: Constants, plan: Plan) -> None:
        self.ring, self.plan = ring, plan
        self.products = [Product(stage) for stage in plan.stages]
        # where the sums of each stage stand among all values, inputs first
        self.first = np.cumsum([len(plan.inputs), *(len(stage.sums) for stage in plan.stages)]).tolist()
        self._memory = Memory()
        self._check()

    def __call__(self, cipher: Mapping[Name, Words]) -> dict[Name, Words | None]:
        """Residues of the results by name, None where they vanish, of those of the inputs."""
        inputs = [cipher[value.name or ()] for value in self.plan.inputs]
        wanted = sorted({at for at in self.plan.at.values() if at is not None})
        primes = self.ring.primes(0)
        room = self._memory(len(wanted), 2, len(primes), self.ring.degree)
        row = {at: room[n] for n, at in enumerate(wanted)}
        for polynomial in range(2):
            for number, prime in enumerate(primes):
                for start in range(0, self.ring.degree, TILE[0]):
                    here = (polynomial, number, slice(start, start + TILE[0]))
                    operands = [value[here] for value in inputs]
                    for at in row.keys() & range(len(inputs)):
                        row[at][here] = operands[at]
                    for at, residues in self._sums(operands, prime):
                        if at in row:
                            row[at][here] = residues
        found: dict[Name, Words | None] = {}
        given: set[int | None] = set()
        for name, place in self.plan.at.items():
            value = None if place is None or not row[place][1].any() else row[place]
            # masks are added in place, so two names of one sum do not share it
            found[name] = value.copy() if value is not None and place in given else value
            given.add(place)
        return found

    def _sums(self, operands: list[Words], prime: int) -> Iterator[tuple[int, Words]]:
        """Every sum's place and residues modulo a prime, of the inputs' at the same places; ``operands`` grows."""
        for number, product in enumerate(self.products):
            place = self.first[number]
            for rows in product.run(lambda at: np.stack([operands[n] for n in at]), prime):
                yield from enumerate(rows, place)
                place += len(rows)
                operands.extend(rows if number + 1 < len(self.products) else ())

    def _check(self) -> None:
        """Compare the products with Python's integers, in a few random columns."""
        for prime in self.ring.primes(0):
            values = [uniform(prime, 2) for _ in self.plan.inputs]
            exact = [value.astype(object) for value in values]
            for product in self.products:
                operands = np.array([exact[n] for n in product.at], object)
                exact.extend(product.matrix.astype(np.int64).astype(object) @ operands % prime)
            if any((residues != exact[at]).any() for at, residues in self._sums(list(values), prime)):
                raise Impossible("matrix products that are not exact on this machine")
