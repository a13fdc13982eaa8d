"""Evaluation keys: of a ring, for every program that needs no others, and refused with both sides named."""

from __future__ import annotations

from typing import Any

import pytest
from small_programs import case
from worlds import PAIRS, SMALL, World, error, layer, relabeled, rerecorded

from slotlang.planning.parameters import Parameters
from slotlang_runtime import Client, EvaluationKeys, Rejected, SecretKey, Server
from slotlang_runtime.seal.saved import saved
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
    whole = unpack("evaluation keys", world.sent_keys)
    conjugation = 2 * 4096 - 1
    rotation = [e for e in whole.label["elements"] if e != conjugation]
    galois = saved(secret._generator.create_galois_keys(rotation))
    no_conjugation = relabeled("evaluation keys", world.sent_keys, elements=rotation)
    no_conjugation = rerecorded("evaluation keys", no_conjugation, galois=galois)
    no_products = rerecorded(
        "evaluation keys", relabeled("evaluation keys", world.sent_keys, relinearization=False), relin=None
    )
    for data, message in (
        (no_conjugation, "conjugates needs Galois keys for conjugation, and these evaluation keys have none"),
        (no_products, "conjugates needs a relinearization key, and these evaluation keys have none"),
    ):
        with pytest.raises(Rejected) as refused:
            world.server.evaluate(world.upload, EvaluationKeys.from_bytes(data))
        assert str(refused.value) == message


def test_keys_are_refused_before_any_work(secret: SecretKey, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(PAIRS, secret=secret)
    none = EvaluationKeys(secret.ring, frozenset(), None, None)
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
        ({"elements": None}, "do not say what they are|name Galois elements"),
        ({"elements": "3"}, "name Galois elements that do not exist"),
        ({"elements": [3, 2]}, "name Galois elements that do not exist"),
        ({"elements": [1]}, "name Galois elements that do not exist"),
        ({"elements": [-3]}, "name Galois elements that do not exist"),
        ({"elements": [8193]}, "name Galois elements that do not exist"),
        ({"elements": [3.0]}, "name Galois elements that do not exist"),
        ({"elements": [True]}, "name Galois elements that do not exist"),
        ({"elements": [9, 3]}, "a Galois element twice, or out of order"),
        ({"elements": [3, 3]}, "a Galois element twice, or out of order"),
        ({"elements": []}, "hold no Galois keys, or some that they do not name"),
        ({"elements": [3]}, "a key is missing|one too many|larger than it may be"),
        ({"relinearization": True}, "no relinearization key, or one that they do not name"),
        ({"relinearization": 0}, "do not say what they are"),
        ({"relinearization": None}, "do not say what they are"),
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
        ({"prime_bits": [36, 37]}, "keys are for parameters|ends too early|larger than"),
    ],
)
def test_labels(changes: dict[str, Any], message: str, secret: SecretKey) -> None:
    data = relabeled("evaluation keys", World(PAIRS, secret=secret).sent_keys, **changes)
    with pytest.raises(Rejected, match=message):
        EvaluationKeys.from_bytes(data)


def test_records_that_are_not_the_keys_they_name(secret: SecretKey) -> None:
    sent = World(CONJUGATES, secret=secret).sent_keys
    box = unpack("evaluation keys", sent)
    galois, relin = bytes(box.records["galois"] or b""), bytes(box.records["relin"] or b"")
    few = saved(secret._generator.create_galois_keys([3, 2 * 4096 - 1]))
    for bad, message in [
        (galois[:26], "length is not what its header says"),
        (galois[:16] + bytes(10), "length is not what its header says"),
        (bytes(26), "not an object that SEAL 4 saved"),
        (b"\x5e\xa1" + bytes(24), "not an object that SEAL 4 saved"),
        (galois[:3] + b"\x03" + galois[4:], "not an object that SEAL 4 saved"),
        (relin, "keys have a number of places 1, expected 4096"),
        (few, "a key is missing from these evaluation keys, or is one too many"),
        (None, "hold no Galois keys"),
    ]:
        with pytest.raises(Rejected, match=message):
            EvaluationKeys.from_bytes(pack("evaluation keys", box.label, {"galois": bad, "relin": relin}))
    with pytest.raises(Rejected, match="no relinearization key"):
        EvaluationKeys.from_bytes(pack("evaluation keys", box.label, {"galois": galois, "relin": None}))


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
