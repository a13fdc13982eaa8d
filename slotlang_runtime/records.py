"""What the container holds: ciphertexts, plaintexts and keys as packed residues.

A record starts with its mark (8 bytes), SEAL's identity of the parameters (32), the degree, the number of primes, the
scale (a double) and the number of bytes that follow (8 each, little-endian). Residues follow in the order of SEAL's
transform, each in the bits of its prime (``residues``): no bit is left over. In place of a polynomial that SEAL draws
at random stands the seed of its generator, 64 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from slotlang_runtime.amounts import count_of
from slotlang_runtime.cutting import Transform, bound, cut, half, restored, whole
from slotlang_runtime.errors import DAMAGED_BYTES, Rejected
from slotlang_runtime.kernels.blake import SEED_BYTES
from slotlang_runtime.residues import Words, packed, packed_size, uniform, unpacked
from slotlang_runtime.seal.coefficients import transformed, untransformed
from slotlang_runtime.seal.halves import Part, conjugated, doubled, half_doubled
from slotlang_runtime.seal.memory import Seeded
from slotlang_runtime.seal.ring import Context, ParmsId, Ring

HEAD = struct.Struct("<8s4QQQdQ")
_NAMES = ("the mark", *4 * ("parameters",), "degree", "primes", "scale", "bytes of residues")

FRESH, WHOLE, PLAIN, KEY = b"fresh\0\0\0", b"whole\0\0\0", b"plain\0\0\0", b"key\0\0\0\0\0"
HALVES = {"re": b"half re\0", "im": b"half im\0"}
CUT = {None: b"cut wh", "re": b"cut re", "im": b"cut im"}
"""Starts of the marks of results without their last bits; two bytes follow: how many of c0 or h, and of c1."""


def _head(mark: bytes, parms_id: ParmsId, degree: int, primes: int, scale: float, size: int) -> tuple[Any, ...]:
    return mark, *parms_id, degree, primes, scale, size


def _body(what: str, data: bytes | memoryview, wanted: tuple[Any, ...]) -> memoryview:
    """What follows the head, which must say exactly what is wanted."""
    if len(data) < HEAD.size:
        raise Rejected(f"{what} ends too early: it has {count_of(len(data), 'byte')}", DAMAGED_BYTES)
    for name, found, expected in zip(_NAMES, HEAD.unpack_from(data), wanted, strict=True):
        # a scale that is not a number differs from every other
        if found != expected:
            raise Rejected(f"{what} has {name} {found!r}, expected {expected!r}", DAMAGED_BYTES)
    body = memoryview(data)[HEAD.size :]
    if len(body) != wanted[-1]:
        raise Rejected(f"{what} has {count_of(len(body), 'byte')} of residues, expected {wanted[-1]}", DAMAGED_BYTES)
    return body


def _fresh_head(ring: Ring, level: int) -> tuple[Any, ...]:
    primes = ring.primes(level)
    size = SEED_BYTES + packed_size(primes, ring.degree)
    return _head(FRESH, ring.levels[level], ring.degree, len(primes), ring.scale(level), size)


def fresh_record(ring: Ring, first: Words, seed: bytes, level: int = 0) -> bytes:
    """A ciphertext that a client encrypted: its first polynomial, primes x degree, and the seed of the second one."""
    return b"".join([HEAD.pack(*_fresh_head(ring, level)), seed, packed(first, ring.primes(level))])


def read_fresh(record: bytes | memoryview, ring: Ring, level: int = 0, out: Words | None = None) -> Words:
    """The residues of a client's ciphertext, polynomials x primes x degree, in ``out`` if it is given; both polynomials
    may be there, as in a result. Raises Rejected."""
    moduli = ring.primes(level)
    words = np.empty((2, len(moduli), ring.degree), np.uint64) if out is None else out
    if bytes(record[:8]) == WHOLE:
        return _both("an input", _body("an input", record, _result_head(ring, level, 0, None)), ring, level, words)
    body = _body("an input", record, _fresh_head(ring, level))
    unpacked(body[SEED_BYTES:], moduli, words[0])
    uniform(bytes(body[:SEED_BYTES]), moduli, words[1])
    return words


def read_seeded(record: bytes | memoryview, ring: Ring) -> Seeded | None:
    """The first polynomial of a client's ciphertext, primes x degree, and the seed of the second; None where both
    polynomials are there. Raises Rejected."""
    if bytes(record[:8]) == WHOLE:
        return None
    moduli, body = ring.primes(0), _body("an input", record, _fresh_head(ring, 0))
    first = unpacked(body[SEED_BYTES:], moduli, np.empty((len(moduli), ring.degree), np.uint64))
    return first, bytes(body[:SEED_BYTES])


def _result_head(ring: Ring, level: int, products: int, part: Part | None) -> tuple[Any, ...]:
    primes, cut = ring.primes(level), ring.cut(level)
    mark = WHOLE if part is None else HALVES[part]
    size = packed_size(primes, 2 * ring.degree if part is None else ring.degree * 3 // 2)
    if cut is not None:
        mark = CUT[part] + bytes(cut)
        size = sum(packed_size([limit], count) for limit, count in _cut_sizes(ring, level, part))
    return _head(mark, ring.levels[level], ring.degree, len(primes), ring.scale(level, products), size)


def _cut_sizes(ring: Ring, level: int, part: Part | None) -> list[tuple[int, int]]:
    """What numbers are sent of the two polynomials of a result without last bits: what they are below, and how many."""
    (prime,), cut = ring.primes(level), ring.cut(level)
    assert cut is not None, "bits are cut off at this level"
    counts = ring.degree if part is None else ring.degree // 2, ring.degree
    return [(bound(prime, bits), count) for bits, count in zip(cut, counts, strict=True)]


def result_record(
    ring: Ring, residues: Words, level: int, products: int, part: Part | None, back: Transform | None = None
) -> bytes:
    """A result, from its residues, polynomials x primes x degree: both polynomials, or where only one part is read half
    of h and c1 (``seal.halves``); where bits are cut off, of coefficients. ``back``: transforms back, in place of
    SEAL."""
    first, moduli = residues[0], ring.primes(level)
    head = HEAD.pack(*_result_head(ring, level, products, part))
    if ring.cut(level) is not None:
        if part is not None:
            first = doubled(ring, first, level, part)
        return head + _cut_body(ring, [first, residues[1]], level, part, back or partial(untransformed, ring))
    if part is not None:
        first = half_doubled(ring, first, level, part)
    return b"".join([head, packed(first, moduli), packed(residues[1], moduli)])


def _cut_body(ring: Ring, polynomials: list[Words], level: int, part: Part | None, back: Transform) -> bytes:
    (prime,), bits = ring.primes(level), ring.cut(level)
    assert bits is not None, "bits are cut off at this level"
    first, second = (back(words, level) for words in polynomials)
    sent = [cut(first if part is None else half(first, part), prime, bits[0]), cut(second, prime, bits[1])]
    if not sent[1].any():
        # of the pair (0, 1), which stands for a zero, the 1 would vanish
        sent[1][0, 0] = 1
    limits = [limit for limit, _ in _cut_sizes(ring, level, part)]
    return b"".join(packed(words, [limit]) for words, limit in zip(sent, limits, strict=True))


def read_result(
    record: bytes | memoryview,
    ring: Ring,
    level: int,
    products: int,
    part: Part | None,
    forth: Transform | None = None,
) -> Words:
    """The residues of (c0, c1), polynomials x primes x degree; of (h, c1) where one part is read. ``forth``:
    transforms, in place of SEAL. Raises Rejected."""
    what, moduli = "a result" if part is None else "half a result", ring.primes(level)
    body = _body(what, record, _result_head(ring, level, products, part))
    words = np.empty((2, len(moduli), ring.degree), np.uint64)
    if ring.cut(level) is None:
        return _both(what, body, ring, level, words, part)
    return _uncut(what, body, ring, level, words, part, forth or partial(transformed, ring))


def _uncut(
    what: str, body: memoryview, ring: Ring, level: int, words: Words, part: Part | None, forth: Transform
) -> Words:
    (prime,), bits = ring.primes(level), ring.cut(level)
    assert bits is not None, "bits are cut off at this level"
    at, found = 0, []
    for (limit, count), cut_off in zip(_cut_sizes(ring, level, part), bits, strict=True):
        size = packed_size([limit], count)
        sent = unpacked(body[at : at + size], [limit], np.empty((1, count), np.uint64))
        found.append(restored(sent, cut_off))
        at += size
    if not found[1].any():
        raise Rejected(f"{what} is not encrypted: anyone could read it", DAMAGED_BYTES)
    first = found[0] if part is None else whole(found[0], prime, part)
    words[0], words[1] = forth(first, level), forth(found[1], level)
    return words


def _both(what: str, body: memoryview, ring: Ring, level: int, words: Words, part: Part | None = None) -> Words:
    moduli, count = ring.primes(level), ring.degree if part is None else ring.degree // 2
    first = words[0] if part is None else np.empty((len(moduli), count), np.uint64)
    size = packed_size(moduli, count)
    unpacked(body[:size], moduli, first)
    unpacked(body[size:], moduli, words[1])
    if part is not None:
        words[0, :, :count] = first
        words[0, :, count:] = conjugated(ring, first, level, 1 if part == "re" else -1)
    if not words[1].any():
        raise Rejected(f"{what} is not encrypted: anyone could read it", DAMAGED_BYTES)
    return words


def _plain_head(ring: Ring, level: int, scale: float) -> tuple[Any, ...]:
    primes = ring.primes(level)
    return _head(PLAIN, ring.levels[level], ring.degree, len(primes), scale, packed_size(primes, ring.degree))


def plaintext_record(ring: Ring, residues: Words, level: int, scale: float) -> bytes:
    """A plaintext, from its residues, primes x degree."""
    return b"".join([HEAD.pack(*_plain_head(ring, level, scale)), packed(residues, ring.primes(level))])


def read_plaintext(record: bytes | memoryview, ring: Ring, level: int, scale: float) -> Words:
    """The residues of a plaintext, primes x degree. Raises Rejected for another level or scale, and for zero, which is
    never sent."""
    body, moduli = _body("a plaintext", record, _plain_head(ring, level, scale)), ring.primes(level)
    words = unpacked(body, moduli, np.empty((len(moduli), ring.degree), np.uint64))
    if not words.any():
        raise Rejected("a plaintext is zero, which is sent as nothing at all", DAMAGED_BYTES)
    return words


def key_primes(context: Context, level: int) -> list[int]:
    """The primes of a key that switches ciphertexts from a level on: theirs, and the key prime."""
    return [*context.moduli[: len(context.levels) - level], context.moduli[-1]]


def _key_head(context: Context, level: int) -> tuple[Any, ...]:
    primes = key_primes(context, level)
    size = (len(primes) - 1) * (SEED_BYTES + packed_size(primes, context.degree))
    return _head(KEY, context.key_level, context.degree, len(primes), 1.0, size)


def key_record(context: Context, digits: Sequence[Seeded], level: int) -> bytes:
    """A key for switches from a level on: of each digit, but for those of primes that are gone there, the seed and the
    first polynomial (all primes x degree), less these primes."""
    primes = key_primes(context, level)
    pieces: list[bytes | memoryview] = [HEAD.pack(*_key_head(context, level))]
    for first, seed in digits[: len(primes) - 1]:
        kept = np.concatenate([first[: len(primes) - 1], first[-1:]])
        pieces += [seed, packed(kept, primes)]
    return b"".join(pieces)


@dataclass(frozen=True, eq=False)
class Key:
    """A key as its record says, checked: every residue is below its prime. ``level``: the first at which it is used."""

    context: Context
    level: int
    body: memoryview = field(repr=False)

    @classmethod
    def read(cls, record: bytes | memoryview, context: Context, level: int) -> Key:
        """The key of a record. Raises Rejected."""
        key = cls(context, level, _body("a key", record, _key_head(context, level)))
        primes = key_primes(context, level)
        room = np.empty((len(primes), context.degree), np.uint64)
        for digit in range(len(primes) - 1):
            key._first(digit, primes, room)
        return key

    def _first(self, digit: int, primes: Sequence[int], out: Words) -> bytes:
        size = packed_size(primes, self.context.degree)
        at = digit * (SEED_BYTES + size)
        unpacked(self.body[at + SEED_BYTES : at + SEED_BYTES + size], primes, out)
        return bytes(self.body[at : at + SEED_BYTES])

    def whole(self) -> Words:
        """Residues as SEAL has them, with zeros for what is gone at the key's level."""
        words, digits = self.words(), len(self.context.levels)
        whole = np.zeros((digits, 2, digits + 1, self.context.degree), np.uint64)
        whole[: len(words), :, : len(words)] = words[:, :, :-1]
        whole[: len(words), :, -1] = words[:, :, -1]
        return whole

    def words(self) -> Words:
        """Residues: digits x 2 x primes x degree, the key prime last; without what is gone at the key's level."""
        primes, degree, moduli = key_primes(self.context, self.level), self.context.degree, self.context.moduli
        words = np.empty((len(primes) - 1, 2, len(primes), degree), np.uint64)
        for digit, (first, second) in enumerate(words):
            seed = self._first(digit, primes, first)
            if len(primes) == len(moduli):
                uniform(seed, moduli, second)
            else:
                # SEAL draws for all primes in one go
                whole = uniform(seed, moduli, np.empty((len(moduli), degree), np.uint64))
                second[:-1], second[-1] = whole[: len(primes) - 1], whole[-1]
        return words


@dataclass(frozen=True, eq=False)
class GivenKey:
    """A key without seeds, as SEAL has it in memory: residues, digits x 2 x all primes x degree, checked."""

    residues: Words = field(repr=False)
    level: int = 0

    def whole(self) -> Words:
        """All residues."""
        return self.residues

    def words(self) -> Words:
        """All residues."""
        return self.residues
