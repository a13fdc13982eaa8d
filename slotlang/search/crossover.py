"""The number of tokens from which column packing is fastest: it takes as long for one token as for a full ring."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from math import ceil

from slotlang.cost.profile import Profile
from slotlang.planning.target import Target
from slotlang.search.candidate import Candidate
from slotlang.search.costed import work_out
from slotlang.search.prices import DROPS, Prices
from slotlang.search.search import SOME_NODES
from slotlang.search.space import SLOTS, bases, fastest, layouts, power_from
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
        worked = work_out(full, target, profile, weights=given, most_nodes=SOME_NODES)
        if isinstance(worked, Candidate):
            columns[slots] = worked.predicted.server
    if not columns:
        return None
    others = _Others(shape, profile)

    def times(tokens: int, slower: float) -> tuple[float, float]:
        """Seconds by column packing, and by other schedules where these take ``slower`` times as long as by formula."""
        seconds = min(-(-tokens // slots) * each for slots, each in columns.items())
        return seconds, slower * min(seconds for seconds, _ in others.best(tokens))

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
    # a full ring is what column packing is best at
    near = power_from(ceil(by_formula or min(columns)))
    best = others.best(near)
    structures = dict.fromkeys(s for _, s in best)
    worked_out = [work_out(s, target, profile, weights=given, most_nodes=SOME_NODES) for s in structures]
    seconds = [c.predicted.server for c in worked_out if isinstance(c, Candidate)]
    exact = meet(min(seconds) / min(estimated for estimated, _ in best)) if seconds else by_formula
    if exact is None:
        return None
    unit = 10.0 ** max(len(str(int(exact))) - 2, 0)
    return max(int(round(exact / unit) * unit), 1)


class _Others:
    """The best schedules with rotations for each way to drop a prime, at any number of tokens, without more ciphertexts
    of x than need be. What a layout takes for a group of tokens does not depend on their number."""

    def __init__(self, shape: Shape, profile: Profile) -> None:
        self.shape, self.prices = shape, Prices(profile)
        self._layouts: dict[Structure, list[tuple[float, Structure]]] = {}

    def best(self, tokens: int) -> list[tuple[float, Structure]]:
        """For each of ``DROPS``, the seconds and the structure."""
        shape = replace(self.shape, batch=tokens)
        found = [(layout.groups, self._of(replace(layout, shape=self.shape))) for layout in layouts(shape, SLOTS[:2])]
        ways = []
        for way in range(len(DROPS)):
            seconds, s = min(
                ((groups * best[way][0], best[way][1]) for groups, best in found if best), key=lambda one: one[0]
            )
            ways.append((seconds, replace(s, shape=shape)))
        return ways

    def _of(self, layout: Structure) -> list[tuple[float, Structure]]:
        """The best of a layout for a group of tokens; none of column packing."""
        if layout not in self._layouts:
            every = [fastest(base, self.prices) for base in bases(layout) if base.positions > 1]
            self._layouts[layout] = [min(way, key=lambda one: one[0]) for way in zip(*every, strict=True)]
        return self._layouts[layout]
