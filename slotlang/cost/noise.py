"""The error of a result before anything runs: noise of every operation, and what it grows to on the way out.

CKKS noise is linear in its sources to first order, so the mean square error of a result is a sum over sources: their
variance, which depends on parameters, times a gain, which depends on the graph alone. Gains are found once
(``gains.py``), and any number of parameters can be tried on them. ``docs/cost.md`` has the formulas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import exp2, sqrt
from typing import NamedTuple, Protocol

from slotlang.cost.noise_reach import Source
from slotlang_runtime.noise import DOUBLE, ERROR_VARIANCE, ROUNDING, SAFETY, cut_variances, dropped_variance

SPIKE_SAFETY = 4.0
"""The factor for the peak of key switches, which is one complex number for each key: above 4 times its rms it is once
in ``exp(16)`` runs where both parts are read, and once in 16,000 where only one is."""

MASK_MARGIN = 3
"""Bits between the modulus and the masks of unread slots: for the sign, for the doubling of a part that is read
alone, and one so that a result as large as the mask still fits."""


class Setting(Protocol):
    """What noise depends on besides the graph; ``Parameters`` of the lowering are one."""

    @property
    def degree(self) -> int:
        """Degree N of the ring."""

    @property
    def primes(self) -> tuple[int, ...]:
        """Bits of every prime, the key prime last."""

    @property
    def scales(self) -> tuple[int, ...]:
        """Scales of factors that have their own; empty where factors have none."""

    def cut_at(self, level: int) -> tuple[int, int]:
        """Bits of the coefficients of results at a level that are not sent, of c0 and of c1."""

    def carried_bits(self, level: int, products: int) -> float:
        """Scale of a ciphertext, log2."""

    def plain_bits(self, level: int, products: int) -> float:
        """Scale of a plaintext that multiplies it, log2."""


class Remembered:
    """A setting that finds the scale of each state once: many sources of noise enter in the same ones."""

    __slots__ = ("_carried", "_setting", "cut_at", "degree", "plain_bits", "primes", "scales")

    def __init__(self, setting: Setting) -> None:
        self._setting, self._carried = setting, dict[tuple[int, int], float]()
        self.degree, self.primes, self.scales = setting.degree, setting.primes, setting.scales
        self.plain_bits, self.cut_at = setting.plain_bits, setting.cut_at

    def carried_bits(self, level: int, products: int) -> float:
        """Scale of a ciphertext, log2."""
        found = self._carried.get((level, products))
        if found is None:
            found = self._carried[level, products] = self._setting.carried_bits(level, products)
        return found


class Place(NamedTuple):
    """A kind of noise and where it enters: primes dropped, and products whose scale the ciphertext carries."""

    kind: str
    level: int
    products: int
    constant: complex | None = None
    """For the rounding of a plaintext: the number in all its slots, if it is known."""


class Wider(NamedTuple):
    """A program that another one is a part of, beside that part: how many times as many terms its first products, and
    later ones, are summed over, and how many times as many ciphertexts it returns for each element of its results."""

    first: float = 1.0
    later: float = 1.0
    returned: float = 1.0


ITSELF = Wider()
"""A program that is a part of no other."""


@dataclass(frozen=True)
class Gains:
    """Mean square of the results, times the number of their ``elements``, and for each source of noise the sum of what
    all operations of that kind add to the mean square of their error when the source has variance 1. ``degree``: the
    ring's. ``peaks``: of the states that ciphertexts are in, the largest mean square of a slot for inputs of unit
    variance. ``small``: peaks below 1 are those of weights that are known. ``results``: the gains of each result, where
    there are several. ``reach``: what the noise of a message that is read adds up to at most, by the state of its
    ciphertext. ``last``: the states behind the last product."""

    degree: int
    signal: float
    sources: Mapping[Place, float]
    peaks: Mapping[tuple[int, int], float]
    elements: int = 1
    small: bool = False
    results: Mapping[str, Gains] = field(default_factory=dict)
    reach: Mapping[tuple[int, int], Mapping[Source, float]] = field(default_factory=dict)
    last: frozenset[tuple[int, int]] = frozenset()

    def error(self, setting: Setting) -> float:
        """Relative rms error that a run with parameters of the same degree is expected not to exceed, in any of its
        results; where a result is zero, its rms error."""
        return max(part._weighted(setting, SAFETY, SPIKE_SAFETY) for part in self.results.values() or [self])

    def expected(self, setting: Setting) -> float:
        """Relative rms error of all results together to expect, the root of the mean square of many runs with keys of
        their own."""
        return self._weighted(setting, 1.0, 1.0)

    def absolute(self, setting: Setting) -> float:
        """Rms error of the results that a run is expected not to exceed."""
        size = sqrt(self.signal / self.elements) or 1.0
        return self._weighted(setting, SAFETY, SPIKE_SAFETY) * size

    def largest_noise(self, setting: Setting, reach: Mapping[Source, float], limit: float, spread: float) -> float:
        """A bound on the standard deviation of a coefficient's noise, in units of the message, in a state with this
        reach. ``limit``: how many times as large as for inputs of unit variance a slot may be; ``spread``: as its root
        mean square over the slots of an uploaded ciphertext may be."""
        return sum(self.amplitudes(setting, reach, limit, spread))

    def amplitudes(self, setting: Setting, reach: Mapping[Source, float], limit: float, spread: float) -> list[float]:
        """What each source adds to ``largest_noise``, in their order."""
        setting, found = Remembered(setting), []
        for source, amplitude in reach.items():
            slots = variance(Place(source.kind, source.level, source.products), setting)
            coefficient = slots if source.kind in ("factor", "added") else slots / setting.degree
            # sums of rotated vectors add up their lengths
            grown = min(limit, spread * sqrt(source.terms)) if source.terms else 1.0
            # plaintexts that multiply it are rounded
            for level, products, bits in source.factors:
                grown *= 1 + exp2(bits - setting.plain_bits(level, products))
            found.append(amplitude * sqrt(coefficient) * grown)
        return found

    def widened(self, wider: Wider) -> Gains:
        """The gains of the same schedule with longer sums. Contents of sums do not change, since weights have a
        variance of one over the number of terms; nor does any noise but that of rounding the weights, and that of the
        peaks of key switches after the last product: these stand in a slot of every ciphertext that is returned, read
        or not, where other noise is as much for each slot that is read."""
        first, later, returned = wider

        def times(place: Place) -> float:
            if place.kind == "spike":
                return returned if (place.level, place.products) in self.last else 1.0
            return 1.0 if place.kind != "factor" else later if place.level or place.products else first

        sources = {place: gain * times(place) for place, gain in self.sources.items()}
        parts = {name: part.widened(wider) for name, part in self.results.items()}
        reach = {
            state: {
                source: amplitude
                * (1.0 if source.kind != "factor" else later if source.level or source.products else first)
                for source, amplitude in found.items()
            }
            for state, found in self.reach.items()
        }
        return replace(self, sources=sources, results=parts, reach=reach)

    def _weighted(self, setting: Setting, flat: float, peaked: float) -> float:
        setting = Remembered(setting)
        # Python's floats overflow to infinity without a warning
        total = sum(
            (peaked if place.kind == "spike" else flat) ** 2 * float(gain) * variance(place, setting)
            for place, gain in self.sources.items()
        )
        return sqrt(total / float(self.signal or self.elements) + (flat * DOUBLE) ** 2 * bool(self.signal))


def variance(place: Place, setting: Setting) -> float:
    """Mean square of one source of noise in a slot, in units of the message."""
    kind, level, products, constant = place
    n = setting.degree
    if kind == "mask":
        # encoding uniform numbers shows in the other slots; how large they are is in the gain
        return DOUBLE**2 / 3
    if kind == "double":
        return DOUBLE**2
    if kind == "factor":
        # without a scale of its own a plaintext has that of its ciphertext
        exact = level == 0 or bool(setting.scales)
        return rounding(setting.plain_bits(level, products), constant, exact=exact)
    carried = setting.carried_bits(level, products)
    if kind == "added":
        return rounding(carried, constant, exact=level == 0)
    units = exp2(-2 * carried)
    data = setting.primes[: len(setting.primes) - 1 - level]
    match kind:
        case "fresh":
            return n * ERROR_VARIANCE * units
        case "switch" | "spike":
            # digits are residues in [0, q), of mean square q^2/12 about their mean of q/2
            digits = sum(exp2(2 * (bits - setting.primes[-1])) for bits in data)
            if kind == "spike":
                return n * n * ERROR_VARIANCE * digits / 4 * units
            return n * (n * ERROR_VARIANCE * digits / 12 + dropped_variance(n)) * units
        case "cut" | "cut half":
            return cut_noise(n, setting.cut_at(level), units, halved=kind == "cut half")
        case "rescale" | "rescale open":
            return n * dropped_variance(n, 3 if kind == "rescale open" else 2) * units
        case _:
            raise AssertionError(kind)


def cut_noise(degree: int, bits: tuple[int, int], units: float, *, halved: bool) -> float:
    """Mean square in a slot of leaving out last ``bits`` of a result, of c0 and of c1. ``units``: the square of what 1
    of a coefficient is worth."""
    return degree * sum(cut_variances(degree, bits, halved=halved)) * units


def rounding(bits: float, constant: complex | None, *, exact: bool) -> float:
    """Mean square of rounding one coefficient, at a scale in bits. That of a known number is known where the scale is
    ``exact``, a power of two, which it is not after a rescale: SEAL puts ``a + b*i`` into coefficients ``a``,
    ``b/sqrt(2)`` and again ``b/sqrt(2)``, by the order of its slots."""
    if constant is None:
        return ROUNDING * exp2(-2 * bits)
    if not exact:
        return ROUNDING * exp2(-2 * bits) * (1 + 2 * bool(constant.imag))
    parts = (abs(constant.real) * exp2(bits), abs(constant.imag) * exp2(bits - 0.5))
    real, imaginary = (part - round(part) for part in parts)
    return (real**2 + 2 * imaginary**2) * exp2(-2 * bits)
