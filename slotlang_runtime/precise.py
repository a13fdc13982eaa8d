"""Coefficients and slots of polynomials that hold large masks beside results: with twice the digits of a double.

A transform in doubles leaves 2^-53 of the largest number in every slot, the zeros too. Here each number is the sum of
two doubles, the second below half of the last digit of the first (Dekker, "A floating-point technique for extending the
available precision", 1971), so that 2^-96 of it is left. The transform is that of ``embedding``: by compiled kernels
(``kernels.digits``), and by numpy where there are none. Imports neither tenseal nor numba.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np

from slotlang_runtime import embedding
from slotlang_runtime.kernels.library import Kernels, kernels
from slotlang_runtime.kernels.unavailable import Unavailable

DIGITS = 40
"""Decimal digits of sines and cosines before they become two doubles."""

_SPLIT = 134217729.0
"""2^27 + 1: the factor that cuts a double into halves of 26 bits."""

_LEAST = 64
"""Numbers of the smallest transform by kernels: its rows and columns fill their vectors."""

_SAME = 2.0**-90
"""The largest relative difference of a transform by kernels from that by numpy: rounding of two doubles is below."""


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
    """The sums over k of x_k exp(-2*pi*i*j*k/count)."""
    if count < _LEAST or (compiled := _kernels()) is None:
        return _by_numpy(x, count)
    return _by_kernels(compiled, x, count)


def _turned(x: _Complex, count: int) -> _Complex:
    """x_k exp(-pi*i*k/(2*count)) for k below ``count``."""
    if count < _LEAST or (compiled := _kernels()) is None:
        return _times(x, _roots(2 * count).at(slice(count)))
    rows, turns = _rows(x), _half_turns(count)
    compiled.turned(rows.ctypes.data, turns.ctypes.data, count)
    return _from_rows(rows)


@cache
def _kernels() -> Kernels | None:
    """The kernels of transforms; None where there are none, or a transform by them is not that of numpy."""
    try:
        found = kernels("digits")
    except Unavailable:
        return None
    numbers = np.cos(np.arange(4.0 * _LEAST)).reshape(4, _LEAST)
    x = _Complex(Two(numbers[0], 2.0**-60 * numbers[1]), Two(numbers[2], 2.0**-60 * numbers[3]))
    one, other = (_rows(x) for x in (_by_kernels(found, x, _LEAST), _by_numpy(x, _LEAST)))
    off = np.abs((one - other).reshape(2, 2, _LEAST).sum(axis=1)).max()
    return found if off < _SAME * np.abs(other).max() else None


class _Plan(NamedTuple):
    """A transform of rows x columns numbers: of the columns, then of the rows. ``turns``: roots of unity of each.
    ``between``: what is multiplied in between. ``order``: where each sum stands."""

    rows: int
    columns: int
    turns: tuple[Any, Any]
    between: Any
    order: Any


@lru_cache(maxsize=8)
def _plan(count: int) -> _Plan:
    """By columns and rows of about equal length (Bailey, "FFTs in external or hierarchical memory", 1990)."""
    rows = 1 << (count.bit_length() - 1) // 2
    columns = count // rows
    first, second = _reversed(rows), _reversed(columns)
    # exp(-2*pi*i*angles/count), by the roots of half of the circle
    angles = 2 * np.outer(first, np.arange(columns)).ravel()
    between = _rows(_roots(count).at(angles % count)) * np.where(angles >= count, -1.0, 1.0)
    order = np.argsort((first[None, :] + rows * second[:, None]).ravel())
    turns = [_rows(_roots(number).at(slice(None, None, 2))) for number in (rows, columns)]
    return _Plan(rows, columns, (turns[0], turns[1]), between, order)


def _reversed(count: int) -> Any:
    """The numbers below ``count``, each at the place that its reversed bits say."""
    order = np.zeros(1, np.int64)
    while len(order) < count:
        order = np.concatenate([2 * order, 2 * order + 1])
    return order


@lru_cache(maxsize=8)
def _half_turns(count: int) -> Any:
    return _rows(_roots(2 * count).at(slice(count)))


def _rows(x: _Complex) -> Any:
    """As kernels have numbers: 4 x n, new and contiguous."""
    return np.array([x.re.high, x.re.low, x.im.high, x.im.low])


def _from_rows(rows: Any) -> _Complex:
    return _Complex(Two(rows[0], rows[1]), Two(rows[2], rows[3]))


def _by_kernels(compiled: Kernels, x: _Complex, count: int) -> _Complex:
    plan, rows = _plan(count), _rows(x)
    compiled.columns(rows.ctypes.data, plan.turns[0].ctypes.data, plan.rows, plan.columns)
    compiled.turned(rows.ctypes.data, plan.between.ctypes.data, count)
    turned = np.ascontiguousarray(rows.reshape(4, plan.rows, plan.columns).swapaxes(1, 2))
    compiled.columns(turned.ctypes.data, plan.turns[1].ctypes.data, plan.columns, plan.rows)
    return _from_rows(turned.reshape(4, count)[:, plan.order])


def _by_numpy(x: _Complex, count: int) -> _Complex:
    """Stockham's transform."""
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


def from_integers(numbers: Sequence[int]) -> Two:
    """Integers of any size, as far as two doubles hold them."""
    high = np.array([float(number) for number in numbers])
    return Two(high, np.array([float(n - int(h)) for n, h in zip(numbers, high.tolist(), strict=True)]))


def from_digits(digits: Sequence[Any], moduli: Sequence[int]) -> Two:
    """Numbers from their digits of mixed radix, the lowest first, each below its modulus: digits x n. They are taken
    around 0."""
    last = digits[-1].astype(np.int64)
    total = _from_words(last - np.int64(moduli[-1]) * (last > moduli[-1] // 2))
    for modulus, digit in zip(moduli[-2::-1], digits[-2::-1], strict=True):
        total = _added(_multiplied(total, from_integers([modulus])), _from_words(digit.view(np.int64)))
    return total


def _from_words(words: Any) -> Two:
    """Integers below 2^62."""
    high = words.astype(np.float64)
    return Two(high, (words - high.astype(np.int64)).astype(np.float64))


def to_integers(numbers: Two) -> list[int]:
    """Whole numbers as integers."""
    return [int(a) + int(b) for a, b in zip(numbers.high.tolist(), numbers.low.tolist(), strict=True)]


def values(coefficients: Two, scale: float) -> Any:
    """The n slots of the real polynomial with these 2n integers, over ``scale``, as coefficients."""
    count = len(coefficients.high) // 2
    # the sums with exp(+...), as the conjugate of those of the conjugate
    conjugate = _Complex(coefficients.at(slice(count)), Two(-coefficients.high[count:], -coefficients.low[count:]))
    total = _transformed(_turned(conjugate, count), count)
    sums = ((total.re.high + total.re.low) - 1j * (total.im.high + total.im.low)) / scale
    where, mirrored, _ = embedding.places(count)
    return np.where(mirrored, np.conj(sums[where]), sums[where])


def scaled_coefficients(slots: Any, scale: float) -> Two:
    """The coefficients, 2n of them, of the real polynomial that holds these n values in its slots, a power of two of
    them, times ``scale`` and rounded: whole numbers, and both doubles are."""
    slots = np.asarray(slots, np.complex128)
    count = len(slots)
    places, mirrored, _ = embedding.places(count)
    held = np.empty(count, np.complex128)
    held[places] = np.where(mirrored, np.conj(slots), slots)
    none = np.zeros(count)
    found = _transformed(_Complex(Two(held.real.copy(), none), Two(held.imag.copy(), none)), count)
    found = _turned(found, count)
    # division by a power of two is exact
    factor = Two(np.array([scale / count]), np.zeros(1))
    total = _multiplied(_joined([found.re, found.im]), factor)
    whole = np.rint(total.high)
    return Two(whole, np.rint((total.high - whole) + total.low))
