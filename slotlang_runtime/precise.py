"""Coefficients and slots of polynomials that hold large masks beside results: with twice the digits of a double.

A transform in doubles leaves 2^-53 of the largest number in every slot, the zeros too. Here each number is the sum of
two doubles, the second below half of the last digit of the first (Dekker, "A floating-point technique for extending the
available precision", 1971), so that 2^-96 of it is left. The transform is that of ``embedding``. Imports neither
tenseal nor numba.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from slotlang_runtime import embedding

DIGITS = 40
"""Decimal digits of sines and cosines before they become two doubles."""

_SPLIT = 134217729.0
"""2^27 + 1: the factor that cuts a double into halves of 26 bits."""


class Two(NamedTuple):
    """Numbers as sums of two arrays of doubles."""

    high: Any
    low: Any

    def at(self, key: Any) -> Two:
        """Some of them."""
        return Two(self.high[key], self.low[key])


def _sum(a: Any, b: Any) -> Two:
    """a + b, exactly (Knuth)."""
    total = a + b
    part = total - a
    return Two(total, (a - (total - part)) + (b - part))


def _settled(high: Any, low: Any) -> Two:
    total = high + low
    return Two(total, low - (total - high))


def _added(a: Two, b: Two) -> Two:
    total = _sum(a.high, b.high)
    return _settled(total.high, total.low + (a.low + b.low))


def _subtracted(a: Two, b: Two) -> Two:
    return _added(a, Two(-b.high, -b.low))


def _halves(a: Any) -> tuple[Any, Any]:
    more = _SPLIT * a
    high = more - (more - a)
    return high, a - high


def _multiplied(a: Two, b: Two) -> Two:
    product = a.high * b.high
    (ah, al), (bh, bl) = _halves(a.high), _halves(b.high)
    rest = ((ah * bh - product) + ah * bl + al * bh) + al * bl
    return _settled(product, rest + (a.high * b.low + a.low * b.high))


class _Complex(NamedTuple):
    re: Two
    im: Two

    def at(self, key: Any) -> _Complex:
        return _Complex(self.re.at(key), self.im.at(key))


def _times(a: _Complex, b: _Complex) -> _Complex:
    return _Complex(
        _subtracted(_multiplied(a.re, b.re), _multiplied(a.im, b.im)),
        _added(_multiplied(a.re, b.im), _multiplied(a.im, b.re)),
    )


def _joined(parts: list[Two], axis: int = 0) -> Two:
    return Two(*(np.concatenate(arrays, axis) for arrays in zip(*parts, strict=True)))


def _both(a: _Complex, b: _Complex, axis: int) -> _Complex:
    return _Complex(_joined([a.re, b.re], axis), _joined([a.im, b.im], axis))


@lru_cache(maxsize=8)
def _roots(count: int) -> _Complex:
    """exp(-i*pi*k/count) for k below ``count``, a power of two."""
    with localcontext() as context:
        context.prec = DIGITS
        cosine, sine = Decimal(0), Decimal(1)
        # the angles pi/2, pi/4, ... down to pi/count
        angles = []
        for _ in range(count.bit_length() - 1):
            angles.append((cosine, sine))
            cosine = ((1 + cosine) / 2).sqrt()
            sine /= 2 * cosine
        pairs = [[_two(cosine), _two(-sine)] for cosine, sine in reversed(angles)]
    found = _Complex(Two(np.ones(1), np.zeros(1)), Two(np.zeros(1), np.zeros(1)))
    for re, im in pairs:
        found = _both(found, _times(found, _Complex(re, im)), 0)
    return found


def _two(value: Decimal) -> Two:
    high = float(value)
    return Two(np.array([high]), np.array([float(value - Decimal(high))]))


def _transformed(x: _Complex, count: int) -> _Complex:
    """The sums over k of x_k exp(-2*pi*i*j*k/count), by Stockham's transform."""
    roots = _roots(2 * count)
    half, block = count // 2, 1
    while half:
        # 2 x half x block
        first, second = (_reshaped(x, (2, half, block)).at(n) for n in range(2))
        turns = roots.at(slice(None, None, 2 * count // half)).at((slice(half), None))
        total = _Complex(_added(first.re, second.re), _added(first.im, second.im))
        less = _Complex(_subtracted(first.re, second.re), _subtracted(first.im, second.im))
        x = _reshaped(_both(total, _times(less, turns), 1), (count,))
        half, block = half // 2, 2 * block
    return x


def _reshaped(x: _Complex, shape: tuple[int, ...]) -> _Complex:
    re, im = (Two(part.high.reshape(shape), part.low.reshape(shape)) for part in (x.re, x.im))
    return _Complex(re, im)


def _integers(numbers: Any) -> Two:
    """Integers of any size, as far as two doubles hold them."""
    high = np.array([float(number) for number in numbers])
    return Two(high, np.array([float(n - int(h)) for n, h in zip(numbers, high.tolist(), strict=True)]))


def values(coefficients: Any, scale: float) -> Any:
    """The n slots of the real polynomial with these 2n integers, over ``scale``, as coefficients."""
    count = len(coefficients) // 2
    found = _integers(coefficients)
    roots = _roots(2 * count).at(slice(count))
    # the sums with exp(+...), as the conjugate of those of the conjugate
    conjugate = _Complex(found.at(slice(count)), Two(-found.high[count:], -found.low[count:]))
    total = _transformed(_times(conjugate, roots), count)
    sums = ((total.re.high + total.re.low) - 1j * (total.im.high + total.im.low)) / scale
    where, mirrored, _ = embedding.places(count)
    return np.where(mirrored, np.conj(sums[where]), sums[where])


def scaled_coefficients(slots: Any, scale: float) -> list[int]:
    """The coefficients, 2n of them, of the real polynomial that holds these n values in its slots, a power of two of
    them, times ``scale`` and rounded to integers."""
    slots = np.asarray(slots, np.complex128)
    count = len(slots)
    places, mirrored, _ = embedding.places(count)
    held = np.empty(count, np.complex128)
    held[places] = np.where(mirrored, np.conj(slots), slots)
    none = np.zeros(count)
    found = _transformed(_Complex(Two(held.real.copy(), none), Two(held.imag.copy(), none)), count)
    found = _times(found, _roots(2 * count).at(slice(count)))
    # division by a power of two is exact
    factor = Two(np.array([scale / count]), np.zeros(1))
    total = _multiplied(_joined([found.re, found.im]), factor)
    whole = np.rint(total.high)
    rest = np.rint((total.high - whole) + total.low)
    return [int(a) + int(b) for a, b in zip(whole.tolist(), rest.tolist(), strict=True)]
