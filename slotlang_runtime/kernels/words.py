"""Residues modulo primes below 2^60 as words. Imports numba.

Products with constants are Shoup's: with w1 = floor(w·2^64/p), a·w - floor(a·w1/2^64)·p is below 2p for any word a; the
high half of a·w1 is put together from three products of 32 bits and at most 2 too small, so the result is below 4p.
Sums of products split both factors at 30 bits, so that eight products stay below 2^64 in each of three sums.
"""

from __future__ import annotations

from typing import Any

from slotlang_runtime.kernels.arithmetic import Arithmetic, memory, repeated, shift, words_as_they_are
from slotlang_runtime.kernels.lanes import (
    WORD,
    WORDS,
    A,
    N,
    U,
    call,
    constant,
    four,
    high52,
    inlined,
    low52,
    operation,
)
from slotlang_runtime.kernels.tables import LOW_BITS


def _halves(b: Any, x: Any) -> Any:
    return b.and_(x, constant(WORD, 0xFFFFFFFF)), b.lshr(x, constant(WORD, 32))


def _shoup(b: Any, a: Any, w: Any, w1: Any, p: Any) -> Any:
    (a0, a1), (b0, b1), s = _halves(b, a), _halves(b, w1), constant(WORD, 32)
    q = b.add(b.mul(a1, b1), b.add(b.lshr(b.mul(a1, b0), s), b.lshr(b.mul(a0, b1), s)))
    return b.sub(b.mul(a, w), b.mul(q, p))


def _shoup52(b: Any, a: Any, w: Any, w1: Any, p: Any) -> Any:
    # the same with multiplications of 52 bits: q is at most 2 too small, and p is 1 more than a multiple of 2^12
    (a0, a1), (b0, b1), none = _halves(b, a), _halves(b, w1), constant(WORD, 0)
    q = high52(b, b.mul(a1, b1), b.lshr(a, constant(WORD, 12)), b0)
    q = high52(b, q, a0, b.shl(b1, constant(WORD, 20)))
    rest = low52(b, none, q, b.lshr(p, constant(WORD, 12)))
    return b.sub(b.sub(b.mul(a, w), q), b.shl(rest, constant(WORD, 12)))


def _less(b: Any, x: Any, y: Any) -> Any:
    # x, less y where it is as large: else the difference is huge
    return call(b, "llvm.umin.v8i64", WORDS, x, b.sub(x, y))


def _below(b: Any, x: Any, p: Any, shifts: Any) -> Any:
    for count in shifts:
        x = _less(b, x, b.shl(p, constant(WORD, count)))
    return x


def _four(shoup: Any, count: int) -> Any:
    def build(b: Any, x0: Any, x1: Any, x2: Any, x3: Any, table: Any, k: Any, v: Any, p: Any) -> Any:
        made = []
        for n, x in enumerate((x0, x1, x2, x3)):
            w, w1 = (repeated(b, table, k, 2 * n + side, count, WORD, 2) for side in (0, 1))
            made.append(shoup(b, x, w, w1, p))
        return made

    return build


def _split(b: Any, x: Any) -> Any:
    low = b.and_(x, constant(WORD, (1 << LOW_BITS) - 1))
    return b.or_(low, b.shl(b.lshr(x, constant(WORD, LOW_BITS)), constant(WORD, 32)))


def _quotient(b: Any, more: Any, rest: Any, spare: Any) -> Any:
    # (more 2^60 + rest) >> (60 - spare)
    return b.or_(b.shl(more, spare), b.lshr(rest, b.sub(constant(WORD, 2 * LOW_BITS), spare)))


def _over(b: Any, x: Any, y: Any, z: Any) -> Any:
    # z where x > y, and 0 elsewhere
    return b.select(b.icmp_unsigned(">", x, y), z, constant(WORD, 0))


def words(avx512: bool, ifma: bool) -> Arithmetic:
    """The arithmetic; moves of lanes by AVX-512 where ``avx512``, products by its 52 bits where ``ifma``."""
    shoup = _shoup52 if ifma else _shoup
    low30 = constant(WORD, (1 << LOW_BITS) - 1)
    red = operation(U, (U, U, U), lambda b, x, v, p: _below(b, x, p, (3, 2)))  # below 16p to 4p
    final = operation(U, (U, U, U), lambda b, x, v, p: _below(b, x, p, (2, 1, 0)))  # below 8p to p
    ease = operation(U, (U, U, U), lambda b, x, v, p: _below(b, x, p, (2,)))  # below 8p to 4p
    same = operation(U, (U, U, U), lambda b, x, v, p: x)
    add = operation(U, (U, U), lambda b, x, y: b.add(x, y))
    mul = operation(U, (U,) * 4, shoup)
    low = operation(U, (U,), lambda b, x: b.and_(x, low30))
    high = operation(U, (U,), lambda b, x: b.lshr(x, constant(WORD, LOW_BITS)))
    upper = operation(U, (U,), lambda b, x: b.lshr(x, constant(WORD, 32)))
    multiplied = operation(U, (U, U, U), lambda b, x, y, z: b.add(b.mul(_halves(b, x)[0], _halves(b, y)[0]), z))
    one = operation(U, (U,), lambda b, x: constant(WORD, 1))
    nothing = operation(U, (U,), lambda b, x: constant(WORD, 0))
    joined = operation(U, (U, U), lambda b, x, y: b.or_(x, b.shl(y, constant(WORD, LOW_BITS))))
    quotient = operation(U, (U, U, U), _quotient)
    both = operation(U, (U, U), lambda b, x, y: b.and_(x, y))
    less = operation(U, (U, U), _less)
    over = operation(U, (U, U, U), _over)
    held = memory(U, WORD, A, avx512)

    @inlined
    def centred(x: Any, p: Any, v: Any, other: Any) -> Any:
        # other: the prime of the digit, its half, and its negative modulo p; below 5p
        return add(mul(x, one(x), v, p), over(x, other[1], other[5]))

    @inlined
    def lowered(x: Any, p: Any, v: Any, other: Any) -> Any:
        # (x + half) modulo the divisor, minus half, modulo p: SEAL's rounding; below 5p
        return add(mul(less(add(x, other[1]), other[0]), one(x), v, p), other[2])

    @inlined
    def shifted(number: Any, p: Any, v: Any, s: Any) -> Any:
        # below 5p
        return add(mul(number, one(number), v, p), s)

    @inlined
    def begin(c: Any) -> Any:
        return nothing(c[0]), nothing(c[0]), nothing(c[0])

    @inlined
    def gather(s: Any, x: Any, k: Any) -> Any:
        x0, x1, k1 = low(x), high(x), upper(k)
        return multiplied(x0, k, s[0]), multiplied(x1, k, multiplied(x0, k1, s[1])), multiplied(x1, k1, s[2])

    @inlined
    def fold(s: Any, c: Any) -> Any:
        # the sum is more 2^60 + rest, which is then cut at the bits of the prime
        middle = add(s[1], high(s[0]))
        rest, more = joined(low(s[0]), low(middle)), add(s[2], high(middle))
        return ease(add(mul(quotient(more, rest, c[4]), c[2], c[3], c[0]), both(rest, c[5])), c[0], c[0])

    return Arithmetic(
        "words",
        add=add,
        sub=operation(U, (U, U, U), lambda b, x, y, p: b.add(b.sub(x, y), b.shl(p, constant(WORD, 2)))),
        mul=mul,
        four={count: operation(four(U), (U, U, U, U, A, N, U, U), _four(shoup, count)) for count in (2, 4, 8)},
        red=red,
        lead=red,
        back=same,
        enter=red,
        ease=ease,
        tidy=ease,
        calm=same,
        final=final,
        loose=ease,
        light=final,
        last=operation(U, (U, U, U), lambda b, x, v, p: _below(b, x, p, (1, 0))),  # below 4p to p
        centred=centred,
        lowered=lowered,
        shift=shift,
        shifted=shifted,
        begin=begin,
        gather=gather,
        fold=fold,
        factor=operation(U, (U,), _split),
        **held,
        **words_as_they_are(held["load"], held["store"]),
    )
