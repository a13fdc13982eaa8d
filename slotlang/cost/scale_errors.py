"""The predicted error as a function of the scales alone: primes are given, and many ways to share them are compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import exp2, inf, isfinite, log2, sqrt

from slotlang.cost.noise import SPIKE_SAFETY, Gains, Remembered, Setting, rounding, variance
from slotlang_runtime.noise import DOUBLE, ERROR_VARIANCE, ROUNDING, SAFETY


@dataclass(frozen=True)
class _Known:
    """Rounding of a known number at the scale of factors ``first`` to ``end``, without the bits that were dropped."""

    weight: float
    constant: complex
    first: int
    end: int
    dropped: int
    exact: bool


@dataclass(frozen=True)
class _Part:
    """The mean square error of one result, relative to the result, at the first scales: ``fixed``, and what falls by
    four for each bit more of the scale that the first factors have together (``carried``, by their number), or that one
    has alone (``own``)."""

    fixed: float
    carried: tuple[tuple[int, float], ...]
    own: tuple[tuple[int, float], ...]
    known: tuple[_Known, ...]

    def least(self, factors: int) -> float:
        """No more than the mean square at any scales that have as many bits together as the first ones. What goes with
        all scales together stays as it is. Terms of the first scales together, and of each of the others, are at least
        their number times their geometric mean, which stays as it is."""
        alone, together = [0.0] * factors, [0.0] * (factors + 1)
        for factor, weight in self.own:
            alone[factor] += weight
        for count, weight in self.carried:
            together[count] += weight
        together[1] += alone[0] if factors > 1 else 0.0
        least = 0.0
        for count in range(1, factors):
            weights = [together[count], *alone[count:]]
            if all(0 < weight < inf for weight in weights):
                least = max(least, len(weights) * exp2(sum(map(log2, weights)) / len(weights)))
        return self.fixed + together[factors] + least

    def mean_square(
        self,
        scales: Sequence[int],
        more: Sequence[int],
        together: Sequence[int],
        rounded: dict[tuple[_Known, int], float],
    ) -> float:
        """At scales in bits; how many they are more than the first ones, and their partial sums. ``rounded``: rounding
        of known numbers at bits of scale, as far as it was asked for."""
        total = self.fixed
        # products, which overflow to infinity, where ``ldexp`` raises
        for count, weight in self.carried:
            total += weight * exp2(-2 * together[count - 1])
        for factor, weight in self.own:
            total += weight * exp2(-2 * more[factor])
        for k in self.known:
            bits = sum(scales[k.first : k.end]) - k.dropped
            found = rounded.get((k, bits))
            if found is None:
                found = rounded[k, bits] = k.weight * rounding(bits, k.constant, exact=k.exact)
            total += found
        return total


class ScaleErrors:
    """``Gains.error`` of settings that have the primes of ``setting`` and drop primes after these products. ``scales``:
    those of ``setting``, one for each factor."""

    def __init__(self, gains: Gains, setting: Setting, scales: Sequence[int], drops: Sequence[int]) -> None:
        self._scales = tuple(scales)
        self._rounded: dict[tuple[_Known, int], float] = {}
        self._errors: dict[tuple[int, ...], float] = {}
        setting = Remembered(setting)
        self._parts = [_part(part, setting, (0, *drops)) for part in gains.results.values() or [gains]]

    def __call__(self, scales: tuple[int, ...]) -> float:
        """The relative rms error with these scales in bits: the inputs', then those of each product's plaintexts."""
        # who looks for the best scales comes back to some
        found = self._errors.get(scales)
        if found is None:
            found = self._errors[scales] = self._error(scales)
        return found

    def least(self) -> float:
        """No more than the error of any scales that have as many bits together as the first ones."""
        # a little less, since logarithms are rounded
        return sqrt(max([part.least(len(self._scales)) for part in self._parts])) * (1 - 1e-9)

    def _error(self, scales: Sequence[int]) -> float:
        more = [new - old for new, old in zip(scales, self._scales, strict=True)]
        together = list(accumulate(more))
        return sqrt(max([part.mean_square(scales, more, together, self._rounded) for part in self._parts]))


def _part(gains: Gains, setting: Setting, behind: Sequence[int]) -> _Part:
    # Python's floats overflow to infinity without a word: of masks beside results that are nearly zero nothing is known
    size = float(gains.signal or gains.elements)
    fixed = (SAFETY * DOUBLE) ** 2 * bool(gains.signal)
    carried: defaultdict[int, float] = defaultdict(float)
    own: defaultdict[int, float] = defaultdict(float)
    known = []
    for place, gain in gains.sources.items():
        weight = (SPIKE_SAFETY if place.kind == "spike" else SAFETY) ** 2 * float(gain) / size
        kind, level, products, constant = place
        factors = behind[level] + products + 1
        if constant is not None and kind in ("factor", "added"):
            first = factors if kind == "factor" else 0
            dropped = 0 if first else sum(setting.primes[len(setting.primes) - 1 - level : -1])
            exact = level == 0 or kind == "factor"
            known.append(_Known(weight, constant, first, max(factors, first + 1), dropped, exact=exact))
            continue
        weight *= variance(place, setting)
        if kind in ("mask", "double"):
            fixed += weight
        elif kind == "factor":
            own[factors] += weight
        else:
            carried[factors] += weight
    return _Part(fixed, tuple(carried.items()), tuple(own.items()), tuple(known))


def rounding_error(gains: Gains, bits: float) -> float:
    """No more than the error of any scales that have ``bits`` together, where no prime is dropped and no scale is
    below 1: that of rounding numbers that are not known, and of fresh noise. A sum of terms that fall by
    four for each bit of one scale is at least their number times their geometric mean."""
    weights: defaultdict[int, float] = defaultdict(float)
    for (kind, level, products, constant), gain in gains.sources.items():
        if constant is None and level == 0:
            if kind == "factor":
                weights[products + 1] += ROUNDING * float(gain)
            elif kind in ("fresh", "added") and products == 0:
                weights[0] += (gains.degree * ERROR_VARIANCE if kind == "fresh" else ROUNDING) * float(gain)
    logarithms = [log2(weight) for weight in weights.values() if 0 < weight < inf]
    if not logarithms or not isfinite(bits):
        return 0.0
    size, n = float(gains.signal or gains.elements), len(logarithms)
    least = log2(n) + (sum(logarithms) - 2 * max(bits, 0.0)) / n + 2 * log2(SAFETY) - log2(size)
    # a little less, since logarithms are rounded
    return exp2(min(least / 2, 1000.0) - 1e-9) if isfinite(least) else 0.0
