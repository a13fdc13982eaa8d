"""Key sets: what a set is said to cost is what the graph then has, and no other of the program's steps costs less."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
from small_programs import CASES, LORA, Case

from slotlang import api
from slotlang.graph.key_selection import Demand, demand, key_set
from slotlang.graph.unroll import unroll
from slotlang.schedule.build import schedule
from slotlang.schedule.composed_rotations import routes, tree

TURNING = [c for c in CASES if any(unroll(schedule(api.loads(c.text))).of_kind("rotate"))]


def wanted(text: str) -> Demand:
    return demand(unroll(schedule(api.loads(text))), lambda level: 1.0)


@pytest.mark.parametrize("small", TURNING, ids=lambda c: c.name)
def test_a_set_costs_what_the_graph_has(small: Case) -> None:
    program = api.loads(small.text)
    built = schedule(program)
    found = demand(unroll(built), lambda level: 1.0)
    for most in range(1, len(found.steps)):
        chosen = key_set(found, most)
        assert chosen is not None
        cost, keys = chosen
        assert len(keys) <= most
        route = routes(found.steps, keys, program.slots)
        assert route is not None
        rotations = [n.step for n in unroll(replace(built, routes=route)).of_kind("rotate")]
        assert set(rotations) == set(keys)
        # equal rotations of equal ciphertexts are shared even where they lie apart
        assert len(rotations) <= cost


def test_every_step_has_a_key_where_there_is_room() -> None:
    found = wanted(LORA)
    assert key_set(found, len(found.steps)) == (found.least, tuple(sorted(found.steps)))
    assert key_set(found, 0) is None


@pytest.mark.parametrize("small", TURNING, ids=lambda c: c.name)
@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_other_set_of_steps_costs_less(small: Case, most: int) -> None:
    found = wanted(small.text)
    if len(found.steps) <= most:
        return
    chosen = key_set(found, most)
    assert chosen is not None
    others = range(1, found.slots) if most == 1 else found.steps
    for keys in combinations(others, most):
        ways = tree(found.steps, keys, found.slots)
        assert ways is None or chosen[0] <= found.cost(ways)


def test_many_keys_are_dropped_one_by_one() -> None:
    steps = [3 * k % 64 for k in range(1, 20)]
    found = Demand(64, {frozenset([step]): 1.0 + step % 5 for step in steps})
    costs = [chosen[0] for most in (2, 5, 10, 15) if (chosen := key_set(found, most))]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] <= 1.2 * found.least


def test_keys_that_save_nothing_are_left_out() -> None:
    # with keys for 1 and 4 every step up to 7 is one more key switch for the same ciphertext
    found = Demand(16, {frozenset(range(1, 8)): 1.0})
    assert key_set(found, 6) == (7.0, (1,))


def test_dearer_levels_count_for_more() -> None:
    cheap_first = Demand(64, {frozenset([1]): 1.0, frozenset([8]): 9.0, frozenset([2]): 1.0})
    chosen = key_set(cheap_first, 2)
    assert chosen == (12.0, (1, 8))
