"""Parameters for a candidate: the fastest that reach a precision."""

from __future__ import annotations

from dataclasses import replace

from slotlang.cost.noise import ITSELF, Wider
from slotlang.cost.profile import Profile
from slotlang.meaning.program import Program
from slotlang.planning.choose import Chosen, choose
from slotlang.planning.target import Target
from slotlang.refusals import Unreachable


def settle(
    program: Program,
    target: Target,
    profile: Profile,
    wider: Wider = ITSELF,
    share: float = 1.0,
) -> Chosen | Unreachable:
    """The plan for a target; where its keys can't be as small as the target asks, they are as small as they can be.
    ``wider`` and ``share`` as of ``choose``."""
    found = choose(program, target, profile=profile, wider=wider, share=share)
    if isinstance(found, Unreachable) and found.fewest_key_bytes is not None:
        fewest = replace(target, max_key_bytes=found.fewest_key_bytes)
        return choose(program, fewest, profile=profile, wider=wider, share=share)
    return found
