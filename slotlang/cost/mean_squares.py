"""Mean squares under numbers, equal ones under the same number: most operations of a graph repeat others, and a result
computed for one holds for all with the same numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from slotlang.cost.variances import Power, uniform


class Powers:
    """Mean squares that ciphertexts and plaintexts hold, or that noise grows by, each once."""

    def __init__(self) -> None:
        self._all: list[Power] = []
        self._numbers: dict[bytes, int] = {}
        self._sums: dict[frozenset[tuple[int, int]], int] = {}
        self.bytes = 0
        """Of all of them."""

    def __getitem__(self, number: int) -> Power:
        return self._all[number]

    def number(self, power: Power, *, looked_up: bool = False) -> int:
        """Of mean squares. Those that differ between slots are only looked for among the others that were
        ``looked_up``: what is made alike of these has one number anyway."""
        if power.shape[1] == 1 or looked_up:
            number = self._numbers.setdefault(blake2b(power.tobytes()).digest(), len(self._all))
        else:
            number = len(self._all)
        if number == len(self._all):
            self._all.append(power)
            self.bytes += power.nbytes
        return number

    def sum(self, numbers: Sequence[int]) -> int:
        """Number of the sum of all of them."""
        if len(numbers) == 1:
            return numbers[0]
        counted = Counter(numbers)
        key = frozenset(counted.items())
        if key not in self._sums:
            total = sum((times * self._all[n] for n, times in counted.items()), start=np.zeros((2, 1)))
            self._sums[key] = self.number(uniform(total))
        return self._sums[key]
