"""A target: what it refuses, and what a plan makes of it."""

from __future__ import annotations

from typing import Any

import pytest
from small_programs import LORA

from slotlang import api
from slotlang.cost.profile import find_profile
from slotlang.diagnostics import SlotError
from slotlang.planning.choose import Chosen, choose
from slotlang.planning.target import Target
from slotlang.refusals import Unreachable


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"kernel": "sael"}, "SL471"),
        ({"hide": "masks"}, "SL005"),
        ({"precision": 0.0}, "SL005"),
        ({"precision": "1e-3"}, "SL005"),
        ({"max_key_bytes": 1}, "SL005"),
        ({"precision": 1e-3, "max_key_bytes": -1}, "SL005"),
        ({"precision": 1e-3, "max_key_bytes": 1.5}, "SL005"),
    ],
)
def test_what_is_refused(values: dict[str, Any], code: str) -> None:
    for make in (Target, Target.named):
        with pytest.raises(SlotError) as found:
            make(**values)
        assert found.value.diagnostics[0].code == code


def test_parameters_are_taken_as_they_are() -> None:
    program = api.loads(LORA)
    fixed = api.plan(program).parameters
    assert api.plan(program, fixed, target=Target(precision=1e-1)).parameters == fixed


@pytest.mark.parametrize("kernel", ["seal", "compiled"])
def test_the_kernel_that_is_asked_for_decides_the_time(kernel: Any) -> None:
    """No parameters that were looked at are faster by the kernel than those that are chosen for it."""
    program, profile = api.loads(LORA), find_profile()
    made = api.plan(program, target=Target(kernel=kernel, precision=1e-3), profile=profile)
    assert made.kernel == kernel
    other = api.plan(program, target=Target(precision=1e-3), profile=profile).parameters
    theirs = api.plan(program, other, target=Target(kernel=kernel))
    assert made.predicted(profile).evaluation <= theirs.predicted(profile).evaluation


def test_no_is_an_answer() -> None:
    program = api.loads(LORA)
    no = choose(program, Target(precision=1e-30))
    assert isinstance(no, Unreachable) and no.fewest_key_bytes is None
    best = choose(program, Target(precision=no.best))
    assert isinstance(best, Chosen) and best.error <= no.best
    few = choose(program, Target(precision=no.best, max_key_bytes=0))
    assert isinstance(few, Unreachable) and few.fewest_key_bytes is not None
    assert isinstance(choose(program, Target(precision=no.best, max_key_bytes=few.fewest_key_bytes)), Chosen)
