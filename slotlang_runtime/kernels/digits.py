"""Transforms of complex numbers whose parts are sums of two doubles. Imports numba; only compilation does.

Numbers stand in four rows of doubles: real parts and what these doubles leave of them, then imaginary parts. Sums are
Knuth's; what products leave comes from fused multiplications. ``precise`` says the same in numpy.
"""

from __future__ import annotations

from typing import Any

from slotlang_runtime.kernels.lanes import DOUBLE, DOUBLES, WORD, A, F, N, call, kernel, operation, place, splat


def _settled(b: Any, high: Any, low: Any) -> Any:
    total = b.fadd(high, low)
    return total, b.fsub(low, b.fsub(total, high))


def _added(b: Any, x: Any, y: Any) -> Any:
    total = b.fadd(x[0], y[0])
    part = b.fsub(total, x[0])
    rest = b.fadd(b.fsub(x[0], b.fsub(total, part)), b.fsub(y[0], part))
    return _settled(b, total, b.fadd(rest, b.fadd(x[1], y[1])))


def _subtracted(b: Any, x: Any, y: Any) -> Any:
    return _added(b, x, (b.fneg(y[0]), b.fneg(y[1])))


def _multiplied(b: Any, x: Any, y: Any) -> Any:
    def fused(p: Any, q: Any, r: Any) -> Any:
        return call(b, "llvm.fma.v8f64", DOUBLES, p, q, r)

    product = b.fmul(x[0], y[0])
    rest = fused(x[0], y[0], b.fneg(product))
    return _settled(b, product, fused(x[0], y[1], fused(x[1], y[0], rest)))


def _times(b: Any, x: Any, y: Any) -> Any:
    (re, im), (cosine, sine) = x, y
    return (
        _subtracted(b, _multiplied(b, re, cosine), _multiplied(b, im, sine)),
        _added(b, _multiplied(b, re, sine), _multiplied(b, im, cosine)),
    )


def _places(b: Any, address: Any, at: Any, row: Any, kind: Any) -> list[Any]:
    """Where a number's four doubles stand: ``row`` doubles apart."""
    return [place(b, address, b.add(at, b.mul(row, WORD(n))), kind) for n in range(4)]


def _read(b: Any, places: list[Any]) -> Any:
    re, re_rest, im, im_rest = (b.load(where, align=8) for where in places)
    return (re, re_rest), (im, im_rest)


def _write(b: Any, places: list[Any], x: Any) -> None:
    for where, value in zip(places, (*x[0], *x[1]), strict=True):
        b.store(value, where, align=8)


def _butterfly(b: Any, x: Any, first: Any, second: Any, row: Any, *turn: Any) -> Any:
    places = [_places(b, x, at, row, DOUBLES) for at in (first, second)]
    y, z = (_read(b, there) for there in places)
    less = _subtracted(b, y[0], z[0]), _subtracted(b, y[1], z[1])
    _write(b, places[0], (_added(b, y[0], z[0]), _added(b, y[1], z[1])))
    _write(b, places[1], _times(b, less, (turn[:2], turn[2:])))
    return WORD(0)


def _turned(b: Any, x: Any, turns: Any, at: Any, row: Any) -> Any:
    places = _places(b, x, at, row, DOUBLES)
    _write(b, places, _times(b, _read(b, places), _read(b, _places(b, turns, at, row, DOUBLES))))
    return WORD(0)


def kernels() -> dict[str, Any]:
    """The kernels by name."""
    butterfly = operation(N, (A, N, N, N, F, F, F, F), _butterfly)
    times = operation(N, (A, A, N, N), _turned)
    everywhere = operation(F, (A, N), lambda b, a, n: splat(b, b.load(place(b, a, n, DOUBLE), align=8)))

    @kernel(4)
    def columns(x, turns, rows_, columns_):  # type: ignore[no-untyped-def]
        # rows x columns numbers: the sums over j of x_j exp(-2*pi*i*j*k/rows), in place, by halves; rows end in the
        # order of their reversed bits. ``turns``: exp(-2*pi*i*k/rows) for k below rows/2
        rows, width = N(rows_), N(columns_)
        size, most, half = rows * width, rows >> 1, rows >> 1
        while half:
            step = most // half
            for k in range(half):
                at = k * step
                re, re_rest = everywhere(turns, at), everywhere(turns, most + at)
                im, im_rest = everywhere(turns, 2 * most + at), everywhere(turns, 3 * most + at)
                for start in range(k, rows, 2 * half):
                    first, second = start * width, (start + half) * width
                    for b in range(0, width, 8):
                        butterfly(x, first + b, second + b, size, re, re_rest, im, im_rest)
            half >>= 1

    @kernel(3)
    def turned(x, turns, n_):  # type: ignore[no-untyped-def]
        # n numbers times others, in place
        for b in range(0, N(n_), 8):
            times(x, turns, b, N(n_))

    return {f.__name__: f for f in (columns, turned)}
