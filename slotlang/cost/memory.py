"""What passes over the graphs of one program share: most operations of a graph repeat others, of it or of a draft that
drops other primes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from slotlang.cost.mean_squares import Powers
from slotlang.cost.moments import Totals
from slotlang.cost.noise import Place

MOST_BYTES = 1 << 26
"""Bytes of mean squares that are kept from one graph to the next."""


ANY = -1
"""The level of sources of operations that are alike at whatever level."""

AFTER, BEFORE = -1, -2
"""Their products: those of the operation's result, and those of its first operand."""


class Effect(NamedTuple):
    """What operations that are alike do: the noise that each adds, the gain that it gives each operand, and the totals
    that its noise grows with."""

    sources: dict[Place, float]
    given: tuple[int, ...]
    totals: Totals

    def at(self, level: int, after: int, before: int) -> Effect:
        """Of an operation with a result at this level, which carries ``after`` products, and its operand ``before``."""
        there = {AFTER: after, BEFORE: before}
        sources = {
            Place(kind, level if at == ANY else at, there.get(products, products), constant): amount
            for (kind, at, products, constant), amount in self.sources.items()
        }
        return self._replace(sources=sources)


@dataclass
class Memory:
    """``powers``: mean squares under numbers; of vectors (``members``), of results of operations (``held``), and the
    ``effects`` of operations, whatever their levels."""

    powers: Powers = field(default_factory=Powers)
    members: dict[tuple[object, ...], int] = field(default_factory=dict)
    held: dict[tuple[object, ...], int] = field(default_factory=dict)
    effects: dict[tuple[object, ...], Effect] = field(default_factory=dict)
