"""Kernels that expand plaintexts which are kept as integer coefficients. Imports numba; only compilation does.

A coefficient c takes ``bits`` bits, as the number c + 2^(bits-1) from 0 on. Each of a vector's eight lanes has a stream
of its own: lane l holds the coefficients l, l + 8, l + 16, ..., lowest bits first, in words that stand eight apart. So
eight coefficients are read by two loads, whatever their bits, and go into the first levels of a transform as they are.
Behind the streams are eight words more, which are read and not used.

Of real slots a plaintext does not change under X -> 1/X. Then half of the coefficients are kept, in the order of
``transforms.half_of``, and half of the transform is computed.
"""

from __future__ import annotations

from typing import Any

from slotlang_runtime.kernels.arithmetic import Arithmetic, row
from slotlang_runtime.kernels.lanes import (
    WORD,
    WORDS,
    A,
    N,
    U,
    call,
    constant,
    inlined,
    kernel,
    loaded,
    operation,
    place,
    splat,
    split,
    stored,
    word,
)
from slotlang_runtime.kernels.transforms import transforms


def _numbers(b: Any, x: Any, index: Any, bits: Any) -> Any:
    # the numbers at an index, a multiple of 8
    at = b.mul(b.lshr(index, WORD(3)), bits)
    first = b.shl(b.lshr(at, WORD(6)), WORD(3))
    low = b.load(place(b, x, first, WORDS), align=8)
    high = b.load(place(b, x, b.add(first, WORD(8)), WORDS), align=8)
    both = call(b, "llvm.fshr.v8i64", WORDS, high, low, splat(b, b.and_(at, WORD(63))))
    return b.and_(both, splat(b, b.sub(b.shl(WORD(1), bits), WORD(1))))


def kernels(o: Arithmetic) -> dict[str, Any]:
    """The kernels by name."""
    load, store, splat_, factor = o.load, o.store, o.splat, o.factor
    shift, shifted = o.shift, o.shifted
    numbers = operation(U, (A, N, N), _numbers)
    read = operation(U, (A, N), loaded(WORDS))
    write = operation(N, (A, N, U), stored)
    left = operation(U, (U, N), lambda b, x, count: b.shl(x, splat(b, count)))
    right = operation(U, (U, N), lambda b, x, count: b.lshr(x, splat(b, count)))
    either = operation(U, (U, U), lambda b, x, y: b.or_(x, y))
    nothing = operation(U, (A,), lambda b, x: constant(WORD, 0))
    put_back = o.put_back
    forward_of, half_of, _ = transforms(o)

    @inlined
    def coefficients(x: Any, j: Any, p: Any, v: Any, other: Any) -> Any:
        return shifted(numbers(x, j, other[0]), p, v, other[1])

    forward, half = forward_of(o.final, coefficients), half_of(o.final, coefficients)

    @kernel(4)
    def shrunk(x, y, n_, bits_):  # type: ignore[no-untyped-def]
        # n numbers below 2^bits, at most 63 bits, to streams
        bits, have, to, held = N(bits_), 0, 0, nothing(x)
        for b in range(0, N(n_), 8):
            value = read(x, b)
            held = either(held, left(value, have))
            have += bits
            if have >= 64:
                write(y, to, held)
                to += 8
                have -= 64
                held = right(value, bits - have)
        write(y, to, held)

    @split(9)
    def expanded(x, bits, y, count, factors, primes_, n_, stride_, tables, part, parts):  # type: ignore[no-untyped-def]
        # plaintext t, of ``bits`` bits each and 256 more where half of it is kept, to rows t·primes + j of y:
        # transformed modulo prime j, and as factors of sums of products, if so
        primes, n, stride = N(primes_), N(n_), N(stride_)
        for r in range(part, N(count) * primes, parts):
            t, j = r // primes, r % primes
            to, table, width = row(y, stride, r), tables + A(40 * j), word(bits, t) & A(0xFF)
            other, end = (N(width), splat_(shift(word(table, 4), width))), n
            if word(bits, t) > A(0xFF):
                end = n // 2
                half(word(x, t), to, n, table, other)
            else:
                forward(word(x, t), to, n, table, other)
            if factors:
                for b in range(0, end, 8):
                    store(to, b, factor(load(to, b)))
            if end < n:
                for b in range(0, end, 8):
                    put_back(to, n - 1 - b, load(to, b))

    return {f.__name__: f for f in (shrunk, expanded)}
