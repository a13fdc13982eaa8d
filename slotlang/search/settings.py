"""Parameters for a candidate: the fastest that reach a precision."""

from __future__ import annotations

from dataclasses import replace

from slotlang.cost.profile import Profile
from slotlang.meaning.program import Program
from slotlang.planning.choose import Chosen, choose
from slotlang.planning.target import Target, TargetUnreachable


def settle(
    program: Program, target: Target, profile: Profile, wider: tuple[float, float] = (1.0, 1.0)
) -> Chosen | TargetUnreachable:
    """The plan for a target; where its keys can't be as small as the target asks, they are as small as they can be.
    ``wider`` as of ``choose``."""
    found = choose(program, target, profile=profile, wider=wider)
    if isinstance(found, TargetUnreachable) and found.fewest_key_bytes is not None:
        return choose(program, replace(target, max_key_bytes=found.fewest_key_bytes), profile=profile, wider=wider)
    return found
