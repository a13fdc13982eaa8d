"""Parameters for a candidate: the fastest that reach a precision."""

from __future__ import annotations

from slotlang.cost.profile import Profile
from slotlang.meaning.program import Program
from slotlang.planning.choose import OutOfReach, chosen
from slotlang.planning.plan import Plan
from slotlang.refusals import Unreachable


def settle(
    program: Program,
    precision: float,
    profile: Profile,
    max_key_bytes: int | None = None,
    wider: tuple[float, float] = (1.0, 1.0),
) -> tuple[Plan, float] | Unreachable:
    """A plan and its predicted relative rms error, or the best error that can be had in place of ``precision``. Where
    the keys can't be as small as ``max_key_bytes``, they are as small as they can be. ``wider`` as for ``chosen``."""
    try:
        return chosen(program, precision, profile=profile, max_key_bytes=max_key_bytes, wider=wider)
    except OutOfReach as problem:
        if problem.fewest_bytes is None:
            return Unreachable(problem.best)
        return chosen(program, precision, profile=profile, max_key_bytes=problem.fewest_bytes, wider=wider)
