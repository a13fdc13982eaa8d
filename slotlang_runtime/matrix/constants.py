"""Constants of matrix products: a number that stands in every slot, encoded as an integer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from slotlang_runtime.errors import NOT_EVALUATED, WEIGHTS_TOO_LARGE, Rejected
from slotlang_runtime.parameters import Parameters
from slotlang_runtime.seal.memory import plaintext_of
from slotlang_runtime.seal.ring import Ring


class Impossible(Exception):
    """Why matrix products can't compute this, so that SEAL's operations do."""


class Constant:
    """A number in every slot, encoded: the only coefficient of its plaintext that is not zero."""

    __slots__ = ("level", "number", "scale")

    def __init__(self, number: int, level: int, scale: float) -> None:
        self.number, self.level, self.scale = number, level, scale


class Constants(Ring):
    """The ring of a server that evaluates by matrix products: it encodes a constant as an integer."""

    def __init__(self, parameters: Parameters, slots: int) -> None:
        super().__init__(parameters, slots)
        self.modulus_bits = [math.prod(self.primes(level)).bit_length() for level in range(len(self.levels))]

    def encode(self, values: Any, level: int = 0, products: int = 0, added: bool = False) -> Any:
        """``Ring.encode`` for vectors that hold one number in all slots. Raises Rejected for other vectors."""
        if added:
            raise Rejected("a vector to encode is added, and matrices only multiply", NOT_EVALUATED)
        scale = self.factor(level, products)
        number = self._integer(one_number(values), level, scale)
        return Constant(number, level, scale) if number != 0 else None

    def _integer(self, value: float, level: int, scale: float) -> int:
        """The integer that SEAL's encoder makes of a number at a scale: halves are rounded away from zero."""
        value = value * scale
        # as SEAL's encoder counts
        if abs(value) >= 1 and math.log2(abs(value)) + 2 >= self.modulus_bits[level]:
            raise Rejected(f"a vector to encode holds {value / scale:.3g}: too large here", WEIGHTS_TOO_LARGE)
        whole = math.trunc(value)
        return whole + int(math.copysign(abs(value - whole) >= 0.5, value))

    def plaintext(self, constant: Constant) -> Any:
        """The plaintext that SEAL's encoder makes of a constant."""
        rows = [[constant.number % prime] * self.degree for prime in self.primes(constant.level)]
        return plaintext_of(self, np.array(rows, np.uint64), constant.level, constant.scale)


def one_number(values: Any) -> float:
    """The real number that a vector to encode holds in all slots. Raises Rejected where there is none."""
    if not isinstance(values, float):  # which a number of float64 is
        values = np.asarray(values)
        if not np.isfinite(values).all():
            raise Rejected("a vector to encode holds NaN or infinity", WEIGHTS_TOO_LARGE)
        if values.ndim and (values == values.flat[0]).all():
            values = values.flat[0]
        if values.ndim or values.imag:
            raise Rejected("a vector to encode does not hold one real number in all slots", NOT_EVALUATED)
    value = float(values.real)
    if not math.isfinite(value):
        raise Rejected("a vector to encode holds NaN or infinity", WEIGHTS_TOO_LARGE)
    return value
