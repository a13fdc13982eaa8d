"""Objects as SEAL saves them, written from residues and seeds without compression. SEAL expands the seeds."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from slotlang_runtime.residues import Words
from slotlang_runtime.seal.memory import Seeded
from slotlang_runtime.seal.ring import Context, ParmsId, Ring
from slotlang_runtime.seal.saved import BLAKE2XB, CIPHERTEXT, HEADER, SEED_BYTES, header


def _object(body: bytes) -> bytes:
    return header() + struct.pack("<Q", HEADER.size + len(body)) + body


def _seeded(parms_id: ParmsId, first: Words, seed: bytes, scale: float) -> bytes:
    """A ciphertext of two polynomials: the residues of the first, primes x degree, and the seed of the second."""
    primes, degree = first.shape
    fields = CIPHERTEXT.pack(*parms_id, 1, 2, degree, primes, scale, 1)
    array = _object(struct.pack("<Q", first.size) + first.astype("<u8", copy=False).tobytes())
    drawn = header() + struct.pack("<QB", SEED_BYTES, BLAKE2XB) + seed
    return _object(fields + array + drawn)


def seeded_ciphertext(ring: Ring, first: Words, seed: bytes, level: int = 0) -> bytes:
    """A client's ciphertext, from its first polynomial, primes x degree, and the seed of the second."""
    return _seeded(ring.levels[level], first, seed, ring.scale(level))


def seeded_keys(context: Context, places: int, keys: Mapping[int, Sequence[Seeded]]) -> bytes:
    """Keys for switches: SEAL's Galois keys have as many ``places`` as the degree, its relinearisation keys one.
    ``keys``: by place, of each digit the first polynomial, all primes x degree, and the seed of the second."""
    pieces = [struct.pack("<4QQ", *context.key_level, places)]
    for place in range(places):
        digits = keys.get(place, ())
        pieces.append(struct.pack("<Q", len(digits)))
        pieces += [_seeded(context.key_level, first, seed, 1.0) for first, seed in digits]
    return _object(b"".join(pieces))
