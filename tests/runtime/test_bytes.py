"""What clients and servers send and keep: it comes back as it was, and nothing else is let in, before any work."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tenseal.sealapi as seal
from worlds import ROOMY, World, error, relabeled, rerecorded

from slotlang_runtime import Client, EvaluationKeys, Rejected, SecretKey, Server, Weights
from slotlang_runtime.records import read_fresh, result_record
from slotlang_runtime.wire import pack, unpack

PROGRAM = """program p(n = 4, slots = 16)
input q[n], k[n, n]
weight b[n, n]
bound |q| <= 1/4
bound |k| <= 1/4
bound |b| <= 4
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

KINDS = ["secret keys", "evaluation keys", "weights", "inputs", "results"]
OF_PROGRAMS = ["weights", "inputs", "results"]
"""Keys belong to a ring, whatever the program."""


class Sender(World):
    """A world, with everything that it sends or keeps by its kind."""

    def __init__(self, text: str = PROGRAM, secret: SecretKey | None = None) -> None:
        super().__init__(text, ROOMY, secret=secret)
        self.sent: dict[str, bytes] = {
            "secret keys": self.client.secret.to_bytes(),
            "evaluation keys": self.sent_keys,
            "weights": self.encoded.to_bytes(),
            "inputs": self.upload,
            "results": self.answer().data,
        }

    def reader(self, kind: str) -> Callable[[Any], Any]:
        readers: dict[str, Callable[[Any], Any]] = {
            "secret keys": SecretKey.from_bytes,
            "evaluation keys": EvaluationKeys.from_bytes,
            "weights": lambda data: Weights.from_bytes(self.module, data),
            "inputs": lambda data: self.server.evaluate(data, self.keys),
            "results": self.client.decrypt,
        }
        return readers[kind]

    def rejected(self, kind: str, data: Any) -> str:
        with pytest.raises(Rejected) as refused:
            self.reader(kind)(data)
        return str(refused.value)


@pytest.fixture(scope="module")
def world() -> Iterator[Sender]:
    yield Sender()


@pytest.fixture(scope="module")
def other(world: Sender) -> Iterator[Sender]:
    """Another program, and the same key."""
    yield Sender(PROGRAM.replace("1/2 * (S + conj S)", "1/2 * S + 1/2 * conj S"), world.client.secret)


def test_everything_comes_back(world: Sender) -> None:
    module = world.module
    client = Client(module, SecretKey.from_bytes(bytearray(world.sent["secret keys"])))
    keys = EvaluationKeys.from_bytes(memoryview(world.sent["evaluation keys"]))
    weights = Weights.from_bytes(module, world.sent["weights"])
    assert weights.to_bytes() == world.sent["weights"]
    found = client.decrypt(Server(weights).evaluate(world.sent["inputs"], keys).data)
    assert error(found, world.expected()) < 1e-2
    # masks of unread slots round in those that are read
    assert error(found, client.decrypt(world.sent["results"])) < 1e-8
    assert client.secret.to_bytes() == world.sent["secret keys"]


def test_another_client_reads_nothing(world: Sender) -> None:
    """With another key coefficients are uniform: one of 4096 lies in the half of the modulus that results leave."""
    with pytest.raises(Rejected, match="within the limits, or they do not fit this client's keys") as refused:
        Client(world.module).decrypt(world.sent["results"])
    assert refused.value.code == "SL533"


def test_a_server_holds_nothing_secret(world: Sender) -> None:
    for kind in (Server, Weights, EvaluationKeys):
        names = [n for n in dir(kind) if not n.startswith("__")]
        assert not [n for n in names if "secret" in n.lower() or "decrypt" in n.lower()]

    def reachable(thing: Any, depth: int) -> Iterator[Any]:
        yield thing
        if depth:
            inside = list(getattr(thing, "__dict__", {}).values())
            inside += thing.values() if isinstance(thing, dict) else thing if isinstance(thing, list | tuple) else []
            for part in inside:
                yield from reachable(part, depth - 1)

    forbidden = (seal.SecretKey, seal.Decryptor, seal.KeyGenerator, seal.Encryptor)
    assert not [t for t in reachable([world.server, world.keys], 5) if isinstance(t, forbidden)]
    assert [t for t in reachable(world.client, 5) if isinstance(t, forbidden)]


def test_nothing_sent_holds_the_secret_key(world: Sender) -> None:
    record = unpack("secret keys", world.sent["secret keys"]).records["secret"]
    assert record is not None
    for start in range(200, len(record) - 64, len(record) // 20):
        for kind in KINDS[1:]:
            assert bytes(record[start : start + 32]) not in world.sent[kind]
    label = unpack("evaluation keys", world.sent_keys).label
    with pytest.raises(Rejected):
        EvaluationKeys.from_bytes(pack("evaluation keys", label, {str(e): record for e, _ in label["keys"]}))


@pytest.mark.parametrize("kind", KINDS)
def test_another_kind(world: Sender, kind: str) -> None:
    for sent, data in world.sent.items():
        if sent != kind:
            assert world.rejected(kind, data) == f"expected {kind}, got {sent}"


@pytest.mark.parametrize("kind", ["weights", "results"])
def test_another_program(world: Sender, other: Sender, kind: str) -> None:
    """Of the same name and shapes, so that the hash is what differs."""
    message = world.rejected(kind, other.sent[kind])
    ours, theirs = (sender.module.identity["hash"][:16] for sender in (world, other))
    what = "hash of program, functions and parameters"
    assert message == f"these {kind} are for {what} {theirs}...; p needs {what} {ours}..."


def test_keys_and_uploads_of_a_program_that_packs_alike_are_taken(world: Sender, other: Sender) -> None:
    keys = EvaluationKeys.from_bytes(other.sent["evaluation keys"])
    answer = world.server.evaluate(other.sent["inputs"], keys)
    assert error(world.client.decrypt(answer.data), world.expected()) < 1e-2


@pytest.mark.parametrize("kind", KINDS)
def test_truncated(world: Sender, kind: str) -> None:
    data = world.sent[kind]
    for length in [*range(160), *np.linspace(160, len(data) - 1, 60).astype(int)]:
        message = world.rejected(kind, data[:length])
        assert ("are not" if length < 48 else "truncated") in message
    assert "truncated" in world.rejected(kind, data + b"\0")


@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bits(world: Sender, kind: str) -> None:
    rng = np.random.default_rng(0)
    data = bytearray(world.sent[kind])
    places = [*range(64), *rng.integers(64, len(data), 104).tolist()]
    for place in places:
        bit = 1 << int(rng.integers(8))
        data[place] ^= bit
        world.rejected(kind, bytes(data))
        data[place] ^= bit


@pytest.mark.parametrize("kind", KINDS)
def test_the_version_before_is_named(world: Sender, kind: str) -> None:
    old = b"SLOTBOX4" + world.sent[kind][8:]
    assert world.rejected(kind, old) == "these bytes are version 4 of the format; this is 5"


@pytest.mark.parametrize("thing", ["text", None, 5, [1], {"a": 1}, b"", b"x" * 26, b"SLOTBOX5" + bytes(88), 2.5])
def test_bytes_of_nobody(world: Sender, thing: Any) -> None:
    for kind in KINDS:
        world.rejected(kind, thing)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slots": 8}, "these inputs are for slots 8; p needs slots 16"),
        ({"scale_bits": 21}, "these inputs are for bits of scale 21; p needs bits of scale 20"),
        ({"scale_bits": 20.5}, "these inputs are for bits of scale 20.5; p needs bits of scale 20"),
        (
            {"shapes": {"q": [4], "k": [4, 5]}},
            "these inputs are for input shapes {'k': [4, 5], 'q': [4]}; p needs input shapes {'q': [4], 'k': [4, 4]}",
        ),
        ({"degree": 8192}, "these inputs are for degree 8192; p needs degree 4096"),
        (
            {"prime_bits": [36, 36, 36]},
            "these inputs are for bits of primes [36, 36, 36]; p needs bits of primes [40, 40, 29]",
        ),
        ({"packing": "0" * 64}, "these inputs are for packing 0000000000000000...; p needs packing "),
        ({"packing": None}, "these inputs are for packing nothing; p needs packing "),
        ({"more": 1}, "these inputs are for more 1; p needs more nothing"),
    ],
)
def test_an_upload_for_something_else_names_both_sides(
    world: Sender, changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.server.engine, "load", lambda records: pytest.fail("it was read before it was checked"))
    assert world.rejected("inputs", relabeled("inputs", world.upload, **changes)).startswith(message)


def test_results_and_weights_for_something_else_name_both_sides(world: Sender) -> None:
    data = relabeled("results", world.sent["results"], program="other")
    assert world.rejected("results", data) == "these results are for program other; p needs program p"
    data = relabeled("weights", world.sent["weights"], kernel="matrix")
    assert world.rejected("weights", data) == "these weights are for kernel matrix; p needs kernel compiled"


def test_records_that_are_missing_or_too_many(world: Sender) -> None:
    for kind in KINDS:
        box = unpack(kind, world.sent[kind])
        name = next(iter(box.records))
        fewer = pack(kind, box.label, {k: v for k, v in box.records.items() if k != name})
        assert world.rejected(kind, fewer) == f"{name} is missing from these {kind}"
        more = rerecorded(kind, world.sent[kind], other=box.records[name])
        assert world.rejected(kind, more) == f"unexpected other among these {kind}"


def test_inputs_at_another_scale_or_level_or_not_encrypted(world: Sender) -> None:
    ring = world.ring

    words = read_fresh(unpack("inputs", world.upload).records["0"] or b"", ring)
    transparent = words.copy()
    transparent[1] = 0
    good = bytes(unpack("inputs", world.upload).records["0"] or b"")
    parms_id = struct.pack("<4Q", *ring.levels[1])
    for made, message in [
        (result_record(ring, words, 0, 1, None), "an input has scale"),
        (good[:8] + parms_id + good[40:], "an input has parameters"),
        (good[:56] + struct.pack("<d", float("nan")) + good[64:], "an input has scale nan"),
        (result_record(ring, transparent, 0, 0, None), "an input is not encrypted: anyone could read it"),
        (None, "an input is missing"),
        (world.encoded.to_bytes()[200:400], "an input has the mark"),
        (b"x" * 71, "an input ends too early"),
    ]:
        assert message in world.rejected("inputs", rerecorded("inputs", world.upload, **{"0": made}))


def test_results_that_are_not_what_the_program_returns(world: Sender) -> None:
    upload = unpack("inputs", world.upload).records["0"]
    name = "('Y',)"
    assert name in unpack("results", world.sent["results"]).records
    assert "a result has the mark" in world.rejected(
        "results", rerecorded("results", world.sent["results"], **{name: upload})
    )


def test_a_result_without_content_is_zero(world: Sender) -> None:
    data = rerecorded("results", world.sent["results"], **{"('Y',)": None})
    found = world.client.decrypt(data)
    assert not found["y"].any() and found["u"].any()


def test_forged_and_damaged_bytes_never_crash() -> None:
    """A part of what ``make fuzz`` does; in a process of its own, should SEAL crash."""
    command = [sys.executable, str(Path(__file__).with_name("fuzz_bytes.py")), "520"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert found.returncode == 0, found.stderr[-2000:]
    report = json.loads(found.stdout)
    assert report["inputs"] >= 500
    assert report["rejected"] > 300
    assert report["accepted"] > 10
