"""Slots that are alike in all of a graph's mean squares: one of each class stands for all.

Rotations move blocks of slots as a whole: their steps are multiples of a block's size, as of the tokens that stand side
by side. Two places in a block are alike where everything that enters the graph, or is read of it, has the same mean
squares in both, in every block. Then so have all results, and all gains.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from slotlang.cost.variances import Power

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SlotClasses:
    """``places``: the class of each place in a block. Arrays have a column for each class of each block, or one for
    all."""

    places: tuple[int, ...] = (0,)

    @property
    def block(self) -> int:
        """Slots of a block."""
        return len(self.places)

    @cached_property
    def _first(self) -> list[int]:
        """The first place of each class."""
        return [self.places.index(number) for number in range(max(self.places) + 1)]

    @cached_property
    def _counts(self) -> Floats:
        """How many places are in each class."""
        return np.bincount(self.places).astype(np.float64)

    def columns(self, slots: int) -> int:
        """Columns that stand for this many slots, a multiple of the block."""
        return slots // self.block * len(self._first)

    def taken(self, power: Power) -> Power:
        """Of mean squares slot by slot those of each class."""
        if self.block == 1 or power.shape[1] == 1:
            return power
        return np.ascontiguousarray(power.reshape(2, -1, self.block)[:, :, self._first].reshape(2, -1))

    def means(self, row: Floats) -> Floats:
        """Of numbers slot by slot, which may differ inside of a class, the mean of each class of each block."""
        if self.block == 1:
            return row
        members = np.zeros((self.block, len(self._first)))
        members[np.arange(self.block), self.places] = 1.0
        found: Floats = (row.reshape(-1, self.block) @ members / self._counts).reshape(-1)
        return found

    def rotated(self, power: Power, step: int) -> Power:
        """To the right by a number of slots, a multiple of the block."""
        return power if power.shape[1] == 1 else np.roll(power, self.columns(step), axis=1)

    def mean(self, power: Power) -> float:
        """Mean over slots of the sum of both parts."""
        columns: int = power.shape[1]
        if columns == 1 or len(self._first) == 1:
            return float(power.sum()) / columns
        classes: Floats = power.sum(axis=0).reshape(-1, len(self._first)).mean(axis=0)
        return float(classes @ self._counts) / self.block


EACH = SlotClasses()
"""Each slot by itself."""


def slot_classes(block: int, arrays: Iterable[npt.NDArray[np.generic]]) -> SlotClasses:
    """The classes of slots of which blocks are rotated. ``arrays``: what is known slot by slot of all that enters a
    graph, and of what is read (rows x slots, or one column)."""
    places = np.zeros(block, np.int64)
    known: dict[int, npt.NDArray[np.generic]] = {}
    for power in arrays:
        # kept, so that no other one gets its identity
        if power.shape[1] == 1 or id(power) in known:
            continue
        known[id(power)] = power
        blocks = power.reshape(-1, block)
        if (blocks == blocks[:, :1]).all():
            continue
        rows = np.ascontiguousarray(blocks.T)
        alike = np.unique(rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))), return_inverse=True)[1]
        places = np.unique(places * block + alike.reshape(-1), return_inverse=True)[1]
    # numbered as they come
    order = dict.fromkeys(places.tolist())
    numbers = {number: n for n, number in enumerate(order)}
    if len(numbers) == block:
        return EACH
    return SlotClasses(tuple([numbers[number] for number in places.tolist()]))
