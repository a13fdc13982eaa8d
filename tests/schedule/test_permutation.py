"""Networks against the defining equation, and their counts against counts read off the masks."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from amounts import examples
from hypothesis import given
from hypothesis import strategies as st

from slotlang.schedule.benes import benes_routes, bit_routes, matched_route, shift_routes, split_sizes
from slotlang.schedule.permutation import Network, Stage, key_switch_cost, plan


def shuffled(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(n)


def transposition(rows: int, columns: int) -> np.ndarray:
    """(row, column) to (column, row), row-major."""
    s = np.arange(rows * columns)
    return s % columns * rows + s // columns


def bit_reversal(k: int) -> np.ndarray:
    s = np.arange(1 << k)
    return sum((s >> i & 1) << (k - 1 - i) for i in range(k))


def by_hand(network: Network, v: np.ndarray) -> tuple[np.ndarray, int, int, int]:
    """Output, rotations, products and levels from masks alone, without any method of Stage."""
    n, rotations, products, levels = len(v), 0, 0, 0
    for stage in network.stages:
        masks: dict[int, np.ndarray] = {}
        for s in range(n):
            k = (int(stage.source[s]) - s) % n
            masks.setdefault(k, np.zeros(n, dtype=bool))[s] = True
        v = sum(mask * v[(np.arange(n) + k) % n] for k, mask in masks.items())
        rotations += sum(k != 0 for k in masks)
        if len(masks) > 1:
            products += len(masks)
            levels += 1
    return v, rotations, products, levels


def check(destination: np.ndarray, max_levels: int) -> Network:
    n = len(destination)
    network = plan(destination, max_levels)
    v = np.random.default_rng(n).integers(1, 1 << 40, n)
    out = network.apply(v)
    assert np.array_equal(out[destination], v)
    again, *counts = by_hand(network, v)
    assert np.array_equal(out, again)
    assert counts == [network.rotations, network.products, network.levels]
    assert network.levels <= max_levels
    for stage in network.stages:
        assert list(stage.steps) == sorted(set(stage.steps))
        assert sum(stage.mask(k).astype(int) for k in stage.steps).tolist() == [1] * n
        assert all(stage.mask(k).any() for k in stage.steps)
    return network


def distinct_shifts(destination: np.ndarray) -> int:
    n = len(destination)
    return len({(s - int(destination[s])) % n for s in range(n)})


def check_product_bound(network: Network, destination: np.ndarray) -> None:
    """Stages with w steps each reach at most the product of the w distinct shifts."""
    assert np.prod([float(len(stage.steps)) for stage in network.stages]) >= distinct_shifts(destination)


@examples()
@given(st.integers(1, 64), st.integers(0, 2**32 - 1), st.integers(1, 14))
def test_random_permutation_of_any_size(n: int, seed: int, max_levels: int) -> None:
    destination = shuffled(n, seed)
    check_product_bound(check(destination, max_levels), destination)


@examples(20)
@given(st.integers(0, 12), st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 3, 5, 30]))
def test_random_permutation_of_a_power_of_two(k: int, seed: int, max_levels: int) -> None:
    destination = shuffled(1 << k, seed)
    check_product_bound(check(destination, max_levels), destination)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, pytest.param(6, marks=pytest.mark.slow)])
def test_every_small_permutation(n: int) -> None:
    for destination in permutations(range(n)):
        check(np.array(destination), 3)


def few_rotations(rotations: int, products: int, levels: int) -> float:
    return rotations + levels / 1000


# Rotations with 1, 2, 3, 6 and 12 levels at most when only rotations count; they may fall, never rise.
STRUCTURED = {
    "transposition 512x8": (transposition(512, 8), (1022, 92, 42, 24, 18)),
    "transposition 64x64": (transposition(64, 64), (126, 28, 18, 12, 12)),
    "bit reversal 1024": (bit_reversal(10), (234, 34, 18, 10, 10)),
    "perfect shuffle 4096": (transposition(2, 2048), (4094, 188, 74, 32, 22)),
    "reversal 4096": (np.arange(4096)[::-1], (2048, 95, 38, 17, 12)),
    "interleave 8x6": (transposition(8, 6), (38, 29, 22, 18, 17)),
    "s to 5s": (np.arange(4096) * 5 % 4096, (1023, 62, 29, 14, 10)),
    "random 1024": (shuffled(1024, 1), (648, 113, 76, 61, 41)),
    "random 4096": (shuffled(4096, 1), (2577, 260, 150, 110, 60)),
}
LARGE = ("perfect shuffle 4096", "reversal 4096", "transposition 512x8", "random 4096")
"""Slow: of each there is a smaller one of its kind, and a multiple of slots, "s to 5s", is as large."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in STRUCTURED]
)
def test_rotations_of_known_permutations(name: str) -> None:
    destination, at_most = STRUCTURED[name]
    for max_levels, bound in zip((1, 2, 3, 6, 12), at_most, strict=True):
        network = plan(destination, max_levels, few_rotations)
        assert network.rotations <= bound
        assert np.array_equal(network.apply(np.arange(len(destination)))[destination], np.arange(len(destination)))
    check(destination, 3)


@examples(30)
@given(st.integers(2, 40), st.integers(0, 2**32 - 1))
def test_more_levels_never_cost_more(n: int, seed: int) -> None:
    destination = shuffled(n, seed)
    if distinct_shifts(destination) == 1:
        return
    for cost in (key_switch_cost, few_rotations, lambda rotations, products, levels: products + levels):
        networks = [plan(destination, levels, cost) for levels in (1, 2, 3, 4, 5, 7, 12)]
        costs = [cost(w.rotations, w.products, w.levels) for w in networks]
        assert all(later <= earlier for earlier, later in pairwise(costs))


@pytest.mark.parametrize(
    "destination",
    [
        pytest.param(STRUCTURED["transposition 512x8"][0], id="transposition 512x8"),
        pytest.param(STRUCTURED["random 1024"][0], id="random 1024"),
        *(pytest.param(STRUCTURED[n][0], id=n, marks=pytest.mark.slow) for n in ("reversal 4096", "random 4096")),
    ],
)
def test_more_levels_never_cost_more_at_real_sizes(destination: np.ndarray) -> None:
    for cost in (key_switch_cost, few_rotations):
        networks = [plan(destination, levels, cost) for levels in (1, 2, 3, 6)]
        costs = [cost(w.rotations, w.products, w.levels) for w in networks]
        assert all(later <= earlier for earlier, later in pairwise(costs))


@examples()
@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_one_level_has_one_rotation_for_each_shift(n: int, seed: int) -> None:
    destination = shuffled(n, seed)
    shifts = {(s - int(destination[s])) % n for s in range(n)}
    assert plan(destination, 1).rotations == len(shifts - {0})


def test_identity_has_no_stages() -> None:
    assert plan(np.arange(24), 0) == Network(24, ())


@pytest.mark.parametrize("step", [1, 7, 23])
def test_rotation_is_one_step_without_products(step: int) -> None:
    network = plan((np.arange(24) - step) % 24, 0)
    assert [stage.steps for stage in network.stages] == [(step,)]
    assert (network.rotations, network.products, network.levels) == (1, 0, 0)
    check((np.arange(24) - step) % 24, 0)


@pytest.mark.parametrize("destination", [transposition(64, 8), bit_reversal(9), np.arange(512)[::-1]])
def test_a_rotation_before_or_after_costs_one_rotation_at_most(destination: np.ndarray) -> None:
    plain = plan(destination, 6)
    for turned in (np.roll(destination, 100), (destination + 100) % 512):
        network = check(turned, 6)
        assert network.rotations <= plain.rotations + 1
        assert network.levels <= plain.levels


def test_cost_decides_between_levels() -> None:
    destination = bit_reversal(8)
    assert plan(destination, 12, lambda rotations, products, levels: levels).levels == 1
    assert plan(destination, 12, few_rotations).levels == 4


def test_equal_costs_go_to_fewer_levels() -> None:
    assert plan(bit_reversal(8), 12, lambda rotations, products, levels: 0.0).levels == 1


@pytest.mark.parametrize("destination", [shuffled(96, 5), transposition(32, 8), shuffled(512, 2)])
def test_same_input_same_network(destination: np.ndarray) -> None:
    assert plan(destination, 6) == plan(destination.tolist(), 6)
    assert hash(plan(destination, 6)) == hash(plan(destination, 6))
    assert plan(destination, 6) != plan(destination[::-1], 6)


@pytest.mark.parametrize("n", [6, 24, 48, 64, 1024])
def test_every_array_of_a_route_is_a_permutation(n: int) -> None:
    for destination in (shuffled(n, 3), np.arange(n)[::-1], (5 * np.arange(n) + 1) % n):
        routes = [*shift_routes(destination), *bit_routes(destination), *benes_routes(destination)]
        routes.append(matched_route(destination, split_sizes(n, 3)[1]))
        for route in routes:
            assert np.array_equal(route[0], np.arange(n))
            assert np.array_equal(route[-1], destination)
            assert all(np.array_equal(np.sort(positions), np.arange(n)) for positions in route)


@pytest.mark.parametrize("k", [2, 5, 9])
def test_benes_layers_swap_at_one_distance(k: int) -> None:
    n = 1 << k
    routes = list(benes_routes(shuffled(n, k)))
    assert len(routes) == 4
    for route in routes:
        assert len(route) == 2 * k
        for before, after in pairwise(route):
            distances = set((before ^ after).tolist()) - {0}
            assert len(distances) <= 1
            assert all(d.bit_count() == 1 for d in distances)


def test_matched_route_settles_residues() -> None:
    destination = shuffled(360, 4)
    _, first, second, last = matched_route(destination, (6, 4))
    assert np.array_equal(first % 6, destination % 6)
    assert np.array_equal(second % 24, destination % 24)
    assert np.array_equal(last, destination)


@pytest.mark.parametrize("slots", [4096, pytest.param(16384, marks=pytest.mark.slow)])
def test_real_size(slots: int) -> None:
    destination = shuffled(slots, 0)
    network = plan(destination, 8)
    v = np.random.default_rng(1).normal(size=(2, slots))
    assert np.array_equal(network.apply(v)[:, destination], v)


@pytest.mark.parametrize(
    "destination",
    [
        [0, 0, 1],
        [0, 1, 3],
        [-1, 0, 1],
        [],
        [[0, 1], [1, 0]],
        [0.0, 1.0],
        [True, False],
    ],
)
def test_not_a_permutation(destination: list[object]) -> None:
    with pytest.raises(ValueError, match=r"destination"):
        plan(np.array(destination), 3)


def test_levels_that_do_not_suffice() -> None:
    with pytest.raises(ValueError, match=r"needs at least 1 level; max_levels is 0"):
        plan(np.array([1, 0, 2]), 0)
    with pytest.raises(ValueError, match=r"negative"):
        plan(np.arange(3), -1)


def test_stage_and_network_refuse_what_does_not_fit() -> None:
    for source in ([], [0, 2], [-1, 0], [[0]]):
        with pytest.raises(ValueError, match=r"source"):
            Stage(np.array(source, dtype=np.int64))
    with pytest.raises(ValueError, match=r"permutes 4 slots"):
        plan(np.array([1, 0, 3, 2]), 1).apply(np.arange(5))
    with pytest.raises(ValueError, match=r"read-only"):
        Stage(np.array([1, 0])).source[0] = 0
