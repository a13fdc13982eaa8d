"""Objects that SEAL saved, in and out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tenseal.sealapi as seal
from worlds import PAIRS, World, error

from slotlang_runtime import EvaluationKeys, Rejected, exchange
from slotlang_runtime.limits import Limit
from slotlang_runtime.seal.saved import load_keys, memory_file, saved
from slotlang_runtime.wire import unpack


@pytest.fixture(scope="module")
def world() -> World:
    return World(PAIRS, hide="none")


def loaded(world: World, data: bytes, make: Any) -> Any:
    """An object that SEAL itself reads, unchecked."""
    thing = make()
    with memory_file() as (stream, path):
        stream.write(data)
        stream.flush()
        thing.load(world.ring.context, path)
    return thing


def test_inputs_and_results_are_ciphertexts_of_seal(world: World) -> None:
    (given,) = exchange.inputs_to_seal(world.module, world.upload)
    plain, secret = seal.Plaintext(), world.client.secret
    secret.decryptor.decrypt(loaded(world, given, seal.Ciphertext), plain)
    slots = world.ring.decode(plain)
    assert np.abs(slots - np.tile(world.inputs["x"], 2)).max() < 5e-3
    answer = world.server.evaluate(exchange.inputs_from_seal(world.module, [given]), world.keys)
    assert error(world.client.decrypt(answer.data), world.expected()) < 1e-2
    found = exchange.results_to_seal(world.module, answer.data)
    assert list(found) == ["('Y',)"]
    secret.decryptor.decrypt(loaded(world, found["('Y',)"] or b"", seal.Ciphertext), plain)
    assert np.abs(world.ring.decode(plain)[:8].real - world.expected()).max() < 1e-2


def test_what_seal_encrypted_is_taken(world: World) -> None:
    plain = world.ring.encode(np.tile(world.inputs["x"], 2), added=True)
    made = saved(world.client.secret.encryptor.encrypt_symmetric(plain))
    upload = exchange.inputs_from_seal(world.module, [made], limits={"x": Limit(norm=4.0)})
    assert unpack("inputs", upload).label["limits"]["x"][0] == 4.0
    assert error(world.result(upload), world.expected()) < 1e-2


def test_keys_of_seal_are_taken_and_given(world: World) -> None:
    generator, ring = world.client.secret._generator, world.client.secret.ring
    elements = sorted(world.keys.elements)
    galois, relin = saved(generator.create_galois_keys(elements)), saved(generator.create_relin_keys())
    sent = exchange.keys_from_seal(ring, elements, galois, relin)
    keys = EvaluationKeys.from_bytes(sent)
    answer = world.server.evaluate(world.upload, keys)
    assert error(world.client.decrypt(answer.data), world.expected()) < 1e-2
    given = exchange.keys_to_seal(sent)
    places = {(element - 1) // 2 for element in elements}
    context = world.ring.shared
    for data, make, count, wanted in ((given[0], seal.GaloisKeys, 4096, places), (given[1], seal.RelinKeys, 1, {0})):
        assert data is not None and saved(load_keys(context, make, data, count, wanted)) == data
    # SEAL expands the seeds of the same keys
    assert given[0] == saved(loaded(world, galois, seal.GaloisKeys))
    assert exchange.keys_to_seal(exchange.keys_from_seal(ring, [], None, relin))[0] is None


def test_what_does_not_fit_is_refused(world: World) -> None:
    module, ring = world.module, world.client.secret.ring
    (given,) = exchange.inputs_to_seal(module, world.upload)
    galois = saved(world.client.secret._generator.create_galois_keys([3, 9]))
    half = World(PAIRS, secret=world.client.secret)
    for refused, message in (
        (lambda: exchange.inputs_from_seal(module, []), "pairs takes 1 ciphertext, not 0"),
        (lambda: exchange.inputs_from_seal(module, [given[:-1]]), "length is not what its header says"),
        (lambda: exchange.inputs_from_seal(module, [saved(world.ring.encode(1.0))]), "a ciphertext has form"),
        (lambda: exchange.inputs_to_seal(module, world.sent_keys), "expected inputs, got evaluation keys"),
        (lambda: exchange.results_to_seal(half.module, half.answer().data), "of Y half of c0 is sent"),
        (lambda: exchange.keys_from_seal(ring, [3, 27], galois, None), "a key is missing from these keys"),
        (lambda: exchange.keys_from_seal(ring, [3, 4], galois, None), "a key is missing|do not exist"),
        (lambda: exchange.keys_from_seal(ring, [3, 9], galois[:-3], None), "length is not what its header says"),
        (lambda: exchange.keys_from_seal(ring, [], None, galois), "a key is missing|larger than it may be"),
        (lambda: exchange.keys_from_seal(ring, [], None, given), "keys are for parameters"),
    ):
        with pytest.raises(Rejected, match=message):
            refused()
