"""What a ciphertext and what a call takes, from times of whole calls; and that predictions count both."""

from __future__ import annotations

import pytest
from invented_prices import only

from slotlang import api
from slotlang.cost.primitives import PRIMITIVES, SLOT_BLOCK
from slotlang.planning.target import Target
from slotlang.run.request_samples import (
    BESIDE_SLOTS,
    COLLECT,
    FEW,
    FEWER,
    FIXED,
    MANY,
    SEVERAL,
    call_of,
    fewer,
    fixed_of,
    is_call,
    several,
    split,
)

EACH = {primitive: 1e-3 * (2 + n) for n, primitive in enumerate(p for names in FIXED.values() for p in names)}
CALL = {name: 1e-4 * (1 + n) for n, name in enumerate(FIXED)}
COLLECTING = 5e-4
BLOCK = 1e-4
"""Seconds of 256 slots."""
SLOTS = 2048
PRIMES = 3


def times(count: int, slots: int = SLOTS) -> dict[str, float]:
    """Of whole calls with so many ciphertexts, which take what both dicts say, and some more for their slots."""
    found = {}
    for call, primitives in FIXED.items():
        for primitive in primitives:
            each = EACH[primitive] + COLLECTING * (call == "request_decrypt")
            number = several(primitive, 2 * SLOTS, PRIMES) if count == SEVERAL else count
            found[call_of(primitive, count)] = CALL[call] + number * each
            if primitive in BESIDE_SLOTS:
                found[call_of(primitive, count)] += count * BLOCK * slots / SLOT_BLOCK
                few = each + BLOCK * slots / FEWER / SLOT_BLOCK
                found[call_of(fewer(primitive), count)] = CALL[call] + count * few
    return {**found, call_of(COLLECT, count): count * COLLECTING}


def test_times_of_calls_are_taken_apart() -> None:
    fixed = fixed_of(times(FEW) | times(MANY))
    assert fixed == pytest.approx(CALL)
    found = split({name: {PRIMES: seconds} for name, seconds in times(SEVERAL).items()}, fixed, SLOTS)
    assert found[COLLECT] == {SLOTS: pytest.approx(COLLECTING)}
    assert {name: found[name] for name in CALL} == {name: {1: pytest.approx(seconds)} for name, seconds in CALL.items()}
    assert {name: found[name] for name in EACH} == {
        name: {PRIMES: pytest.approx(seconds)} for name, seconds in EACH.items()
    }
    for name in BESIDE_SLOTS:
        assert found[f"{name}_slots"] == {PRIMES: pytest.approx(BLOCK)}
    assert set(found) <= set(PRIMITIVES)


def test_names_of_calls_are_told_from_names_of_sums() -> None:
    assert all(map(is_call, times(SEVERAL)))
    assert not any(map(is_call, ["dot of 4", "sum of 1 rotation", "receive", "receive of many"]))


def test_calls_on_the_memory_have_more_than_the_caches_hold() -> None:
    assert {several(name, 4096, 1) for name in EACH if not name.startswith(("save", "encode_constant"))} == {SEVERAL}
    for name in ("save_ciphertext", "save_part", "save_cut"):
        for primes in (1, 2, 8):
            # of two polynomials
            assert 2 * several(name, 4096, primes) * 8 * 4096 * primes >= 1 << 22
        assert several(name, 32768, 8) == SEVERAL
    assert several("encode_constant", 4096, 1) * 8 * 4096 == 1 << 25


def test_a_call_is_counted_once() -> None:
    made = api.plan(api.load("programs/rank_complex.slot"))
    parts = ("encryption", "reading", "evaluation", "saving", "decryption", "encoding")
    for part, name in zip(parts, ("encrypt", "read", "evaluate", "save", "decrypt", "encode"), strict=True):
        times = made.predicted(only(f"request_{name}"))
        assert {other: getattr(times, other) for other in parts} == {other: 1e-3 * (other == part) for other in parts}


def test_results_without_last_bits_have_their_own_price() -> None:
    program = api.load("programs/rank_complex.slot", {"slots": 2048})
    made = api.plan(program, target=Target(precision=1e-3))
    assert any(made.parameters.cut)
    assert made.parameters.degree == 4096
    # the nearest degree with a price is 8192, and times go by N log N
    each = 1e-3 * 12 / 26
    results = len(made.graph.results())
    for name, part in (("save_cut", "saving"), ("receive_cut", "decryption")):
        assert getattr(made.predicted(only(name)), part) == pytest.approx(each * results)
    for name, part in (("save_part", "saving"), ("receive_part", "decryption")):
        assert getattr(made.predicted(only(name)), part) == 0
