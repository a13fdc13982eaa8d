"""Routes of permutations: each starts at rest, ends at the destination, and moves as its generator says."""

from __future__ import annotations

from itertools import pairwise, permutations, product
from math import prod

import numpy as np
import pytest
from amounts import examples
from hypothesis import given
from hypothesis import strategies as st

from slotlang.schedule.benes import Positions, benes_routes, bit_routes, matched_route, shift_routes, split_sizes

EVERY_SMALL = [np.array(p) for n in (2, 3, 4) for p in permutations(range(n))]


def moves(before: Positions, after: Positions) -> set[int]:
    """Distances that contents go, between 0 and n - 1."""
    return {int(d) for d in (after - before) % len(before)}


def check_route(route: list[Positions], destination: Positions) -> None:
    n = len(destination)
    assert list(route[0]) == list(range(n))
    assert list(route[-1]) == list(destination)
    for positions in route:
        assert sorted(positions) == list(range(n)), "two contents meet"


@st.composite
def destinations(draw: st.DrawFn, sizes: tuple[int, ...] = (2, 4, 6, 8, 12, 16)) -> Positions:
    return np.array(draw(st.permutations(range(draw(st.sampled_from(sizes))))))


@pytest.mark.parametrize("destination", EVERY_SMALL, ids=str)
def test_every_small_permutation_has_valid_routes(destination: Positions) -> None:
    for routes in (benes_routes, shift_routes, bit_routes):
        for route in routes(destination):
            check_route(route, destination)


@examples(60)
@given(destinations())
def test_a_benes_layer_swaps_at_one_power_of_two(destination: Positions) -> None:
    n = len(destination)
    twos = (n & -n).bit_length() - 1
    odd = n >> twos
    routes = list(benes_routes(destination))
    assert len(routes) == (4 if odd > 1 or twos > 1 else 0)
    for route in routes:
        check_route(route, destination)
        layers = list(pairwise(route))
        assert len(layers) == (2 * twos - 1 if odd == 1 else 2 * twos + 1)
        middle = len(layers) // 2
        for place, (before, after) in enumerate(layers):
            distances = moves(before, after) - {0}
            if odd > 1 and place == middle:
                assert all(d % (1 << twos) == 0 for d in distances)
            else:
                assert any(distances <= {1 << j, n - (1 << j)} for j in range(twos)), distances
            if place != middle:
                # a swap: whoever stays is met by nobody, whoever goes changes places with one
                there = {int(a): int(b) for a, b in zip(before, after, strict=True)}
                assert all(there[b] == a for a, b in there.items())


def test_an_odd_number_of_slots_has_no_benes_network() -> None:
    assert list(benes_routes(np.array([1, 2, 0]))) == []


@examples(60)
@given(destinations(sizes=(2, 3, 4, 5, 6, 8, 9)))
def test_shifts_in_digits(destination: Positions) -> None:
    for route in shift_routes(destination):
        check_route(route, destination)


def test_a_rotation_is_one_shift() -> None:
    """All contents go equally far, so that no digit moves anything and the last step does it all."""
    n = 12
    destination = (np.arange(n) - 5) % n
    for route in shift_routes(destination):
        assert {frozenset(moves(a, b)) for a, b in pairwise(route)} <= {frozenset([0]), frozenset([n - 5])}


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_bits_are_permuted(bits: int) -> None:
    """Every permutation of the bits of the slot number, some complemented, is found and has a route."""
    n = 1 << bits
    for order in permutations(range(bits)):
        for flip in (0, 1, n - 1):
            destination = np.array([sum((s >> a & 1) << b for a, b in enumerate(order)) ^ flip for s in range(n)])
            routes = list(bit_routes(destination))
            assert routes or list(destination) == list(range(n)) or bits == 1
            for route in routes:
                check_route(route, destination)


def test_what_is_no_permutation_of_bits_has_no_bit_route() -> None:
    assert list(bit_routes(np.array([1, 2, 3, 0, 4, 5, 6, 7]))) == []


@examples(40)
@given(destinations(sizes=(8, 12, 16)), st.sampled_from([(2,), (4,), (2, 2)]))
def test_settling_modulo_more_and_more(destination: Positions, sizes: tuple[int, ...]) -> None:
    route = matched_route(destination, sizes)
    assert route is not None
    check_route(route, destination)
    assert len(route) == len(sizes) + 2
    for level, positions in enumerate(route[1:-1], 1):
        span = prod(sizes[:level])
        assert list(positions % span) == list(destination % span)


def test_too_many_pairs_to_match() -> None:
    assert matched_route(np.arange(1 << 14)[::-1].copy(), (2,)) is None


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_split_sizes_are_the_best_of_all(levels: int) -> None:
    """4.5 rotations for each residue and one for each slot that is left, over all ways to split 96 slots."""
    n = 96
    ways = [()] + [way for k in range(1, levels) for way in product(range(2, n), repeat=k) if n % prod(way) == 0]
    cost, sizes = split_sizes(n, levels)
    assert n % prod(sizes) == 0
    assert cost == 4.5 * sum(sizes) + n / prod(sizes)
    assert cost == min(4.5 * sum(way) + n / prod(way) for way in ways)
