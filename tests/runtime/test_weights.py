"""Encoded weights: of one program, made once for all clients, kept as bytes, and refused for another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_programs import case
from worlds import PAIRS, SUMS, World, error, relabeled, rerecorded

from slotlang.planning.target import KernelChoice
from slotlang_runtime import Client, EvaluationKeys, Rejected, Server, Weights
from slotlang_runtime.records import plaintext_record
from slotlang_runtime.wire import unpack

SPARSE = """program diagonal(n = 8, slots = 8)
input x[n]
weight A[i < n, j < n] sparse where i == j
cipher X = x[slot]
plain W = A[slot, slot]
Y = X * W
output y[slot] = Y
prove y == A @ x
"""


@pytest.fixture(scope="module")
def world() -> World:
    return World(PAIRS)


@pytest.mark.parametrize("kernel", ["seal", "compiled", "matrix"])
def test_weights_come_back_from_bytes(kernel: KernelChoice) -> None:
    here = World(SUMS, kernel=kernel)
    assert here.server.note == ""
    data = here.encoded.to_bytes()
    again = Weights.from_bytes(here.module, data)
    assert again.to_bytes() == data
    answer = Server(again).evaluate(here.upload, here.keys)
    assert answer.counts == here.answer().counts
    assert error(here.client.decrypt(answer.data), here.expected()) < 1e-2
    assert type(again.engine) is type(here.encoded.engine)
    for other in {"seal", "compiled", "matrix"} - {kernel}:
        with pytest.raises(Rejected, match=f"these weights are for kernel {other}; sums needs kernel {kernel}"):
            Weights.from_bytes(here.module, relabeled("weights", data, kernel=other))


def test_one_set_of_weights_serves_three_clients(world: World) -> None:
    """By the same object: what an evaluation holds are ciphertexts."""
    plain = world.encoded.engine.plain  # type: ignore[attr-defined]
    held = {name: id(value) for name, value in plain.items()}
    servers = [Server(world.encoded) for _ in range(3)]
    for number, server in enumerate(servers):
        client = Client(world.module)
        x = world.inputs["x"] + number
        answer = server.evaluate(client.encrypt(x=x), EvaluationKeys.from_bytes(client.evaluation_keys()))
        assert error(client.decrypt(answer.data), world.expected(x=x)) < 1e-2
        assert server.weights is world.encoded and server.engine is world.encoded.engine
    assert {name: id(value) for name, value in plain.items()} == held


def test_zero_plaintexts_are_nothing_and_come_back_so() -> None:
    here = World(case("as written").text, None)
    weights = {"A": np.tril(np.ones_like(here.weights["A"]), -15)}
    encoded = Weights.encode(here.module, **weights)
    assert encoded.engine.zeros == 15
    data = encoded.to_bytes()
    assert sum(record is None for record in unpack("weights", data).records.values()) == 15
    assert Weights.from_bytes(here.module, data).engine.zeros == 15
    found = here.client.decrypt(Server(encoded).evaluate(here.upload, here.keys).data)
    assert error(found, weights["A"] @ here.inputs["x"]) < 1e-5


def test_a_plaintext_of_zeros_is_not_taken(world: World) -> None:
    """It is sent as nothing: SEAL refuses to multiply by it."""
    ring, name = world.ring, "('W', 0)"
    data = world.encoded.to_bytes()
    record = unpack("weights", data).records[name]
    assert record is not None
    zeros = np.zeros((len(ring.primes(0)), ring.degree), np.uint64)
    zero = plaintext_record(ring, zeros, 0, ring.factor(0))
    assert len(zero) == len(record)
    with pytest.raises(Rejected, match="is zero, which is sent as nothing at all"):
        Weights.from_bytes(world.module, rerecorded("weights", data, **{name: zero}))


def test_weights_of_another_program_or_parameters(world: World) -> None:
    data = world.encoded.to_bytes()
    renamed = World(PAIRS.replace("program pairs", "program other"))
    with pytest.raises(Rejected) as refused:
        Weights.from_bytes(renamed.module, data)
    assert str(refused.value) == "these weights are for program pairs; other needs program other"
    for other in (World(PAIRS, hide="none"), World(PAIRS.replace("d = 8", "d = 4"))):
        with pytest.raises(
            Rejected, match=r"these weights are for hash of program, functions and parameters .*; pairs needs"
        ):
            Weights.from_bytes(other.module, data)


@pytest.mark.parametrize("length", [0, 63, 200, -1])
def test_truncated_weights(world: World, length: int) -> None:
    with pytest.raises(Rejected):
        Weights.from_bytes(world.module, world.encoded.to_bytes()[:length])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"A": np.zeros((4, 5))}, r"A must have shape \(8, 4\), not \(4, 5\)"),
        ({"A": np.full((8, 4), np.nan)}, "A holds NaN or infinity"),
        ({"A": np.full((8, 4), np.inf)}, "A holds NaN or infinity"),
        ({"A": np.full((8, 4), 1j)}, "A must be real numbers"),
        ({"A": [["1"] * 4] * 8}, "A must be real numbers"),
        ({"A": [[1.0, 2.0], [3.0]]}, "A is not an array"),
        ({"A": np.full((8, 4), 1e30)}, r"these weights the result Y could need \d+.\d bits more than the modulus has"),
        ({"A": np.full((8, 4), 1e300)}, "these weights are too large for the result Y"),
        ({"c": np.zeros((4, 4))}, "weights are A, B, not A, B, c"),
    ],
)
def test_weights_that_do_not_fit(world: World, change: dict[str, Any], message: str) -> None:
    with pytest.raises(Rejected, match=message) as refused:
        Weights.encode(world.module, **{**world.weights, **change})
    assert refused.value.code == ("SL532" if message.startswith(("these", "with")) else "SL523")


def test_weights_that_are_missing(world: World) -> None:
    with pytest.raises(Rejected, match="weights are A, B, not none"):
        Weights.encode(world.module)
    with pytest.raises(Rejected, match="weights are A, B, not B"):
        Weights.encode(world.module, B=world.weights["B"])


def test_scalars_are_numbers() -> None:
    here = World(case("horner and doubling").text, None)
    for wrong in (np.zeros(1), [1.0], "1", 1j, None):
        with pytest.raises(Rejected, match="scale"):
            Weights.encode(here.module, **{**here.weights, "scale": wrong})
    for right in (2, 2.0, np.float32(2), np.array(2)):
        encoded = Weights.encode(here.module, **{**here.weights, "scale": right})
        found = here.client.decrypt(Server(encoded).evaluate(here.upload, here.keys).data)
        assert error(found, 2 * here.expected()) < 1e-5


def test_declared_zeros_are_zero() -> None:
    here = World(SPARSE)
    assert error(here.result(), here.expected()) < 1e-2
    full = here.weights["A"].copy()
    full[2, 5] = 1e-9
    with pytest.raises(Rejected) as refused:
        Weights.encode(here.module, A=full)
    assert str(refused.value) == "A[2, 5] is not zero, as its declared pattern says"


def test_integers_are_weights(world: World) -> None:
    encoded = Weights.encode(world.module, A=np.ones((8, 4), int), B=np.ones((4, 8), np.int8))
    found = world.client.decrypt(Server(encoded).evaluate(world.upload, world.keys).data)
    assert error(found, np.full(8, 4 * world.inputs["x"].sum())) < 5e-2
