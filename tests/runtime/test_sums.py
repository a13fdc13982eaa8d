"""Sums of products in one pass: the residues are those that SEAL's operations make, and where the kernel can't be had,
or is not what it should be, SEAL's operations are used."""

from __future__ import annotations

import ast
import functools
import hashlib
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slotlang.lowering import fused
from small_programs import LORA

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import Target
from slotlang.run.runner import load_module, random_data

SHIPPED = Path(fused.__file__).read_text(encoding="utf-8")

RINGS = [
    Parameters(4096, (36, 36, 37), 20),
    Parameters(4096, (53, 53), 20, scales=(20, 12, 12)),
    Parameters(8192, (60, 60, 60), 36),
    Parameters(16384, (60, 40, 40, 60), 40, (1, 2)),
]

CANCELLING = """program cancelling(d = 4, slots = 16)
input x[d, slots]
weight A[2, d]
cipher X[k < d] = x[k, slot]
Y[j < 2] = sum k < d: X[0] * A[j, k]
output y[j, slot] = Y[j]
prove y == A @ x
"""

NESTED = """program nested(n = 3, m = 4, slots = 64)
input x[n*m, slots]
weight A[1, n*m]
cipher X[j < n, k < m] = x[j*m + k, slot]
plain V[j < n, k < m] = A[0, j*m + k]
Y = sum j < n: sum k < m: X[j, k] * V[j, k]
output y[0, slot] = Y
prove y == A @ x
"""


@functools.cache
def module(parameters: Parameters = RINGS[2]) -> types.ModuleType:
    """A module with the kernel; what its program computes is of no matter here."""
    return load_module(api.lower(api.loads(LORA), parameters, target=Target(kernel="fused")).text)


class World:
    """Ciphertexts and plaintexts of a ring, and both ways to add up their products."""

    def __init__(self, parameters: Parameters, level: int = 0) -> None:
        self.module = module(parameters)
        client = self.module.Client()
        self.ring, self.encryptor, self.seal = client.ring, client.encryptor, self.module.seal
        self.level, self.rng = level, np.random.default_rng(1)
        self.sums = self.module.Sums(self.ring)
        self.evaluator = self.seal.Evaluator(self.ring.context)

    def plain(self, scale: float = 2.0**16) -> Any:
        made = self.seal.Plaintext()
        values = self.rng.standard_normal(self.ring.encoder.slot_count()).tolist()
        self.ring.encoder.encode(values, self.ring.levels[self.level], scale, made)
        return made

    def cipher(self, scale: float = 2.0**16) -> Any:
        data = self.module._saved(self.encryptor.encrypt_symmetric(self.plain(scale)))
        made = self.seal.Ciphertext()
        with self.module._file() as (stream, path):
            stream.write(data)
            stream.flush()
            made.load(self.ring.context, path)
        return made

    def pairs(self, terms: int, of: int = 7) -> list[tuple[Any, Any]]:
        ciphers, plains = [self.cipher() for _ in range(of)], [self.plain() for _ in range(of - 1)]
        return [(ciphers[n % of], plains[n % (of - 1)]) for n in range(terms)]

    def words(self, cipher: Any) -> Any:
        saved = self.module.Saved(self.module._saved(cipher), 1 << 30)
        saved.at = 97
        return saved.words(2, self.ring.primes(self.level))

    def by_seal(self, pairs: list[tuple[Any, Any]]) -> Any:
        evaluation = self.module.Evaluation(self.ring, None, None)
        return evaluation.sum(evaluation.multiply(a, p) for a, p in pairs)


@pytest.mark.parametrize("terms", [2, 3, 4, 5, 9, 127, 128, 129, 133, 300])
def test_residues_are_those_of_seal(terms: int) -> None:
    world = World(RINGS[2])
    pairs = world.pairs(terms)
    found, expected = world.sums(world.evaluator, pairs), world.by_seal(pairs)
    assert found.scale == expected.scale and found.parms_id() == expected.parms_id()
    assert np.array_equal(world.words(found), world.words(expected))


@pytest.mark.parametrize(("parameters", "level"), [(p, n) for p in RINGS for n in range(p.data_primes)])
def test_in_every_ring_and_at_every_level(parameters: Parameters, level: int) -> None:
    world = World(parameters, level)
    pairs = world.pairs(6)
    found, expected = world.sums(world.evaluator, pairs), world.by_seal(pairs)
    assert np.array_equal(world.words(found), world.words(expected))
    assert world.sums(world.evaluator, pairs).is_ntt_form() and not found.is_transparent()


def test_the_largest_residues_do_not_overflow() -> None:
    world = World(RINGS[2])
    degree, primes = world.sums.degree, world.ring.primes(0)
    pairs = world.pairs(300, of=4)
    for things, fields, polynomials in ((0, fused._CIPHERTEXT, 2), (1, fused._PLAINTEXT, 1)):
        for pair in pairs[:12]:
            address = int(world.sums._words(id(pair[things]), 3)[2])
            array = int(world.sums._words(address, 15)[fields["array"]])
            residues = world.sums._words(array, polynomials * len(primes) * degree)
            residues.reshape(polynomials, len(primes), degree)[:] = np.array(primes, np.uint64)[:, None] - np.uint64(1)
    found = world.words(world.sums(world.evaluator, pairs))
    for row, prime in enumerate(primes):
        assert set(np.unique(found[:, row])) == {300 * (prime - 1) ** 2 % prime}


def test_what_does_not_fit_together_is_left_to_seal_and_refused_by_it() -> None:
    world = World(RINGS[2])
    other = World(RINGS[2], level=1)
    good = world.pairs(3)
    for pair in (
        (other.cipher(), other.plain()),
        (world.cipher(), other.plain()),
        (other.cipher(), world.plain()),
        (world.cipher(2.0**17), world.plain()),
        (world.cipher(), world.plain(2.0**15)),
        (world.seal.Ciphertext(), world.plain()),
        (world.cipher(), world.seal.Plaintext()),
    ):
        assert world.sums(world.evaluator, [*good, pair]) is None
        with pytest.raises((ValueError, RuntimeError)):
            world.by_seal([*good, pair])
    three = world.seal.Ciphertext()
    world.evaluator.multiply(good[0][0], good[1][0], three)
    assert three.size() == 3 and world.sums(world.evaluator, [*good, (three, good[0][1])]) is None


def run(made: types.ModuleType, seed: int = 0) -> tuple[Any, float]:
    """The server of an encrypted run, and the error."""
    program = api.loads(made.PROGRAM)
    inputs, weights = random_data(program, seed)
    client = made.Client()
    server = made.Server(client.evaluation_keys())
    server.encode(**weights)
    found = client.decrypt(server.evaluate(client.encrypt(**inputs)))
    return server, made.relative_error(found, made.reference(inputs, weights))


def test_runs_count_the_same_and_are_right_both_ways() -> None:
    program = api.loads(LORA)
    made = {way: load_module(api.lower(program, target=Target(kernel=way)).text) for way in ("seal", "fused")}  # type: ignore[arg-type]
    servers = {}
    for way, text in made.items():
        servers[way], error = run(text)
        assert error < 1e-6
    assert servers["fused"].sums is not None and servers["fused"].note == ""
    assert servers["seal"].sums is None
    assert +servers["fused"].counts == +servers["seal"].counts
    assert {k: v for k, v in servers["fused"].counts.items() if v} == made["fused"].COUNTS


def test_without_numba_seal_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    server, error = run(module())
    assert server.sums is None and "numba can't be imported" in server.note
    assert error < 1e-6 and {k: v for k, v in server.counts.items() if v} == module().COUNTS


@pytest.mark.parametrize(
    ("name", "field", "place"),
    [("_CIPHERTEXT", "words", 6), ("_CIPHERTEXT", "scale", 7), ("_PLAINTEXT", "words", 5), ("_PLAINTEXT", "scale", 4)],
)
def test_objects_that_lie_otherwise_are_not_touched(
    name: str, field: str, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = load_module(api.lower(api.loads(LORA), RINGS[2], target=Target(kernel="fused")).text)
    monkeypatch.setitem(getattr(made, name), field, place)
    server, error = run(made)
    assert server.sums is None and "keeps its objects otherwise" in server.note and error < 1e-6


@pytest.mark.parametrize("wrong", ["sums", "objects"])
def test_a_kernel_that_is_wrong_is_not_used(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = load_module(api.lower(api.loads(LORA), RINGS[2], target=Target(kernel="fused")).text)
    right = made.compiled()

    def first_only(out: int, ciphers: Any, plains: Any, *rest: Any) -> bool:
        return wrong == "sums" and bool(right(out, ciphers[1:], plains[1:], *rest))

    monkeypatch.setattr(made, "compiled", lambda: first_only)
    server, error = run(made)
    says = "computes wrong sums" if wrong == "sums" else "does not take"
    assert server.sums is None and says in server.note and error < 1e-6


def test_terms_that_cancel_are_a_zero_that_can_be_decrypted() -> None:
    made = load_module(api.lower(api.loads(CANCELLING), unproved=True, target=Target(kernel="fused")).text)
    client = made.Client()
    server = made.Server(client.evaluation_keys())
    a = np.array([[1.0, -1.0, 0.5, -0.5], [1.0, 2.0, 3.0, 4.0]])
    server.encode(A=a)
    x = np.random.default_rng(0).standard_normal((4, 16))
    found = client.decrypt(server.evaluate(client.encrypt(x=x)))
    assert server.sums is not None and server.vanished == 1
    assert np.array_equal(found[0], np.zeros(16))
    assert np.abs(found[1] - 10 * x[0]).max() < 1e-6


def test_nested_sums_are_one_pass() -> None:
    made = api.lower(api.loads(NESTED), target=Target(kernel="fused"))
    assert "ev.dot((X[j, k], plain[" in made.text and "for j in range(n) for k in range(m))" in made.text
    graph = made.plan.graph
    assert list(graph.dots.values()) == [12] and len(graph.in_dots) == 12 + 3
    server, error = run(load_module(made.text))
    assert server.counts["plain_products"] == 12 and server.counts["additions"] == 11 and error < 1e-6


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # a tree says in which order to add, a rotation has to be made first, and one product is no sum
        ("Y = sum j < n: sum k < m:", "Y = sum j < n by tree: sum k < m by tree:"),
        ("X[j, k] * V[j, k]", "(X[j, k] << j + k + 1) * (V[j, k] << j + k + 1)"),
        ("n = 3, m = 4", "n = 1, m = 1"),
    ],
)
def test_what_is_no_sum_of_products(old: str, new: str) -> None:
    program = api.loads(NESTED.replace(old, new))
    made = api.plan(program)
    assert not made.graph.dots and not made.graph.in_dots and made.kernel != "fused"
    with pytest.raises(SlotError, match="SL472"):
        api.plan(program, target=Target(kernel="fused"))


def test_a_new_kernel_has_a_new_number() -> None:
    """All modules of a process share one compiled kernel by its number: another text needs another number."""
    text = SHIPPED.split("class Unavailable")[0].split("KERNEL = ")[1].split("\n", 1)[1]
    (kernel,) = (n for n in ast.parse(SHIPPED).body if isinstance(n, ast.FunctionDef) and n.name == "_kernel")
    text += str(ast.get_source_segment(SHIPPED, kernel))
    found = hashlib.sha256(f"{fused.MOST_TERMS} {fused.STRIP} {text}".encode()).hexdigest()[:16]
    assert (fused.KERNEL, found) == (1, "bbd832205353e5c7"), "count KERNEL up, and write the new text's hash here"
