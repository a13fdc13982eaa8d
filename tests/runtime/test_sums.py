"""Sums of products in one pass: the residues are those that SEAL's operations make, and where the kernel can't be had,
or is not what it should be, SEAL's operations are used."""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np
import pytest
import tenseal.sealapi as seal
import worlds
from small_programs import LORA
from worlds import emitted, error, residues

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import Target
from slotlang.run.runner import load_module
from slotlang_runtime import Client, Module
from slotlang_runtime.kernels import engine, sums
from slotlang_runtime.kernels.engine import SumsEngine
from slotlang_runtime.kernels.sums import MOST_TERMS, Sums
from slotlang_runtime.operations import Evaluation
from slotlang_runtime.seal import memory
from slotlang_runtime.seal.operations import SealOperations

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
def module(parameters: Parameters = RINGS[2]) -> Module:
    """A module with the kernel; what its program computes is of no matter here."""
    return load_module(emitted(LORA, parameters, Target(kernel="fused")).text)


class World:
    """Ciphertexts and plaintexts of a ring, and both ways to add up their products."""

    def __init__(self, parameters: Parameters, level: int = 0) -> None:
        self.module = module(parameters)
        client = Client(self.module)
        self.ring, self.encryptor = client.ring, client.secret.encryptor
        self.level, self.rng = level, np.random.default_rng(1)
        self.sums = Sums(self.ring)
        self.evaluator = seal.Evaluator(self.ring.context)

    def plain(self, scale: float = 2.0**16) -> Any:
        made = seal.Plaintext()
        values = self.rng.standard_normal(self.ring.encoder.slot_count()).tolist()
        self.ring.encoder.encode(values, self.ring.levels[self.level], scale, made)
        return made

    def cipher(self, scale: float = 2.0**16) -> Any:
        made = seal.Ciphertext()
        self.encryptor.encrypt_symmetric(self.plain(scale), made)
        return made

    def pairs(self, terms: int, of: int = 7) -> list[tuple[Any, Any]]:
        ciphers, plains = [self.cipher() for _ in range(of)], [self.plain() for _ in range(of - 1)]
        return [(ciphers[n % of], plains[n % (of - 1)]) for n in range(terms)]

    def words(self, cipher: Any) -> Any:
        return residues(self.ring, cipher, self.level)

    def by_seal(self, pairs: list[tuple[Any, Any]]) -> Any:
        operations = SealOperations(self.ring, None, None)
        evaluation: Evaluation[Any, Any] = Evaluation(operations, self.module.parameters, self.module.slots)
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
    for things, fields, polynomials in ((0, memory.CIPHERTEXT, 2), (1, memory.PLAINTEXT, 1)):
        for pair in pairs[:12]:
            array = int(memory.words_at(memory.inside(pair[things]), 15)[fields["array"]])
            residues = memory.words_at(array, polynomials * len(primes) * degree)
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
        (seal.Ciphertext(), world.plain()),
        (world.cipher(), seal.Plaintext()),
    ):
        assert world.sums(world.evaluator, [*good, pair]) is None
        with pytest.raises((ValueError, RuntimeError)):
            world.by_seal([*good, pair])
    three = seal.Ciphertext()
    world.evaluator.multiply(good[0][0], good[1][0], three)
    assert three.size() == 3 and world.sums(world.evaluator, [*good, (three, good[0][1])]) is None


def lora(kernel: Any = "fused") -> worlds.World:
    return worlds.World(LORA, RINGS[2], kernel=kernel)


def sums_of(world: worlds.World) -> Sums | None:
    made = world.encoded.engine
    assert isinstance(made, SumsEngine)
    return made.sums


def test_runs_count_the_same_and_are_right_both_ways() -> None:
    made = {kernel: lora(kernel) for kernel in ("seal", "fused")}
    assert sums_of(made["fused"]) is not None
    assert not isinstance(made["seal"].encoded.engine, SumsEngine)
    counts = []
    for world in made.values():
        answer = world.answer()
        assert error(world.client.decrypt(answer.data), world.expected()) < 1e-5
        assert world.server.note == ""
        counts.append({k: v for k, v in answer.counts.items() if v})
    assert counts[0] == counts[1] == made["fused"].module.counts


def test_results_are_those_of_seal_bit_for_bit() -> None:
    """Where nothing is masked: key switches are the same ones of the same residues."""
    fused = worlds.World(LORA, RINGS[2], kernel="fused", hide="none")
    plain = worlds.World(LORA, RINGS[2], kernel="seal", hide="none", secret=fused.client.secret)
    (one, _), (two, _) = (w.server.compute(w.server.load(fused.upload), fused.keys) for w in (fused, plain))
    assert one.results.keys() == two.results.keys()
    for name, value in one.results.items():
        assert np.array_equal(residues(fused.ring, value), residues(fused.ring, two.results[name]))


def fallen_back(note: str) -> None:
    """The server says why, and SEAL's operations compute the same."""
    # as in a new process, which has checked no ring
    sums._CHECKED.clear()
    memory._CHECKED.clear()
    world = lora()
    answer = world.answer()
    assert sums_of(world) is None and note in world.server.note
    assert world.server.note.startswith("evaluated by SEAL's operations, one by one: ")
    assert error(world.client.decrypt(answer.data), world.expected()) < 1e-5
    assert {k: v for k, v in answer.counts.items() if v} == world.module.counts


def test_without_numba_seal_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "compiled", sums.compiled.__wrapped__)
    monkeypatch.setitem(sys.modules, "numba", None)
    fallen_back("numba can't be imported")


def test_on_other_pythons_seal_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.sys.implementation, "name", "pypy")
    fallen_back("this TenSEAL keeps its objects otherwise")


@pytest.mark.parametrize(
    ("name", "field", "place"),
    [("CIPHERTEXT", "words", 6), ("CIPHERTEXT", "scale", 7), ("PLAINTEXT", "words", 5), ("PLAINTEXT", "scale", 4)],
)
def test_objects_that_lie_otherwise_are_not_touched(
    name: str, field: str, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # compiled for all tests, of objects as they lie
    sums.compiled()
    monkeypatch.setitem(getattr(memory, name), field, place)
    fallen_back("keeps its objects otherwise")


@pytest.mark.parametrize("wrong", ["sums", "objects"])
def test_a_kernel_that_is_wrong_is_not_used(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = sums.compiled()

    def first_only(out: int, ciphers: Any, plains: Any, *rest: Any) -> bool:
        return wrong == "sums" and bool(right(out, ciphers[1:], plains[1:], *rest))

    monkeypatch.setattr(sums, "compiled", lambda: first_only)
    fallen_back("computes wrong sums" if wrong == "sums" else "does not take")


def test_terms_that_cancel_are_a_zero_that_can_be_decrypted() -> None:
    world = worlds.World(CANCELLING, None, kernel="fused")
    a = np.array([[1.0, -1.0, 0.5, -0.5], [1.0, 2.0, 3.0, 4.0]])
    encoded = type(world.encoded).encode(world.module, A=a)
    assert isinstance(encoded.engine, SumsEngine) and encoded.engine.sums is not None
    x = np.random.default_rng(0).standard_normal((4, 16))
    answer = type(world.server)(encoded).evaluate(world.client.encrypt(x=x), world.keys)
    found = world.client.decrypt(answer.data)
    assert answer.vanished == 1
    assert np.array_equal(found[0], np.zeros(16))
    assert np.abs(found[1] - 10 * x[0]).max() < 1e-6


def test_nested_sums_are_one_pass() -> None:
    made = emitted(NESTED, None, Target(kernel="fused"))
    assert "ev.dot((X[j, k], plain[" in made.text and "for j in range(n) for k in range(m))" in made.text
    graph = made.plan.graph
    assert list(graph.dots.values()) == [12] and len(graph.in_dots) == 12 + 3
    world = worlds.World(NESTED, None, kernel="fused")
    answer = world.answer()
    assert answer.counts["plain_products"] == 12 and answer.counts["additions"] == 11
    assert error(world.client.decrypt(answer.data), world.expected()) < 1e-5


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


def test_one_kernel_is_compiled_for_all_programs_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    first = sums.compiled()
    monkeypatch.setattr(sums, "_kernel", lambda: pytest.fail("compiled a second time"))
    assert World(RINGS[1]).sums.dot is first and World(RINGS[3]).sums.dot is first
    assert MOST_TERMS == 128 and engine.Sums is Sums


def test_a_ring_is_checked_once_for_all_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    checks: list[int] = []
    check = Sums._check
    monkeypatch.setattr(Sums, "_check", lambda self: (checks.append(self.degree), check(self)))
    sums._CHECKED.clear()
    first, second = World(RINGS[1]), World(RINGS[1])
    assert first.ring.shared is second.ring.shared and checks == [first.ring.degree]
    World(RINGS[3])
    assert checks == [first.ring.degree, World(RINGS[3]).ring.degree]


def test_a_check_that_fails_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    right = sums.compiled()
    sums._CHECKED.clear()
    with monkeypatch.context() as patch:
        patch.setattr(sums, "compiled", lambda: lambda *_: False)
        for _ in range(2):
            with pytest.raises(sums.Unavailable):
                World(RINGS[1])
    assert World(RINGS[1]).sums.dot is right
