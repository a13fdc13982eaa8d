"""Ciphertexts as residues: from a client's bytes without SEAL, and back."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang_runtime.errors import DAMAGED_BYTES, Rejected
from slotlang_runtime.matrix.constants import Impossible
from slotlang_runtime.seal.ring import Ring
from slotlang_runtime.seal.saved import (
    HEADER,
    ZSTD,
    Saved,
    ciphertext_bytes,
    ciphertext_limit,
    header,
    library,
    load_ciphertext,
    saved,
)

Words: TypeAlias = npt.NDArray[np.uint64]
"""Residues: polynomials x primes x degree, or primes x degree."""

_BLAKE2XB = 1
_BLOCK = 4096  # bytes that SEAL's generator draws at once


def _function(name: str, *arguments: Any) -> Any:
    function = library(name, *arguments)
    if function is None:
        raise Impossible(f"this build of TenSEAL hides its {name}")
    return function


def add_masks(ring: Ring, value: Words, masks: Sequence[Words]) -> Words:
    """Add masks to the first polynomial, in place."""
    primes = np.array(ring.primes(0), np.uint64)[:, None]
    for mask in masks:
        total = value[0] + mask
        # of a sum below the prime, the difference wraps around and is the larger one
        np.minimum(total, total - primes, out=value[0])
    return value


def from_seed(seed: bytes, moduli: Sequence[int], residues: Words) -> None:
    """Fill ``residues``, primes x degree, with the polynomial that SEAL makes of a seed: words of BLAKE2Xb modulo each
    prime, those too large drawn again."""
    size = ctypes.c_size_t
    generate = _function("blake2xb", ctypes.c_void_p, size, ctypes.c_char_p, size, ctypes.c_char_p, size)

    def draw(words: Words, block: int) -> None:
        for at in range(0, words.nbytes, _BLOCK):
            generate(words.ctypes.data + at, _BLOCK, struct.pack("<Q", block + at // _BLOCK), 8, seed, len(seed))

    def further() -> Iterator[Any]:
        words, block = np.empty(_BLOCK // 8, "<u8"), residues.nbytes // _BLOCK
        while True:
            draw(words, block)
            yield from words
            block += 1

    draw(residues, 0)
    more = further()
    for row, prime in zip(residues, moduli, strict=True):
        limit = 2**64 - 1 - (2**64 - 1) % prime - 1
        for at in np.flatnonzero(row >= np.uint64(limit)):
            while row[at] >= limit:
                row[at] = next(more)
        row %= np.uint64(prime)


def load_residues(ring: Ring, data: bytes | memoryview, room: Words) -> Words:
    """The residues of a client's ciphertext in ``room``, polynomials x primes x degree; Rejected as by
    ``load_ciphertext``."""
    moduli = ring.primes(0)
    record = Saved(ring.shared, data, ciphertext_limit(ring.shared, len(moduli)))
    given = record.ciphertext(ring.levels[0], moduli, ring.scale(0))
    record.end()
    if record.seed is None:
        room[:] = given
    elif record.seed[0] == _BLAKE2XB:
        room[0] = given[0]
        from_seed(record.seed[1], moduli, room[1])
    else:
        # SEAL's other generator, which its clients use only when they are built so
        whole = saved(load_ciphertext(ring, data, 0))
        expanded = Saved(ring.shared, whole, ciphertext_limit(ring.shared, len(moduli)))
        room[:] = expanded.ciphertext(ring.levels[0], moduli, ring.scale(0))
    if not room[1].any():
        raise Rejected("a ciphertext is not encrypted: anyone could read it", DAMAGED_BYTES)
    return room


def saved_residues(ring: Ring, value: Words, level: int, products: int) -> bytes:
    """The bytes of a ciphertext with these residues, in SEAL's format; compressed less tightly than SEAL does it, in a
    fifth of the time."""
    plain = ciphertext_bytes(ring, value, level, ring.scale(level, products))
    body = np.frombuffer(plain, np.uint8)[HEADER.size :]
    size = ctypes.c_size_t
    compress = _function("ZSTD_compress", ctypes.c_void_p, size, ctypes.c_void_p, size, ctypes.c_int)
    out = np.empty(len(body) + (len(body) >> 8) + 64, np.uint8)
    length = compress(out.ctypes.data, len(out), body.ctypes.data, len(body), 1)
    if length > len(out):
        raise Rejected("a result can't be compressed", DAMAGED_BYTES)
    head = header()[:5] + struct.pack("<BHQ", ZSTD, 0, HEADER.size + length)
    return b"".join([head, out.data[:length]])
