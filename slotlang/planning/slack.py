"""The smallest parameters of a degree and a number of primes that are precise enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import ceil
from typing import TypeAlias

from slotlang.planning.modulus import LEAST_PRIME, Fit, Modulus
from slotlang.planning.parameters import HEADROOM_BITS, MAX_MODULUS_BITS, Parameters

Size: TypeAlias = Callable[[Parameters], int]
"""Bytes that are sent with parameters; they grow with every prime."""

NEAR = 8
"""Bits of data primes above the fewest that are tried, for the smaller key primes that these may allow."""

COARSE = 4
"""Bits between the sizes of dropped primes that are tried."""

BEST = 3
"""Sizes of dropped primes of which the key prime is searched."""

_Data: TypeAlias = tuple[int, ...]


class Slack:
    """Looks for the smallest primes whose parameters, made by ``modulus``, have at most an error of ``precision``.
    Errors fall as primes grow."""

    def __init__(self, modulus: Modulus, precision: float, size: Size) -> None:
        self.modulus = modulus
        self.precision = precision
        self.size = size
        self.built = modulus.draft.built
        self._known: dict[tuple[_Data, int], Fit | None] = {}

    def smallest(self, precise: Fit) -> Fit:
        """The smallest that are found, or ``precise``, which meet the precision."""
        best = precise
        # with more bits of data primes the key prime would be smaller than that of the most precise parameters
        most = MAX_MODULUS_BITS[self.modulus.degree] - precise.parameters.primes[-1]
        if not self.built.drops:
            ways = self._plain(most)
        else:
            ways = self._steady(most) if self.built.multiplies_ciphertexts else self._dropping(most)
        for data in ways:
            best = self._with_key(data, best)
        return best

    def _fit(self, data: _Data, key: int) -> Fit | None:
        """The parameters with these primes, if they are precise enough."""
        if (data, key) not in self._known:
            primes = (*data, key)
            if self.built.drops and self.built.multiplies_ciphertexts:
                found = self.modulus.steady(primes)
            else:
                found = self.modulus.shared(primes)
            error = self.modulus.gains.error(found) if found is not None else 0.0
            precise = found is not None and error <= self.precision and self.modulus.holds_noise(found)
            self._known[data, key] = Fit(error, found) if found is not None and precise else None
        return self._known[data, key]

    def _most(self, data: _Data) -> int:
        """The largest key prime."""
        return min(self.modulus.largest, MAX_MODULUS_BITS[self.modulus.degree] - sum(data))

    def _with_key(self, data: _Data, best: Fit) -> Fit:
        """The smaller of ``best`` and what the least key prime gives that is large enough."""
        low, high = LEAST_PRIME, self._most(data)
        some = best.parameters
        most = self.size(some)
        while low <= high:
            key = (low + high) // 2
            if self.size(replace(some, primes=(*data, key))) >= most:
                high = key - 1
            elif (found := self._fit(data, key)) is not None:
                best, high = found, key - 1
            else:
                low = key + 1
        return best

    def _least(self, low: int, high: int, data: Callable[[int], _Data]) -> int | None:
        """The least number from ``low`` to ``high`` whose primes can be precise enough."""
        found = None
        while low <= high:
            middle = (low + high) // 2
            primes = data(middle)
            most = self._most(primes)
            if most < LEAST_PRIME:
                high = middle - 1
            elif self._fit(primes, most) is not None:
                found, high = middle, middle - 1
            else:
                low = middle + 1
        return found

    def _near(self, least: int, high: int, data: Callable[[int], _Data]) -> Iterator[_Data]:
        for bits in range(least, min(least + NEAR, high + 1)):
            if self._most(primes := data(bits)) >= LEAST_PRIME:
                yield primes

    def _plain(self, most: int) -> Iterator[_Data]:
        """Data primes as equal as can be."""
        count = self.modulus.data_primes

        def data(bits: int) -> _Data:
            return tuple(bits // count + (n < bits % count) for n in range(count))

        low, high = LEAST_PRIME * count, min(self.modulus.largest * count, most)
        least = self._least(low, high, data)
        if least is not None:
            yield from self._near(least, high, data)

    def _dropping(self, most: int) -> Iterator[_Data]:
        """Primes that stay, as equal as can be, and dropped primes of one size."""
        drops = len(self.built.drops)
        stay = self.modulus.data_primes - drops
        low, high = LEAST_PRIME * stay, self.modulus.largest * stay

        def data_for(dropped: int) -> Callable[[int], _Data]:
            return lambda bits: (*(bits // stay + (n < bits % stay) for n in range(stay)), *[dropped] * drops)

        tried: list[tuple[int, int, int]] = []
        for dropped in range(LEAST_PRIME, self.modulus.largest + 1, COARSE):
            least = self._least(low, min(high, most - drops * dropped), data_for(dropped))
            if least is not None:
                found = self._fit(data_for(dropped)(least), self._most(data_for(dropped)(least)))
                assert found is not None, "it was precise enough"
                shape = replace(found.parameters, primes=(*data_for(dropped)(least), LEAST_PRIME))
                tried.append((self.size(shape), dropped, least))
        for _, dropped, least in sorted(tried)[:BEST]:
            yield from self._near(least, high, data_for(dropped))

    def _steady(self, most: int) -> Iterator[_Data]:
        """Primes of the size of the scale are dropped, behind one that holds the message too."""
        drops = len(self.built.drops)
        above = ceil(self.modulus.message_bits)
        low, high = max(LEAST_PRIME, HEADROOM_BITS), min(self.modulus.largest, (most - above) // (drops + 1))
        for more in range(NEAR):

            def data(scale: int, first: int = above + more) -> _Data:
                return (min(scale + first, self.modulus.largest), *[scale] * drops)

            least = self._least(low, high, data)
            if least is not None:
                yield from self._near(least, high, data)
                return
