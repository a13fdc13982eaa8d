"""Residues modulo primes below 2^60 as words. Imports numba.

Products with constants are Shoup's: with w1 = floor(w·2^64/p), a·w - floor(a·w1/2^64)·p is below 2p for any word a; the
high half of a·w1 is put together from three products of 32 bits and at most 2 too small, so the result is below 4p.
Sums of products split both factors at 30 bits, so that eight products stay below 2^64 in each of three sums.
"""

from __future__ import annotations

from typing import Any

from slotlang_runtime.kernels.arithmetic import Arithmetic, memory
from slotlang_runtime.kernels.lanes import (
    WORD,
    WORDS,
    A,
    N,
    U,
    call,
    constant,
    four,
    inlined,
    operation,
    place,
    word,
)
from slotlang_runtime.kernels.tables import LOW_BITS


def _halves(b: Any, x: Any) -> Any:
    return b.and_(x, constant(WORD, 0xFFFFFFFF)), b.lshr(x, constant(WORD, 32))


def _shoup(b: Any, a: Any, w: Any, w1: Any, p: Any) -> Any:
    (a0, a1), (b0, b1), s = _halves(b, a), _halves(b, w1), constant(WORD, 32)
    q = b.add(b.mul(a1, b1), b.add(b.lshr(b.mul(a1, b0), s), b.lshr(b.mul(a0, b1), s)))
    return b.sub(b.mul(a, w), b.mul(q, p))


def _less(b: Any, x: Any, y: Any) -> Any:
    # x, less y where it is as large: else the difference is huge
    return call(b, "llvm.umin.v8i64", WORDS, x, b.sub(x, y))


def _below(b: Any, x: Any, p: Any, shifts: Any) -> Any:
    for shift in shifts:
        x = _less(b, x, b.shl(p, constant(WORD, shift)))
    return x


def _four(b: Any, x0: Any, x1: Any, x2: Any, x3: Any, table: Any, k: Any, v: Any, p: Any) -> Any:
    made = []
    for n, x in enumerate((x0, x1, x2, x3)):
        at = b.add(b.shl(k, WORD(1)), WORD(48 * n))
        w, w1 = (b.load(place(b, table, b.add(at, WORD(8 * side)), WORDS), align=8) for side in (0, 1))
        made.append(_shoup(b, x, w, w1, p))
    return made


def _split(b: Any, x: Any) -> Any:
    low = b.and_(x, constant(WORD, (1 << LOW_BITS) - 1))
    return b.or_(low, b.shl(b.lshr(x, constant(WORD, LOW_BITS)), constant(WORD, 32)))


def _over(b: Any, x: Any, y: Any, z: Any) -> Any:
    # z where x > y, and 0 elsewhere
    return b.select(b.icmp_unsigned(">", x, y), z, constant(WORD, 0))


def words(avx512: bool) -> Arithmetic:
    """The arithmetic; moves of lanes by AVX-512 where ``avx512``."""
    low30 = constant(WORD, (1 << LOW_BITS) - 1)
    red = operation(U, (U, U, U), lambda b, x, v, p: _below(b, x, p, (3, 2)))  # below 16p to 4p
    ease = operation(U, (U, U, U), lambda b, x, v, p: _below(b, x, p, (2,)))  # below 8p to 4p
    add = operation(U, (U, U), lambda b, x, y: b.add(x, y))
    mul = operation(U, (U,) * 4, _shoup)
    low = operation(U, (U,), lambda b, x: b.and_(x, low30))
    high = operation(U, (U,), lambda b, x: b.lshr(x, constant(WORD, LOW_BITS)))
    upper = operation(U, (U,), lambda b, x: b.lshr(x, constant(WORD, 32)))
    multiplied = operation(U, (U, U, U), lambda b, x, y, z: b.add(b.mul(_halves(b, x)[0], _halves(b, y)[0]), z))
    one = operation(U, (U,), lambda b, x: constant(WORD, 1))
    nothing = operation(U, (U,), lambda b, x: constant(WORD, 0))
    less = operation(U, (U, U), _less)
    over = operation(U, (U, U, U), _over)
    memories = memory(U, WORD, A, avx512)
    load, store = memories["load"], memories["store"]

    @inlined
    def centred(x: Any, p: Any, v: Any, other: Any) -> Any:
        # other: the prime of the digit, its half, and its negative modulo p; below 5p
        return add(mul(x, one(x), v, p), over(x, other[1], other[5]))

    @inlined
    def lowered(x: Any, p: Any, v: Any, other: Any) -> Any:
        # (x + half) modulo the divisor, minus half, modulo p: SEAL's rounding; below 5p
        return add(mul(less(add(x, other[1]), other[0]), one(x), v, p), other[2])

    @inlined
    def shift(c: Any, bits: Any) -> Any:
        # what is added in place of subtracting 2^(bits-1): from 1 to p
        p = word(c, 0)
        return p - (A(1) << (bits - A(1))) % p

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
        p = c[0]
        x = add(mul(s[1], c[2], c[3], p), mul(s[2], c[4], c[5], p))
        return red(add(mul(s[0], one(p), c[1], p), x), p, p)

    @inlined
    def take(address: Any, n: Any, v: Any, p: Any) -> Any:
        return load(address, n)

    @inlined
    def give(address: Any, n: Any, x: Any, v: Any, p: Any) -> Any:
        store(address, n, x)

    return Arithmetic(
        "words",
        add=add,
        sub=operation(U, (U, U, U), lambda b, x, y, p: b.add(b.sub(x, y), b.shl(p, constant(WORD, 2)))),
        mul=mul,
        four=operation(four(U), (U, U, U, U, A, N, U, U), _four),
        red=red,
        enter=red,
        ease=ease,
        tidy=ease,
        calm=operation(U, (U, U, U), lambda b, x, v, p: x),
        final=operation(U, (U, U, U), lambda b, x, v, p: _below(b, x, p, (2, 1, 0))),  # below 8p to p
        last=operation(U, (U, U, U), lambda b, x, v, p: _below(b, x, p, (1, 0))),  # below 4p to p
        centred=centred,
        lowered=lowered,
        shift=shift,
        shifted=shifted,
        begin=begin,
        gather=gather,
        fold=fold,
        take=take,
        give=give,
        factor=operation(U, (U,), _split),
        **memories,
    )
