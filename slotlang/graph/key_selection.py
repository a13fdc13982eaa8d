"""Key sets: which steps get a Galois key, so that composing the other rotations takes the least time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations, groupby
from math import comb, gcd, inf
from typing import TypeAlias

import numpy as np

from slotlang.graph.graph import Graph
from slotlang.schedule.composed_rotations import Tree, tree

MAX_SETS = 400
"""Most key sets that are all tried. Where there are more, keys are dropped one by one."""

MAX_LOOKS = 8_000
"""How long keys are exchanged for others: keys and key switches on the longest way, added up over the sets tried."""


@dataclass(frozen=True)
class Demand:
    """The rotations of a graph. ``sets`` gives, for the steps that a ciphertext is rotated by before another one is,
    what one key switch costs (at the level of that ciphertext), added up over all ciphertexts rotated by just these."""

    slots: int
    sets: Mapping[frozenset[int], float]

    @property
    def steps(self) -> frozenset[int]:
        """All distinct steps."""
        return frozenset().union(*self.sets)

    @property
    def least(self) -> float:
        """What all rotations cost with a key for each step: no composing takes less."""
        return sum(each * len(steps) for steps, each in self.sets.items())

    def cost(self, ways: Tree) -> float:
        """The cost of all rotations along these ways. A start that several rotations of one ciphertext share counts
        once."""
        nodes = {step: ways.nodes(step) for step in self.steps}
        total = 0.0
        for steps, each in self.sets.items():
            if len(steps) == 1:
                (step,) = steps
                total += each * len(nodes[step])
            else:
                total += each * len({node for step in steps for node in nodes[step]})
        return total


def demand(graph: Graph, cost: Callable[[int], float]) -> Demand:
    """The rotations of a graph that composes none; ``cost`` of a key switch by the primes dropped before it."""
    turns = groupby(graph.of_kind("rotate"), key=lambda node: node.operands[0])
    many = Counter((frozenset(node.step for node in nodes), graph.levels[value]) for value, nodes in turns)
    sets: dict[frozenset[int], float] = defaultdict(float)
    for (of, level), times in many.items():
        sets[of] += times * cost(level)
    return Demand(graph.schedule.program.slots, sets)


def key_set(wanted: Demand, most: int) -> tuple[float, tuple[int, ...]] | None:
    """The least cost found with keys for at most ``most`` steps, and these steps; None when rotations need more.

    Where there may be a key for each step, there is. The best single key is exact. Otherwise up to ``MAX_SETS`` sets of
    the program's steps are all tried; where there are more, the key is dropped whose loss costs least until few enough
    are left. Then single keys are exchanged for other steps, for inverses, sums and differences of steps as long as
    that helps, and keys whose loss costs nothing are dropped.
    """
    return _Keys(wanted).best(most)


_Rated: TypeAlias = tuple[float, tuple[int, ...]]


class _Keys:
    def __init__(self, wanted: Demand) -> None:
        self.wanted = wanted
        self.steps = tuple(sorted(wanted.steps))
        self.least = wanted.least
        self.looks = 0

    def rated(self, keys: Iterable[int]) -> _Rated:
        chosen = tuple(sorted(keys))
        ways = tree(self.steps, chosen, self.wanted.slots)
        if ways is None:
            return inf, chosen
        self.looks += ways.depth + len(chosen)
        return self.wanted.cost(ways), chosen

    def best(self, most: int) -> _Rated | None:
        if len(self.steps) <= most:
            return self.least, self.steps
        if most < 1:
            return None
        if most == 1:
            return self.single()
        if comb(len(self.steps), most) <= MAX_SETS:
            best = min(map(self.rated, combinations(self.steps, most)))
        else:
            best = self.rated(self.steps)
            while len(best[1]) > most:
                best = min(self.fewer(best[1]))
        best = self.exchanged(best)
        while len(best[1]) > 1 and (less := min(self.fewer(best[1])))[0] <= best[0]:
            best = less
        return best

    def fewer(self, keys: tuple[int, ...]) -> list[_Rated]:
        return [self.rated(k for k in keys if k != dropped) for dropped in keys]

    def single(self) -> _Rated:
        """By one key k*unit, k odd, every step is a multiple of it, and ways to several steps are one way."""
        slots = self.wanted.slots
        unit = gcd(slots, *self.steps)
        size = slots // unit
        keys = np.array([k for k in range(1, size) if gcd(k, size) == 1], np.int64)
        inverses = np.array([pow(int(k), -1, size) for k in keys], np.int64)
        cost = np.zeros(len(keys))
        for steps, each in self.wanted.sets.items():
            cost += each * np.max([step // unit * inverses % size for step in steps], axis=0)
        best = int(cost.argmin())
        return float(cost[best]), (int(keys[best]) * unit,)

    def exchanged(self, best: _Rated) -> _Rated:
        slots = self.wanted.slots
        pool = {s for step in self.steps for s in (step, -step % slots)}
        pool |= {(a + sign * b) % slots for a, b in combinations(self.steps, 2) for sign in (1, -1)} - {0}
        self.looks = 0
        better = True
        while better:
            better, start = False, best
            for old in start[1]:
                for new in sorted(pool - set(start[1])):
                    # every step of a ciphertext takes a key switch at least
                    if self.looks > MAX_LOOKS or best[0] <= self.least:
                        return best
                    tried = self.rated(new if k == old else k for k in start[1])
                    if tried[0] < best[0]:
                        best, better = tried, True
        return best
