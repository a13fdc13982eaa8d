"""What the client does: packing, encryption and decryption with its own key, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from worlds import PAIRS, SMALL, World, error, relabeled, rerecorded

from slotlang_runtime import Client, Rejected, SecretKey
from slotlang_runtime.parameters import RingParameters
from slotlang_runtime.wire import pack, unpack

TWO = """program two(n = 4, slots = 8)
input x[n], z[n, 2]
cipher X = x[slot % n]
cipher Z[k < 2] = z[slot % n, k]
Y[k < 2] = X + Z[k]
output y[slot, k] = re Y[k] where slot < n
output w[slot] = X
prove y == z
prove w == x
"""


@pytest.fixture(scope="module")
def world() -> World:
    return World(TWO)


def test_slots_are_packed_as_the_program_says(world: World) -> None:
    x, z = world.inputs["x"], world.inputs["z"]
    packed = world.client.pack(world.inputs)
    assert list(packed) == [("X",), ("Z", 0), ("Z", 1)]
    assert np.array_equal(packed["X",], np.tile(x, 2))
    for k in range(2):
        assert np.array_equal(packed["Z", k], np.tile(z[:, k], 2))


def test_several_results_come_by_name_and_one_alone(world: World) -> None:
    found = world.result()
    assert set(found) == {"y", "w"}
    assert error(found["w"], world.inputs["x"]) < 1e-2
    assert error(found["y"], world.inputs["x"][:, None] + world.inputs["z"]) < 1e-2
    one = World(PAIRS)
    assert isinstance(one.result(), np.ndarray)


def test_inputs_that_do_not_fit(world: World) -> None:
    x, z = np.zeros(4), np.zeros((4, 2))
    for inputs, message in (
        ({}, "inputs are x, z, not none"),
        ({"x": x}, "inputs are x, z, not x"),
        ({"x": x, "z": z, "q": x}, "inputs are x, z, not x, z, q"),
        ({"x": np.zeros(5), "z": z}, r"x must have shape \(4,\), not \(5,\)"),
        ({"x": x[:, None], "z": z}, r"x must have shape \(4,\), not \(4, 1\)"),
        ({"x": x, "z": z * 1j}, "z must be real numbers, not complex128"),
        ({"x": np.full(4, np.nan), "z": z}, "x holds NaN or infinity"),
        ({"x": np.full(4, 1e30), "z": z}, "the norm of x is 2e[+]30; this program takes norms up to 32: scale x down"),
    ):
        with pytest.raises(Rejected, match=message) as refused:
            world.client.encrypt(**inputs)
        assert refused.value.code == ("SL531" if "norm" in message else "SL523")
    with pytest.raises(TypeError):
        world.client.encrypt(x, z)  # type: ignore[call-arg]


def test_inputs_of_zeros_are_encrypted(world: World) -> None:
    """A zero plaintext is no ciphertext to leave out: nobody may see that it is zero."""
    upload = world.client.encrypt(x=np.zeros(4), z=np.zeros((4, 2)))
    assert all(record is not None for record in unpack("inputs", upload).records.values())
    assert error(world.result(upload), {"w": np.zeros(4), "y": np.zeros((4, 2))}) < 1e-2


def test_an_encryption_is_never_the_same(world: World) -> None:
    uploads = [world.client.encrypt(**world.inputs) for _ in range(2)]
    records = [bytes(r or b"") for data in uploads for r in unpack("inputs", data).records.values()]
    assert len({r[-64:] for r in records}) == len(records) == 6


def test_a_key_kept_decrypts_what_was_sent_before(world: World) -> None:
    answer = world.answer().data
    again = Client(world.module, SecretKey.from_bytes(world.client.secret.to_bytes()))
    assert error(again.decrypt(answer), world.client.decrypt(answer)) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"degree": None}, "these secret keys do not say what ring they are for"),
        ({"degree": 2048}, "below 128-bit security"),
        ({"prime_bits": [36, 36, 38]}, "below 128-bit security"),
        ({"prime_bits": [36, 36, 36]}, "not at the level"),
        ({"other": 1}, "there is no secret key in these bytes"),
    ],
)
def test_secret_keys_for_something_else(world: World, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(Rejected, match=message):
        SecretKey.from_bytes(relabeled("secret keys", world.client.secret.to_bytes(), **changes))


def test_a_secret_key_without_its_record(world: World) -> None:
    data = world.client.secret.to_bytes()
    with pytest.raises(Rejected, match="there is no secret key in these bytes"):
        SecretKey.from_bytes(rerecorded("secret keys", data, secret=None))
    with pytest.raises(Rejected, match="secret is missing"):
        SecretKey.from_bytes(pack("secret keys", unpack("secret keys", data).label, {}))


@pytest.mark.parametrize(
    ("degree", "primes", "message"),
    [
        (4096, (36, 36, 38), "110 bits of modulus at degree 4096 are below 128-bit security; the limit is 109"),
        (8192, (60, 60, 60, 60), "below 128-bit security"),
        (5000, (36, 36), "there is no ring of degree 5000"),
        (8192, (61, 60), "sizes of primes up to 60 bits"),
        (8192, (15, 60), "SEAL has no such parameters"),
    ],
)
def test_no_key_is_made_for_an_insecure_or_impossible_ring(degree: int, primes: tuple[int, ...], message: str) -> None:
    with pytest.raises(Rejected, match=message):
        SecretKey(RingParameters(degree, primes))


def test_results_of_another_program_or_client_parameters(world: World) -> None:
    other = World(TWO.replace("X + Z[k]", "Z[k] + X"), secret=world.client.secret)
    with pytest.raises(
        Rejected, match=r"these results are for hash of program, functions and parameters .*; two needs hash"
    ):
        world.client.decrypt(other.answer().data)
    exact = World(TWO, hide="exact", secret=world.client.secret)
    with pytest.raises(Rejected, match="these results are for hash of program, functions and parameters"):
        world.client.decrypt(exact.answer().data)
    assert SMALL.scale_bits == world.module.parameters.scale_bits[0]
