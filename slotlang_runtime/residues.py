"""Residues as bytes, and uniform residues from seeds: by compiled kernels, and by numpy where there are none. Imports
neither tenseal nor numba.

A row of n residues modulo p takes n times the bits of p; n is a multiple of 512. It is eight streams of n / 8 residues,
lowest bits first: stream l has the residues l, l + 8, l + 16, ... Words of 64 bits of the eight streams stand side by
side: the first of each, then the second of each. So a vector of eight words is packed as one word would be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang_runtime.amounts import count_of
from slotlang_runtime.errors import DAMAGED_BYTES, Rejected
from slotlang_runtime.kernels.blake import BLOCK, blocks
from slotlang_runtime.kernels.library import Kernels, kernels
from slotlang_runtime.kernels.unavailable import Unavailable

Words: TypeAlias = npt.NDArray[np.uint64]
"""Residues: polynomials x primes x degree, or primes x degree, in the order of SEAL's transform."""

_LANES = 8
"""Streams that a row is packed to."""

_ROOM = 80
"""Words that the kernel of seeds works in."""


@cache
def byte_kernels() -> Kernels | None:
    """The kernels of this module; None where there are none."""
    try:
        return kernels("bytes")
    except Unavailable:
        return None


def bits_of(modulus: int) -> int:
    """Bits of a residue modulo a prime, or of any number below ``modulus``."""
    return (modulus - 1).bit_length()


def packed_size(moduli: Sequence[int], count: int) -> int:
    """Bytes of ``count`` residues modulo each of these primes."""
    return sum(map(bits_of, moduli)) * count // 8


def packed(rows: Words, moduli: Sequence[int]) -> memoryview:
    """Residues, rows x n, row j modulo the j-th of these primes."""
    if rows.strides[1] != rows.itemsize:
        rows = np.ascontiguousarray(rows)
    count, step = rows.shape[1], rows.strides[0]
    out = np.empty(packed_size(moduli, count), np.uint8)
    compiled, at, row, start = byte_kernels(), out.ctypes.data, rows.ctypes.data, 0
    for number, prime in enumerate(moduli):
        bits = bits_of(prime)
        if compiled is not None:
            compiled.packed(row + step * number, at + start, count, bits)
        else:
            out[start : start + bits * count // 8] = _to_bits(rows[number], bits)
        start += bits * count // 8
    return out.data


def unpacked(data: bytes | memoryview, moduli: Sequence[int], out: Words) -> Words:
    """Fill ``out``, rows x n, each row contiguous, from what ``packed`` made. Raises Rejected for another length, or a
    residue that is not below its prime."""
    count = out.shape[1]
    if len(data) != packed_size(moduli, count):
        raise Rejected(
            f"residues take {count_of(len(data), 'byte')}, expected {packed_size(moduli, count)}: truncated or damaged",
            DAMAGED_BYTES,
        )
    given = np.frombuffer(data, np.uint8)
    compiled, start, wrong = byte_kernels(), 0, False
    most = np.empty(_LANES, np.uint64)
    at, to, step, largest = given.ctypes.data, out.ctypes.data, out.strides[0], most.ctypes.data
    for number, prime in enumerate(moduli):
        bits = bits_of(prime)
        if compiled is not None:
            compiled.unpacked(at + start, to + step * number, count, bits, largest)
        else:
            row = out[number]
            row[:] = _from_bits(given[start : start + bits * count // 8], bits)
            most[:] = row.max()
        if int(most.max()) >= prime:
            wrong = True
        start += bits * count // 8
    if wrong:
        raise Rejected("an object holds a residue that is not below its prime", DAMAGED_BYTES)
    return out


def _to_bits(row: Words, bits: int) -> npt.NDArray[np.uint8]:
    streams = np.ascontiguousarray(row.reshape(-1, _LANES).T, "<u8")
    every = np.unpackbits(streams.view(np.uint8).reshape(-1, 8), axis=1, count=bits, bitorder="little")
    words = np.packbits(every, bitorder="little").view("<u8").reshape(_LANES, -1)
    return np.ascontiguousarray(words.T).view(np.uint8).ravel()


def _from_bits(data: npt.NDArray[np.uint8], bits: int) -> Words:
    words = np.ascontiguousarray(data.view("<u8").reshape(-1, _LANES).T)
    every = np.unpackbits(words.view(np.uint8), bitorder="little").reshape(-1, bits)
    whole = np.packbits(np.pad(every, ((0, 0), (0, 64 - bits))), axis=1, bitorder="little")
    streams = np.ascontiguousarray(whole).view("<u8").reshape(_LANES, -1)
    return np.ascontiguousarray(streams.T).ravel().astype(np.uint64, copy=False)


def added(x: Words, y: Words, prime: int | Words) -> Words:
    """The sum of residues modulo a prime, or modulo a column of primes."""
    total = x + y
    # below the prime, the difference wraps around and is the larger one
    reduced: Words = np.minimum(total, total - np.asarray(prime, np.uint64))
    return reduced


def negated(x: Words, primes: Words) -> Words:
    """The negatives of residues modulo a column of primes."""
    rest = primes - x
    # of 0 that is the prime
    reduced: Words = np.minimum(rest, rest - primes)
    return reduced


def uniform(seed: bytes, moduli: Sequence[int], out: Words) -> Words:
    """Fill ``out``, primes x n, each row contiguous, with the polynomial that SEAL makes of a seed of 64 bytes: words
    of its generator modulo each prime, those too large drawn again, one by one, from the blocks that follow."""
    count = out.shape[1]
    compiled = byte_kernels()
    limits = [_limit(prime) for prime in moduli]
    if compiled is not None:
        table = np.array([[prime, (1 << 64) // prime, 0] for prime in moduli], np.uint64)
        key, room = np.frombuffer(seed, "<u8").astype(np.uint64), np.empty(_ROOM, np.uint64)
        shape = len(moduli), count, out.strides[0] // out.itemsize
        compiled.expanded(key.ctypes.data, out.ctypes.data, *shape, table.ctypes.data, room.ctypes.data)
        if all(most < limit for most, limit in zip(table[:, 2].tolist(), limits, strict=True)):
            return out
    first = len(moduli) * count // BLOCK
    drawn = blocks(seed, 0, first).reshape(out.shape)
    more = _further(seed, first)
    for row, prime, limit in zip(drawn, moduli, limits, strict=True):
        for at in np.flatnonzero(row >= np.uint64(limit)):
            while row[at] >= limit:
                row[at] = next(more)
        row %= np.uint64(prime)
    out[:] = drawn
    return out


def _limit(prime: int) -> int:
    """Draws from here on are drawn again: SEAL's bound."""
    return (1 << 64) - 2 - ((1 << 64) - 1) % prime


def _further(seed: bytes, block: int) -> Iterator[int]:
    while True:
        yield from blocks(seed, block, 1).tolist()
        block += 1
