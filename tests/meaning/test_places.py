"""Places of slots that are moved often: they mean what they did, and stay short."""

from __future__ import annotations

from random import Random

import pytest

from slotlang.meaning.integers import Int, IntConst, IntOp, IntSize, IntVar, evaluate, mul, neg, show
from slotlang.meaning.places import MAX_DEEP, SHORT, check_place, shifted, short
from slotlang.refusals import GaveUp

SLOTS, SIZES = IntSize("slots"), {"slots": 24, "b": 5}
SLOT, B = IntVar("slot"), IntSize("b")


def test_steps_add_up() -> None:
    random = Random(7)
    kinds = [lambda k: IntConst(k), lambda k: mul(IntConst(k), B), lambda _: B, lambda _: neg(B), lambda _: IntVar("q")]
    for _ in range(300):
        place: Int = SLOT
        moved = 0
        env = {"slot": random.randrange(24), "q": random.randrange(9)}
        for _ in range(random.randrange(1, 12)):
            step = random.choice(kinds)(random.randrange(-7, 8))
            place = shifted(SLOTS, place, step)
            moved += int(evaluate(step, SIZES, env))
        assert evaluate(place, SIZES, env) == (env["slot"] + moved) % 24


@pytest.mark.parametrize("step", [IntConst(1), B, mul(IntConst(3), B), neg(B), IntVar("q")])
def test_a_thousand_steps_of_one_kind_are_one_step(step: Int) -> None:
    place: Int = SLOT
    for _ in range(1000):
        place = shifted(SLOTS, place, step)
    env = {"slot": 3, "q": 4}
    assert short(place)
    assert evaluate(place, SIZES, env) == (3 + 1000 * int(evaluate(step, SIZES, env))) % 24


def test_a_step_there_and_back_is_none() -> None:
    place = shifted(SLOTS, shifted(SLOTS, shifted(SLOTS, SLOT, IntVar("q")), B), neg(B))
    assert show(place) == "(slot + q) % slots"


def nested(depth: int) -> Int:
    e: Int = SLOT
    for _ in range(depth):
        e = IntOp("%", e, SLOTS)
    return e


def test_places_that_are_too_long() -> None:
    check_place(nested(MAX_DEEP - 2))
    with pytest.raises(GaveUp):
        check_place(nested(MAX_DEEP + 1))
    wide: Int = SLOT
    for _ in range(60):
        # 2^60 parts, of which two are made at each step
        wide = IntOp("+", wide, wide)
    with pytest.raises(GaveUp):
        check_place(wide)
    assert not short(wide) and not short(nested(SHORT + 1)) and short(nested(5))
