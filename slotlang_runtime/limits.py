"""The largest inputs that a client may send: public, fixed when the program was lowered, independent of the weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from slotlang_runtime.errors import FOR_DATA, INPUT_BEYOND_LIMIT, LOWER, Rejected

LARGEST_BOUND = 2.0**128
"""Programs state no larger bound."""


@dataclass(frozen=True, slots=True)
class Limit:
    """``norm``: the largest Euclidean norm of a token, which is a column: all of an input's first axis. ``entry``: the
    largest |element|. An input must be within both."""

    norm: float = math.inf
    entry: float = math.inf

    def text(self, name: str, axes: int) -> str:
        """As a program writes it: ``norm(x[:, t]) <= 256 and |x| <= 8``."""
        token = f"{name}[:, t]" if axes > 1 else name
        parts = [f"norm({token}) <= {written(self.norm, 4)}"] if self.norm < math.inf else []
        parts += [f"|{name}| <= {written(self.entry, 4)}"] if self.entry < math.inf else []
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
        if not math.isfinite(most) or most > self.entry:
            place = np.unravel_index(int(np.argmax(sizes)), values.shape)
            value, entry = told_apart(float(values[place]), self.entry)
            takes = f"elements up to {entry}" if self.entry < math.inf else "finite numbers"
            raise Rejected(
                f"{name}{_index(place)}{then} is {value}; this program takes {takes}",
                INPUT_BEYOND_LIMIT,
                f"scale {name} down and the result up{_lowered(f'--bound {name}', most)}",
            )
        if not most:
            return
        # scaled, so that squares neither overflow nor vanish
        norms = _norms(sizes / most)
        if norms.max() > self.norm / most * (1 + ROUNDING):
            place = np.unravel_index(int(np.argmax(norms)), norms.shape) if values.ndim > 1 else ()
            number = str(place[0]) if len(place) == 1 else _index(place)
            token = f"token {number} of {name}" if place else name
            norm = float(norms.max()) * most
            text, limit = told_apart(norm, self.norm)
            raise Rejected(
                f"the norm of {token}{then} is {text}; this program takes norms up to {limit}",
                INPUT_BEYOND_LIMIT,
                f"scale {name} down and the result up{_lowered(f'--bound-norm {name}', norm)}",
            )

    def fitted(self, values: Any) -> Any:
        """Finite values, scaled down where they are beyond the limit."""
        values = shrunk(values, np.abs(values).max(initial=0.0), self.entry)
        return shrunk(values, _norms(np.abs(values)).max(initial=0.0), self.norm)


ROUNDING = 2.0**-40
"""By this much, relatively, a norm may exceed a limit: it is computed with rounding."""


def told_apart(value: float, limit: float, digits: int = 4) -> tuple[str, str]:
    """Two numbers of different size with as many digits as tell them apart, ``digits`` or more."""
    for most in range(digits, 18):
        first, second = f"{value:.{most}g}", f"{limit:.{most}g}"
        if first.lstrip("-") != second.lstrip("-"):
            break
    return first, second


def shrunk(values: Any, size: float, limit: float) -> Any:
    """Values of this size, scaled down to less than the limit where they are beyond it."""
    return values if size <= limit else values * (limit / size * (1 - 2.0**-50))


def _norms(sizes: Any) -> Any:
    return np.atleast_1d(np.sqrt((sizes**2).sum(axis=0)))


def _index(place: tuple[Any, ...]) -> str:
    return f"[{', '.join(map(str, place))}]"


def written(value: float, digits: int) -> str:
    """A positive number, rounded to this many digits, as programs write numbers: ``1020``, ``0.25``,
    ``7.25 * 10 ** 19`` or ``7.25 / 10 ** 19``."""
    rounded = Decimal(f"{value:.{digits - 1}e}")
    power = rounded.adjusted()
    if not rounded.is_finite() or -7 <= power < 16:
        return _plain(rounded)
    return f"{_plain(rounded.scaleb(-power))} {'*' if power > 0 else '/'} 10 ** {abs(power)}"


def _plain(value: Decimal) -> str:
    """Without an exponent, and without zeros at the end of its decimals."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def rounded_up(size: float) -> float | None:
    """The bound of three digits that values of this size keep; None where there is no such bound."""
    if not 0 < size <= LARGEST_BOUND:
        return None
    bound = Decimal(f"{size:.2e}")
    # the shortest text of a double is that of the bound which equals it
    if bound < Decimal(repr(float(size))):
        bound += Decimal((0, (1,), int(bound.as_tuple().exponent)))
    return float(bound)


def bound_option(option: str, size: float, text: str) -> str:
    """``text`` with the option that sets a bound which values of this size keep; empty where there is no such bound."""
    bound = rounded_up(size)
    return "" if bound is None else text.format(f"{option}={bound:.3g}")


def _lowered(option: str, size: float) -> str:
    return bound_option(option, size, f", or {LOWER} with {{}}{FOR_DATA}")
