"""SEAL's objects to and from arrays of residues, read and written where SEAL keeps them.

TenSEAL gives the residues of an object one by one, or in a compressed file. A self-test, once for each ring, checks
that SEAL's arrays lie where they are looked for. Where they do not, files are written and read instead (``saved``).
"""

from __future__ import annotations

import ctypes
import math
import struct
import sys
from collections.abc import Sequence
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
import tenseal.sealapi as seal

from slotlang_runtime.residues import Words
from slotlang_runtime.seal import saved as files
from slotlang_runtime.seal.ring import Context, ParmsId, Ring

FIRST_WORD = 2
"""The word of a Python object of TenSEAL that holds the address of SEAL's object."""

# words of SEAL's objects: parameters, then fields, then where the array's address stands
CIPHERTEXT = {"parms": 0, "ntt": 4, "size": 5, "degree": 6, "primes": 7, "scale": 8, "words": 13, "array": 14}
PLAINTEXT = {"parms": 0, "words": 4, "scale": 5, "array": 10}

Seeded: TypeAlias = tuple[Words, bytes]
"""A first polynomial, primes x degree, and the seed of the second one."""

_KEYS = 6  # the word of an object of keys at which its vector of vectors stands
_VECTOR = 3  # words of a vector: where it starts, where it ends, where its memory ends
_CHECKED: WeakKeyDictionary[Context, bool] = WeakKeyDictionary()
_SEEDED: WeakKeyDictionary[Context, bool] = WeakKeyDictionary()


def words_at(address: int, count: int) -> Words:
    """The words at an address, in place."""
    return np.ctypeslib.as_array((ctypes.c_uint64 * count).from_address(address))


def inside(thing: Any) -> int:
    """The address of SEAL's object in a Python object."""
    return int(words_at(id(thing), FIRST_WORD + 1)[FIRST_WORD])


def word_of(number: float) -> int:
    """A double as a word."""
    return int(struct.unpack("<Q", struct.pack("<d", number))[0])


def known(context: Context) -> bool:
    """Whether ciphertexts and plaintexts of a ring lie where they are looked for; found out once."""
    if context not in _CHECKED:
        _CHECKED[context] = _ours() and _self_test(context)
    return _CHECKED[context]


def _ours() -> bool:
    return sys.implementation.name == "cpython" and object.__basicsize__ == 16


def _cipher_at(address: int, degree: int, parms_id: ParmsId, primes: int, scale: float) -> Words | None:
    """The residues of the ciphertext at an address, in place; None where it is of another kind, level or scale."""
    words = words_at(address, CIPHERTEXT["array"] + 1)
    fields = [int(words[CIPHERTEXT[name]]) for name in ("size", "degree", "primes", "words", "scale")]
    shape = 2, primes, degree
    if words[:4].tolist() != parms_id or not int(words[CIPHERTEXT["ntt"]]) & 255:
        return None
    if fields != [2, degree, primes, math.prod(shape), word_of(scale)]:
        return None
    return words_at(int(words[CIPHERTEXT["array"]]), math.prod(shape)).reshape(shape)


def _plain_at(address: int, degree: int, parms_id: ParmsId, primes: int) -> Words | None:
    words = words_at(address, PLAINTEXT["array"] + 1)
    if words[:4].tolist() != parms_id or int(words[PLAINTEXT["words"]]) != primes * degree:
        return None
    return words_at(int(words[PLAINTEXT["array"]]), primes * degree).reshape(primes, degree)


def residues_at(ring: Ring, cipher: Any, level: int, scale: float) -> Words:
    """A copy of the residues of a ciphertext, polynomials x primes x degree. Raises Rejected for another level or
    scale."""
    if known(ring.shared):
        found = _cipher_at(inside(cipher), ring.degree, ring.levels[level], ring.count - level, scale)
        if found is not None:
            return found.copy()
    return files.residues_at(ring, cipher, level, scale)


def polynomials_of(ring: Ring, cipher: Any) -> Words:
    """A copy of the residues of a ciphertext, polynomials x primes x degree."""
    if known(ring.shared):
        parms_id = cipher.parms_id()
        primes = ring.count - ring.levels.index(parms_id)
        found = _cipher_at(inside(cipher), ring.degree, parms_id, primes, cipher.scale)
        if found is not None:
            return found.copy()
    return files.polynomials_of(ring, cipher)


def ciphertext_of(ring: Ring, residues: Words, level: int, scale: float) -> Any:
    """The ciphertext with these residues, polynomials x primes x degree, each below its prime, in the order of SEAL's
    transform."""
    return (
        _cipher(ring.shared, residues, level, scale)
        if known(ring.shared)
        else files.ciphertext_of(ring, residues, level, scale)
    )


def _cipher(context: Context, residues: Words, level: int, scale: float) -> Any:
    out = seal.Ciphertext()
    out.resize(context.context, context.levels[level], 2)
    words = words_at(inside(out), CIPHERTEXT["array"] + 1)
    words[CIPHERTEXT["ntt"]] |= np.uint64(1)
    words_at(int(words[CIPHERTEXT["array"]]), residues.size)[:] = residues.reshape(-1)
    out.scale = scale
    return out


def residues_of(ring: Ring, plain: Any) -> Words:
    """A copy of the residues of a plaintext, primes x degree."""
    if known(ring.shared):
        parms_id = plain.parms_id()
        found = _plain_at(inside(plain), ring.degree, parms_id, ring.count - ring.levels.index(parms_id))
        if found is not None:
            return found.copy()
    return files.residues_of(ring, plain)


def plaintext_of(ring: Ring, residues: Words, level: int, scale: float) -> Any:
    """The plaintext with these residues, primes x degree, each below its prime, in the order of SEAL's transform."""
    return (
        _plain(ring.shared, residues, level, scale)
        if known(ring.shared)
        else files.plaintext_of(ring, residues, level, scale)
    )


def _plain(context: Context, residues: Words, level: int, scale: float) -> Any:
    out = seal.Plaintext()
    out.resize(residues.size)
    words = words_at(inside(out), PLAINTEXT["array"] + 1)
    words_at(int(words[PLAINTEXT["array"]]), residues.size)[:] = residues.reshape(-1)
    words[:4] = context.levels[level]
    out.scale = scale
    return out


def _self_test(context: Context) -> bool:
    """Compare with files, on random residues."""
    rng, degree, primes, scale = np.random.default_rng(), context.degree, len(context.levels), 3.0
    top = context.levels[0]
    moduli = context.moduli[:-1]
    one = np.array([[rng.integers(0, prime, degree, np.uint64) for prime in moduli] for _ in range(2)])
    cipher, plain = seal.Ciphertext(), seal.Plaintext()
    # read: what files say of an object has to stand where it is looked for
    cipher.resize(context.context, top, 2)
    words = words_at(id(cipher), FIRST_WORD + 1)
    words = words_at(int(words[FIRST_WORD]), CIPHERTEXT["array"] + 1)
    fields = [int(words[CIPHERTEXT[name]]) for name in ("size", "degree", "primes", "words", "scale")]
    if words[:4].tolist() != top or fields != [2, degree, primes, one.size, word_of(cipher.scale)]:
        return False
    words_at(int(words[CIPHERTEXT["array"]]), one.size)[:] = one.reshape(-1)
    if [cipher.data(0), cipher.data(1)] != one[:, 0, 0].tolist() or cipher.is_ntt_form():
        return False
    plain.resize(primes * degree)
    words = words_at(inside(plain), PLAINTEXT["array"] + 1)
    if words[PLAINTEXT["words"]] != primes * degree or words[PLAINTEXT["scale"]] != word_of(plain.scale):
        return False
    words_at(int(words[PLAINTEXT["array"]]), primes * degree)[:] = one[0].reshape(-1)
    if [plain.data(0), plain.data(primes * degree - 1)] != [int(one[0, 0, 0]), int(one[0, -1, -1])]:
        return False
    # written: files say the same of it
    made = files.saved(_cipher(context, one, 0, scale)), files.saved(_plain(context, one[0], 0, scale))
    record = files.Saved(context, made[0], files.ciphertext_limit(context, primes))
    other = files.Saved(context, made[1], files.plaintext_limit(context, primes))
    same = np.array_equal(record.ciphertext(top, moduli, scale), one)
    return same and np.array_equal(other.plaintext(top, moduli, scale), one[0])


def _seed(second: Words) -> bytes | None:
    """The seed that SEAL left in place of a second polynomial: a mark, a header, the kind of generator, 64 bytes."""
    content = second.reshape(-1)[:12].astype("<u8").tobytes()
    head = files.header() + struct.pack("<Q", files.SEED_BYTES)
    if content[:8] != b"\xff" * 8 or content[8:24] != head or content[24] != files.BLAKE2XB:
        return None
    return content[25:89]


def _read(place: Words | None) -> Seeded | None:
    seed = None if place is None else _seed(place[1])
    return None if place is None or seed is None else (place[0].copy(), seed)


def _seeded_known(context: Context) -> bool:
    """Whether seeds and keys stand where they are looked for: compared with files, with a key made for that."""
    if context not in _SEEDED:
        maker = seal.KeyGenerator(context.context)
        zero = seal.Encryptor(context.context, maker.secret_key()).encrypt_zero_symmetric()
        keys = maker.create_relin_keys()
        found = [_seeded_at(context, zero, 0), *(_keys_at(context, keys, [0]) or [[]])[0]]
        stored = [files.seeded(context, files.saved(zero)), *files.seeded_keys(context, files.saved(keys), [0])[0]]
        _SEEDED[context] = len(found) == len(stored) and all(
            a is not None and np.array_equal(a[0], b[0]) and a[1] == b[1] for a, b in zip(found, stored, strict=True)
        )
    return _SEEDED[context]


def seeded_words(context: Context, made: Any, level: int = 0) -> Seeded:
    """What SEAL made of ``encrypt_zero_symmetric`` at a level. Raises Rejected where its generator is not BLAKE2Xb."""
    found = _seeded_at(context, made, level) if known(context) and _seeded_known(context) else None
    return files.seeded(context, files.saved(made), level) if found is None else found


def key_words(context: Context, made: Any, places: Sequence[int]) -> list[list[Seeded]]:
    """What SEAL made of ``create_galois_keys`` or ``create_relin_keys``: the digits of the keys at these places. Raises
    Rejected where its generator is not BLAKE2Xb."""
    found = _keys_at(context, made, places) if known(context) and _seeded_known(context) else None
    return files.seeded_keys(context, files.saved(made), places) if found is None else found


def _seeded_at(context: Context, made: Any, level: int) -> Seeded | None:
    primes = len(context.levels) - level
    return _read(_cipher_at(inside(made), context.degree, context.levels[level], primes, 1.0))


def _keys_at(context: Context, made: Any, places: Sequence[int]) -> list[list[Seeded]] | None:
    start, end = (int(word) for word in words_at(inside(made) + 8 * _KEYS, 2))
    if end - start < 8 * _VECTOR * (max(places) + 1):
        return None
    keys = [_digits(context, *words_at(start + 8 * _VECTOR * place, 2).tolist()) for place in places]
    found = [[one for one in key if one is not None] for key in keys]
    return found if all(len(key) == len(context.levels) for key in found) else None


def _digits(context: Context, start: int, end: int) -> list[Seeded | None]:
    digits = len(context.levels)
    each, rest = divmod(end - start, digits)
    if rest or each < 8 * (CIPHERTEXT["array"] + 1):
        return []
    every = (start + each * number for number in range(digits))
    return [_read(_cipher_at(at, context.degree, context.key_level, len(context.moduli), 1.0)) for at in every]
