"""The number of tokens from which column packing is fastest: it takes as long for one token as for a full ring."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from math import ceil

from slotlang.cost.profile import Profile
from slotlang.planning.target import Target
from slotlang.search.candidate import Candidate, Limits
from slotlang.search.search import allowed, work_out
from slotlang.search.space import DROPS, SLOTS, Sketch, sketches
from slotlang.search.structure import Shape, Structure
from slotlang.search.weights import GivenWeights

MOST_TOKENS = 1 << 14
"""Beyond this number, column packing is taken never to be the fastest."""


def columns_from(shape: Shape, target: Target, profile: Profile, given: GivenWeights | None = None) -> int | None:
    """A number of tokens, to two digits; None where column packing can't reach the target, or is never the fastest.

    Column packing is worked out. Of all other schedules the best by formula counts, at ever more tokens, and the best
    ones where the two meet by formula are worked out, too: all others are taken to be slower than their formulas by the
    same factor.
    """
    columns: dict[int, float] = {}
    for slots in SLOTS[:2]:
        full = Structure(replace(shape, batch=slots), slots, slots, "real", dense=False, ranks=1)
        worked = work_out(full, target, profile, weights=given)
        if isinstance(worked, Candidate):
            columns[slots] = worked.predicted.evaluation
    if not columns:
        return None
    best: dict[int, list[Sketch]] = {}

    def times(tokens: int, slower: float) -> tuple[float, float]:
        """Seconds by column packing, and by other schedules where these take ``slower`` times as long as by formula."""
        if tokens not in best:
            best[tokens] = _others(replace(shape, batch=tokens), profile)
        seconds = min(-(-tokens // slots) * each for slots, each in columns.items())
        return seconds, slower * min(min(s.times) for s in best[tokens])

    def meet(slower: float) -> float | None:
        """Where they do: others are about proportional to the tokens between two powers of two."""

        def won(power: int) -> bool:
            seconds, other = times(1 << power, slower)
            return seconds <= other

        power = bisect_left(range(MOST_TOKENS.bit_length()), True, key=won)
        tokens = 1 << power
        if tokens > MOST_TOKENS:
            return None
        seconds, other = times(tokens, slower)
        return max(tokens * seconds / other, tokens / 2)

    by_formula = meet(1.0)
    near = 1 << (ceil(by_formula or MOST_TOKENS) - 1).bit_length()
    times(near, 1.0)
    others = [work_out(s.structure, target, profile, weights=given) for s in best[near]]
    seconds = [c.predicted.evaluation for c in others if isinstance(c, Candidate)]
    exact = meet(min(seconds) / min(min(s.times) for s in best[near])) if seconds else by_formula
    if exact is None:
        return None
    unit = 10.0 ** max(len(str(int(exact))) - 2, 0)
    return max(int(round(exact / unit) * unit), 1)


def _others(shape: Shape, profile: Profile) -> list[Sketch]:
    """The best schedule with rotations for each way to drop a prime, without more ciphertexts of x than need be."""
    drawn = [s for layout in sketches(shape, profile, SLOTS[:2]) for s in layout]
    drawn = [s for s in drawn if s.structure.positions > 1 and allowed(s.structure, Limits())]
    chosen = (min(drawn, key=lambda s: s.times[way]) for way in range(len(DROPS)))
    return list({s.structure: s for s in chosen}.values())
