"""Parameters for a candidate: the fastest that reach a precision."""

from __future__ import annotations

from slotlang.cost.noise import predicted_error
from slotlang.cost.profile import Profile
from slotlang.lowering.choose import OutOfReach, choose
from slotlang.lowering.lower import Plan
from slotlang.meaning.program import Program


def settle(program: Program, precision: float, profile: Profile) -> tuple[Plan, float] | float:
    """Plan and predicted relative rms error; where the precision can't be reached, the best error that can."""
    try:
        made = choose(program, precision, profile=profile)
    except OutOfReach as problem:
        return problem.best
    return made, predicted_error(made)
