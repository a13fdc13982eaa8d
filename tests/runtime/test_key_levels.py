"""Keys for the levels where they are used: what a module says, what is sent, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from small_programs import case
from worlds import World, emitted, error

from slotlang import api
from slotlang.emit.loaded import load_module
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import Target
from slotlang.source import Source
from slotlang.validation.check import check_module
from slotlang_runtime import EvaluationKeys, Rejected
from slotlang_runtime.kernels.operations import ResidueOperations
from slotlang_runtime.parameters import RELINEARIZATION
from slotlang_runtime.records import HEAD
from slotlang_runtime.seal.operations import SealOperations
from slotlang_runtime.wire import pack, unpack

DROPPING = Parameters(8192, (50, 40, 40, 50), 35, (1,))

MIXED = """program mixed(n = 16, slots = 16)
input x[n]
weight w[n]
cipher X = x[slot]
plain W = w[slot]
Y = (X << 1) * W
Z = (Y << 1) + (Y << 2)
output z[slot] = Z
prove z[i < n] == w[(i + 1) % n] * x[(i + 2) % n] + w[(i + 2) % n] * x[(i + 3) % n]
"""
"""Rotates by 1 at the top and below, and by 2 below only."""

SQUARES = """program squares(n = 16, slots = 16)
input x[n]
weight w[n]
cipher X = x[slot]
plain W = w[slot]
Y = X * W
Z = (Y * Y) << 4
U = conj Z
output z[slot] = U
prove z[i < n] == w[(i + 4) % n]**2 * x[(i + 4) % n]**2
"""
"""Has keys of all kinds below the top, and none there."""

BELOW = """program below(n = 16, slots = 16)
input x[n]
weight w[n]
cipher X = x[slot]
plain W = w[slot]
Y = X * W
Z = (Y << 1) + (Y << 2)
output z[slot] = Z
prove z[i < n] == w[(i + 1) % n] * x[(i + 1) % n] + w[(i + 2) % n] * x[(i + 2) % n]
"""

DEEP = Parameters(16384, (60, 40, 40, 40, 60), 40, (1, 2))


@pytest.fixture(scope="module")
def mixed() -> World:
    return World(MIXED, DROPPING, hide="none")


@pytest.fixture(scope="module")
def squares() -> World:
    return World(SQUARES, DEEP, hide="none")


def element(step: int, degree: int = 8192) -> int:
    return pow(3, step, 2 * degree)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Element and level of every key switch that a backend does."""
    seen: list[tuple[int, int]] = []

    def level_of(operations: Any, a: Any) -> int:
        return a.level if hasattr(a, "level") else operations.ring.levels.index(a.parms_id())

    for backend in (ResidueOperations, SealOperations):

        def rotate(self: Any, a: Any, step: int, inner: Any = backend.rotate) -> Any:
            degree = self.ring.degree
            seen.append((element(step, degree), level_of(self, a)))
            return inner(self, a, step)

        def conjugate(self: Any, a: Any, inner: Any = backend.conjugate) -> Any:
            seen.append((2 * self.ring.degree - 1, level_of(self, a)))
            return inner(self, a)

        def relinearize(self: Any, a: Any, inner: Any = backend.relinearize) -> Any:
            seen.append((RELINEARIZATION, level_of(self, a)))
            return inner(self, a)

        monkeypatch.setattr(backend, "rotate", rotate)
        monkeypatch.setattr(backend, "conjugate", conjugate)
        monkeypatch.setattr(backend, "relinearize", relinearize)
    return seen


def test_a_module_says_from_which_level_on_a_key_is_used(mixed: World, squares: World) -> None:
    assert mixed.module.parameters.key_levels == {element(2): 1}
    assert mixed.module.parameters.first_levels == {element(1): 0, element(2): 1}
    degree = DEEP.degree
    assert squares.module.parameters.first_levels == {RELINEARIZATION: 1, element(4, degree): 2, 2 * degree - 1: 2}


@pytest.mark.parametrize("kernel", ["compiled", "seal"])
@pytest.mark.parametrize("text", [MIXED, SQUARES, case("horner and doubling").text], ids=["mixed", "squares", "case"])
def test_levels_are_those_of_the_key_switches(text: str, kernel: Any, watched: list[tuple[int, int]]) -> None:
    world = World(text, DEEP if text == SQUARES else DROPPING, hide="none", kernel=kernel)
    assert error(world.result(), world.expected()) < 1e-2
    assert world.server.note == ""
    first: dict[int, int] = {}
    for key, level in watched:
        first[key] = min(level, first.get(key, level))
    assert first == world.module.parameters.first_levels


def test_bytes_are_those_that_are_sent(mixed: World, squares: World) -> None:
    """Digit by digit: each has a polynomial modulo the primes that are left and the key prime."""
    for world, per_digit in ((mixed, {0: (3, 180), 1: (2, 140)}), (squares, {1: (3, 200), 2: (2, 160)})):
        p, sent = world.module.parameters, 0
        for digits, bits in (per_digit[level] for level in p.first_levels.values()):
            sent += digits * p.degree * bits // 8
        cost = api.cost(world.program, world.plan.parameters, target=Target(hide="none"))
        assert cost.evaluation_key_bytes == sent
        heads = sum(HEAD.size + 64 * per_digit[level][0] for level in p.first_levels.values())
        assert 0 < len(world.sent_keys) - sent - heads < 400
        galois = [level for e, level in p.first_levels.items() if e != RELINEARIZATION]
        # digits x 2 x primes, 8 bytes each
        assert cost.galois_key_bytes == sum(
            16 * p.degree * per_digit[level][0] * (per_digit[level][0] + 1) for level in galois
        )
        assert sum(key.words().nbytes for e, key in world.keys.keys.items() if e != RELINEARIZATION) == (
            cost.galois_key_bytes
        )


def test_a_third_of_the_bytes_from_two_to_one_prime() -> None:
    program = api.loads(BELOW)
    primes = (45, 30, 34)
    below, top = (api.cost(program, Parameters(4096, primes, 30, drops)) for drops in ((1,), ()))
    # one digit modulo 45 and 34 bits, of two modulo 45, 30 and 34
    assert below.evaluation_key_bytes == 2 * 4096 * (45 + 34) // 8
    assert top.evaluation_key_bytes == 2 * 4096 * 2 * (45 + 30 + 34) // 8
    # one digit with two rows, of two with three, for each polynomial
    assert 3 * below.galois_key_bytes == top.galois_key_bytes
    formulas = api.formulas(program, Parameters(4096, primes, 30, (1,)))
    assert formulas.bytes["evaluation_key_bytes"].expr == below.evaluation_key_bytes
    assert formulas.bytes["galois_key_bytes"].expr == below.galois_key_bytes


def test_formulas_count_keys_by_level() -> None:
    program = api.loads(MIXED)
    cost, formulas = api.cost(program, DROPPING), api.formulas(program, DROPPING)
    assert formulas.bytes["evaluation_key_bytes"].expr == cost.evaluation_key_bytes
    assert formulas.bytes["galois_key_bytes"].expr == cost.galois_key_bytes
    # with any primes
    free = api.formulas(api.loads(SQUARES))
    assert {"all_bits_1", "all_bits_2"} <= {str(s) for s in free.bytes["evaluation_key_bytes"].expr.free_symbols}


def test_joined_keys_have_the_highest_level(mixed: World) -> None:
    secret = mixed.client.secret
    # the same program with all keys at the top
    top = World(MIXED.replace("mixed", "top"), Parameters(8192, (50, 40, 40, 50), 35), hide="none", secret=secret)
    assert top.module.parameters.key_levels == {}
    for order in ((mixed, top), (top, mixed)):
        joined = EvaluationKeys.from_bytes(secret.evaluation_keys(*(w.module for w in order)))
        assert {e: key.level for e, key in joined.keys.items()} == {element(1): 0, element(2): 0}
        for world in order:
            found = world.client.decrypt(world.server.evaluate(world.upload, joined).data)
            assert error(found, world.expected()) < 1e-2
    with pytest.raises(Rejected) as refused:
        top.server.evaluate(top.upload, mixed.keys)
    assert refused.value.code == "SL544"
    assert str(refused.value) == (
        "top needs Galois keys for rotations by 2 from level 0 on, and these evaluation keys have them from level 1 "
        "on, as they were made for other programs"
    )


@pytest.mark.parametrize("kernel", ["compiled", "seal"])
def test_a_switch_above_the_level_of_its_key_is_refused(kernel: Any) -> None:
    made = emitted(MIXED, DROPPING, Target(hide="none", kernel=kernel))
    # rotates by 2 before the prime is dropped
    edited = re.sub(r"ev\.rotate\((\w+), 1\)", r"ev.rotate(\1, 2)", made.text, count=1)
    assert edited != made.text
    world = World(MIXED, DROPPING, hide="none", kernel=kernel)
    world.server.module = world.server.engine.module = load_module(edited)  # type: ignore[attr-defined]
    with pytest.raises(Rejected, match="the key for a rotation by 2 is for level 1 on, and a ciphertext at level 0"):
        world.server.compute(world.server.load(world.upload), world.keys)


@pytest.mark.parametrize(
    ("first", "status", "what"),
    [
        ("ev.rotate(Y, 1)", "proved", ""),
        ("ev.rescale(ev.rotate(P, 1))", "refuted", "the key for a rotation by 1 is for level 1 on"),
    ],
)
def test_the_checker_sees_a_switch_above_the_level_of_its_key(first: str, status: str, what: str) -> None:
    """Both compute the same, and the server has no key for one of them."""
    made = emitted(BELOW, DROPPING, Target(hide="none"))
    old, new = 'Y = ev.rescale(ev.multiply(X, plain["W",]))', 'P = ev.multiply(X, plain["W",]); Y = ev.rescale(P)'
    edited = made.text.replace(old, new).replace("ev.sum_of(ev.rotate(Y, 1)", f"ev.sum_of({first}")
    assert edited.count("P = ") == 1 and first in edited
    found = check_module(Source("/nowhere/module.py", edited)).validation
    assert (found.status, what in found.what) == (status, True), found.what


def test_a_container_of_keys_that_was_changed_is_refused(mixed: World) -> None:
    """Flipped, cut and foreign bytes, in every part of the container."""
    data = mixed.sent_keys
    rng = np.random.default_rng(0)
    places = {*range(0, 400, 3), *rng.integers(0, len(data), 40).tolist(), len(data) - 1}
    for place in places:
        bad = bytearray(data)
        bad[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(Rejected):
            EvaluationKeys.from_bytes(bytes(bad))
    for end in (0, 7, 70, 300, len(data) // 2, len(data) - 1):
        with pytest.raises(Rejected):
            EvaluationKeys.from_bytes(data[:end])
    for foreign in (data + b"x", b"", bytes(300), b"PK\3\4" * 99, mixed.upload, mixed.client.secret.to_bytes()):
        with pytest.raises(Rejected):
            EvaluationKeys.from_bytes(foreign)


def test_levels_that_do_not_fit_their_records_are_refused(mixed: World) -> None:
    box = unpack("evaluation keys", mixed.sent_keys)
    assert box.label["keys"] == [[3, 0], [9, 1]]
    for keys, message in (
        ([[3, 1], [9, 1]], "a key has primes 4, expected 3"),
        ([[3, 0], [9, 0]], "a key has primes 3, expected 4"),
        ([[3, 0], [9, 2]], "a key has primes 3, expected 2"),
        ([[3, 0], [9, 3]], "levels that do not exist"),
        ([[3, 0], [9, -1]], "levels that do not exist"),
    ):
        with pytest.raises(Rejected, match=message):
            EvaluationKeys.from_bytes(pack("evaluation keys", {**box.label, "keys": keys}, dict(box.records)))
