"""Which slots hold the same, and in what pattern."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd, prod

import numpy as np
import numpy.typing as npt

from slotlang_runtime.amounts import count_of

__all__ = ["Repetition", "divisors", "repetition"]


@dataclass(frozen=True, slots=True)
class Repetition:
    """How contents repeat over the slots of a vector; empty slots hold 0 and count as no content.

    ``least`` and ``most``: in how many slots one content stands. ``period``: the smallest cyclic shift that
    changes nothing (the number of slots when there is none). ``stride``: the smallest shift that changes
    nothing as long as slots do not leave the vector; it may end in the middle of a repetition. ``run``: the
    length of the aligned stretches in which neighbours hold the same. ``free``: digits on which the content
    does not depend.
    """

    slots: int
    distinct: int
    empty: int
    least: int
    most: int
    period: int
    stride: int
    run: int
    free: tuple[str, ...]

    def sentence(self) -> str:
        """``64 distinct contents, each 64 times, period 64``."""
        if not self.distinct:
            return "every slot is empty"
        if self.distinct == 1 and not self.empty:
            return "every slot holds the same"
        holding = self.slots - self.empty
        if self.distinct == holding:
            text = "no two slots hold the same"
        elif self.distinct == 1:
            text = f"{count_of(holding, 'slot')} hold the same"
        else:
            times = f"{self.least:,}"
            if self.most > self.least:
                times += f" {'or' if self.most == self.least + 1 else 'to'} {self.most:,}"
            text = f"{count_of(self.distinct, 'distinct content')}, each {times} times"
        if self.free:
            text += f", the same for every {' and '.join(self.free)}"
        elif self.run > 1 and self.distinct < holding:
            text += f", in runs of {self.run:,}"
        if self.period < self.slots:
            text += f", period {self.period:,}"
        elif self.stride * 2 <= self.slots:
            text += f", repeating every {count_of(self.stride, 'slot')}, cut short at the end"
        if self.empty:
            text += f"; {count_of(self.empty, 'slot')} empty"
        return text


def repetition(groups: npt.NDArray[np.int64], axes: Sequence[tuple[str, int]]) -> Repetition:
    """The pattern of ``groups`` (a number per slot, -1 for empty) in the digits of the slot index."""
    slots = len(groups)
    counts = np.bincount(groups[groups >= 0])
    counts = counts[counts > 0]
    # a content changes only at multiples of the run
    changes = np.flatnonzero(np.diff(groups)) + 1
    run = gcd(slots, *changes.tolist())
    period = next(p for p in divisors(slots) if np.array_equal(groups, np.roll(groups, p)))
    extents = [extent for _, extent in axes]
    free: list[str] = []
    if prod(extents) == slots and len(extents) > 1:
        cube = groups.reshape(extents)
        same = [extent > 1 and bool((cube == cube.take([0], axis=k)).all()) for k, extent in enumerate(extents)]
        free = [name for (name, _), alike in zip(axes, same, strict=True) if alike]
    return Repetition(
        slots,
        len(counts),
        int((groups < 0).sum()),
        int(counts.min()) if len(counts) else 0,
        int(counts.max(initial=0)),
        period,
        _stride(groups.tolist()),
        run,
        tuple(free),
    )


def _stride(groups: list[int]) -> int:
    """The length less its longest proper border (Knuth, Morris and Pratt 1977)."""
    border = [0] * len(groups)
    k = 0
    for n in range(1, len(groups)):
        while k and groups[n] != groups[k]:
            k = border[k - 1]
        k += groups[n] == groups[k]
        border[n] = k
    return len(groups) - border[-1]


def divisors(n: int) -> list[int]:
    """All divisors, ascending."""
    small = [d for d in range(1, int(n**0.5) + 1) if n % d == 0]
    return small + [n // d for d in reversed(small) if d * d != n]
