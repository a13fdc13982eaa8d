"""Routes: rotations composed of those that have keys, in as few steps as there can be."""

from __future__ import annotations

from itertools import product
from math import gcd

import pytest
from amounts import examples
from hypothesis import given
from hypothesis import strategies as st

from slotlang.schedule.composed_rotations import routes

SLOTS = 16
steps = st.sets(st.integers(1, SLOTS - 1), min_size=1, max_size=5)


@examples()
@given(steps, steps)
def test_routes_are_the_shortest_there_are(wanted: set[int], keys: set[int]) -> None:
    found = routes(wanted, keys, SLOTS)
    unit = gcd(SLOTS, *keys)
    if any(step % unit for step in wanted):
        assert found is None
        return
    assert found is not None
    assert set(found) == wanted - keys
    for step, route in found.items():
        assert set(route) <= keys
        assert sum(route) % SLOTS == step
        for shorter in range(1, min(len(route), 4)):
            assert all(sum(parts) % SLOTS != step for parts in product(keys, repeat=shorter))


@pytest.mark.parametrize("top", [5, 9, 15])
def test_routes_go_over_steps_that_are_needed_anyway(top: int) -> None:
    found = routes(range(1, top + 1), {1, 4}, 64)
    assert found is not None
    passed = {0}
    for step in range(1, top + 1):
        route = found.get(step, (step,))
        for length in range(1, len(route) + 1):
            passed.add(sum(route[:length]))
    assert passed == set(range(top + 1))
