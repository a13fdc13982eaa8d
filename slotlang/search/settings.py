"""Parameters for a candidate: the fastest that reach a precision."""

from __future__ import annotations

from slotlang.cost.profile import Profile
from slotlang.meaning.program import Program
from slotlang.planning.choose import OutOfReach, chosen
from slotlang.planning.plan import Plan


def settle(
    program: Program,
    precision: float,
    profile: Profile,
    max_key_bytes: int | None = None,
    wider: tuple[float, float] = (1.0, 1.0),
) -> tuple[Plan, float] | float:
    """Plan and predicted relative rms error; where the precision can't be reached, the best error that can. Where the
    keys can't be as small, they are as small as can be. ``wider`` as of ``chosen``."""
    try:
        return chosen(program, precision, profile=profile, max_key_bytes=max_key_bytes, wider=wider)
    except OutOfReach as problem:
        if problem.fewest_bytes is None:
            return problem.best
        return chosen(program, precision, profile=profile, max_key_bytes=problem.fewest_bytes, wider=wider)
