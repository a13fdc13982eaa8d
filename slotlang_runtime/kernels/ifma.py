"""Residues modulo primes below 2^50 as words of 52 bits, by AVX-512's multiplications of these (IFMA). Imports numba.

A multiplication reads the low 52 bits of its operands, and adds the high or the low half of the product to a word. So
lazy residues are kept modulo 2^52: bits above may hold anything, until ``red``, ``final`` or ``last`` removes them.
Products with constants are Shoup's, with w1 = floor(w·2^52/p): for any a < 2^52, a·w - floor(a·w1/2^52)·p is below 2p.
"""

from __future__ import annotations

from typing import Any

from slotlang_runtime.kernels.arithmetic import Arithmetic, memory, repeated, shift, words_as_they_are
from slotlang_runtime.kernels.lanes import WORD, WORDS, A, N, U, call, constant, four, high52, inlined, low52, operation

BITS = 52


def _rest(b: Any, total: Any, q: Any, p: Any) -> Any:
    """Less q times p."""
    return low52(b, total, q, b.sub(constant(WORD, 1 << BITS), p))


def _mul(b: Any, a: Any, w: Any, w1: Any, p: Any) -> Any:
    none = constant(WORD, 0)
    return _rest(b, low52(b, none, a, w), high52(b, none, a, w1), p)


def _lighter(b: Any, x: Any, v: Any, p: Any) -> Any:
    """From any x < 2^52 to below 2p."""
    return _rest(b, x, high52(b, constant(WORD, 0), x, v), p)


def _cut(b: Any, x: Any) -> Any:
    return b.and_(x, constant(WORD, (1 << BITS) - 1))


def _less(b: Any, x: Any, p: Any) -> Any:
    # x, less p where it is as large: else the difference is huge
    return call(b, "llvm.umin.v8i64", WORDS, x, b.sub(x, p))


def _four(count: int) -> Any:
    def build(b: Any, x0: Any, x1: Any, x2: Any, x3: Any, table: Any, k: Any, v: Any, p: Any) -> Any:
        a, none = [x0, x1, x2, x3], constant(WORD, 0)
        w = [[repeated(b, table, k, 2 * n + side, count, WORD, 2) for side in (0, 1)] for n in range(4)]
        # step by step: what one product waits for, the others fill
        q = [high52(b, none, x, w1) for x, (_, w1) in zip(a, w, strict=True)]
        low = [low52(b, none, x, w0) for x, (w0, _) in zip(a, w, strict=True)]
        return [_rest(b, x, y, p) for x, y in zip(low, q, strict=True)]

    return build


def ifma(lazy: bool) -> Arithmetic:
    """The arithmetic. ``lazy``: for primes so small that a transform needs no reductions."""
    add = operation(U, (U, U), lambda b, x, y: b.add(x, y))
    mul = operation(U, (U,) * 4, _mul)
    same = operation(U, (U, U, U), lambda b, x, v, p: x)
    lighter = operation(U, (U, U, U), _lighter)
    less = operation(U, (U, U), _less)
    high, low = operation(U, (U, U, U), high52), operation(U, (U, U, U), low52)
    carried = operation(U, (U, U), lambda b, high, low: b.add(high, b.lshr(low, constant(WORD, BITS))))
    nothing = operation(U, (U,), lambda b, x: constant(WORD, 0))
    # what a difference is kept above 0 by: as large as what is subtracted
    room = 3 if lazy else 1
    sub = operation(U, (U, U, U), lambda b, x, y, p: b.add(b.sub(x, y), b.shl(p, constant(WORD, room))))
    over = operation(U, (U, U, U), lambda b, x, y, z: b.select(b.icmp_unsigned(">", x, y), z, constant(WORD, 0)))
    held = memory(U, WORD, A, avx512=True)

    @inlined
    def centred(x: Any, p: Any, v: Any, other: Any) -> Any:
        # other: the prime of the digit, its half, and its negative modulo p; below 3p
        return add(lighter(x, v, p), over(x, other[1], other[5]))

    @inlined
    def lowered(x: Any, p: Any, v: Any, other: Any) -> Any:
        # (x + half) modulo the divisor, minus half, modulo p: SEAL's rounding; below 3p
        return add(lighter(less(add(x, other[1]), other[0]), v, p), other[2])

    @inlined
    def shifted(number: Any, p: Any, v: Any, s: Any) -> Any:
        # below 3p
        return add(lighter(number, v, p), s)

    @inlined
    def begin(c: Any) -> Any:
        return nothing(c[0]), nothing(c[0])

    @inlined
    def gather(s: Any, x: Any, k: Any) -> Any:
        return low(s[0], x, k), high(s[1], x, k)

    @inlined
    def fold(s: Any, c: Any) -> Any:
        # 2^52 times the high halves, and what the low ones carry to them
        x = add(mul(carried(s[1], s[0]), c[2], c[3], c[0]), lighter(s[0], c[1], c[0]))
        return lighter(x, c[1], c[0])

    @inlined
    def factor(x: Any) -> Any:
        return x

    return Arithmetic(
        "ifma45" if lazy else "ifma50",
        add=add,
        sub=sub,
        mul=mul,
        four={count: operation(four(U), (U, U, U, U, A, N, U, U), _four(count)) for count in (2, 4, 8)},
        red=operation(U, (U, U, U), lambda b, x, v, p: _cut(b, _lighter(b, x, v, p))),
        lead=same if lazy else lighter,
        back=same if lazy else lighter,
        enter=same if lazy else lighter,
        ease=same if lazy else lighter,
        tidy=lighter,
        calm=lighter if lazy else same,
        final=operation(U, (U, U, U), lambda b, x, v, p: _less(b, _cut(b, _lighter(b, x, v, p)), p)),
        loose=lighter,
        light=same if lazy else lighter,
        last=operation(U, (U, U, U), lambda b, x, v, p: _less(b, _cut(b, x), p)),  # below 2p to p
        centred=centred,
        lowered=lowered,
        shift=shift,
        shifted=shifted,
        begin=begin,
        gather=gather,
        fold=fold,
        factor=factor,
        **held,
        **words_as_they_are(held["load"], held["store"]),
    )
