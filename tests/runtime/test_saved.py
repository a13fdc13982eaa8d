"""SEAL's objects from bytes: every field is read before SEAL sees it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tenseal.sealapi as seal
from worlds import PAIRS, World, residues

from slotlang_runtime.errors import Rejected
from slotlang_runtime.parameters import Parameters
from slotlang_runtime.seal import saved as reading
from slotlang_runtime.seal.ring import Ring
from slotlang_runtime.seal.saved import (
    Saved,
    ciphertext_bytes,
    header,
    load_ciphertext,
    load_keys,
    load_plaintext,
    load_secret,
    memory_file,
    plaintext_of,
    residues_of,
    saved,
)
from slotlang_runtime.wire import unpack


@pytest.fixture(scope="module")
def world() -> World:
    return World(PAIRS)


def sent(world: World) -> bytes:
    """A seeded ciphertext as SEAL saves it, at the scale of inputs."""
    return saved(world.client.secret.encryptor.encrypt_symmetric(world.ring.encode(np.arange(16.0), added=True)))


def bare(body: bytes | bytearray, head: bytes | None = None) -> bytes:
    """An uncompressed object."""
    return (header() if head is None else head) + struct.pack("<Q", 16 + len(body)) + bytes(body)


def body_of(data: bytes | memoryview) -> bytearray:
    return bytearray(reading._expanded(memoryview(data)[16:], 1 << 26))


def written(at: int, form: str, *values: Any) -> Callable[[bytearray], None]:
    return lambda body: struct.pack_into(f"<{form}", body, at, *values)


PRIMES, DEGREE = 2, 4096
WORDS = 8 * PRIMES * DEGREE
"""Bytes of one polynomial."""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (written(0, "Q", 1), "not at the level this program has there"),
        (written(24, "Q", 1), "not at the level this program has there"),
        (written(32, "B", 0), r"form, polynomials, degree and primes \(0, 2, 4096, 2\), expected \(1, 2, 4096, 2\)"),
        (written(33, "Q", 3), "form, polynomials, degree and primes"),
        (written(41, "Q", 8192), "form, polynomials, degree and primes"),
        (written(49, "Q", 1), "form, polynomials, degree and primes"),
        (written(57, "d", 2.0**20 * (1 + 2**-52)), "has scale"),
        (written(57, "d", float("nan")), "has scale nan"),
        (written(65, "Q", 2), "correction factor 2, expected 1"),
        (written(73, "B", 0), "a header that SEAL does not write"),
        (written(81, "Q", 1 << 40), "does not have the length this program expects"),
        (written(89, "Q", 1 << 61), "does not have the length this program expects"),
        (written(89, "Q", 4 * PRIMES * DEGREE), "does not have the length this program expects"),
        (written(97, "Q", 1 << 36), "a residue that is not below its prime"),
        (written(97 + WORDS - 8, "Q", (1 << 64) - 1), "a residue that is not below its prime"),
        (written(97 + WORDS, "8s", b"seedseed"), "a header that SEAL does not write"),
        (written(97 + WORDS + 8, "Q", 82), "a header that SEAL does not write"),
        (written(97 + WORDS + 16, "B", 0), "seed is for a generator that SEAL does not have"),
        (written(97 + WORDS + 16, "B", 3), "seed is for a generator that SEAL does not have"),
        (lambda body: body.extend(b"x"), "bytes left over in an object"),
        (lambda body: body.__delitem__(slice(-1, None)), "an object ends too early"),
        (lambda body: body.__delitem__(slice(97, None)), "an object ends too early"),
        (lambda body: body.__delitem__(slice(60, None)), "an object ends too early"),
        (lambda body: body.clear(), "an object ends too early"),
    ],
)
def test_fields_of_an_upload(world: World, change: Callable[[bytearray], None], message: str) -> None:
    record = sent(world)
    body = body_of(record)
    load_ciphertext(world.ring, bare(body), 0)
    change(body)
    with pytest.raises(Rejected, match=message):
        load_ciphertext(world.ring, bare(body), 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:15], "not an object that SEAL 4 saved"),
        (lambda data: b"", "not an object that SEAL 4 saved"),
        (lambda data: b"\0" + data[1:], "not an object that SEAL 4 saved"),
        (lambda data: data[:2] + b"\x11" + data[3:], "not an object that SEAL 4 saved"),
        (lambda data: data[:3] + b"\x03" + data[4:], "not an object that SEAL 4 saved"),
        (lambda data: data[:26], "length is not what its header says"),
        (lambda data: data + b"x", "length is not what its header says"),
        (lambda data: data[:5] + b"\x01" + data[6:], "a compression that SEAL does not write here"),
        (lambda data: data[:5] + b"\x03" + data[6:], "a compression that SEAL does not write here"),
        (lambda data: data[:6] + b"\x01" + data[7:], "a compression that SEAL does not write here"),
        (lambda data: data[:20] + b"\xff\xff\xff" + data[23:], "can't be decompressed"),
        (lambda data: data[:5] + b"\0" + data[6:], "."),
    ],
)
def test_headers(world: World, change: Callable[[bytes], bytes], message: str) -> None:
    record = sent(world)
    with pytest.raises(Rejected, match=message):
        load_ciphertext(world.ring, change(bytes(record)), 0)


def test_what_expands_beyond_its_limit_is_refused(world: World) -> None:
    """A few bytes of zstd may expand to gigabytes."""
    record = sent(world)
    whole = len(body_of(record))
    assert len(Saved(world.ring.shared, record, whole).body) == whole
    with pytest.raises(Rejected, match="larger than it may be here"):
        Saved(world.ring.shared, record, whole - 1)


def test_a_ciphertext_that_anyone_can_read_is_refused(world: World) -> None:
    ring = world.ring
    words = np.ones((2, PRIMES, DEGREE), np.uint64)
    loaded = load_ciphertext(ring, ciphertext_bytes(ring, words, 0, ring.scale(0)), 0)
    assert np.array_equal(residues(ring, loaded), words)
    words[1] = 0
    with pytest.raises(Rejected, match="not encrypted: anyone could read it"):
        load_ciphertext(ring, ciphertext_bytes(ring, words, 0, ring.scale(0)), 0)


def test_levels_and_scales(world: World) -> None:
    ring = world.ring
    words = np.ones((2, 1, DEGREE), np.uint64)
    data = ciphertext_bytes(ring, words, 1, ring.scale(0))
    with pytest.raises(Rejected, match="not at the level"):
        load_ciphertext(ring, data, 0)
    # of a program that rescales, this may be a ciphertext
    with pytest.raises(IndexError):
        load_ciphertext(ring, data, 1)
    lower = Ring(Parameters(4096, (36, 36, 37), (20,), drops=(1,)), 16)
    made = load_ciphertext(lower, ciphertext_bytes(lower, words, 1, lower.scale(1)), 1)
    assert made.parms_id() == lower.levels[1] and made.scale == lower.scale(1)


def test_plaintexts_come_back_by_their_residues(world: World) -> None:
    ring = world.ring
    plain = ring.encode(np.arange(16) + 1j)
    words = residues_of(ring, plain)
    assert words.shape == (PRIMES, DEGREE)
    again = plaintext_of(ring, words, 0, plain.scale)
    assert saved(again) == saved(plain)
    with pytest.raises(Rejected, match="not at the scale"):
        load_plaintext(ring, saved(plain), 0, 2 * plain.scale)
    with pytest.raises(Rejected, match="not at the level"):
        load_plaintext(ring, bare(body_of(saved(plain))), 1, plain.scale)
    words = words.copy()
    words[1, 7] = ring.primes(0)[1]
    with pytest.raises(Rejected, match="not below its prime"):
        plaintext_of(ring, words, 0, plain.scale)
    body = body_of(saved(plain))
    written(32, "Q", DEGREE)(body)
    with pytest.raises(Rejected, match="a number of residues 4096, expected 8192"):
        load_plaintext(ring, bare(body), 0, plain.scale)


def test_secret_keys(world: World) -> None:
    record = unpack("secret keys", world.client.secret.to_bytes()).records["secret"]
    assert record is not None
    context = world.ring.shared
    assert saved(load_secret(context, record)) == bytes(record)
    with pytest.raises(Rejected, match="not at the level"):
        load_secret(context, saved(world.ring.encode(1.0)))
    body = body_of(record)
    written(40, "d", 2.0)(body)
    with pytest.raises(Rejected, match=r"not at the scale this program has there, but at 2.0, expected 1.0"):
        load_secret(context, bare(body))


def test_keys_at_exactly_the_places_they_name(world: World) -> None:
    elements = [3, 9, 8191]
    galois = saved(world.client.secret._generator.create_galois_keys(elements))
    wanted = {(e - 1) // 2 for e in elements}
    context = world.ring.shared
    keys = load_keys(context, seal.GaloisKeys, galois, DEGREE, wanted)
    assert all(keys.has_key(element) for element in elements)
    for places in (wanted - {min(wanted)}, wanted | {0}, {place + 1 for place in wanted}):
        with pytest.raises(Rejected, match=r"a key is missing|one too many|larger than it may be"):
            load_keys(context, seal.GaloisKeys, galois, DEGREE, places)
    with pytest.raises(Rejected, match="keys have a number of places 4096, expected 1"):
        load_keys(context, seal.RelinKeys, bare(body_of(galois)), 1, {0})
    body = body_of(galois)
    for at, message in ((0, "keys are for parameters"), (40 + 8 * min(wanted), "missing from these evaluation keys")):
        changed = bytearray(body)
        written(at, "Q", 1)(changed)
        with pytest.raises(Rejected, match=message):
            load_keys(context, seal.GaloisKeys, bare(changed), DEGREE, wanted)
    inner = bytearray(body)
    written(40 + 8 * min(wanted) + 8 + 8, "Q", 99)(inner)
    with pytest.raises(Rejected, match=r"missing|length that is not its own|header"):
        load_keys(context, seal.GaloisKeys, bare(inner), DEGREE, wanted)


def test_what_seal_refuses_itself_is_rejected(world: World) -> None:
    class Refusing:
        def load(self, context: Any, path: str) -> None:
            raise RuntimeError("loaded data is invalid")

    body = body_of(sent(world))
    record = Saved(world.ring.shared, bare(body), 1 << 20)
    record.at = len(record.body)
    with pytest.raises(Rejected, match="SEAL does not accept an object: loaded data is invalid"):
        record.load(Refusing)


def test_a_file_that_held_something_longer_is_used_again(world: World) -> None:
    ring = world.ring
    plains = [ring.encode(np.arange(16) * n + 1.5) for n in range(3)]
    with memory_file() as file:
        file[0].write(b"x" * (1 << 20))
        for plain in plains:
            assert saved(load_plaintext(ring, saved(plain), 0, plain.scale, file)) == saved(plain)


def test_without_memory_files(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other systems have none: a temporary file does."""
    plain = world.ring.encode(2.5)
    wanted = saved(plain)
    monkeypatch.delattr(reading.os, "memfd_create")
    assert saved(plain) == wanted
    assert saved(load_plaintext(world.ring, wanted, 0, plain.scale)) == wanted


def test_a_build_without_zstd_rejects_compressed_objects(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "library", lambda *_: None)
    with pytest.raises(Rejected, match="hides its zstd"):
        load_ciphertext(world.ring, sent(world), 0)


def test_functions_that_the_library_does_not_have() -> None:
    assert reading.library("no_such_function_is_there") is None
