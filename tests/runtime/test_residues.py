"""Residues as bytes, and uniform residues from seeds: kernels and numpy make the same, and SEAL the same as both."""

from __future__ import annotations

import ctypes
import hashlib
import struct
from collections.abc import Iterator

import numpy as np
import pytest
import tenseal.sealapi as seal
from byte_ways import WAYS, taken

from slotlang_runtime import Rejected, SecretKey, residues
from slotlang_runtime.kernels import blake
from slotlang_runtime.parameters import Parameters, RingParameters
from slotlang_runtime.residues import Words, packed, packed_size, uniform, unpacked
from slotlang_runtime.seal.memory import polynomials_of, seeded_words
from slotlang_runtime.seal.ring import Ring
from slotlang_runtime.seal.saved import memory_file

SEED = bytes(range(64))


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    return taken(request.param, residues, monkeypatch)


def drawn(prime: int, rows: int, count: int) -> Words:
    found = np.random.default_rng(prime).integers(0, prime, (rows, count), np.uint64)
    found[:, :2] = 0, prime - 1
    return found


@pytest.mark.parametrize("bits", range(14, 61))
def test_a_row_is_eight_numbers_of_as_many_bits_for_each_residue(bits: int, way: str) -> None:
    prime = (1 << bits) - 5
    row = drawn(prime, 1, 1536)
    data = packed(row, [prime])
    numbers = [sum(value << bits * n for n, value in enumerate(row[0, lane::8].tolist())) for lane in range(8)]
    streams = [number.to_bytes(192 * bits // 8, "little") for number in numbers]
    # a word of each in turn
    assert data == b"".join(stream[at : at + 8] for at in range(0, 24 * bits, 8) for stream in streams)
    assert len(data) == packed_size([prime], 1536)
    assert np.array_equal(unpacked(memoryview(b"x" + data)[1:], [prime], np.empty_like(row)), row)


def test_rows_of_different_primes_stand_one_after_another(way: str) -> None:
    primes = [(1 << 60) - 93, (1 << 36) - 5, (1 << 14) - 3]
    rows = np.concatenate([drawn(prime, 1, 1024) for prime in primes])
    data = packed(rows, primes)
    assert data == b"".join(packed(row[None], [prime]) for row, prime in zip(rows, primes, strict=True))
    assert np.array_equal(unpacked(data, primes, np.empty_like(rows)), rows)
    apart = np.zeros((3, 1100), np.uint64)[:, :1024]
    assert np.array_equal(unpacked(data, primes, apart), rows) and packed(apart, primes) == data
    assert packed(rows[:, ::-1], primes) == packed(np.ascontiguousarray(rows[:, ::-1]), primes)


@pytest.mark.parametrize("bits", [14, 33, 60])
def test_a_residue_that_is_not_below_its_prime(bits: int, way: str) -> None:
    prime, larger = (1 << bits) - 5, (1 << bits) - 1
    for value in (prime, larger):
        for place in (0, 77, 1023):
            row = drawn(prime, 1, 1024)
            row[0, place] = value
            with pytest.raises(Rejected, match="a residue that is not below its prime"):
                unpacked(packed(row, [larger]), [prime], np.empty_like(row))


def test_residues_of_another_length(way: str) -> None:
    row = drawn((1 << 20) - 3, 1, 512)
    data = bytes(packed(row, [(1 << 20) - 3]))
    for wrong in (data[:-1], data + b"\0", b""):
        with pytest.raises(Rejected, match=f"residues take {len(wrong):,} bytes, expected 1280"):
            unpacked(wrong, [(1 << 20) - 3], np.empty_like(row))


def test_roots_are_those_of_hashlib() -> None:
    """The first step of BLAKE2Xb is BLAKE2b with a length of the output among its parameters."""
    seed = [np.array([word], np.uint64) for word in struct.unpack("<8Q", SEED)]
    for number in (0, 1, 1 << 40):
        found = blake.root(blake._ARRAYS, seed, np.array([number], np.uint64))
        wanted = hashlib.blake2b(struct.pack("<Q", number), key=SEED, node_offset=4096 << 32).digest()
        assert b"".join(int(word[0]).to_bytes(8, "little") for word in found) == wanted


def of_seal(seed: bytes) -> Iterator[int]:
    """Words of SEAL's generator, by the function in TenSEAL's library."""
    try:
        generate = ctypes.CDLL(seal._sealapi_cpp.__file__).blake2xb
    except AttributeError:
        pytest.skip("this build of TenSEAL hides its generator")
    size = ctypes.c_size_t
    generate.argtypes = (ctypes.c_void_p, size, ctypes.c_char_p, size, ctypes.c_char_p, size)
    block, words = 0, np.empty(512, "<u8")
    while True:
        generate(words.ctypes.data, 4096, struct.pack("<Q", block), 8, seed, len(seed))
        yield from words.tolist()
        block += 1


def one_by_one(seed: bytes, primes: list[int], count: int, limits: list[int]) -> tuple[Words, int]:
    """SEAL's ``sample_poly_uniform``, residue by residue; and how many words were drawn again."""
    words, found, again = of_seal(seed), [], 0
    rows = [[next(words) for _ in range(count)] for _ in primes]
    for row, prime, limit in zip(rows, primes, limits, strict=True):
        for value in row:
            while value >= limit:
                value, again = next(words), again + 1
            found.append(value % prime)
    return np.array(found, np.uint64).reshape(len(primes), count), again


@pytest.mark.parametrize("primes", [[(1 << 60) - 93, (1 << 36) - 5, (1 << 14) - 3], [(1 << 27) - 39], [97] * 5])
@pytest.mark.parametrize("count", [512, 1024, 2048])
def test_uniform_residues_are_words_of_the_generator_modulo_each_prime(primes: list[int], count: int, way: str) -> None:
    limits = [(1 << 64) - 1 - ((1 << 64) - 1) % prime - 1 for prime in primes]
    expected, again = one_by_one(SEED, primes, count, limits)
    assert again == 0
    assert np.array_equal(uniform(SEED, primes, np.empty((len(primes), count), np.uint64)), expected)
    apart = np.zeros((len(primes), count + 40), np.uint64)
    assert np.array_equal(uniform(SEED, primes, apart[:, :count]), expected)
    assert not apart[:, count:].any()


def test_words_that_are_too_large_are_drawn_again(way: str) -> None:
    """Modulo p = 2^64 / 17, up to a few, one in 17 is; SEAL's primes lie so near to powers of two that none ever is."""
    primes = [((1 << 64) + 16) // 17 + 1, (1 << 60) - 93, (1 << 64) // 18 + 7]
    limits = [(1 << 64) - 1 - ((1 << 64) - 1) % prime - 1 for prime in primes]
    expected, again = one_by_one(SEED, primes, 1024, limits)
    assert again > 30
    assert np.array_equal(uniform(SEED, primes, np.empty((3, 1024), np.uint64)), expected)


def test_what_is_drawn_again_can_be_too_large_too(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a bound of half of all words, through several more blocks."""
    monkeypatch.setattr(residues, "_limit", lambda prime: 1 << 63)
    primes = [(1 << 36) - 5, (1 << 20) - 3]
    expected, again = one_by_one(SEED, primes, 1024, [1 << 63] * 2)
    assert again > 3 * 512
    assert np.array_equal(uniform(SEED, primes, np.empty((2, 1024), np.uint64)), expected)


def test_a_draw_at_the_bound_is_drawn_again(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    largest = max(word for word, _ in zip(of_seal(SEED), range(1024), strict=False))
    prime = (1 << 36) - 5
    for limit, expected_again in ((largest, 1), (largest + 1, 0)):
        monkeypatch.setattr(residues, "_limit", lambda prime, limit=limit: limit)
        expected, again = one_by_one(SEED, [prime], 1024, [limit])
        assert again == expected_again
        assert np.array_equal(uniform(SEED, [prime], np.empty((1, 1024), np.uint64)), expected)


@pytest.mark.parametrize(
    ("degree", "bits"),
    [
        (2048, (27, 27)),
        (2048, (18, 18, 17)),
        (4096, (36, 36, 37)),
        (4096, (54, 55)),
        (8192, (60, 60, 60)),
        (8192, (20, 24, 28, 32, 40, 44)),
        (16384, (60, 59, 58, 57, 56, 55, 49)),
    ],
)
def test_seal_expands_a_seed_to_the_same_residues(degree: int, bits: tuple[int, ...], way: str) -> None:
    secret = SecretKey(RingParameters(degree, bits))
    made, whole = secret.encryptor.encrypt_zero_symmetric(), seal.Ciphertext()
    first, seed = seeded_words(secret.context, made)
    with memory_file() as (stream, path):
        made.save(path)
        stream.flush()
        whole.load(secret.context.context, path)
    expected = polynomials_of(Ring(Parameters(degree, bits, (10,)), degree // 2), whole)
    primes = secret.context.moduli[:-1]
    assert np.array_equal(first, expected[0])
    assert np.array_equal(uniform(seed, primes, np.empty_like(first)), expected[1])
