"""Column packing is the fastest from the number of tokens on that the search says."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from slotlang.cost.profile import find_profile
from slotlang.planning.target import Target
from slotlang.search.candidate import Found, Limits
from slotlang.search.crossover import columns_from
from slotlang.search.search import search, start
from slotlang.search.structure import Shape

SHAPE = Shape(256, 256, 8, 1)
COARSE = Target(precision=1e-3)


def found(tokens: int) -> Found:
    made = start(replace(SHAPE, batch=tokens), "time", COARSE, Limits())
    search(made, find_profile(), slots=(2048, 4096), finalists=8)
    return made


@cache
def crossover() -> int | None:
    return columns_from(SHAPE, COARSE, find_profile())


def test_the_search_agrees_on_both_sides() -> None:
    tokens = crossover()
    assert tokens is not None and 64 <= tokens <= 4096
    assert found(round(1.5 * tokens)).ranked[0].structure.positions == 1
    assert found(round(tokens / 1.5)).ranked[0].structure.positions > 1


def test_the_number_asked_for_does_not_matter() -> None:
    assert crossover() == columns_from(replace(SHAPE, batch=512), COARSE, find_profile())


def test_a_shape_for_which_it_is_the_fastest_at_once() -> None:
    assert columns_from(Shape(5, 3, 1, 3), COARSE, find_profile()) in (1, 2)


def test_a_precision_that_column_packing_does_not_have() -> None:
    assert columns_from(SHAPE, Target(precision=1e-15), find_profile()) is None
