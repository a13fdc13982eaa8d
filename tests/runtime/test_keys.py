"""Evaluation keys: of a ring, for every program that needs no others, and refused with both sides named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tenseal.sealapi as seal
from small_programs import case
from worlds import PAIRS, SMALL, World, error, layer, relabeled, rerecorded

from slotlang.planning.parameters import Parameters
from slotlang_runtime import Client, EvaluationKeys, Rejected, SecretKey, Server
from slotlang_runtime.kernels.blake import SEED_BYTES
from slotlang_runtime.parameters import RELINEARIZATION, RingParameters
from slotlang_runtime.parameters import Parameters as RuntimeParameters
from slotlang_runtime.records import HEAD, Key, key_record
from slotlang_runtime.residues import packed_size
from slotlang_runtime.seal import memory
from slotlang_runtime.seal.operations import SealOperations
from slotlang_runtime.seal.ring import Ring
from slotlang_runtime.seal.saved import Saved, memory_file, saved
from slotlang_runtime.wire import pack, unpack

CONJUGATES = """program conjugates(n = 8, slots = 8)
input x[n], z[n]
cipher X = x[slot] + 1i * z[slot]
Y = conj X * X
U = X << 3
output y[slot] = Y
output u[slot] = re U
prove y == x
prove u == x
"""
"""Proves nothing, and needs keys of all kinds."""


@pytest.fixture(scope="module")
def secret() -> SecretKey:
    return World(PAIRS).client.secret


def keys_of(secret: SecretKey, *worlds: World) -> EvaluationKeys:
    return EvaluationKeys.from_bytes(secret.evaluation_keys(*(world.module for world in worlds)))


def test_programs_of_a_ring_share_keys(secret: SecretKey) -> None:
    worlds = [
        World(PAIRS, secret=secret),
        World(PAIRS, hide="exact", secret=secret),
        World(layer("q"), secret=secret),
        World(CONJUGATES, secret=secret),
    ]
    shared = keys_of(secret, *worlds)
    assert shared.elements == set().union(*(w.module.parameters.galois_elements for w in worlds))
    assert len(shared.elements) > max(len(w.keys.elements) for w in worlds)
    assert shared.relin is not None
    for world in worlds[:3]:
        found = world.client.decrypt(world.server.evaluate(world.upload, shared).data)
        assert error(found, world.expected()) < 1e-2


def test_modules_make_exactly_the_keys_they_need() -> None:
    world = World(case("horner and doubling").text, None)
    p = world.module.parameters
    assert all(type(step) is int for step in p.rotations)
    have = [k for k in range(1, 16) if world.keys.galois.has_key(pow(3, k, 2 * p.degree))]
    assert have == sorted({n.step for n in world.plan.graph.of_kind("rotate")}) == list(p.rotations)
    assert world.keys.relin is None
    assert not world.keys.galois.has_key(2 * p.degree - 1)


def test_a_missing_rotation_is_named(secret: SecretKey) -> None:
    a, b = World(PAIRS, secret=secret), World(layer("q"), secret=secret)
    few = World(PAIRS.replace("program pairs(d = 8", "program fewer(d = 4"), secret=secret)
    lacking = sorted(set(b.module.parameters.rotations) - set(few.module.parameters.rotations))
    assert lacking == [4]
    with pytest.raises(Rejected) as refused:
        Server(b.encoded).evaluate(b.upload, few.keys)
    assert str(refused.value) == "q needs Galois keys for rotations by 4, and these evaluation keys have none"
    assert error(a.client.decrypt(a.server.evaluate(a.upload, b.keys).data), a.expected()) < 1e-2


def test_missing_kinds_of_keys_are_named(secret: SecretKey) -> None:
    world = World(CONJUGATES, secret=secret)
    box = unpack("evaluation keys", world.sent_keys)
    for without, message in (
        (2 * 4096 - 1, "conjugates needs Galois keys for conjugation, and these evaluation keys have none"),
        (RELINEARIZATION, "conjugates needs a relinearization key, and these evaluation keys have none"),
    ):
        label = {**box.label, "keys": [entry for entry in box.label["keys"] if entry[0] != without]}
        records = {name: record for name, record in box.records.items() if name != str(without)}
        with pytest.raises(Rejected) as refused:
            world.server.evaluate(world.upload, EvaluationKeys.from_bytes(pack("evaluation keys", label, records)))
        assert str(refused.value) == message


def test_keys_are_refused_before_any_work(secret: SecretKey, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(PAIRS, secret=secret)
    none = EvaluationKeys(secret.ring, {})
    monkeypatch.setattr(world.server, "load", lambda upload: pytest.fail("the upload was read first"))
    with pytest.raises(Rejected, match="pairs needs Galois keys for rotations by 1, 2, 4"):
        world.server.evaluate(world.upload, none)
    with pytest.raises(Rejected, match="pairs needs Galois keys for rotations by 1, 2, 4"):
        world.server.compute({}, none)


def test_keys_of_another_ring_name_both() -> None:
    world, other = World(PAIRS), World(PAIRS, Parameters(8192, (60, 60, 60), 36))
    ours, theirs = "degree 4096 with primes of 36, 36, 37 bits", "degree 8192 with primes of 60, 60, 60 bits"
    with pytest.raises(Rejected) as refused:
        world.server.evaluate(world.upload, other.keys)
    assert str(refused.value) == f"these evaluation keys are for {theirs}; pairs needs {ours}"
    with pytest.raises(Rejected) as refused:
        Client(world.module, other.client.secret)
    assert str(refused.value) == f"these secret keys are for {theirs}; pairs needs {ours}"
    with pytest.raises(Rejected) as refused:
        other.client.secret.evaluation_keys(world.module)
    assert str(refused.value) == f"these keys are for {theirs}; pairs needs {ours}"
    with pytest.raises(Rejected, match="this secret key was made for other parameters"):
        SecretKey(world.module.parameters.ring, other.client.secret._key)
    # of the same ring, with primes in another order or of other sizes
    near = World(PAIRS, Parameters(4096, (36, 36, 36), 20))
    with pytest.raises(Rejected, match="primes of 36, 36, 36 bits; pairs needs degree 4096 with primes of 36, 36, 37"):
        world.server.evaluate(world.upload, near.keys)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keys": None}, "do not say what they are"),
        ({"keys": "3"}, "do not say what they are"),
        ({"keys": [3]}, "do not say what they are"),
        ({"keys": [[3]]}, "do not say what they are"),
        ({"keys": [[3, 0, 0]]}, "do not say what they are"),
        ({"keys": [[3.0, 0]]}, "do not say what they are"),
        ({"keys": [[True, 0]]}, "do not say what they are"),
        ({"keys": [[3, None]]}, "do not say what they are"),
        ({"keys": [[3, 0], [2, 0]]}, "name Galois elements that do not exist"),
        ({"keys": [[-3, 0]]}, "name Galois elements that do not exist"),
        ({"keys": [[8193, 0]]}, "name Galois elements that do not exist"),
        ({"keys": [[3, -1]]}, "name levels that do not exist"),
        ({"keys": [[3, 2]]}, "name levels that do not exist"),
        ({"keys": [[9, 0], [3, 0]]}, "a Galois element twice, or out of order"),
        ({"keys": [[3, 0], [3, 1]]}, "a Galois element twice, or out of order"),
        ({"keys": []}, "unexpected 3 among these evaluation keys"),
        ({"keys": [[3, 0]]}, "unexpected 9 among these evaluation keys"),
        ({"keys": [[1, 0], [3, 0], [9, 0], [81, 0]]}, "1 is missing from these evaluation keys"),
        ({"keys": [[3, 0], [9, 0], [81, 1]]}, "a key has primes 3, expected 2"),
        ({"other": 1}, "do not say what they are"),
        ({"degree": None}, "do not say what ring they are for"),
        ({"degree": "4096"}, "do not say what ring they are for"),
        ({"degree": True}, "do not say what ring they are for"),
        ({"prime_bits": 36}, "do not say what ring they are for"),
        ({"degree": 5000}, "no ring of degree 5000"),
        ({"degree": 2048}, "below 128-bit security"),
        ({"prime_bits": [60, 60]}, "below 128-bit security"),
        ({"prime_bits": [36]}, "two or more"),
        ({"prime_bits": [36, 36, [37]]}, "two or more"),
        ({"prime_bits": [15, 60]}, "SEAL has no such parameters"),
        ({"prime_bits": [36, 37]}, "a key has parameters"),
    ],
)
def test_labels(changes: dict[str, Any], message: str, secret: SecretKey) -> None:
    data = relabeled("evaluation keys", World(PAIRS, secret=secret).sent_keys, **changes)
    with pytest.raises(Rejected, match=message):
        EvaluationKeys.from_bytes(data)


def test_records_that_are_not_the_keys_they_name(secret: SecretKey) -> None:
    sent = World(CONJUGATES, secret=secret).sent_keys
    box = unpack("evaluation keys", sent)
    good = bytes(box.records["27"] or b"")
    size = HEAD.size
    digit = SEED_BYTES + packed_size(secret.context.moduli, 4096)
    assert len(good) == size + 2 * digit
    for bad, message in [
        (good[:26], "a key ends too early: it has 26 bytes"),
        (good[:-1], "bytes of residues"),
        (good + b"x", "bytes of residues"),
        (good[:size], "a key has 0 bytes of residues"),
        (b"fresh\0\0\0" + good[8:], "a key has the mark"),
        (bytes(len(good)), "a key has the mark"),
        (good[:size] + good[size + digit :], "bytes of residues"),
        (good[: size + SEED_BYTES] + b"\xff" * 9 + good[size + SEED_BYTES + 9 :], "not below its prime"),
        (good[: digit + 10] + b"\xff" * 9 + good[digit + 19 :], "not below its prime"),
        (good[:-9] + b"\xff" * 9, "not below its prime"),
        (None, "the key 27 is missing"),
    ]:
        with pytest.raises(Rejected, match=message):
            EvaluationKeys.from_bytes(pack("evaluation keys", box.label, {**box.records, "27": bad}))


def test_words_are_what_seal_has(secret: SecretKey) -> None:
    """By SEAL's own objects, saved and read field by field; SEAL expands the seeds of the same keys."""
    world = World(CONJUGATES, secret=secret)
    context, keys = secret.context, world.keys
    moduli = context.moduli
    places = {(element - 1) // 2: element for element in keys.elements}
    for thing, held in ((keys.galois, places), (keys.relin, {0: RELINEARIZATION})):
        record = Saved(context, saved(thing), 1 << 30)
        *_, count = record.take("5Q")
        for place in range(count):
            (digits,) = record.take("Q")
            assert digits == (2 if place in held else 0)
            if place in held:
                words = keys.words(held[place])
                assert words.shape == (2, 2, 3, 4096)
                for digit in range(digits):
                    record.inner()
                    assert np.array_equal(record.ciphertext(context.key_level, moduli, 1.0), words[digit])
        record.end()


def test_keys_switch_as_those_that_seal_made(secret: SecretKey) -> None:
    """A digit of a key is an encryption: of the key prime times what is switched from, at its own prime."""
    world = World(PAIRS, secret=secret)
    elements = sorted(world.keys.elements)
    made = secret._generator.create_galois_keys(elements)
    given = memory.key_words(secret.context, made, [(element - 1) // 2 for element in elements])
    whole = seal.GaloisKeys()
    with memory_file() as (stream, path):
        made.save(path)
        stream.flush()
        whole.load(secret.context.context, path)
    records = {str(e): key_record(secret.context, key, 0) for e, key in zip(elements, given, strict=True)}
    keys = EvaluationKeys.from_bytes(rerecorded("evaluation keys", world.sent_keys, **records))
    assert saved(keys.galois) == saved(whole)


def test_keys_without_what_is_gone_at_their_level(secret: SecretKey) -> None:
    """Of three digits and four primes two and three are left, and SEAL switches with them below the top."""
    ring = RingParameters(8192, (50, 40, 40, 50))
    secret = SecretKey(ring)
    context = secret.context
    made = secret._generator.create_galois_keys([3])
    (digits,) = memory.key_words(context, made, [1])
    whole, part = (Key.read(key_record(context, digits, level), context, level) for level in (0, 1))
    assert part.words().shape == (2, 2, 3, 8192)
    assert np.array_equal(part.words(), whole.words()[:2][:, :, [0, 1, 3]])
    assert len(key_record(context, digits, 1)) < 0.55 * len(key_record(context, digits, 0))
    keys = EvaluationKeys(ring, {3: part})
    below = Ring(RuntimeParameters(8192, ring.prime_bits, (30,), drops=(1,)), 4096)
    operations = SealOperations(below, keys.galois, None)
    plain, cipher = seal.Plaintext(), seal.Ciphertext()
    values = np.random.default_rng(0).standard_normal(4096)
    operations.ring.encoder.encode(values.tolist(), context.levels[1], 2.0**30, plain)
    secret.encryptor.encrypt_symmetric(plain, cipher)
    secret.decryptor.decrypt(operations.rotate(cipher, 1), plain)
    assert np.abs(operations.ring.decode(plain) - np.roll(values, -1)).max() < 1e-2


def test_a_program_without_rotations_needs_no_keys() -> None:
    text = """program still(slots = 8)
input x[slots]
weight a[slots]
cipher X = x[slot]
plain W = a[slot]
Y = X + W
output y[slot] = Y
prove y == x + a
"""
    world = World(text, hide="none")
    assert (world.keys.elements, world.keys.galois, world.keys.relin) == (frozenset(), None, None)
    assert len(world.sent_keys) < 300
    assert error(world.result(), world.expected()) < 1e-2


def test_a_second_client_adds_its_keys_only() -> None:
    """Weights and server are the first one's: no other object is made."""
    first = World(PAIRS)
    second = Client(first.module)
    keys = EvaluationKeys.from_bytes(second.evaluation_keys())
    engine, plain = first.encoded.engine, dict(first.encoded.engine.plain)  # type: ignore[attr-defined]
    answer = first.server.evaluate(second.encrypt(**first.inputs), keys)
    assert error(second.decrypt(answer.data), first.expected()) < 1e-2
    assert first.server.engine is engine
    assert all(value is plain[name] for name, value in engine.plain.items())  # type: ignore[attr-defined]
    # each with its own keys: with those of another client results are noise, which is refused
    mixed = first.server.evaluate(second.encrypt(**first.inputs), first.keys)
    with pytest.raises(Rejected) as refused:
        second.decrypt(mixed.data)
    assert refused.value.code == "SL533"
    assert SMALL.degree == keys.ring.degree
