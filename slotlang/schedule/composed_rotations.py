"""Rotations made of rotations: how a step without a Galois key is composed of steps that have one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import pairwise
from math import gcd
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Routes: TypeAlias = dict[int, tuple[int, ...]]
"""For a step, the steps it is composed of, in order; their sum is the step modulo the slots."""


@dataclass(frozen=True)
class Tree:
    """Shortest ways from no rotation to every step: ``before[s]`` is the step one key switch earlier, -1 where there is
    none. Steps are in units of ``unit`` slots. ``depth``: key switches on the longest way."""

    before: npt.NDArray[np.int64] = field(repr=False)
    unit: int
    depth: int

    def nodes(self, step: int) -> list[int]:
        """The steps passed on the way to one, itself included, in units; the way back."""
        passed = []
        at = step // self.unit
        while at:
            passed.append(at)
            at = int(self.before[at])
        return passed

    def route(self, step: int) -> tuple[int, ...]:
        """The steps with keys that a step is composed of, in order."""
        passed = [0, *reversed(self.nodes(step))]
        size = len(self.before)
        return tuple((b - a) % size * self.unit for a, b in pairwise(passed))


def tree(wanted: Collection[int], keys: Collection[int], slots: int) -> Tree | None:
    """Shortest ways to the wanted steps by steps that have keys, modulo ``slots``; None where some can't be reached.

    Of equally short ways those over wanted steps come first: what they pass is needed anyway.
    """
    unit = gcd(slots, *wanted, *keys)
    size = slots // unit
    steps = np.array(sorted({k // unit for k in keys}), np.int64)
    goals = np.array(sorted({w // unit for w in wanted}), np.int64)
    needed = np.zeros(size, bool)
    needed[goals] = True
    before = np.full(size, -1, np.int64)
    before[0] = 0
    edge = np.zeros(1, np.int64)
    depth = 0
    while (before[goals] < 0).any():
        ends = (edge[:, None] + steps) % size
        starts = np.broadcast_to(edge[:, None], ends.shape)
        new = before[ends] < 0
        ends, starts = ends[new], starts[new]
        if not ends.size:
            return None
        # the last one written stays
        order = np.argsort(needed[starts], kind="stable")
        before[ends[order]] = starts[order]
        edge = np.unique(ends)
        depth += 1
    return Tree(before, unit, depth)


def routes(wanted: Collection[int], keys: Collection[int], slots: int) -> Routes | None:
    """How each wanted step without a key is composed; None where some step can't be."""
    ways = tree(wanted, keys, slots)
    if ways is None:
        return None
    return {step: ways.route(step) for step in sorted(set(wanted) - set(keys))}
