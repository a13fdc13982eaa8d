"""Objects as SEAL saves them, written from residues and seeds without compression. SEAL expands the seeds."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from slotlang_runtime.residues import Words
from slotlang_runtime.seal.memory import Seeded
from slotlang_runtime.seal.ring import Context, ParmsId, Ring
from slotlang_runtime.seal.saved import BLAKE2XB, CIPHERTEXT, HEADER, SEED_BYTES, header, memory_file


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


def keys_of(context: Context, make: Callable[[], Any], places: int, given: Mapping[int, Callable[[], Words]]) -> Any:
    """Keys with these residues (digits x 2 x primes x degree) at some of a number of places."""
    shape = len(context.levels), 2, len(context.moduli), context.degree
    words = int(np.prod(shape[1:]))
    inner = CIPHERTEXT.pack(*context.key_level, 1, 2, context.degree, len(context.moduli), 1.0, 1)
    inner += header() + struct.pack("<QQ", HEADER.size + 8 + 8 * words, words)
    inner = header() + struct.pack("<Q", HEADER.size + len(inner) + 8 * words) + inner
    size = HEADER.size + 40 + 8 * places + len(given) * shape[0] * (len(inner) + 8 * words)
    thing = make()
    with memory_file() as (stream, path):
        stream.write(header() + struct.pack("<Q4QQ", size, *context.key_level, places))
        for place in range(places):
            if place not in given:
                stream.write(bytes(8))
                continue
            stream.write(struct.pack("<Q", shape[0]))
            for digit in given[place]().reshape(shape).astype("<u8", copy=False):
                stream.write(inner)
                stream.write(digit.data)
        stream.flush()
        thing.load(context.context, path)
    return thing
