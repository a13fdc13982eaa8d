"""Transforms of polynomials modulo a prime, in SEAL's order: natural in, bit-reversed out. Imports numba.

Two levels at a time (radix 4) while blocks have 32 residues and more, then the last three on pairs of vectors, whose
lanes are moved. Whole blocks of INNER residues stay in the nearest cache. Degrees are powers of two from 2 INNER on.
"""

from __future__ import annotations

from typing import Any

from slotlang_runtime.kernels.arithmetic import Arithmetic
from slotlang_runtime.kernels.lanes import inlined, word

INNER = 2048

GROUP = 56
"""Factors of the last three levels of 64 residues: 8, 4 and 2 for each pair of vectors."""


def transforms(o: Arithmetic) -> tuple[Any, Any, Any]:
    """``forward_of(final, read)`` makes ``forward(x, y, n, table, other)``, of n residues at address x as ``read``
    reads them, to y, which may be x, reduced by ``final``; ``half_of``, below; ``inverse(x, y, n, table)``."""
    load, store, peek, splat = o.load, o.store, o.peek, o.splat
    add, sub, mul, lead, back = o.add, o.sub, o.mul, o.lead, o.back
    enter, ease, tidy, calm, last = o.enter, o.ease, o.tidy, o.calm, o.last
    low4, high4, mixed0, mixed1 = (o.picks[name] for name in ("low4", "high4", "mixed0", "mixed1"))
    whole0, whole1, parted0, parted1 = (o.picks[name] for name in ("whole0", "whole1", "parted0", "parted1"))
    even, odd = o.picks["even"], o.picks["odd"]
    without_first, put_back, put_first = o.without_first, o.put_back, o.put_first

    @inlined
    def factors(tw: Any, k: Any) -> Any:
        return splat(peek(tw, 2 * k)), splat(peek(tw, 2 * k + 1))

    def levels_of(read: Any) -> tuple[Any, Any]:
        """One level and two levels of what ``read(x, j, p, v, other)`` makes of eight numbers at x, to y."""

        @inlined
        def one(x: Any, y: Any, h: Any, m: Any, count: Any, tw: Any, v: Any, p: Any, other: Any) -> Any:
            # a level of m blocks, of the first of them
            for i in range(count):
                w, w1 = factors(tw, m + i)
                for j in range(2 * i * h, 2 * i * h + h, 8):
                    a, b = lead(read(x, j, p, v, other), v, p), mul(read(x, j + h, p, v, other), w, w1, p)
                    store(y, j, add(a, b))
                    store(y, j + h, sub(a, b, p))

        @inlined
        def two(x: Any, y: Any, q: Any, m: Any, first: Any, count: Any, tw: Any, v: Any, p: Any, other: Any) -> Any:
            # levels of m and 2m blocks, of blocks from ``first`` on
            for i in range(first, first + count):
                (w, w1), (r, r1) = factors(tw, m + i), factors(tw, 2 * m + 2 * i)
                s, s1 = factors(tw, 2 * m + 2 * i + 1)
                for j in range(4 * i * q, 4 * i * q + q, 8):
                    a, b = lead(read(x, j, p, v, other), v, p), back(read(x, j + q, p, v, other), v, p)
                    c = mul(read(x, j + 2 * q, p, v, other), w, w1, p)
                    d = mul(read(x, j + 3 * q, p, v, other), w, w1, p)
                    a, b, c, d = back(add(a, c), v, p), add(b, d), back(sub(a, c, p), v, p), sub(b, d, p)
                    b, d = mul(b, r, r1, p), mul(d, s, s1, p)
                    store(y, j, add(a, b))
                    store(y, j + q, sub(a, b, p))
                    store(y, j + 2 * q, add(c, d))
                    store(y, j + 3 * q, sub(c, d, p))

        return one, two

    @inlined
    def as_stored(x: Any, j: Any, p: Any, v: Any, other: Any) -> Any:
        return load(x, j)

    radix2, radix4 = levels_of(as_stored)

    def steps_of(four: Any) -> tuple[Any, Any]:
        """A level on pairs of vectors, and its inverse."""

        @inlined
        def step(
            a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any, tt: Any, k: Any, v: Any, p: Any
        ) -> Any:
            b, d, f, h = four(b, d, f, h, tt, k, v, p)
            return add(a, b), sub(a, b, p), add(c, d), sub(c, d, p), add(e, f), sub(e, f, p), add(g, h), sub(g, h, p)

        @inlined
        def unstep(
            a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any, tt: Any, k: Any, v: Any, p: Any
        ) -> Any:
            b, d, f, h, a, c, e, g = (
                sub(a, b, p),
                sub(c, d, p),
                sub(e, f, p),
                sub(g, h, p),
                add(a, b),
                add(c, d),
                add(e, f),
                add(g, h),
            )
            b, d, f, h = four(b, d, f, h, tt, k, v, p)
            return ease(a, v, p), b, ease(c, v, p), d, ease(e, v, p), f, ease(g, v, p), h

        return step, unstep

    (step2, unstep2), (step4, unstep4), (step8, unstep8) = (steps_of(o.four[count]) for count in (2, 4, 8))

    def rest_of(final: Any) -> Any:
        """The levels behind the first ones, to what ``final`` makes of their residues."""

        @inlined
        def tail(y: Any, first: Any, count: Any, tt: Any, v: Any, p: Any) -> Any:
            # the last three levels, 64 at a time, as four pairs of blocks of eight
            for n in range(first, first + count, 64):
                a, b, c, d = load(y, n), load(y, n + 8), load(y, n + 16), load(y, n + 24)
                e, f, g, h = load(y, n + 32), load(y, n + 40), load(y, n + 48), load(y, n + 56)
                k = n // 64 * GROUP
                a, b, c, d = mixed0(a, b), mixed1(a, b), mixed0(c, d), mixed1(c, d)
                e, f, g, h = mixed0(e, f), mixed1(e, f), mixed0(g, h), mixed1(g, h)
                a, c, e, g = enter(a, v, p), enter(c, v, p), enter(e, v, p), enter(g, v, p)
                a, b, c, d, e, f, g, h = step2(a, b, c, d, e, f, g, h, tt, k + 48, v, p)
                a, b, c, d = mixed0(a, b), mixed1(a, b), mixed0(c, d), mixed1(c, d)
                e, f, g, h = mixed0(e, f), mixed1(e, f), mixed0(g, h), mixed1(g, h)
                a, c, e, g = ease(a, v, p), ease(c, v, p), ease(e, v, p), ease(g, v, p)
                a, b, c, d, e, f, g, h = step4(a, b, c, d, e, f, g, h, tt, k + 32, v, p)
                a, b, c, d = low4(a, b), high4(a, b), low4(c, d), high4(c, d)
                e, f, g, h = low4(e, f), high4(e, f), low4(g, h), high4(g, h)
                a, c, e, g = ease(a, v, p), ease(c, v, p), ease(e, v, p), ease(g, v, p)
                a, b, c, d, e, f, g, h = step8(a, b, c, d, e, f, g, h, tt, k, v, p)
                a, b, c, d = final(a, v, p), final(b, v, p), final(c, v, p), final(d, v, p)
                e, f, g, h = final(e, v, p), final(f, v, p), final(g, v, p), final(h, v, p)
                store(y, n, whole0(a, b))
                store(y, n + 8, whole1(a, b))
                store(y, n + 16, whole0(c, d))
                store(y, n + 24, whole1(c, d))
                store(y, n + 32, whole0(e, f))
                store(y, n + 40, whole1(e, f))
                store(y, n + 48, whole0(g, h))
                store(y, n + 56, whole1(g, h))

        @inlined
        def rest(y: Any, n: Any, m: Any, share: Any, table: Any) -> Any:
            # all levels from that of m blocks on, of the first of ``share`` equal parts of the residues
            tw, tt, c = word(table, 0), word(table, 1), word(table, 4)
            p, v, blocks = splat(peek(c, 0)), splat(peek(c, 1)), n // INNER
            while 4 * m <= blocks:
                radix4(y, y, n // (4 * m), m, 0, m // share, tw, v, p, 0)
                m = 4 * m
            while m < blocks:
                radix2(y, y, n // (2 * m), m, m // share, tw, v, p, 0)
                m = 2 * m
            for block in range(m // share):
                q, count = INNER // 4, 1
                while q >= 8:
                    radix4(y, y, q, m * count, block * count, count, tw, v, p, 0)
                    q, count = q // 4, count * 4
                tail(y, block * INNER, INNER, tt, v, p)

        return rest

    def forward_of(final: Any, read: Any = as_stored) -> Any:
        """The transform of what ``read(x, j, p, v, other)`` makes of eight numbers at x."""
        (first2, first4), rest = levels_of(read), rest_of(final)

        @inlined
        def transformed(x: Any, y: Any, n: Any, table: Any, other: Any) -> Any:
            tw, c = word(table, 0), word(table, 4)
            p, v = splat(peek(c, 0)), splat(peek(c, 1))
            if n >= 4 * INNER:
                first4(x, y, n // 4, 1, 0, 1, tw, v, p, other)
                rest(y, n, 4, 1, table)
            else:
                first2(x, y, n // 2, 1, 1, tw, v, p, other)
                rest(y, n, 2, 1, table)

        return transformed

    def half_of(final: Any, read: Any) -> Any:
        """The first half of the transform of a polynomial that X -> 1/X leaves as it is, so that coefficient n - k is
        minus coefficient k: ``half(x, y, n, table, other)`` of the coefficients 0 to n/4 - 1, then n/4, n/2 - 1,
        n/2 - 2, and so on to n/4 + 1, as ``read`` reads them. The other half is the same, the last residue first."""
        rest = rest_of(final)

        @inlined
        def ready(x: Any, j: Any, p: Any, v: Any, other: Any) -> Any:
            return back(read(x, j, p, v, other), v, p)

        @inlined
        def half(x: Any, y: Any, n: Any, table: Any, other: Any) -> Any:
            # the first block of the first level, two coefficients of which are made of the same two
            q, tw, c = n // 4, word(table, 0), word(table, 4)
            (w, w1), p, v = factors(tw, 1), splat(peek(c, 0)), splat(peek(c, 1))
            middle = ready(x, q, p, v, other)
            first, high = ready(x, 0, p, v, other), without_first(middle)
            alone = sub(middle, mul(middle, w, w1, p), p)
            put_back(y, 2 * q, sub(high, mul(first, w, w1, p), p))
            store(y, 0, sub(first, mul(high, w, w1, p), p))
            for j in range(8, q, 8):
                a, b = ready(x, j, p, v, other), ready(x, q + j, p, v, other)
                store(y, j, sub(a, mul(b, w, w1, p), p))
                put_back(y, 2 * q - j, sub(b, mul(a, w, w1, p), p))
            put_first(y, q, alone)
            rest(y, n, 2, 2, table)

        return half

    @inlined
    def unradix4(x: Any, q: Any, m: Any, first: Any, count: Any, tw: Any, v: Any, p: Any) -> Any:
        for i in range(first, first + count):
            (w, w1), (r, r1), (s, s1) = factors(tw, m + i), factors(tw, 2 * m + 2 * i), factors(tw, 2 * m + 2 * i + 1)
            for j in range(4 * i * q, 4 * i * q + q, 8):
                a, b, c, d = load(x, j), load(x, j + q), load(x, j + 2 * q), load(x, j + 3 * q)
                a, b = ease(add(a, b), v, p), mul(sub(a, b, p), r, r1, p)
                c, d = ease(add(c, d), v, p), mul(sub(c, d, p), s, s1, p)
                store(x, j, tidy(add(a, c), v, p))
                store(x, j + q, ease(add(b, d), v, p))
                store(x, j + 2 * q, mul(sub(a, c, p), w, w1, p))
                store(x, j + 3 * q, mul(sub(b, d, p), w, w1, p))

    @inlined
    def untail(x: Any, y: Any, first: Any, count: Any, tt: Any, v: Any, p: Any) -> Any:
        for n in range(first, first + count, 64):
            a, b, c, d = load(x, n), load(x, n + 8), load(x, n + 16), load(x, n + 24)
            e, f, g, h = load(x, n + 32), load(x, n + 40), load(x, n + 48), load(x, n + 56)
            k = n // 64 * GROUP
            a, b, c, d = parted0(a, b), parted1(a, b), parted0(c, d), parted1(c, d)
            e, f, g, h = parted0(e, f), parted1(e, f), parted0(g, h), parted1(g, h)
            a, b, c, d, e, f, g, h = unstep8(a, b, c, d, e, f, g, h, tt, k, v, p)
            a, b, c, d = low4(a, b), high4(a, b), low4(c, d), high4(c, d)
            e, f, g, h = low4(e, f), high4(e, f), low4(g, h), high4(g, h)
            a, b, c, d, e, f, g, h = unstep4(a, b, c, d, e, f, g, h, tt, k + 32, v, p)
            a, b, c, d = even(a, b), odd(a, b), even(c, d), odd(c, d)
            e, f, g, h = even(e, f), odd(e, f), even(g, h), odd(g, h)
            a, b, c, d, e, f, g, h = unstep2(a, b, c, d, e, f, g, h, tt, k + 48, v, p)
            a, c, e, g = calm(a, v, p), calm(c, v, p), calm(e, v, p), calm(g, v, p)
            store(y, n, even(a, b))
            store(y, n + 8, odd(a, b))
            store(y, n + 16, even(c, d))
            store(y, n + 24, odd(c, d))
            store(y, n + 32, even(e, f))
            store(y, n + 40, odd(e, f))
            store(y, n + 48, even(g, h))
            store(y, n + 56, odd(g, h))

    @inlined
    def inverse(x: Any, y: Any, n: Any, table: Any) -> Any:
        tw, tt, c = word(table, 2), word(table, 3), word(table, 4)
        p, v, m = splat(peek(c, 0)), splat(peek(c, 1)), n // INNER
        for block in range(m):
            untail(x, y, block * INNER, INNER, tt, v, p)
            q, count = 8, INNER // 32
            while count:
                unradix4(y, q, m * count, block * count, count, tw, v, p)
                q, count = q * 4, count // 4
        # levels over blocks, two at a time while the last is left
        while m >= 8:
            unradix4(y, n // m, m // 4, 0, m // 4, tw, v, p)
            m = m // 4
        # the last level or two, and the division by n: factors 0 and n, the first of which stands for none above
        (s, s1), (w, w1) = factors(tw, 0), factors(tw, n)
        if m == 4:
            q = n // 4
            (r, r1), (t, t1) = factors(tw, 2), factors(tw, 3)
            for j in range(0, q, 8):
                a, b, c, d = load(y, j), load(y, j + q), load(y, j + 2 * q), load(y, j + 3 * q)
                a, b = ease(add(a, b), v, p), mul(sub(a, b, p), r, r1, p)
                c, d = ease(add(c, d), v, p), mul(sub(c, d, p), t, t1, p)
                store(y, j, last(mul(add(a, c), s, s1, p), v, p))
                store(y, j + q, last(mul(add(b, d), s, s1, p), v, p))
                store(y, j + 2 * q, last(mul(sub(a, c, p), w, w1, p), v, p))
                store(y, j + 3 * q, last(mul(sub(b, d, p), w, w1, p), v, p))
        else:
            for j in range(0, n // 2, 8):
                a, b = load(y, j), load(y, j + n // 2)
                store(y, j, last(mul(add(a, b), s, s1, p), v, p))
                store(y, j + n // 2, last(mul(sub(a, b, p), w, w1, p), v, p))

    return forward_of, half_of, inverse
