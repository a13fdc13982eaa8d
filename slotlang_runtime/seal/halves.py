"""Results of which one part is read: half of c0 in place of c0.

With s the secret key, (c0, c1) decrypts to d = c0 + c1 s. Let C conjugate every slot. Where only real parts are read,
the server sends h = c0 + C(c0) and c1; the client computes h + c1 s + C(c1 s) = d + C(d), twice the real part. For
imaginary parts, all signs before C are minus. In SEAL's order of the transform's points C reverses the residues, so
half of those of h say the rest. ``docs/security.md`` proves that h and c1 tell nothing else of d.
"""

from __future__ import annotations

import struct
from typing import Any, Literal, TypeAlias

import numpy as np

from slotlang_runtime.errors import DAMAGED_BYTES, Rejected
from slotlang_runtime.residues import Words
from slotlang_runtime.seal.ring import Ring
from slotlang_runtime.seal.saved import (
    Saved,
    ciphertext_bytes,
    ciphertext_limit,
    load_ciphertext,
    plaintext_of,
    residues_of,
    saved,
)

Part: TypeAlias = Literal["re", "im"]

_FIELDS = struct.Struct("<8s4QQQdQ")
_NAMES = ("the mark", *4 * ("parameters",), "degree", "primes", "scale", "bytes of residues")
"""What stands before the residues."""

_MARK = {"re": b"half re\0", "im": b"half im\0"}


def _bytes_of(prime: int) -> int:
    return -(-prime.bit_length() // 8)


def _fields(ring: Ring, level: int, products: int, part: Part) -> tuple[Any, ...]:
    primes = ring.primes(level)
    size = sum(map(_bytes_of, primes)) * ring.degree * 3 // 2
    return _MARK[part], *ring.levels[level], ring.degree, len(primes), ring.scale(level, products), size


def conjugated(ring: Ring, residues: Words, level: int, sign: int) -> Words:
    """The conjugate of a polynomial, primes x degree (or its negative), by its residues."""
    primes = np.array(ring.primes(level), np.uint64)[:, None]
    mirrored: Words = residues[:, ::-1]
    return mirrored if sign > 0 else (primes - mirrored) % primes


def doubled(ring: Ring, residues: Words, level: int, part: Part) -> Words:
    """A polynomial plus its conjugate, or minus its conjugate for ``im``: twice the part."""
    primes = np.array(ring.primes(level), np.uint64)[:, None]
    return (residues + conjugated(ring, residues, level, 1 if part == "re" else -1)) % primes


def cipher_residues(ring: Ring, cipher: Any, level: int, products: int) -> Words:
    """The residues of a ciphertext, polynomials x primes x degree. Raises Rejected for another level or scale."""
    moduli = ring.primes(level)
    record = Saved(ring.shared, saved(cipher), ciphertext_limit(ring.shared, len(moduli)))
    residues = record.ciphertext(ring.levels[level], moduli, ring.scale(level, products))
    record.end()
    return residues


def half_bytes(ring: Ring, residues: Words, level: int, products: int, part: Part) -> bytes:
    """The record that is sent for a ciphertext (residues: polynomials x primes x degree) of which one part is read:
    half of h, then c1. A residue has as many bytes as its prime."""
    h = doubled(ring, residues[0], level, part)[:, : ring.degree // 2]
    pieces = [_FIELDS.pack(*_fields(ring, level, products, part))]
    for row, prime in zip([*h, *residues[1]], 2 * ring.primes(level), strict=True):
        words = np.ascontiguousarray(row, "<u8").view(np.uint8).reshape(-1, 8)
        pieces.append(words[:, : _bytes_of(prime)].tobytes())
    return b"".join(pieces)


def load_half(ring: Ring, data: bytes | memoryview, level: int, products: int, part: Part) -> tuple[Any, Words]:
    """The ciphertext (h, c1), and the residues of h, primes x degree, from a record of this half at this level and
    scale; Rejected otherwise."""
    primes, half = ring.primes(level), ring.degree // 2
    wanted = _fields(ring, level, products, part)
    if len(data) != _FIELDS.size + wanted[-1]:
        raise Rejected(f"half a result has {len(data)} bytes, expected {_FIELDS.size + wanted[-1]}", DAMAGED_BYTES)
    for what, found, expected in zip(_NAMES, _FIELDS.unpack_from(data), wanted, strict=True):
        if found != expected:
            raise Rejected(f"half a result has {what} {found!r}, expected {expected!r}", DAMAGED_BYTES)
    rows, at = [], _FIELDS.size
    for number, prime in enumerate(2 * primes):
        count, size = half if number < len(primes) else ring.degree, _bytes_of(prime)
        words = np.zeros((count, 8), np.uint8)
        words[:, :size] = np.frombuffer(data, np.uint8, count * size, at).reshape(count, size)
        rows.append(words.view("<u8")[:, 0])
        at += count * size
        if (rows[-1] >= np.uint64(prime)).any():
            raise Rejected("half a result holds a residue that is not below its prime", DAMAGED_BYTES)
    given = np.array(rows[: len(primes)])
    h = np.concatenate([given, conjugated(ring, given, level, 1 if part == "re" else -1)], axis=1)
    # checked again as an object of SEAL, which also says whether it is encrypted
    whole = ciphertext_bytes(ring, np.array([h, rows[len(primes) :]]), level, ring.scale(level, products))
    return load_ciphertext(ring, whole, level, products), h


def doubled_part(ring: Ring, plain: Any, half: Words, level: int, part: Part) -> Any:
    """Twice the part that is read, from the decrypted (h, c1) and from h: exact modulo the primes."""
    primes = np.array(ring.primes(level), np.uint64)[:, None]
    found = doubled(ring, residues_of(ring, plain), level, part)
    return plaintext_of(ring, (found + (primes - half)) % primes, level, plain.scale)
