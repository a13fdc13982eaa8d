"""SEAL's objects where they lie in memory: arrays say what files say, and files do where objects lie otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tenseal.sealapi as seal
from worlds import PAIRS, World, error

from slotlang_runtime import Rejected, SecretKey, residues
from slotlang_runtime.parameters import Parameters, RingParameters
from slotlang_runtime.seal import memory
from slotlang_runtime.seal import saved as files
from slotlang_runtime.seal.ring import Context, Ring, context_of

RINGS = [
    Parameters(4096, (36, 36, 37), (20,), drops=(1,)),
    Parameters(8192, (60, 50, 40, 60), (30,), drops=(1, 2)),
    Parameters(4096, (54, 55), (30,)),
]


def drawn(ring: Ring, level: int) -> Any:
    rng = np.random.default_rng(level)
    return np.stack([rng.integers(0, p, (2, ring.degree), np.uint64) for p in ring.primes(level)], axis=1)


@pytest.mark.parametrize(("parameters", "level"), [(p, n) for p in RINGS for n in range(len(p.drops) + 1)])
def test_arrays_and_files_say_the_same(parameters: Parameters, level: int) -> None:
    ring = Ring(parameters, parameters.degree // 2)
    assert memory.known(ring.shared)
    words, scale = drawn(ring, level), ring.scale(level)
    cipher, plain = memory.ciphertext_of(ring, words, level, scale), memory.plaintext_of(ring, words[1], level, scale)
    others = files.ciphertext_of(ring, words, level, scale), files.plaintext_of(ring, words[1], level, scale)
    assert [files.saved(cipher), files.saved(plain)] == [files.saved(other) for other in others]
    assert cipher.is_ntt_form() and plain.is_ntt_form()
    for one, two in zip((cipher, plain), others, strict=True):
        assert one.parms_id() == two.parms_id() == ring.levels[level] and one.scale == two.scale == scale
    for thing in (cipher, others[0]):
        assert np.array_equal(memory.polynomials_of(ring, thing), words)
        assert np.array_equal(memory.residues_at(ring, thing, level, scale), words)
        assert np.array_equal(files.polynomials_of(ring, thing), words)
    for thing in (plain, others[1]):
        assert np.array_equal(memory.residues_of(ring, thing), words[1])
        assert np.array_equal(files.residues_of(ring, thing), words[1])


def test_what_is_read_is_a_copy() -> None:
    ring = Ring(RINGS[0], 2048)
    words = drawn(ring, 0)
    cipher, plain = memory.ciphertext_of(ring, words, 0, 2.0), memory.plaintext_of(ring, words[0], 0, 2.0)
    for found in (memory.polynomials_of(ring, cipher), memory.residues_of(ring, plain)):
        found[:] = 0
    assert np.array_equal(memory.polynomials_of(ring, cipher), words)
    assert np.array_equal(memory.residues_of(ring, plain), words[0])


def test_another_level_or_scale_is_refused() -> None:
    ring = Ring(RINGS[0], 2048)
    cipher = memory.ciphertext_of(ring, drawn(ring, 0), 0, 2.0)
    with pytest.raises(Rejected, match=r"a ciphertext has scale 2\.0, expected 4\.0"):
        memory.residues_at(ring, cipher, 0, 4.0)
    with pytest.raises(Rejected, match="not at the level"):
        memory.residues_at(ring, cipher, 1, 2.0)
    product = seal.Ciphertext()
    seal.Evaluator(ring.context).multiply(cipher, cipher, product)
    with pytest.raises(Rejected, match="form, polynomials, degree and primes"):
        memory.residues_at(ring, product, 0, 4.0)


def of_files(made: list[tuple[Any, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(first.tobytes(), seed) for first, seed in made]


@pytest.mark.parametrize("bits", [(4096, (36, 36, 37)), (8192, (60, 50, 40, 60))])
def test_seeds_and_keys(bits: tuple[int, tuple[int, ...]]) -> None:
    secret = SecretKey(RingParameters(*bits))
    context: Context = secret.context
    zero = secret.encryptor.encrypt_zero_symmetric()
    assert of_files([memory.seeded_words(context, zero)]) == of_files([files.seeded(context, files.saved(zero))])
    low = secret.encryptor.encrypt_zero_symmetric(context.levels[1])
    assert of_files([memory.seeded_words(context, low, 1)]) == of_files([files.seeded(context, files.saved(low), 1)])
    elements = [3, 27, 2 * context.degree - 1]
    places = [(element - 1) // 2 for element in elements]
    galois, relin = secret._generator.create_galois_keys(elements), secret._generator.create_relin_keys()
    for made, at in ((galois, places), (galois, places[1:]), (relin, [0])):
        found, wanted = memory.key_words(context, made, at), files.seeded_keys(context, files.saved(made), at)
        assert len(found) == len(at) and all(len(key) == len(context.levels) for key in found)
        assert [of_files(key) for key in found] == [of_files(key) for key in wanted]


@pytest.mark.parametrize("way", ["files", "numpy", "both"])
def test_without_memory_or_kernels_all_is_the_same(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where objects lie otherwise, or where there are no kernels: one sends what the other reads."""
    world = World(PAIRS)
    with monkeypatch.context() as patch:
        if way != "numpy":
            patch.setattr(memory, "_CHECKED", {context_of(RINGS[0].ring): False})
        if way != "files":
            patch.setattr(residues, "byte_kernels", lambda: None)
        other = World(PAIRS, secret=world.client.secret)
        answer = other.answer(world.upload)
        assert error(other.result(), other.expected()) < 1e-2
        assert error(other.client.decrypt(world.answer().data), world.expected()) < 1e-2
        weights = other.encoded.to_bytes()
    assert error(world.client.decrypt(answer.data), world.expected()) < 1e-2
    assert error(world.result(other.upload), world.expected()) < 1e-2
    assert weights == world.encoded.to_bytes()


def test_a_ring_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Context] = []
    monkeypatch.setattr(memory, "_CHECKED", {})
    monkeypatch.setattr(memory, "_self_test", lambda context: not calls.append(context))
    context = context_of(RINGS[0].ring)
    assert memory.known(context) and memory.known(context) and calls == [context]


@pytest.mark.parametrize(
    ("name", "field", "place"),
    [("CIPHERTEXT", "words", 6), ("CIPHERTEXT", "scale", 7), ("PLAINTEXT", "words", 5), ("PLAINTEXT", "scale", 4)],
)
def test_fields_that_lie_otherwise_are_found_out(
    name: str, field: str, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(getattr(memory, name), field, place)
    assert not memory._self_test(context_of(RINGS[0].ring))


def test_seeds_that_stand_elsewhere_are_read_from_files(monkeypatch: pytest.MonkeyPatch) -> None:
    context = context_of(RINGS[0].ring)
    monkeypatch.setattr(memory, "_SEEDED", {})
    monkeypatch.setattr(memory, "_seed", lambda words: bytes(64))
    secret = SecretKey(RINGS[0].ring)
    zero = secret.encryptor.encrypt_zero_symmetric()
    found = memory.seeded_words(context, zero)
    assert not memory._seeded_known(context) and found[1] != bytes(64)
    assert of_files([found]) == of_files([files.seeded(context, files.saved(zero))])
