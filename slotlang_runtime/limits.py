"""The largest inputs that a client may send: public, fixed when the program was lowered, independent of the weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from slotlang_runtime.errors import INPUT_BEYOND_LIMIT, Rejected


@dataclass(frozen=True, slots=True)
class Limit:
    """``norm``: the largest Euclidean norm of a token, which is a column: all of an input's first axis. ``entry``: the
    largest |element|. An input must be within both."""

    norm: float = math.inf
    entry: float = math.inf

    def text(self, name: str, axes: int) -> str:
        """As a program writes it: ``norm(x[:, t]) <= 256 and |x| <= 8``."""
        token = f"{name}[:, t]" if axes > 1 else name
        parts = [f"norm({token}) <= {self.norm:.4g}"] if self.norm < math.inf else []
        parts += [f"|{name}| <= {self.entry:.4g}"] if self.entry < math.inf else []
        return " and ".join(parts) or f"any {name}"

    @property
    def largest(self) -> float:
        """The largest |element|: no element exceeds the norm of its token."""
        return min(self.norm, self.entry)

    def within(self, rows: int) -> Limit:
        """The same limit, each of both as small as the other one implies. ``rows``: elements of a token."""
        return Limit(min(self.norm, self.entry * math.sqrt(rows)), self.largest)

    def times(self, factor: float) -> Limit:
        """Both, this many times as large."""
        return Limit(self.norm * factor, self.entry * factor)

    def meet(self, other: Limit | None) -> Limit:
        """The smaller of both limits."""
        return self if other is None else Limit(min(self.norm, other.norm), min(self.entry, other.entry))

    def check(self, name: str, values: Any, *, equalized: bool = False) -> None:
        """Raise Rejected for an input beyond the limit: which token and channel, its value, and the limit.
        ``equalized``: whether the values are divided by powers of two, which the message says."""
        values = np.asarray(values)
        sizes = np.abs(values)
        most = float(sizes.max(initial=0.0))
        then = ", equalized," if equalized else ""
        if not most <= self.entry:
            place = np.unravel_index(int(np.argmax(sizes)), values.shape)
            raise Rejected(
                f"{name}{_index(place)}{then} is {values[place]:.4g}; this program takes elements up to "
                f"{self.entry:.4g}: scale {name} down and the result up, or lower the program with "
                f"--bound {name}={_above(sizes[place])}",
                INPUT_BEYOND_LIMIT,
            )
        if not most or not math.isfinite(self.norm):
            return
        # scaled, so that squares neither overflow nor vanish
        norms = np.atleast_1d(np.sqrt(((sizes / most) ** 2).sum(axis=0))) * most
        if not norms.max() <= self.norm * (1 + 2.0**-40):
            place = np.unravel_index(int(np.argmax(norms)), norms.shape) if values.ndim > 1 else ()
            token = f"{name}[:, {', '.join(map(str, place))}]" if values.ndim > 1 else name
            raise Rejected(
                f"the norm of {token}{then} is {norms.max():.4g}; this program takes norms up to {self.norm:.4g}: "
                f"scale {name} down and the result up, or lower the program with "
                f"--bound-norm {name}={_above(norms.max())}",
                INPUT_BEYOND_LIMIT,
            )


def largest_coefficient(slots: Any) -> float:
    """The largest |coefficient| of the real polynomial that holds these values in its slots: N/2 complex numbers, in
    SEAL's order (slot j is the value at the root of unity with exponent 3^j)."""
    places, mirrored = _places(len(slots))
    values = np.empty(2 * len(slots), np.complex128)
    values[places] = slots
    values[mirrored] = np.conj(slots)
    # the values at exponents 2m + 1 are a transform of the coefficients times powers of the first root
    found = np.fft.fft(values)
    return math.sqrt(float((found.real**2 + found.imag**2).max())) / len(values)


@lru_cache(maxsize=8)
def _places(half: int) -> tuple[Any, Any]:
    """For this many slots, m of the exponent 2m + 1 of each slot's root, and of its conjugate."""
    exponents = np.array([pow(3, j, 4 * half) for j in range(half)])
    return exponents // 2, 2 * half - 1 - exponents // 2


def _index(place: tuple[Any, ...]) -> str:
    return f"[{', '.join(map(str, place))}]"


def _above(value: float) -> str:
    """The value rounded up to three digits, so that a program with this bound takes it."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 2)
    return f"{math.ceil(value / unit * (1 - 2.0**-40)) * unit:.3g}"
