"""What emitted modules send: it comes back as it was, and nothing else is let in."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slotlang import api
from slotlang.planning.parameters import Parameters
from slotlang.run.runner import load_module, random_data

PROGRAM = """program p(n = 4, slots = 16)
input q[n], k[n, n]
weight b[n, n]
axes (i < n, j < n)
cipher X = q[j]
cipher Z = k[i, j]
plain B = b[i, j]
P = X * Z
S = sum f < n by doubling: P << f
Y = 1/2 * (S + conj S)
U = Z + B
output y[i] = Y where j == 0
output u[i, j] = U
prove y == k @ q
prove u == k + b
"""
SMALL = Parameters(4096, (36, 36, 37), 20)


class World:
    """A client and its server, with everything they send."""

    def __init__(self, text: str) -> None:
        made = api.lower(api.loads(text), SMALL)
        self.text = made.text
        self.module: Any = load_module(made.text)
        self.inputs, self.weights = random_data(made.plan.program, 0)
        self.client = self.module.Client()
        self.keys = self.client.evaluation_keys()
        self.server = self.module.Server(self.keys)
        self.server.encode(**self.weights)
        self.sent: dict[str, bytes] = {
            "secret key": self.client.to_bytes(),
            "evaluation keys": self.keys,
            "weights": self.server.weights_to_bytes(),
            "inputs": self.client.encrypt(**self.inputs),
        }
        self.sent["results"] = self.server.evaluate(self.sent["inputs"])

    def reader(self, kind: str) -> Callable[[bytes], Any]:
        return {
            "secret key": self.module.Client.from_bytes,
            "evaluation keys": self.module.Server,
            "weights": self.server.weights_from_bytes,
            "inputs": self.server.evaluate,
            "results": self.client.decrypt,
        }[kind]

    def rejected(self, kind: str, data: Any) -> str:
        with pytest.raises(self.module.Rejected) as refused:
            self.reader(kind)(data)
        return str(refused.value)


KINDS = ["secret key", "evaluation keys", "weights", "inputs", "results"]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    yield World(PROGRAM)


@pytest.fixture(scope="module")
def other() -> Iterator[World]:
    yield World(PROGRAM.replace("1/2 * (S + conj S)", "1/2 * S + 1/2 * conj S"))


def test_everything_comes_back(world: World) -> None:
    module = world.module
    client = module.Client.from_bytes(bytearray(world.sent["secret key"]))
    server = module.Server(memoryview(world.sent["evaluation keys"]))
    server.weights_from_bytes(world.sent["weights"])
    assert server.weights_to_bytes() == world.sent["weights"]
    found = client.decrypt(server.evaluate(world.sent["inputs"]))
    expected = module.reference(world.inputs, world.weights)
    for name in ("y", "u"):
        assert np.abs(found[name] - expected[name]).max() < 1e-2
        # masks of unread slots round in those that are read
        assert np.abs(found[name] - client.decrypt(world.sent["results"])[name]).max() < 1e-8


def test_another_client_reads_nothing(world: World) -> None:
    found = world.module.Client().decrypt(world.sent["results"])
    expected = world.module.reference(world.inputs, world.weights)
    assert np.abs(found["y"] - expected["y"]).max() > 1e3


def test_a_server_holds_nothing_secret(world: World) -> None:
    seal = world.module.seal
    names = [n for n in dir(world.module.Server) if not n.startswith("__")]
    assert not [n for n in names if "secret" in n.lower() or "decrypt" in n.lower()]

    def reachable(thing: Any, depth: int) -> Iterator[Any]:
        yield thing
        if depth:
            inside = list(getattr(thing, "__dict__", {}).values())
            inside += thing.values() if isinstance(thing, dict) else thing if isinstance(thing, list | tuple) else []
            for part in inside:
                yield from reachable(part, depth - 1)

    forbidden = (seal.SecretKey, seal.Decryptor, seal.KeyGenerator, seal.Encryptor)
    assert not [t for t in reachable(world.server, 4) if isinstance(t, forbidden)]
    assert [t for t in reachable(world.client, 4) if isinstance(t, forbidden)]


def test_nothing_sent_holds_the_secret_key(world: World) -> None:
    module = world.module
    record = module.unpack("secret key", world.sent["secret key"], ["secret"])["secret"]
    for start in range(200, len(record) - 64, len(record) // 20):
        for kind in KINDS[1:]:
            assert record[start : start + 32] not in world.sent[kind]
    with pytest.raises(module.Rejected, match="expected evaluation keys, got secret key"):
        module.Server(world.sent["secret key"])
    with pytest.raises(module.Rejected):
        module.Server(module.pack("evaluation keys", {"galois": record, "relin": record}))


@pytest.mark.parametrize("kind", KINDS)
def test_another_kind(world: World, kind: str) -> None:
    for sent, data in world.sent.items():
        if sent != kind:
            assert world.rejected(kind, data) == f"expected {kind}, got {sent}"


@pytest.mark.parametrize("kind", KINDS)
def test_another_program(world: World, other: World, kind: str) -> None:
    message = world.rejected(kind, other.sent[kind])
    assert message == f"these {kind} were made for another program or other parameters"


@pytest.mark.parametrize("kind", KINDS)
def test_truncated(world: World, kind: str) -> None:
    data = world.sent[kind]
    for length in [*range(160), *np.linspace(160, len(data) - 1, 60).astype(int)]:
        message = world.rejected(kind, data[:length])
        assert ("are not" if length < 96 else "truncated") in message
    assert "truncated" in world.rejected(kind, data + b"\0")


@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bits(world: World, kind: str) -> None:
    rng = np.random.default_rng(0)
    data = bytearray(world.sent[kind])
    places = [*range(96), *rng.integers(96, len(data), 104).tolist()]
    for place in places:
        bit = 1 << int(rng.integers(8))
        data[place] ^= bit
        world.rejected(kind, bytes(data))
        data[place] ^= bit


@pytest.mark.parametrize("thing", ["text", None, 5, [1], {"a": 1}, b"", b"x" * 26, b"SLOTBOX1" + bytes(88), 2.5])
def test_no_bytes_of_ours(world: World, thing: Any) -> None:
    for kind in KINDS:
        world.rejected(kind, thing)


def test_objects_that_seal_would_not_check(world: World) -> None:
    """With a right checksum: truncated and foreign objects behind 26 good-looking bytes never reach SEAL."""
    module = world.module
    records = module.unpack("evaluation keys", world.keys, ["galois", "relin"])
    galois, relin = bytes(records["galois"]), bytes(records["relin"])
    for bad, message in [
        (galois[:26], "length is not what its header says"),
        (galois[:16] + bytes(10), "length is not what its header says"),
        (bytes(26), "not an object that SEAL 4 saved"),
        (b"\x5e\xa1" + bytes(24), "not an object that SEAL 4 saved"),
        (galois[:3] + b"\x03" + galois[4:], "not an object that SEAL 4 saved"),
        (relin, "keys have a number of places 1, expected 4096"),
        (None, "hold no Galois keys"),
    ]:
        with pytest.raises(module.Rejected, match=message):
            module.Server(module.pack("evaluation keys", {"galois": bad, "relin": relin}))
    with pytest.raises(module.Rejected, match="no relinearization key"):
        module.Server(module.pack("evaluation keys", {"galois": galois, "relin": None}))


def test_keys_that_lack_one(world: World) -> None:
    module = world.module
    degree = module.PARAMETERS["degree"]
    few = module._saved(world.client.keys.create_galois_keys([pow(3, 1, 2 * degree), 2 * degree - 1]))
    relin = module.unpack("evaluation keys", world.keys, ["galois", "relin"])["relin"]
    with pytest.raises(module.Rejected, match="a key is missing from these evaluation keys, or is one too many"):
        module.Server(module.pack("evaluation keys", {"galois": few, "relin": relin}))


def test_inputs_at_another_scale_or_level_or_not_encrypted(world: World) -> None:
    module, ring = world.module, world.client.ring
    records = module.unpack("inputs", world.sent["inputs"], list(module.packed()))
    name = next(iter(records))
    seal = module.seal

    def ciphertext(scale: float, level: int) -> Any:
        plain, out = seal.Plaintext(), seal.Ciphertext()
        ring.encoder.encode([1.0], ring.levels[level], scale, plain)
        world.client.encryptor.encrypt_symmetric(plain, out)
        return out

    for made, message in [
        (ciphertext(ring.scale(0) * 2, 0), "has scale"),
        (ciphertext(ring.scale(0), 1), "not at the level"),
    ]:
        with pytest.raises(module.Rejected, match=message):
            world.server.evaluate(module.pack("inputs", {**records, name: module._saved(made)}))
    with pytest.raises(module.Rejected, match="an input is missing"):
        world.server.evaluate(module.pack("inputs", {**records, name: None}))
    with pytest.raises(module.Rejected, match="missing from these inputs"):
        world.server.evaluate(module.pack("inputs", {k: v for k, v in records.items() if k != name}))
    with pytest.raises(module.Rejected, match="unexpected"):
        world.server.evaluate(module.pack("inputs", {**records, ("X", 7): records[name]}))


def test_nothing_is_evaluated_before_weights_are_there(world: World) -> None:
    server = world.module.Server(world.keys)
    with pytest.raises(world.module.Rejected, match="no weights yet"):
        server.evaluate(world.sent["inputs"])
    with pytest.raises(world.module.Rejected, match="no weights yet"):
        server.weights_to_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b": np.zeros((4, 5))}, r"b must have shape \(4, 4\), not \(4, 5\)"),
        ({"b": np.full((4, 4), np.nan)}, "NaN or infinity"),
        ({"b": np.full((4, 4), np.inf)}, "NaN or infinity"),
        ({"b": np.full((4, 4), 1j)}, "real numbers"),
        ({"b": [["1"] * 4] * 4}, "real numbers"),
        ({"b": [[1.0, 2.0], [3.0]]}, "no array"),
        ({"b": np.full((4, 4), 1e30)}, "too large"),
        ({"c": np.zeros((4, 4))}, "weights are b, not"),
    ],
)
def test_weights_that_do_not_fit(world: World, change: dict[str, Any], message: str) -> None:
    server = world.module.Server(world.keys)
    with pytest.raises(world.module.Rejected, match=message):
        server.encode(**{**world.weights, **change})


def test_inputs_that_do_not_fit(world: World) -> None:
    for inputs in ({}, {"q": np.zeros(4)}, {**world.inputs, "q": np.zeros(5)}, {**world.inputs, "z": np.zeros(1)}):
        with pytest.raises(world.module.Rejected):
            world.client.encrypt(**inputs)


def test_forged_and_damaged_bytes_never_crash() -> None:
    """A part of what ``make fuzz`` does; in a process of its own, should SEAL crash."""
    command = [sys.executable, str(Path(__file__).with_name("fuzz_bytes.py")), "520"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert found.returncode == 0, found.stderr[-2000:]
    report = json.loads(found.stdout)
    assert report["inputs"] >= 500
    assert report["rejected"] > 300
    assert report["accepted"] > 10
