"""What results are sent as: primes that are dropped of them last, and bits that are not sent, so that they take fewer
bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from heapq import heapify, heappop, heappush
from math import floor
from typing import TypeAlias

from slotlang.cost.cut_errors import Bits, limits_of_bits
from slotlang.planning.cuts import Cuts, largest, most_cut
from slotlang.planning.modulus import LEAST_PRIME, Fit, Modulus
from slotlang.planning.parameters import MAX_MODULUS_BITS, Parameters

MORE_BITS = 4
"""Bits of the data primes, and of the key prime, that are tried beyond those of the parameters that are started from:
what is rounded of results takes a part of the precision."""

UNEQUAL = 6
"""Bits by which primes that stay are larger or smaller than equal shares."""

Size = Callable[[Parameters], float]
"""Bytes that are sent with parameters, of a request and of its share of the keys."""

_Waiting: TypeAlias = tuple[float, int, Parameters, tuple[Cuts, int, int] | None]
"""The least bytes that parameters can have, their number, and how many bits can be left out, where that is known."""


class Sending:
    """Looks for the parameters with the fewest bytes whose results drop primes, near those that do not.

    ``modulus``: of the draft whose results drop as many primes as ``results`` says. ``precision``: the largest error.
    ``cuts``: whether last bits may be left out.
    """

    def __init__(self, modulus: Modulus, results: int, precision: float, size: Size, *, cuts: bool = True) -> None:
        self.modulus, self.results, self.precision, self.size = modulus, results, precision, size
        self.cuts = cuts
        self._limits: dict[int, list[tuple[int, float, float]]] = {}

    def smallest(self, start: Parameters, most: float) -> Fit | None:
        """The smallest that hold, near ``start`` and of fewer than ``most`` bytes; None where there are none."""
        best: Fit | None = None
        # those that can have the fewest bytes come first: once some have fewer than the next ones can have, nothing
        # that is left is better. Of equal bytes those are taken that are nearest
        least = (most, -1)
        waiting: list[_Waiting] = [(self._least(p), n, p, None) for n, p in enumerate(self._near(start))]
        heapify(waiting)
        while waiting:
            bound, number, p, known = heappop(waiting)
            if (bound, number) >= least:
                break
            if not self._cuttable(p):
                if self.modulus.fits(p) and self._precise(p):
                    best, least = Fit(self.modulus.gains.error(p), p), (bound, number)
            elif known is None:
                if (known := self._known(p)) is not None:
                    # worked out when it is its turn again
                    heappush(waiting, (self.size(replace(p, cut=known[1:])), number, p, known))
            elif known[0].precise((0, 0)):
                made = min([p, *known[0].fewest(*known[1:])], key=self.size)
                if (size := (self.size(made), number)) < least:
                    best, least = Fit(self.modulus.gains.error(made), made), size
        return best

    def _cuttable(self, p: Parameters) -> bool:
        """Whether last bits may be left out of its results."""
        return self.cuts and len(p.drops) == p.data_primes - 1

    def _least(self, p: Parameters) -> float:
        """No more than the bytes with any bits cut off."""
        return self.size(replace(p, cut=self._alone(p)) if self._cuttable(p) else p)

    def _alone(self, p: Parameters) -> Bits:
        """No fewer bits than can be left out, each as if it alone took all of the precision."""
        first = second = most_cut(p)
        level = len(p.drops)
        if level not in self._limits:
            self._limits[level] = limits_of_bits(self.modulus.gains, level, self.precision)
        for products, more, others in self._limits[level]:
            scale = p.carried_bits(level, products)
            first = floor(min(first, max(scale + more, 0)))
            second = floor(min(second, max(scale + others, 0)))
        return first, second

    def _known(self, p: Parameters) -> tuple[Cuts, int, int] | None:
        """The most bits that the error allows to leave out of c0, and of c1, if that is all; None where parameters do
        not fit, or are not precise."""
        if not self.modulus.fits(p):
            return None
        cuts = Cuts(self.modulus, p, self.precision)
        if not cuts.small((0, 0)):
            return None
        first, second = self._alone(p)
        return (
            cuts,
            largest(lambda bits: cuts.small((bits, 0)), first),
            largest(lambda bits: cuts.small((0, bits)), second),
        )

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
