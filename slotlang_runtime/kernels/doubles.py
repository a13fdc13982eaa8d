"""Residues modulo primes below 2^50 as doubles around 0: a product by two fused multiplications. Imports numba.

a·w mod p: h = a·w rounded, q = round(h/p), r = (h - q·p) + (a·w - h). All but q is exact; q is off by half and a bit,
so |r| < 2p, and ``red`` brings it within p/2. Sums of products keep a high part, a multiple of its last place, and add
up what is rounded away from it.
"""

from __future__ import annotations

from typing import Any

from slotlang_runtime.kernels.arithmetic import Arithmetic, memory, repeated
from slotlang_runtime.kernels.lanes import (
    DOUBLE,
    DOUBLES,
    REAL,
    WORD,
    WORDS,
    A,
    F,
    N,
    U,
    call,
    constant,
    four,
    inlined,
    operation,
    place,
    stored,
)


def _fma(b: Any, x: Any, y: Any, z: Any) -> Any:
    return call(b, "llvm.fma.v8f64", DOUBLES, x, y, z)


def _reduced(b: Any, x: Any, v: Any, p: Any) -> Any:
    # x·v to the nearest integer, up to 2^51: the sum keeps no fraction
    magic = constant(DOUBLE, 1.5 * 2.0**52)
    return _fma(b, b.fneg(b.fsub(_fma(b, x, v, magic), magic)), p, x)


def _rint(b: Any, x: Any) -> Any:
    return call(b, "llvm.rint.v8f64", DOUBLES, x)


def _mul(b: Any, a: Any, w: Any, w1: Any, p: Any) -> Any:
    return _rest(b, a, w, p, b.fmul(a, w), _rint(b, b.fmul(a, w1)))


def _rest(b: Any, a: Any, w: Any, p: Any, h: Any, q: Any) -> Any:
    return b.fadd(_fma(b, b.fneg(q), p, h), _fma(b, a, w, b.fneg(h)))


def _four(count: int) -> Any:
    def build(b: Any, x0: Any, x1: Any, x2: Any, x3: Any, table: Any, k: Any, v: Any, p: Any) -> Any:
        # step by step: what one product waits for, the others fill
        a = [x0, x1, x2, x3]
        w = [repeated(b, table, k, n, count, DOUBLE, 1) for n in range(4)]
        h = [b.fmul(x, y) for x, y in zip(a, w, strict=True)]
        q = [_rint(b, b.fmul(x, v)) for x in h]
        return [_rest(b, x, y, p, z, u) for x, y, z, u in zip(a, w, h, q, strict=True)]

    return build


def _as_sum(b: Any, x: Any) -> Any:
    # 2^52 + x, of integers below 2^52, whose bits are the last ones of such a double
    return b.bitcast(b.or_(x, constant(WORD, 0x433 << 52)), DOUBLES)


def _nonnegative(b: Any, x: Any, p: Any) -> Any:
    return b.select(b.fcmp_ordered("<", x, constant(DOUBLE, 0.0)), b.fadd(x, p), x)


def doubles(avx512: bool) -> Arithmetic:
    """The arithmetic; moves of lanes by AVX-512 where ``avx512``."""
    same = operation(F, (F, F, F), lambda b, x, v, p: x)
    red = operation(F, (F, F, F), _reduced)
    add = operation(F, (F, F), lambda b, x, y: b.fadd(x, y))
    minus = operation(F, (F, F), lambda b, x, y: b.fsub(x, y))
    times = operation(F, (F, F), lambda b, x, y: b.fmul(x, y))
    fma = operation(F, (F, F, F), _fma)
    negated = operation(F, (F,), lambda b, x: b.fneg(x))
    rint = operation(F, (F,), _rint)
    read = operation(F, (A, N), lambda b, a, n: b.uitofp(b.load(place(b, a, n, WORDS), align=8), DOUBLES))
    nonnegative = operation(F, (F, F), _nonnegative)
    to_words = operation(U, (F,), lambda b, x: b.fptosi(x, WORDS))
    as_sum = operation(F, (U,), _as_sum)
    write = operation(N, (A, N, U), stored)

    @inlined
    def centred(x: Any, p: Any, v: Any, other: Any) -> Any:
        return red(x, v, p)

    @inlined
    def shift(c: Any, bits: Any) -> Any:
        # 2^52, of which ``as_sum`` makes a number the last digits, and 2^(bits-1)
        return 2.0**52 + float(1 << (N(bits) - 1))

    @inlined
    def shifted(number: Any, p: Any, v: Any, s: Any) -> Any:
        return red(minus(as_sum(number), s), v, p)

    @inlined
    def begin(c: Any) -> Any:
        return c[2], minus(c[0], c[0])

    @inlined
    def gather(s: Any, x: Any, k: Any) -> Any:
        # high is a multiple of its last place, and what is rounded away is exact: low takes it
        high = fma(x, k, s[0])
        return high, add(s[1], fma(x, k, minus(s[0], high)))

    @inlined
    def fold(s: Any, c: Any) -> Any:
        high = minus(s[0], c[2])
        rest = add(fma(negated(rint(times(high, c[1]))), c[0], high), s[1])
        return fma(negated(rint(times(rest, c[1]))), c[0], rest)

    @inlined
    def take(address: Any, n: Any, v: Any, p: Any) -> Any:
        return red(read(address, n), v, p)

    @inlined
    def give(address: Any, n: Any, x: Any, v: Any, p: Any) -> Any:
        write(address, n, to_words(nonnegative(red(x, v, p), p)))

    @inlined
    def factor(x: Any) -> Any:
        return x

    return Arithmetic(
        "doubles",
        add=add,
        sub=operation(F, (F, F, F), lambda b, x, y, p: b.fsub(x, y)),
        mul=operation(F, (F,) * 4, _mul),
        four={count: operation(four(F), (F, F, F, F, A, N, F, F), _four(count)) for count in (2, 4, 8)},
        red=red,
        lead=red,
        back=same,
        enter=same,
        ease=same,
        tidy=red,
        calm=red,
        final=red,
        last=red,
        loose=red,
        light=red,
        centred=centred,
        lowered=centred,
        shift=shift,
        shifted=shifted,
        begin=begin,
        gather=gather,
        fold=fold,
        take=take,
        give=give,
        factor=factor,
        **memory(F, DOUBLE, REAL, avx512),
    )
