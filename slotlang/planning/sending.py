"""What results are sent as: primes that are dropped of them last, and bits that are not sent, so that they take fewer
bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from slotlang.planning.modulus import LEAST_PRIME, Fit, Modulus
from slotlang.planning.parameters import MAX_MODULUS_BITS, Parameters
from slotlang_runtime.parameters import LEAST_SENT

MORE_BITS = 4
"""Bits of the data primes, and of the key prime, that are tried beyond those of the parameters that are started from:
what is rounded of results takes a part of the precision."""

UNEQUAL = 6
"""Bits by which primes that stay are larger or smaller than equal shares."""

Size = Callable[[Parameters], float]
"""Bytes that are sent with parameters, of a request and of its share of the keys."""


class Sending:
    """Looks for the parameters with the fewest bytes whose results drop primes, near those that do not.

    ``modulus``: of the draft whose results drop as many primes as ``results`` says. ``precision``: the largest error.
    ``cuts``: whether last bits may be left out.
    """

    def __init__(self, modulus: Modulus, results: int, precision: float, size: Size, *, cuts: bool = True) -> None:
        self.modulus, self.results, self.precision, self.size = modulus, results, precision, size
        self.cuts = cuts

    def smallest(self, start: Parameters, most: float) -> Fit | None:
        """The smallest that hold, near ``start`` and of fewer than ``most`` bytes; None where there are none."""
        best: Fit | None = None
        # those that can have the fewest bytes come first: once some have fewer than the next ones can have, nothing
        # that is left is better. Of equal bytes those are taken that are nearest
        least = (most, -1)
        for bound, number, found in sorted((self._least(p), n, p) for n, p in enumerate(self._near(start))):
            if (bound, number) >= least:
                break
            if not self.modulus.fits(found) or not self._precise(found):
                continue
            made = self._cut(found, least[0])
            if (size := (self.size(made), number)) < least:
                best, least = Fit(self.modulus.gains.error(made), made), size
        return best

    def _least(self, p: Parameters) -> float:
        """No more than the bytes with any bits cut off: a result has a bit of scale for each that its precision has."""
        if not self.cuts or len(p.drops) != p.data_primes - 1:
            return self.size(p)
        bits = self._most_cut(p)
        return self.size(replace(p, cut=(bits, bits)))

    @staticmethod
    def _most_cut(p: Parameters) -> int:
        return min(int(p.carried_bits(len(p.drops), 0)), p.primes[0] - LEAST_SENT)

    def _precise(self, p: Parameters) -> bool:
        return self.modulus.gains.error(p) <= self.precision and self.modulus.holds_noise(p)

    def _near(self, start: Parameters) -> Iterator[Parameters]:
        """Parameters with the dropped primes before results as they are, and the others as large together or a little
        larger, in two sizes: those that stay and those that results drop."""
        stay = start.data_primes - len(start.drops)
        kept = stay - self.results
        drops = (*start.drops, *[self.modulus.draft.built.depth] * self.results)
        early, key = start.primes[stay:-1], start.primes[-1]
        for more in range(MORE_BITS + 1):
            total = sum(start.primes[:stay]) + more
            equal = total * kept // stay
            near = range(equal - UNEQUAL, equal + UNEQUAL + 1) if self.results else [total]
            for last in range(key, min(key + MORE_BITS, self.modulus.largest) + 1):
                if total + sum(early) + last > MAX_MODULUS_BITS[start.degree]:
                    break
                for first in near:
                    data = (*_equal(first, kept), *_equal(total - first, self.results))
                    if all(LEAST_PRIME <= bits <= self.modulus.largest for bits in data):
                        primes = (*data, *early, last)
                        own = replace(start, primes=primes, drops=drops, results=self.results)
                        yield from _scaled(own, more)

    def _cut(self, p: Parameters, least: float) -> Parameters:
        """The fewest bytes of results at one prime that have the precision: the more bits are cut off c1, the fewer
        are off c0. Where they can't be fewer than ``least``, these parameters as they are."""
        if not self.cuts or len(p.drops) != p.data_primes - 1:
            return p
        most = self._largest(p, lambda bits: (0, bits))
        if self.size(replace(p, cut=(self._most_cut(p), most))) > least:
            return p
        found = [p]
        for second in range(most, max(most - 3, -1), -1):
            first = self._largest(p, lambda bits, second=second: (bits, second))  # type: ignore[misc]
            found.append(replace(p, cut=(first, second)))
        return min(found, key=self.size)

    def _largest(self, p: Parameters, cut: Callable[[int], tuple[int, int]]) -> int:
        """The largest number of bits that can be cut off; none can always be."""
        low, high = 0, p.primes[0] - LEAST_SENT
        while low < high:
            middle = (low + high + 1) // 2
            if self._precise(replace(p, cut=cut(middle))):
                low = middle
            else:
                high = middle - 1
        return low


def _equal(bits: int, count: int) -> tuple[int, ...]:
    """Bits shared as equally as can be."""
    return tuple(bits // count + (n < bits % count) for n in range(count))


def _scaled(p: Parameters, more: int) -> Iterator[Parameters]:
    """Parameters whose scales have as many bits more as the primes; where factors have scales of their own, one of
    them."""
    yield p
    for number in range(len(p.scales) if more else 0):
        scales = tuple(bits + (n == number) * more for n, bits in enumerate(p.scales))
        yield replace(p, scales=scales, scale_bits=scales[0])
