"""How many last bits of results can be left out under given parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

from slotlang.cost.cut_errors import Bits, CutErrors, CutNoise
from slotlang.planning.messages import State
from slotlang.planning.modulus import Modulus
from slotlang.planning.parameters import Parameters
from slotlang_runtime.parameters import LEAST_SENT


class Cuts:
    """Bits that can be left out of results at one prime under parameters ``p``, which send all of them, for an error of
    at most ``precision``. Errors grow with the bits."""

    def __init__(self, modulus: Modulus, p: Parameters, precision: float) -> None:
        self.p, self.modulus, self.precision = p, modulus, precision
        self.error = CutErrors(modulus.gains, p)

    def small(self, bits: Bits) -> bool:
        """Whether without these bits the error is small enough."""
        return self.error(bits) <= self.precision

    def precise(self, bits: Bits) -> bool:
        """Whether, besides, messages have room for their noise."""
        held, noise = self._noise
        return held and self.small(bits) and all(self.modulus.leaves(self.p, state, one(bits)) for state, one in noise)

    @cached_property
    def _noise(self) -> tuple[bool, list[tuple[State, CutNoise]]]:
        """Whether all messages have room for the noise with all bits, and the noise that depends on bits."""
        modulus, p = self.modulus, self.p
        reaches = modulus.gains.reach.items()
        noise = [(state, CutNoise(modulus.gains, p, reach, *modulus.largest_inputs)) for state, reach in reaches]
        held = all(modulus.leaves(p, state, one((0, 0))) for state, one in noise)
        return held, [(state, one) for state, one in noise if not one.constant]

    def fewest(self, first: int, second: int) -> list[Parameters]:
        """The parameters without the most bits of c1, and with one and two bits more of it, and each time without the
        most bits of c0. ``first`` and ``second``: no fewer bits than can be left out of one of them alone."""
        found = []
        second = largest(lambda n: self.precise((0, n)), second)
        for bits in range(second, max(second - 3, -1), -1):
            most = largest(lambda n, bits=bits: self.precise((n, bits)), first)  # type: ignore[misc]
            found.append(replace(self.p, cut=(most, bits)))
        return found


def most_cut(p: Parameters) -> int:
    """Bits of a coefficient beyond those that are always sent."""
    return p.primes[0] - LEAST_SENT


def largest(holds: Callable[[int], bool], most: int) -> int:
    """The largest number up to ``most`` that it holds for, as for all below; it holds for 0. ``most`` is likely to be
    near."""
    least, step = most, 1
    while least > 0 and not holds(least):
        most = least - 1
        least, step = max(least - step, 0), 2 * step
    while least < most:
        middle = (least + most + 1) // 2
        if holds(middle):
            least = middle
        else:
            most = middle - 1
    return least
