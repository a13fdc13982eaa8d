"""The wire of SEAL's objects: a client or a server that knows nothing of the runtime does its part with SEAL alone."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tenseal.sealapi as seal
from invented_prices import priced
from runtime.test_key_levels import DEEP, DROPPING, MIXED, SQUARES
from runtime.test_mask_sizes import SCORE
from worlds import PAIRS, World, error

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import Target
from slotlang.run.runner import load_module
from slotlang.source import Source
from slotlang.validation.check import check_module
from slotlang_runtime import Client, EvaluationKeys, Rejected, Server, Weights
from slotlang_runtime.seal.saved import memory_file

HEAD = 16
"""Bytes of the header of an object, whose last eight are its size."""

ZEROS = """program zeros(n = 8, slots = 8)
input x[n]
weight a[n], b[n]
cipher X = x[slot]
plain A = a[slot]
plain B = b[slot]
Y = X * A
Z = X * B
output y[slot] = Y
output z[slot] = Z
prove y == a * x
prove z == b * x
"""
"""Has a result that is zero where a weight is."""


class Foreign:
    """A party that has parameters of CKKS, and SEAL."""

    def __init__(self, degree: int, primes: list[int], scale_bits: int) -> None:
        parms = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
        parms.set_poly_modulus_degree(degree)
        parms.set_coeff_modulus(seal.CoeffModulus.Create(degree, primes))
        self.context = seal.SEALContext(parms, True, seal.SEC_LEVEL_TYPE.TC128)
        self.encoder = seal.CKKSEncoder(self.context)
        self.slots, self.scale = degree // 2, 2.0**scale_bits

    def saved(self, thing: Any) -> bytes:
        with memory_file() as (stream, path):
            thing.save(path)
            return stream.read()

    def loaded(self, thing: Any, data: bytes) -> Any:
        with memory_file() as (stream, path):
            stream.write(data)
            stream.flush()
            thing.load(self.context, path)
        return thing

    def objects(self, data: bytes) -> list[bytes]:
        found = []
        while data:
            size = int.from_bytes(data[8:HEAD], "little")
            found, data = [*found, data[:size]], data[size:]
        return found

    def encoded(self, values: np.ndarray) -> Any:
        plain = seal.Plaintext()
        self.encoder.encode(np.tile(values, self.slots // len(values)).tolist(), self.scale, plain)
        return plain


def foreign(world: World) -> Foreign:
    p = world.module.parameters
    return Foreign(p.degree, list(p.prime_bits), p.scale_bits[0])


@pytest.fixture(scope="module")
def mixed() -> World:
    return World(MIXED, DROPPING, hide="none")


@pytest.fixture(scope="module")
def squares() -> World:
    return World(SQUARES, DEEP, hide="none")


@pytest.mark.parametrize("form", ["seeded", "not seeded", "more keys"])
@pytest.mark.parametrize("name", ["mixed", "squares"])
def test_a_client_of_seal_alone(name: str, form: str, request: pytest.FixtureRequest) -> None:
    world: World = request.getfixturevalue(name)
    server, other = Server(world.encoded, wire="seal"), foreign(world)
    maker = seal.KeyGenerator(other.context)
    elements = list(world.module.parameters.galois_elements)
    if form == "more keys":
        elements += [pow(3, 5, 2 * world.module.parameters.degree), pow(3, 7, 2 * world.module.parameters.degree)]
    galois = other.saved(maker.create_galois_keys(elements))
    relin = other.saved(maker.create_relin_keys())
    encryptor = seal.Encryptor(other.context, maker.secret_key())
    upload = other.saved(encryptor.encrypt_symmetric(other.encoded(world.inputs["x"])))
    if form == "not seeded":
        galois = other.saved(other.loaded(seal.GaloisKeys(), galois))
        relin = other.saved(other.loaded(seal.RelinKeys(), relin))
        upload = other.saved(other.loaded(seal.Ciphertext(), upload))
    keys = EvaluationKeys.from_seal(world.module.parameters.ring, galois + relin)
    assert keys.elements == set(elements)
    (answer,) = other.objects(server.evaluate(upload, keys).data)
    plain, decryptor = seal.Plaintext(), seal.Decryptor(other.context, maker.secret_key())
    decryptor.decrypt(other.loaded(seal.Ciphertext(), answer), plain)
    slots = np.array(other.encoder.decode_complex(plain))[:16]
    assert error(slots, world.expected()) < 1e-3


def test_a_server_of_seal_alone(mixed: World) -> None:
    """It multiplies and rotates as the program says, and makes its own plaintext."""
    client, other = Client(mixed.module, wire="seal"), foreign(mixed)
    (upload,) = other.objects(client.encrypt(**mixed.inputs))
    (galois,) = other.objects(client.evaluation_keys())
    keys = other.loaded(seal.GaloisKeys(), galois)
    evaluator, x = seal.Evaluator(other.context), other.loaded(seal.Ciphertext(), upload)
    evaluator.rotate_vector_inplace(x, 1, keys)
    evaluator.multiply_plain_inplace(x, other.encoded(mixed.weights["w"]))
    evaluator.rescale_to_next_inplace(x)
    once, twice = seal.Ciphertext(), seal.Ciphertext()
    evaluator.rotate_vector(x, 1, keys, once)
    evaluator.rotate_vector(x, 2, keys, twice)
    evaluator.add_inplace(once, twice)
    assert error(client.decrypt(other.saved(once)), mixed.expected()) < 5e-2


@pytest.mark.parametrize("kernel", ["compiled", "seal"])
def test_both_sides_of_the_runtime(kernel: Any) -> None:
    """With inputs and results of several ciphertexts, a zero among them; bytes are those that are predicted."""
    world = World(ZEROS, Parameters(4096, (36, 36, 37), 20), hide="none", kernel=kernel)
    weights = {**world.weights, "b": np.zeros(8)}
    client = Client(world.module, wire="seal")
    server = Server(Weights.encode(world.module, **weights), wire="seal")
    sent = client.evaluation_keys()
    assert sent == b""
    answer = server.evaluate(client.encrypt(**world.inputs), EvaluationKeys.from_seal(client.secret.ring, sent))
    found = client.decrypt(answer.data)
    wanted = world.module.reference(dict(world.inputs), weights)
    assert np.abs(found["y"] - wanted["y"]).max() < 1e-3
    assert not found["z"].any()
    # SEAL decrypts it to less than any noise
    other, plain = foreign(world), seal.Plaintext()
    zero = other.loaded(seal.Ciphertext(), other.objects(answer.data)[1])
    client.secret.decryptor.decrypt(zero, plain)
    assert np.abs(np.array(other.encoder.decode_complex(plain))).max() < 1e-8


def test_bytes_are_those_predicted(mixed: World, squares: World) -> None:
    for world in (mixed, squares):
        client = Client(world.module, wire="seal")
        keys, upload = client.evaluation_keys(), client.encrypt(**world.inputs)
        server = Server(world.encoded, wire="seal")
        answer = server.evaluate(upload, EvaluationKeys.from_seal(client.secret.ring, keys)).data
        cost = api.cost(world.program, world.plan.parameters, target=Target(hide="none", wire="seal"))
        own = api.cost(world.program, world.plan.parameters, target=Target(hide="none"))
        count, p = len(world.module.parameters.first_levels), world.plan.parameters
        # a place of every Galois key, and the fields and the seed of every digit
        heads = 8 * p.degree + 200 + count * p.data_primes * 250
        assert 0 < len(keys) - cost.evaluation_key_bytes < heads
        assert 0 < len(upload) - cost.upload_bytes < 250
        assert 0 < len(answer) - cost.download_bytes < 250
        # whole keys of words, and not of the bits and levels that are needed
        assert cost.evaluation_key_bytes > 1.3 * own.evaluation_key_bytes
        assert cost.upload_bytes > own.upload_bytes and cost.download_bytes > own.download_bytes


def test_keys_for_lower_levels_are_not_exported(mixed: World) -> None:
    from slotlang_runtime import exchange

    with pytest.raises(Rejected, match="the key 9 has residues for level 1 on, and SEAL's keys are for all") as refused:
        exchange.keys_to_seal(mixed.sent_keys)
    assert refused.value.code == "SL005"


@pytest.fixture(scope="module")
def parties(mixed: World) -> tuple[Client, Server, bytes, bytes, bytes]:
    client, server = Client(mixed.module, wire="seal"), Server(mixed.encoded, wire="seal")
    keys, upload = client.evaluation_keys(), client.encrypt(**mixed.inputs)
    answer = server.evaluate(upload, EvaluationKeys.from_seal(client.secret.ring, keys)).data
    return client, server, keys, upload, answer


def test_changed_bytes_are_refused(mixed: World, parties: tuple[Client, Server, bytes, bytes, bytes]) -> None:
    """Cut, foreign and joined bytes, and every bit of the fields. There is no checksum: residues that stay below their
    primes are others, and decrypt to noise."""
    client, server, keys, upload, answer = parties
    ring, wrong = client.secret.ring, World(MIXED, Parameters(8192, (50, 40, 39, 50), 35, (1,)), hide="none")
    readers: list[tuple[Any, bytes]] = [
        (lambda data: EvaluationKeys.from_seal(ring, data), keys),
        (server.load, upload),
        (client.decrypt, answer),
    ]
    for read, data in readers:
        for bad in (data[:-1], data[:50], data[: len(data) // 2], data + b"x", data + data, b"\0" * 400, bytes(16)):
            with pytest.raises(Rejected):
                read(bad)
        for foreign_ in (mixed.upload, mixed.sent_keys, *(other for _, other in readers if other is not data)):
            with pytest.raises(Rejected):
                read(foreign_)
        # header and fields, which are the parameters, form, sizes, scale and lengths
        fields = 33 if data is keys else 16 + 73 + 24
        for place in (*range(fields), *([16 + 32 + k for k in range(8)] if data is keys else [])):
            for bit in (0, 6):
                bad = bytearray(data)
                bad[place] ^= 1 << bit
                with pytest.raises(Rejected) as refused:
                    read(bytes(bad))
                assert refused.value.code in ("SL543", "SL545", "SL005"), place
        high = bytearray(data)
        high[-100 if data is answer else len(data) - 200] = 255
    with pytest.raises(Rejected):
        EvaluationKeys.from_seal(wrong.module.parameters.ring, keys)
    with pytest.raises(Rejected):
        Server(wrong.encoded, wire="seal").load(upload)
    with pytest.raises(Rejected, match="a key twice"):
        EvaluationKeys.from_seal(ring, keys + keys)


def test_keys_that_move_nothing_are_refused(mixed: World) -> None:
    other = foreign(mixed)
    galois = other.saved(seal.KeyGenerator(other.context).create_galois_keys([1, 3]))
    with pytest.raises(Rejected, match="moves nothing"):
        EvaluationKeys.from_seal(mixed.module.parameters.ring, galois)


def test_results_that_seal_has_not_are_refused() -> None:
    half = World(PAIRS)
    for make in (lambda: Client(half.module, wire="seal"), lambda: Server(half.encoded, wire="seal")):
        with pytest.raises(Rejected, match=r"of Y half of c0 is sent, .*lower the program with --wire seal"):
            make()
    with pytest.raises(Rejected, match="a wire is one of slotlang, seal, not ckks"):
        Client(half.module, wire="ckks")  # type: ignore[arg-type]
    with pytest.raises(SlotError) as refused:
        api.plan(api.loads(PAIRS), target=Target(wire="seal"))
    assert [d.code for d in refused.value.diagnostics] == ["SL473"]
    assert "--hide exact" in refused.value.diagnostics[0].hint
    cut = Parameters(4096, (45, 30, 34), 30, (1,), results=1, cut=(4, 1))
    with pytest.raises(SlotError, match="SL473: these parameters cut last bits"):
        api.plan(api.loads(MIXED), cut, target=Target(wire="seal", hide="none"))


def test_parameters_are_found_that_seal_can_send() -> None:
    program, target = api.loads(PAIRS), Target(precision=1e-3, hide="exact")
    # where cutting bits off takes no longer, they are: for SEAL they never are
    prices = priced(lambda name, primes: 1e-3 * primes)
    cut, never = (api.plan(program, target=replace(target, wire=w), profile=prices) for w in ("slotlang", "seal"))
    assert any(cut.parameters.cut) and not never.parameters.cut
    own, theirs = (api.plan(program, target=replace(target, wire=w)) for w in ("slotlang", "seal"))
    assert not theirs.parameters.cut
    assert api.predicted_error(theirs) <= 1e-3
    # the conjugate is of a result that has dropped a prime: keys for all levels are larger, and bounds are about these
    assert own.key_levels.conjugation == 1 and theirs.key_levels.conjugation == 0
    size = theirs.switching_key_bytes
    assert size == theirs.counts.switching_keys * theirs.parameters.key_bytes() > own.switching_key_bytes
    for wire, fits in (("slotlang", True), ("seal", False)):
        most = Target(precision=1e-3, hide="exact", wire=wire, max_key_bytes=size - 1)  # type: ignore[arg-type]
        assert (api.plan(program, target=most).counts.galois_keys == own.counts.galois_keys) == fits
    enough = Target(precision=1e-3, hide="exact", wire="seal", max_key_bytes=size)
    assert api.plan(program, target=enough).parameters == theirs.parameters


def test_what_is_promised_holds_for_a_client_that_decodes_in_doubles() -> None:
    """Masks of 2^36 beside the result: the promise says what SEAL's decoding loses, and is kept."""
    made, own = (api.lower(api.loads(SCORE), target=Target(wire=wire)) for wire in ("seal", "slotlang"))  # type: ignore[arg-type]
    module = load_module(made.text)
    assert module.sent["S"].mask_bits == 36 and own.plan.promise.relative_error < 1e-8
    assert module.error["y"] == made.plan.promise.error["y"] and "for clients that decode in double" in made.text
    world = World(SCORE, made.plan.parameters)
    other, rng = foreign(world), np.random.default_rng(2)
    w, x = rng.standard_normal((1, 16)) / 4, rng.standard_normal((16, 4))
    maker = seal.KeyGenerator(other.context)
    galois = other.saved(maker.create_galois_keys(list(module.parameters.galois_elements)))
    encryptor = seal.Encryptor(other.context, maker.secret_key())
    upload = other.saved(encryptor.encrypt_symmetric(other.encoded(x.T.ravel())))
    server = Server(Weights.encode(module, w=w), wire="seal")
    (answer,) = other.objects(server.evaluate(upload, EvaluationKeys.from_seal(module.parameters.ring, galois)).data)
    plain, decryptor = seal.Plaintext(), seal.Decryptor(other.context, maker.secret_key())
    decryptor.decrypt(other.loaded(seal.Ciphertext(), answer), plain)
    slots = np.array(other.encoder.decode_complex(plain))[:64:16]
    measured = np.sqrt(np.mean(np.abs(slots - (w @ x)[0]) ** 2))
    assert 100 * own.plan.promise.error["y"] < measured <= made.plan.promise.error["y"]
    found = check_module(Source("score.py", made.text))
    assert found.validation.status == "proved"
    edited = re.sub(r',\s*"wire":\s*"seal"', "", made.text)
    assert edited != made.text
    with pytest.raises(SlotError, match="SL745"):
        check_module(Source("score.py", edited))
