"""SEAL's objects to and from bytes. SEAL gets only bytes that were checked first."""

from __future__ import annotations

import ctypes
import os
import struct
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeAlias

import numpy as np
import tenseal.sealapi as seal

from slotlang_runtime.errors import DAMAGED_BYTES, NOT_EVALUATED, Rejected
from slotlang_runtime.residues import Words
from slotlang_runtime.seal.ring import Context, ParmsId, Ring

HEADER = struct.Struct("<HBBBBHQ")
"""The header of a saved object: magic, size of the header, version, compression, reserved, size of the whole."""

CIPHERTEXT = struct.Struct("<4QBQQQdQ")
"""The fields of a saved ciphertext before its array: parameters, form, polynomials, degree, primes, scale, correction
factor."""

ZSTD = 2
BLAKE2XB = 1
"""The kind of generator that SEAL uses unless it is built otherwise."""
MOST_FIELDS = 1 << 20
"""Bytes of all fields and seeds of the keys of a program, and more."""
SEED_BYTES = 81
"""A saved seed: header, kind of generator, 64 bytes."""

File: TypeAlias = tuple[IO[bytes], str]


@contextmanager
def memory_file() -> Iterator[File]:
    """A new file and its path, as SEAL reads and writes paths only: in memory where the system has such files."""
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        with os.fdopen(os.memfd_create("seal"), "w+b") as stream:
            yield stream, f"/proc/self/fd/{stream.fileno()}"
    else:
        with tempfile.NamedTemporaryFile() as named:
            yield named, named.name


def saved(thing: Any) -> bytes:
    """The bytes that SEAL saves of an object."""
    with memory_file() as (stream, path):
        thing.save(path)
        return stream.read()


@cache
def header() -> bytes:
    """How an uncompressed object of this SEAL starts: magic, size of the header, versions, no compression."""
    return saved(seal.Plaintext())[:5] + bytes(3)


@cache
def library(name: str, *arguments: Any) -> Any:
    """A function of TenSEAL's own library that is not bound to Python; None where this build hides it."""
    try:
        function = getattr(ctypes.CDLL(seal._sealapi_cpp.__file__), name)
    except (AttributeError, OSError):
        return None
    function.argtypes = arguments
    function.restype = ctypes.c_size_t
    return function


def _expanded(data: memoryview, limit: int) -> memoryview:
    """Decompress ``data`` to at most ``limit`` bytes, by the zstd in TenSEAL's own library."""
    size = ctypes.c_size_t
    decompress = library("ZSTD_decompress", ctypes.c_void_p, size, ctypes.c_void_p, size)
    if decompress is None:
        raise Rejected(
            "this build of TenSEAL hides its zstd, so that bytes can't be checked before SEAL", DAMAGED_BYTES
        )
    out = np.empty(limit, np.uint8)
    length = decompress(out.ctypes.data, limit, np.frombuffer(data, np.uint8).ctypes.data, len(data))
    if length > limit:
        raise Rejected("an object can't be decompressed, or is larger than it may be here", DAMAGED_BYTES)
    return out.data[:length]


class Saved:
    """An object that SEAL saved, read from front to back. Every field must have the value that is expected here.
    ``limit``: bytes it may have without compression."""

    def __init__(self, context: Context, data: bytes | memoryview, limit: int) -> None:
        if len(data) < HEADER.size or bytes(data[:5]) != header()[:5]:
            raise Rejected("this is not an object that SEAL 4 saved, or not this version of it", DAMAGED_BYTES)
        *_, mode, reserved, size = HEADER.unpack_from(data)
        if size != len(data):
            raise Rejected("an object's length is not what its header says: it is truncated or damaged", DAMAGED_BYTES)
        if mode not in (0, ZSTD) or reserved:
            raise Rejected("an object's header has a compression that SEAL does not write here", DAMAGED_BYTES)
        self.context = context
        self.body = memoryview(data)[HEADER.size :]
        if mode:
            self.body = _expanded(self.body, limit)
        self.at = 0

    def take(self, form: str) -> tuple[Any, ...]:
        """The next fields, as ``struct`` names them."""
        try:
            fields = struct.unpack_from(f"<{form}", self.body, self.at)
        except struct.error:
            raise Rejected("an object ends too early", DAMAGED_BYTES) from None
        self.at += struct.calcsize(f"<{form}")
        return fields

    def expect(self, what: str, form: str, *wanted: Any) -> None:
        """Check that the next fields have these values."""
        fields = self.take(form)
        if fields != wanted:
            shown = [str(f[0] if len(f) == 1 else f)[:60] for f in (fields, wanted)]
            raise Rejected(f"{what} {shown[0]}, expected {shown[1]}", DAMAGED_BYTES)

    def inner(self, size: int | None = None) -> int:
        """The header of an object inside: not compressed, and of the size it must have, which is returned."""
        start, length = self.take("8sQ")
        if start != header() or size not in (None, length):
            raise Rejected("an object inside another has a header that SEAL does not write", DAMAGED_BYTES)
        return int(length)

    def words(self, count: int, moduli: Sequence[int]) -> Words:
        """Residues, ``count`` x primes x degree: every residue is below its prime."""
        degree = self.context.degree
        words = np.frombuffer(self.body, "<u8", count * len(moduli) * degree, self.at)
        words = words.reshape(count, len(moduli), degree)
        if (words >= np.array(moduli, np.uint64)[:, None]).any():
            raise Rejected("an object holds a residue that is not below its prime", DAMAGED_BYTES)
        self.at += words.nbytes
        return words

    def plaintext(self, parms_id: ParmsId, moduli: Sequence[int], scale: float) -> Words:
        """The fields of a plaintext or a secret key; its residues, primes x degree."""
        self.expect("a plaintext is not at the level this program has there: its parameters are", "4Q", *parms_id)
        self.expect("a plaintext has a number of residues", "Q", len(moduli) * self.context.degree)
        self.expect("a plaintext is not at the scale this program has there, but at", "d", scale)
        residues: Words = self.array(1, moduli)[0]
        return residues

    def ciphertext(self, parms_id: ParmsId, moduli: Sequence[int], scale: float, *, transformed: bool = True) -> Words:
        """The fields of a ciphertext, or of one digit of a key; residues of two polynomials, or of the first where the
        second is given by its seed, which is left in ``seed``. ``transformed``: at the points of SEAL's transform."""
        self.expect("a ciphertext is not at the level this program has there: its parameters are", "4Q", *parms_id)
        shape = (int(transformed), 2, self.context.degree, len(moduli))
        self.expect("a ciphertext has form, polynomials, degree and primes", "BQQQ", *shape)
        self.expect("a ciphertext has scale", "d", scale)
        self.expect("a ciphertext has correction factor", "Q", 1)
        residues = self.array(None, moduli)
        self.seed: tuple[int, bytes] | None = None
        if len(residues) == 1:
            self.inner(HEADER.size + 65)
            kind, seed = self.take("B64s")
            if kind not in (1, 2):
                raise Rejected("a ciphertext's seed is for a generator that SEAL does not have", DAMAGED_BYTES)
            self.seed = kind, seed
        return residues

    def seed_bytes(self) -> bytes:
        """The seed that ``ciphertext`` found. Raises Rejected where there is none of BLAKE2Xb."""
        if self.seed is None or self.seed[0] != BLAKE2XB:
            raise Rejected("an object of SEAL has no seed, or one of another generator than BLAKE2Xb", NOT_EVALUATED)
        return self.seed[1]

    def array(self, count: int | None, moduli: Sequence[int]) -> Words:
        """An array of ``count`` polynomials, or of one or two as it says itself."""
        size = self.inner()
        (words,) = self.take("Q")
        each = len(moduli) * self.context.degree
        if words not in ([each, 2 * each] if count is None else [count * each]) or size != HEADER.size + 8 + 8 * words:
            raise Rejected("an object's array does not have the length this program expects", DAMAGED_BYTES)
        if len(self.body) - self.at < 8 * words:
            raise Rejected("an object ends too early", DAMAGED_BYTES)
        return self.words(words // each, moduli)

    def end(self) -> None:
        """Check that nothing follows."""
        if self.at != len(self.body):
            raise Rejected("there are bytes left over in an object", DAMAGED_BYTES)

    def load(self, make: Callable[[], Any], file: File | None = None) -> Any:
        """The object itself: all of it was read and checked. SEAL gets it without compression, through a
        ``memory_file()`` that held others before, if one is given: new memory takes as long as SEAL."""
        self.end()
        thing = make()
        with nullcontext(file) if file else memory_file() as (stream, path):
            stream.seek(0)
            stream.write(header() + struct.pack("<Q", HEADER.size + len(self.body)))
            stream.write(self.body)
            stream.flush()
            try:
                thing.load(self.context.context, path)
            except (RuntimeError, ValueError, MemoryError, IndexError, OverflowError) as problem:
                raise Rejected(f"SEAL does not accept an object: {problem}", DAMAGED_BYTES) from None
        return thing


def objects_of(data: bytes | memoryview) -> list[memoryview]:
    """Saved objects that follow each other, as SEAL writes several to one stream. Raises Rejected."""
    rest, found = memoryview(data), list[memoryview]()
    while rest:
        if len(rest) < HEADER.size or bytes(rest[:5]) != header()[:5]:
            raise Rejected("this is not an object that SEAL 4 saved, or not this version of it", DAMAGED_BYTES)
        size = HEADER.unpack_from(rest)[-1]
        if not HEADER.size < size <= len(rest):
            raise Rejected("an object's length is not what its header says: it is truncated or damaged", DAMAGED_BYTES)
        found.append(rest[:size])
        rest = rest[size:]
    return found


def plaintext_limit(context: Context, primes: int) -> int:
    """Bytes of a saved plaintext without compression."""
    return 72 + 8 * primes * context.degree


def ciphertext_limit(context: Context, primes: int) -> int:
    """Bytes of a saved ciphertext without compression."""
    return 121 + SEED_BYTES + 16 * primes * context.degree


def load_plaintext(ring: Ring, data: bytes | memoryview, level: int, scale: float, file: File | None = None) -> Any:
    """A plaintext at a level and scale; Rejected otherwise."""
    moduli = ring.primes(level)
    record = Saved(ring.shared, data, plaintext_limit(ring.shared, len(moduli)))
    record.plaintext(ring.levels[level], moduli, scale)
    return record.load(seal.Plaintext, file)


def load_secret(context: Context, data: bytes | memoryview) -> Any:
    """A secret key of a ring; Rejected otherwise."""
    record = Saved(context, data, plaintext_limit(context, len(context.moduli)))
    record.plaintext(context.key_level, context.moduli, 1.0)
    return record.load(seal.SecretKey)


def load_ciphertext(
    ring: Ring, data: bytes | memoryview, level: int, products: int = 0, file: File | None = None
) -> Any:
    """A ciphertext at the level and scale this program has there; Rejected otherwise."""
    moduli = ring.primes(level)
    record = Saved(ring.shared, data, ciphertext_limit(ring.shared, len(moduli)))
    record.ciphertext(ring.levels[level], moduli, ring.scale(level, products))
    out = record.load(seal.Ciphertext, file)
    if out.is_transparent():
        raise Rejected("a ciphertext is not encrypted: anyone could read it", DAMAGED_BYTES)
    return out


def load_keys(
    context: Context, make: Callable[[], Any], data: bytes | memoryview, places: int, wanted: Collection[int]
) -> Any:
    """Key-switching keys at exactly the ``wanted`` ones of a number of places; Rejected otherwise."""
    digits = len(context.moduli) - 1
    each = HEADER.size + ciphertext_limit(context, len(context.moduli))
    record = Saved(context, data, 40 + 8 * places + len(wanted) * digits * each)
    record.expect("keys are for parameters", "4Q", *context.key_level)
    record.expect("keys have a number of places", "Q", places)
    for place in range(places):
        (count,) = record.take("Q")
        if count != (digits if place in wanted else 0):
            raise Rejected("a key is missing from these evaluation keys, or is one too many", DAMAGED_BYTES)
        for _ in range(count):
            size, start = record.inner(), record.at
            record.ciphertext(context.key_level, context.moduli, 1.0)
            if size != HEADER.size + record.at - start:
                raise Rejected("an object inside another has a length that is not its own", DAMAGED_BYTES)
    return record.load(make)


def seeded(context: Context, data: bytes, level: int = 0) -> tuple[Words, bytes]:
    """The first polynomial of a saved ciphertext at a level, primes x degree, and the seed of the second one. Raises
    Rejected."""
    moduli = context.moduli[: len(context.levels) - level]
    record = Saved(context, data, ciphertext_limit(context, len(moduli)))
    residues = record.ciphertext(context.levels[level], moduli, 1.0)
    record.end()
    return residues[0], record.seed_bytes()


class HeldKeys(NamedTuple):
    """Keys that were read: the number of their places, and by place the digits of each key. A digit is its residues,
    polynomials x all primes x degree, and the seed of its second polynomial, or None where it is there."""

    places: int
    keys: dict[int, list[tuple[Words, bytes | None]]]


def held_keys(context: Context, data: bytes | memoryview) -> HeldKeys:
    """Key-switching keys that SEAL saved: Galois keys have as many places as the degree, relinearisation keys have one.
    Raises Rejected."""
    digits = len(context.levels)
    # residues do not compress to less than the bits of their primes, of which there are 18 at least
    record = Saved(context, data, 4 * len(data) + 8 * context.degree + MOST_FIELDS)
    record.expect("keys are for parameters", "4Q", *context.key_level)
    (places,) = record.take("Q")
    if places not in (1, context.degree):
        raise Rejected(f"keys have {places} places, and SEAL's have 1 or {context.degree}", DAMAGED_BYTES)
    found: dict[int, list[tuple[Words, bytes | None]]] = {}
    for place in range(places):
        (held,) = record.take("Q")
        if held not in (0, digits):
            raise Rejected(f"a key has digits for {held} of the primes of data, {digits}", DAMAGED_BYTES)
        for _ in range(held):
            size, start = record.inner(), record.at
            residues = record.ciphertext(context.key_level, context.moduli, 1.0)
            if size != HEADER.size + record.at - start:
                raise Rejected("an object inside another has a length that is not its own", DAMAGED_BYTES)
            found.setdefault(place, []).append((residues, record.seed_bytes() if len(residues) == 1 else None))
    record.end()
    return HeldKeys(places, found)


def seeded_keys(context: Context, data: bytes, places: Collection[int]) -> list[list[tuple[Words, bytes]]]:
    """First polynomials and seeds of the digits of saved keys at these places. Raises Rejected."""
    found = held_keys(context, data).keys
    if any(place not in found for place in places):
        raise Rejected("a key is missing from these keys, or has too few digits", DAMAGED_BYTES)
    given = [[(residues[0], seed) for residues, seed in found[place] if seed is not None] for place in places]
    if any(len(key) != len(context.levels) for key in given):
        raise Rejected("an object of SEAL has no seed, or one of another generator than BLAKE2Xb", NOT_EVALUATED)
    return given


def residues_of(ring: Ring, plain: Any) -> Words:
    """The residues of a plaintext, primes x degree."""
    data = saved(plain)
    level = ring.levels.index(plain.parms_id())
    moduli = ring.primes(level)
    record = Saved(ring.shared, data, plaintext_limit(ring.shared, len(moduli)))
    return record.plaintext(ring.levels[level], moduli, plain.scale)


def residues_at(ring: Ring, cipher: Any, level: int, scale: float) -> Words:
    """The residues of a ciphertext, polynomials x primes x degree. Raises Rejected for another level or scale."""
    # it may be at any level, and have three polynomials
    record = Saved(ring.shared, saved(cipher), 2 * ciphertext_limit(ring.shared, ring.count))
    residues = record.ciphertext(ring.levels[level], ring.primes(level), scale)
    record.end()
    return residues


def polynomials_of(ring: Ring, cipher: Any) -> Words:
    """The residues of a ciphertext, polynomials x primes x degree."""
    level = ring.levels.index(cipher.parms_id())
    moduli = ring.primes(level)
    record = Saved(ring.shared, saved(cipher), ciphertext_limit(ring.shared, len(moduli)))
    return record.ciphertext(ring.levels[level], moduli, cipher.scale)


def plaintext_of(ring: Ring, residues: Words, level: int, scale: float) -> Any:
    """The plaintext with these residues, primes x degree, in the order of SEAL's number-theoretic transform."""
    words = struct.pack("<Q", residues.size) + residues.astype("<u8").tobytes()
    head = struct.pack("<4QQd", *ring.levels[level], residues.size, scale)
    body = head + header() + struct.pack("<Q", HEADER.size + len(words)) + words
    return load_plaintext(ring, header() + struct.pack("<Q", HEADER.size + len(body)) + body, level, scale)


def ciphertext_bytes(ring: Ring, residues: Words, level: int, scale: float, *, transformed: bool = True) -> bytes:
    """What SEAL would save, uncompressed, of a ciphertext with these residues, polynomials x primes x degree."""
    shape = (int(transformed), 2, ring.degree, len(ring.primes(level)))
    head = CIPHERTEXT.pack(*ring.levels[level], *shape, scale, 1)
    words = struct.pack("<Q", residues.size) + residues.astype("<u8", copy=False).tobytes()
    body = head + header() + struct.pack("<Q", HEADER.size + len(words)) + words
    return header() + struct.pack("<Q", HEADER.size + len(body)) + body


def ciphertext_of(ring: Ring, residues: Words, level: int, scale: float) -> Any:
    """The ciphertext with these residues, polynomials x primes x degree, in the order of SEAL's transform."""
    moduli = ring.primes(level)
    data = ciphertext_bytes(ring, residues, level, scale)
    record = Saved(ring.shared, data, ciphertext_limit(ring.shared, len(moduli)))
    record.ciphertext(ring.levels[level], moduli, scale)
    return record.load(seal.Ciphertext)


def load_coefficients(ring: Ring, residues: Words, level: int, scale: float) -> Any:
    """The ciphertext of polynomials with these coefficients, which is not transformed."""
    moduli = ring.primes(level)
    data = ciphertext_bytes(ring, residues, level, scale, transformed=False)
    record = Saved(ring.shared, data, ciphertext_limit(ring.shared, len(moduli)))
    record.ciphertext(ring.levels[level], moduli, scale, transformed=False)
    return record.load(seal.Ciphertext)


def saved_coefficients(ring: Ring, cipher: Any, level: int, scale: float) -> Words:
    """The coefficients of a ciphertext that is not transformed, polynomials x primes x degree."""
    moduli = ring.primes(level)
    record = Saved(ring.shared, saved(cipher), ciphertext_limit(ring.shared, len(moduli)))
    return record.ciphertext(ring.levels[level], moduli, scale, transformed=False)
