"""The predicted error as a function of the last bits that results are sent without: all else is given, and many numbers
of bits are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp2, inf, isfinite, log2, sqrt

from slotlang.cost.noise import SPIKE_SAFETY, Gains, Place, Remembered, Setting, cut_noise, variance
from slotlang.cost.noise_reach import Source
from slotlang_runtime.noise import DOUBLE, ROUNDING, SAFETY, SECRET_VARIANCE

CUT = ("cut", "cut half")
"""The kinds of noise that depend on the bits."""

Bits = tuple[int, int]
"""Last bits that are not sent, of c0 and of c1."""


@dataclass(frozen=True)
class _Cut:
    """A term of a sum that depends on the bits: its place there, its weight, and the square of the unit of noise."""

    place: int
    weight: float
    units: float
    halved: bool


class CutErrors:
    """``Gains.error`` of settings that differ from ``setting``, which sends all bits, in the bits that are not sent of
    results at one prime. The same number to the last bit: terms are added up in the same order."""

    def __init__(self, gains: Gains, setting: Setting) -> None:
        self._degree, setting = setting.degree, Remembered(setting)
        self._parts = [_part(part, setting) for part in gains.results.values() or [gains]]

    def __call__(self, bits: Bits) -> float:
        """The relative rms error."""
        found = []
        for terms, cuts, size, fixed in self._parts:
            for cut in cuts:
                terms[cut.place] = cut.weight * cut_noise(self._degree, bits, cut.units, halved=cut.halved)
            found.append(sqrt(sum(terms) / size + fixed))
        return max(found)


class CutNoise:
    """``Gains.largest_noise`` of such settings."""

    def __init__(
        self, gains: Gains, setting: Setting, reach: Mapping[Source, float], limit: float, spread: float
    ) -> None:
        self._degree = setting.degree
        self._terms = gains.amplitudes(setting, reach, limit, spread)
        # nothing is multiplied with what is read
        self._cuts = [
            _Cut(number, amplitude, _units(source, setting), halved=False)
            for number, (source, amplitude) in enumerate(reach.items())
            if source.kind in CUT and source.level == _last(setting)
        ]

    @property
    def constant(self) -> bool:
        """Whether it is the same for all bits."""
        return not self._cuts

    def __call__(self, bits: Bits) -> float:
        """A bound on the standard deviation of a coefficient's noise."""
        for cut in self._cuts:
            slots = cut_noise(self._degree, bits, cut.units, halved=False)
            self._terms[cut.place] = cut.weight * sqrt(slots / self._degree)
        return sum(self._terms)


def _part(gains: Gains, setting: Setting) -> tuple[list[float], list[_Cut], float, float]:
    """The terms of a result's mean square error, those that depend on the bits, the mean square of the result, and what
    is added relative to it."""
    terms: list[float] = []
    cuts = []
    for place, gain in gains.sources.items():
        weight = (SPIKE_SAFETY if place.kind == "spike" else SAFETY) ** 2 * float(gain)
        if place.kind in CUT and place.level == _last(setting):
            cuts.append(_Cut(len(terms), weight, _units(place, setting), place.kind == "cut half"))
            terms.append(0.0)
        else:
            terms.append(weight * variance(place, setting))
    return terms, cuts, float(gains.signal or gains.elements), (SAFETY * DOUBLE) ** 2 * bool(gains.signal)


def _last(setting: Setting) -> int:
    """The level at which one prime is left."""
    return len(setting.primes) - 2


def _units(place: Place | Source, setting: Setting) -> float:
    return exp2(-2 * setting.carried_bits(place.level, place.products))


def limits_of_bits(gains: Gains, level: int, precision: float) -> list[tuple[int, float, float]]:
    """Which bits of results that have dropped ``level`` primes, all but one, can be left out at most: for each source
    of their noise the products behind it, and by how much the bits of c0, and those of c1, may exceed the scale if that
    were all the noise there is."""
    found = []
    n = gains.degree
    for part in gains.results.values() or [gains]:
        allowed = precision**2 * float(part.signal or part.elements)
        for place, gain in part.sources.items():
            if place.kind in CUT and place.level == level:
                # of what is four to the power of the bits; the rest is more
                first = SAFETY**2 * float(gain) * n * ROUNDING
                second = first * n * SECRET_VARIANCE
                first /= 2 if place.kind == "cut half" else 1
                found.append((place.products, _excess(allowed, first), _excess(allowed, second)))
    return found


def _excess(allowed: float, unit: float) -> float:
    """Half of the bits between two mean squares; a little more, since logarithms are rounded."""
    ratio = allowed / unit if unit > 0 else inf
    return inf if not isfinite(ratio) else log2(ratio) / 2 + 1e-9 if ratio > 0 else -inf
