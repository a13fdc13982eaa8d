"""The moments when messages are read as numbers, with what room each has. Imports neither tenseal nor numba: the
compiler reads its graph's messages with it, as ``ranges`` reads those of a module."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from slotlang_runtime.magnitudes import OUTWARDS, SIGMAS, Floats, Inputs, Magnitude
from slotlang_runtime.parameters import Levels


@dataclass(frozen=True, slots=True)
class Point:
    """A moment when a message is read as a number. ``where``: in words. ``bits``: log2 of the bound on its
    coefficients. ``room``: log2 of half of the modulus over that bound; below 0 a message may wrap."""

    where: str
    bits: float
    room: float


class Reader:
    """Collects the tightest point of each kind."""

    def __init__(self, inputs: Inputs, levels: Levels) -> None:
        self.inputs, self.levels = inputs, levels
        self.points: dict[str, Point] = {}

    def __call__(
        self, value: Magnitude, where: str, factor: float = 1.0, more: float = 0.0, size: Floats | None = None
    ) -> None:
        """A message is read, multiplied by ``factor``, with masks of at most ``more`` in each slot. ``size``: a bound
        on what is read of each slot, where a better one than the value's is known."""
        mean = float(np.mean(self.inputs.bound(value) if size is None else size)) + more
        coefficient = factor * (mean * value.scale + SIGMAS * value.noise) * OUTWARDS
        half = math.log2(math.prod(self.levels.primes(value.level))) - 1
        bits = math.log2(coefficient) if 0 < coefficient < math.inf else (math.inf if coefficient else -math.inf)
        if where not in self.points or self.points[where].room > half - bits:
            self.points[where] = Point(where, bits, half - bits)

    def ordered(self) -> tuple[Point, ...]:
        """The least room first."""
        return tuple(sorted(self.points.values(), key=lambda point: point.room))
