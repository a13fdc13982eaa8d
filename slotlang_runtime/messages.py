"""The moments when messages are read as numbers, with what room each has. Imports neither tenseal nor numba: the
compiler reads its graph's messages with it, as ``ranges`` reads those of a module."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slotlang_runtime.magnitudes import OUTWARDS, Floats, Inputs, Magnitude
from slotlang_runtime.noise import SIGMAS
from slotlang_runtime.parameters import Levels

LEAST_ROOM = 1
"""Bits of room that every message must have: the upper half of the modulus stays empty, where the tripwire of
``Client.decrypt`` looks."""

HIDING_BITS = 16
"""How well masks hide slots that no output reads: whatever two values may be in a slot, the distributions of what is
decrypted there have a statistical distance of at most 2^-16 (docs/security.md)."""

DOUBLE_MASK_BITS = HIDING_BITS
"""Bits of the largest masks that are encoded in double precision. Of larger ones too much would show in the slots that
are read: they are encoded with twice the digits (``precise``)."""

MOST_MASK_BITS = 1000
"""Stands for masks that no modulus has room for."""


def mask_bits(bound: float) -> int:
    """Bits of the masks of slots whose real and imaginary parts are at most ``bound``: 2^bits is no less than
    2^``HIDING_BITS`` times that. Bounds below 1 count as 1, so that noise is hidden too."""
    if not bound < math.inf:
        return MOST_MASK_BITS
    leading, exponent = math.frexp(max(bound, 1.0))
    return min(HIDING_BITS + exponent - (leading == 0.5), MOST_MASK_BITS)


def hidden_bound(sizes: Floats, hidden: npt.NDArray[np.bool_]) -> float:
    """The largest of a result's ``sizes``, bounds on each |slot|, where a part is masked. ``hidden``: 2 x slots."""
    return float(np.max(np.broadcast_to(sizes, hidden.shape[-1:]), initial=0.0, where=hidden.any(axis=0)))


def mask_mean(hidden: npt.NDArray[np.bool_], bits: int) -> float:
    """The mean over all slots of the largest masks of these parts (2 x slots)."""
    return float(np.hypot(*np.asarray(hidden, np.float64)).mean()) * 2.0**bits


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
        # masks are rounded too
        off = SIGMAS * value.noise + value.error + bool(more)
        coefficient = factor * (mean * value.scale + off) * OUTWARDS
        half = math.log2(math.prod(self.levels.primes(value.level))) - 1
        bits = math.log2(coefficient) if 0 < coefficient < math.inf else (math.inf if coefficient else -math.inf)
        if where not in self.points or self.points[where].room > half - bits:
            self.points[where] = Point(where, bits, half - bits)

    def ordered(self) -> tuple[Point, ...]:
        """The least room first."""
        return tuple(sorted(self.points.values(), key=lambda point: point.room))


def tighten(sizes: Floats, part: str | None, element: Floats) -> None:
    """Lower the bounds of the real and of the imaginary part of each slot (2 x slots), in place, by those of the
    elements that an output reads there: ``element``, infinite where it reads none. ``part``: re, im, or None where the
    slot is the element, and its imaginary part is zero."""
    if part != "im":
        np.minimum(sizes[0], element, out=sizes[0])
    if part != "re":
        np.minimum(sizes[1], element if part else np.where(np.isfinite(element), 0.0, math.inf), out=sizes[1])


def read_sizes(sizes: Floats, proved: Floats, parts: Sequence[bool]) -> Floats:
    """Bounds on what is read of each slot: the lower one of ``sizes``, and of ``proved`` (2 x slots) in the ``parts``
    that are read."""
    return np.minimum(sizes, np.hypot(*np.where(np.asarray(parts)[:, None], proved, 0.0)))
