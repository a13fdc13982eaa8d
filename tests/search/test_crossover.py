"""Column packing is the fastest from the number of tokens on that the search says."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from slotlang.cost.profile import Profile, find_profile
from slotlang.planning import choose
from slotlang.planning.target import Target
from slotlang.search.candidate import Found, Limits
from slotlang.search.crossover import columns_from
from slotlang.search.search import search, start
from slotlang.search.structure import Shape

shapes = pytest.mark.parametrize(
    "shape", [Shape(64, 64, 4, 1), pytest.param(Shape(256, 256, 8, 1), marks=pytest.mark.slow)], ids=["64", "256"]
)
COARSE = Target(precision=1e-3)
PROFILE = find_profile().without_kernels
"""Of SEAL's operations, by which rotations are dear: with compiled kernels column packing may never be the fastest."""


def found(shape: Shape, tokens: int, profile: Profile = PROFILE) -> Found:
    made = start(replace(shape, batch=tokens), "time", COARSE, Limits())
    search(made, profile, slots=(2048, 4096), finalists=8)
    return made


def is_column(made: Found) -> bool:
    """Whether the best one has one channel in a ciphertext, and real slots: the packing that is spoken of."""
    best = made.ranked[0].structure
    return best.positions == 1 and best.packing == "real"


@cache
def crossover(shape: Shape) -> int | None:
    return columns_from(shape, COARSE, PROFILE)


@shapes
def test_the_search_agrees_on_both_sides(shape: Shape) -> None:
    tokens = crossover(shape)
    if tokens is None:
        # by the times of this profile others are faster, however many tokens there are
        assert not any(is_column(found(shape, n)) for n in (512, 4096))
        return
    assert 64 <= tokens <= 4096
    assert found(shape, round(1.5 * tokens)).ranked[0].structure.positions == 1
    assert not is_column(found(shape, round(tokens / 1.5)))


@shapes
def test_the_number_asked_for_does_not_matter(shape: Shape) -> None:
    assert crossover(shape) == columns_from(replace(shape, batch=512), COARSE, PROFILE)


def test_a_shape_for_which_it_is_the_fastest_at_once() -> None:
    # few channels take few ciphertexts in any packing, and by columns no rotations
    for shape in (Shape(1, 1, 1, 1), Shape(2, 2, 1, 1)):
        assert found(shape, 1, find_profile()).ranked[0].structure.positions == 1
        assert columns_from(replace(shape, batch=3), COARSE, find_profile()) == 1


@pytest.mark.parametrize(
    ("shape", "primes"),
    [
        (Shape(2, 2, 1, 1), 4),
        *(pytest.param(shape, 12, marks=pytest.mark.slow) for shape in (Shape(8, 8, 2, 1), Shape(64, 64, 4, 1))),
    ],
)
def test_a_precision_that_column_packing_does_not_have(
    shape: Shape, primes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "MAX_PRIMES", primes)
    assert columns_from(shape, Target(precision=1e-15), find_profile()) is None
