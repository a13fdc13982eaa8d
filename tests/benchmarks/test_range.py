"""Random cases in and beyond their range: none is silently wrong. ``make range`` runs 10,000 of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from worlds import World

from benchmarks import range as cases_of
from slotlang_runtime import Client, EvaluationKeys, Rejected, Server, Weights
from slotlang_runtime.limits import Limit
from slotlang_runtime.ranges import Ranges, check_range


def programs() -> Iterator[Any]:
    """Every third program by hand or, in turn, with one of the sets; the others and both are slow."""
    for number, name in enumerate(cases_of.PROGRAMS):
        for turn, text in enumerate(("by hand", cases_of.SETS[number % 5])):
            slow = turn != number % 2 or number % 3 > 0
            yield pytest.param(number, name, text, id=f"{name}-{text}", marks=[pytest.mark.slow] * slow)


@pytest.mark.parametrize(("number", "name", "text"), list(programs()))
def test_no_case_is_silently_wrong(number: int, name: str, text: str) -> None:
    found = cases_of.cases(name, text, cases_of.lowered(name, text), np.random.default_rng([77, number]), 2)
    assert found.wrong == []
    # the weights at their limit are not refused, nor are inputs at theirs
    assert found.outcomes["at the limit: right"] >= 1
    assert found.outcomes["beyond the limit: inputs refused"] == found.outcomes["at the limit: right"]
    assert sum(found.outcomes.values()) >= 10


@pytest.mark.parametrize("guard", ["encode", "encrypt"])
def test_without_a_guard_the_same_cases_are_wrong(guard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the guards are what makes the others right, and these cases would see a fault in them."""
    if guard == "encode":
        monkeypatch.setattr("slotlang_runtime.weights.check_range", lambda *_: Ranges((), {}, {}, {}))
    else:
        monkeypatch.setattr(Limit, "check", lambda *_, **__: None)
    module = cases_of.lowered("rank_complex", "0.001")
    found = cases_of.cases("rank_complex", "0.001", module, np.random.default_rng(5), 12)
    assert found.wrong


ONCE = """program once(n = 8, slots = 8)
input x[n]
weight w[n]
cipher X = x[slot]
plain W = w[slot]
Y = X * W
output y[slot] = Y
prove y == w * x
"""


def test_a_wrap_that_the_tripwire_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal slots make one coefficient. At the modulus it wraps to zero, and looks like a result of zero: the guard of
    ``encode`` is the guarantee, and the tripwire is not."""
    text = ONCE.replace("prove y == w * x", "prove y == D @ x").replace("weight w[n]", "weight D[n, n]")
    world = World(text.replace("w[slot]", "D[slot, slot]").replace("D[n, n]", "D[i < n, j < n] sparse where i == j"))
    ring = world.client.ring
    modulus = math.prod(ring.primes(0))
    value = modulus / ring.scale(0, 1)
    weights = {"D": np.eye(8) * value}
    with pytest.raises(Rejected, match=r"could need .* bits more than the modulus has"):
        check_range(world.module, weights)
    with pytest.raises(Rejected) as caught:
        Weights.encode(world.module, **weights)
    assert caught.value.code == "SL532"
    monkeypatch.setattr("slotlang_runtime.weights.check_range", lambda *_: Ranges((), {}, {}, {}))
    encoded = Weights.encode(world.module, **weights)
    server, keys = Server(encoded), EvaluationKeys.from_bytes(world.client.evaluation_keys())

    def decrypted(client: Client, size: float) -> Any:
        return client.decrypt(server.evaluate(client.encrypt(x=np.full(8, size)), keys).data)

    expected = weights["D"] @ np.ones(8)
    assert expected.min() == value > 1e9
    assert np.abs(decrypted(world.client, 1.0)).max() < 1e-3 * value
    # half of it lies in the upper half, which the tripwire sees
    with pytest.raises(Rejected) as caught:
        decrypted(world.client, 0.45)
    assert caught.value.code == "SL533"
